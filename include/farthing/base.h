// base: slices, buffers, arena, hash table, clock, random, log, digest,
// mailbox, metrics. The floor of the house: knows nothing of HTTP or LLMs.
//
// Memory: a failed allocation of bounded size ends the process with one clear
// line (as Redis does); sizes that come from the network are bounded by
// configured limits before anything is allocated for them.
#ifndef FARTHING_BASE_H
#define FARTHING_BASE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct event_base;

#define FARTHING_MUST_CHECK __attribute__((warn_unused_result))
#define FARTHING_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define FARTHING_COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---------------------------------------------------------------- memory

// As malloc, calloc, realloc, but never NULL: on failure one line goes to
// stderr and the process aborts. Free with free().
void *base_alloc(size_t size) __attribute__((malloc));
void *base_calloc(size_t count, size_t size) __attribute__((malloc));
void *base_realloc(void *ptr, size_t size);

// What threads write often lies in lines of its own, or they would wait for each
// other's neighbours.
enum { CACHE_LINE = 64 };
void *base_calloc_lines(size_t size) __attribute__((malloc)); // zeroed; begins a line
// A small lock, held for some tens of nanoseconds by loops that have a core each:
// a short spin nearly always gets it without the kernel.
void base_lock_init(pthread_mutex_t *lock);

// ---------------------------------------------------------------- slices

// Bytes that somebody else owns. Not NUL-terminated; ptr may be NULL when
// len is 0. Passed by value.
struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
// For printf: printf("%.*s", SLICE_ARG(s)).
#define SLICE_ARG(s) (int)(s).len, (s).ptr

// A NULL string becomes the empty slice.
struct slice slice_of(const char *text);
static inline struct slice slice_make(const void *ptr, size_t len) {
    return (struct slice){(const char *)ptr, len};
}
static inline bool slice_equal(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
bool slice_equal_nocase(struct slice a, struct slice b); // ASCII only
int slice_compare(struct slice a, struct slice b);       // bytewise, as memcmp
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);
struct slice slice_trim(struct slice s); // blanks and tabs on both ends
bool slice_is_one_of(struct slice s, const char *const *words, size_t count);
#define SLICE_IS_ONE_OF(s, words) slice_is_one_of((s), (words), FARTHING_COUNT(words))
// Offset of the first occurrence, or -1.
ptrdiff_t slice_find_char(struct slice s, char c);
ptrdiff_t slice_find(struct slice s, struct slice needle);
// From `from` (clamped) to the end.
struct slice slice_from(struct slice s, size_t from);
// The part before the next `separator`; *rest is moved behind it. False when
// *rest was exhausted (ptr == NULL after the last part).
bool slice_split(struct slice *rest, char separator, struct slice *part);
// Whole slice as decimal digits only; false on anything else or overflow.
bool slice_to_u64(struct slice s, uint64_t *out) FARTHING_MUST_CHECK;
bool slice_to_i64(struct slice s, int64_t *out) FARTHING_MUST_CHECK;
// As slice_split, of a part that is such a number; *rest is moved behind it even if not.
bool slice_split_u64(struct slice *rest, char separator, uint64_t *out) FARTHING_MUST_CHECK;
bool slice_split_i64(struct slice *rest, char separator, int64_t *out) FARTHING_MUST_CHECK;
// The first `len` bytes; *rest is moved behind them. False: there are not so many.
bool slice_take(struct slice *rest, uint64_t len, struct slice *part) FARTHING_MUST_CHECK;
// Malloc'd NUL-terminated copy; the caller frees.
char *slice_dup(struct slice s);
// Shell-style match with `*` (any bytes) and `?` (one byte). At most
// pattern * text steps.
bool slice_glob(struct slice pattern, struct slice text);
// Length of the well-formed UTF-8 sequence at the start of s (Unicode table
// 3-7), 1 for ASCII; 0 when s is empty or starts with anything else.
size_t slice_utf8(struct slice s);
// Edit distance, capped: for "did you mean". Strings over 64 bytes: SIZE_MAX.
size_t slice_distance(struct slice a, struct slice b);

// --------------------------------------------------------------- buffers

// Growable bytes. Zero-initialize to start; buffer_free to end. `ptr` moves
// when it grows: keep offsets, not pointers.
struct buffer {
    char *ptr;
    size_t len;
    size_t cap;
};

void buffer_reserve(struct buffer *b, size_t extra); // room for extra more bytes
void buffer_append(struct buffer *b, struct slice s);
void buffer_append_char(struct buffer *b, char c);
void buffer_append_u64(struct buffer *b, uint64_t value);
void buffer_append_i64(struct buffer *b, int64_t value);
void buffer_printf(struct buffer *b, const char *fmt, ...) FARTHING_PRINTF(2, 3);
void buffer_consume(struct buffer *b, size_t n); // drop n bytes at the front
void buffer_clear(struct buffer *b);             // len = 0, memory kept
void buffer_free(struct buffer *b);
static inline struct slice buffer_slice(const struct buffer *b) {
    return (struct slice){b->ptr, b->len};
}
#define BUFFER_LITERAL(b, literal) buffer_append((b), SLICE(literal))

// ----------------------------------------------------------------- arena

// Bump allocation that is freed as a whole: the memory of one exchange.
// One thread at a time.
struct arena;

struct arena *arena_new(size_t first_block_bytes);
void arena_free(struct arena *a); // NULL is fine
// Aligned for any type; contents undefined. size 0 gives a valid pointer.
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t size);
struct slice arena_copy(struct arena *a, struct slice s);      // also NUL-terminated behind len
char *arena_string(struct arena *a, struct slice s);           // NUL-terminated copy
struct slice arena_join(struct arena *a, const struct slice *parts, size_t count); // as it
#define ARENA_JOIN(a, ...)                                                                         \
    arena_join((a), (struct slice[]){__VA_ARGS__}, FARTHING_COUNT(((struct slice[]){__VA_ARGS__})))
struct slice arena_printf(struct arena *a, const char *fmt, ...) FARTHING_PRINTF(2, 3);
size_t arena_bytes(const struct arena *a); // held from the system

// ------------------------------------------------------------ hash table

// Open addressing from byte-string keys to pointers, seeded (no collision
// attacks from the network). Keys are copied. Not thread-safe.
struct table;

struct table *table_new(void);
void table_free(struct table *t); // values are the caller's
void *table_get(const struct table *t, struct slice key); // NULL when absent
// The value that was there before, or NULL. value must not be NULL.
void *table_put(struct table *t, struct slice key, void *value);
void *table_remove(struct table *t, struct slice key); // the value, or NULL
size_t table_count(const struct table *t);
// Iterates in no order; start with *cursor = 0. No put/remove meanwhile.
bool table_next(const struct table *t, size_t *cursor, struct slice *key, void **value);
// The seeded hash itself, for sharding and sampling within this process.
uint64_t base_hash(struct slice s);

// ---------------------------------------------------------------- errors

// What went wrong, in words for a person: where, the value seen, what was
// expected. Functions that fill it return false.
struct error {
    char text[512];
};

// Fills e (NULL is fine) and returns false: `return error_set(e, "...")`.
bool error_set(struct error *e, const char *fmt, ...) FARTHING_PRINTF(2, 3);

// ------------------------------------------------------- clock and random

// One clock for the whole process. Any thread.
int64_t clock_wall_ms(void);  // Unix time
uint64_t clock_mono_ns(void); // for intervals
static inline uint64_t clock_mono_ms(void) {
    return clock_mono_ns() / 1000000u;
}
static inline uint64_t clock_mono_us(void) {
    return clock_mono_ns() / 1000u;
}
// Tests: freeze both clocks at these values; clock_thaw goes back to real time.
void clock_freeze(int64_t wall_ms, uint64_t mono_ns);
void clock_thaw(void);
// "2026-11-21T04:47:26.123Z" (RFC 3339, UTC); out holds at least 25 bytes.
void clock_format_ms(int64_t wall_ms, char out[25]);

uint64_t random_u64(void);                    // per-thread, seeded from the system
uint64_t random_below(uint64_t bound);        // unbiased; bound > 0
void random_seed(uint64_t seed);              // this thread, for tests
#define RANDOM_ID_LEN 26
// 26 characters, Crockford base32, sortable by time (a ULID), and a NUL.
void random_id(char out[RANDOM_ID_LEN + 1]);
// When one was made, Unix ms. False: it is none.
bool random_id_time(struct slice id, int64_t *ms) FARTHING_MUST_CHECK;

// ------------------------------------------------------------------- log

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

// One logfmt line to stderr: ts, level, msg. Control characters in the text
// are escaped, so network bytes cannot forge lines. Any thread.
void log_write(enum log_level level, const char *fmt, ...) FARTHING_PRINTF(2, 3);
void log_set_level(enum log_level level);
bool log_level_parse(struct slice name, enum log_level *out) FARTHING_MUST_CHECK;

// ---------------------------------------------------------------- digest

#define DIGEST_LEN 32
#define DIGEST_SHA1_LEN 20

struct digest; // incremental SHA-256

struct digest *digest_new(void);
void digest_update(struct digest *d, struct slice s);
// With its length in front: no two lists of parts read alike.
void digest_update_part(struct digest *d, struct slice part);
void digest_finish(struct digest *d, uint8_t out[DIGEST_LEN]); // and reset for reuse
void digest_free(struct digest *d);
// This thread's own, freed with the thread; for one computation at a time that
// calls nobody who might use it too.
struct digest *digest_of_thread(void);
void digest_sha256(struct slice s, uint8_t out[DIGEST_LEN]);
void digest_sha1(struct slice s, uint8_t out[DIGEST_SHA1_LEN]); // as a protocol asks; no secret
void digest_hex(const uint8_t *bytes, size_t len, char *out); // 2*len + NUL, lower case
bool digest_unhex(struct slice hex, uint8_t *out, size_t len) FARTHING_MUST_CHECK;
bool digest_equal(const uint8_t *a, const uint8_t *b, size_t len); // constant time

// --------------------------------------------------------------- mailbox

// Messages to one loop from any thread. `run` is called on the loop's thread,
// in the order of posting per sender. The mail belongs to the poster until
// posted, to `run` from when it is called.
struct mail {
    struct mail *next;
    void (*run)(struct mail *m);
};
struct mailbox;

struct mailbox *mailbox_new(struct event_base *loop);
void mailbox_post(struct mailbox *box, struct mail *m); // any thread
// On the loop's thread, after every sender has stopped; runs what is left.
void mailbox_free(struct mailbox *box);

// --------------------------------------------------------------- metrics

// Counters, gauges and histograms in Prometheus' text format 0.0.4. Families
// are declared once in static tables; a series is a family with label values,
// found or made by metric_series and then updated without a lock.
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 8
#define METRIC_VALUE_MAX 128    // bytes of one label value
#define METRIC_SERIES_MAX 10000 // of one family
#define METRIC_INVENTED_MAX 200 // values of a label that clients choose: feature, user, model

struct metric_family {
    const char *name;
    const char *help;
    enum metric_kind kind;
    const char *labels[METRIC_LABELS_MAX]; // NULL-terminated when fewer
    const double *buckets;                 // histogram: upper bounds, ascending
    size_t bucket_count;
    // What is stored is an integer; text shows value * scale (0 means 1):
    // histograms of microseconds in seconds use 1e-6.
    double scale;
    // Counted money: shown exactly as value / 10^decimals instead of scale.
    unsigned decimals;
};

struct metric_series;

// The series for these label values (as many as the family has labels). Lives
// as long as the process. Thread-safe; takes a lock only the first time a
// thread sees the series. Client-chosen labels show METRIC_INVENTED_MAX values
// each, the same in all families, and "other" for the rest; over
// METRIC_SERIES_MAX series of a family all its labels read "other".
// Values are cut at METRIC_VALUE_MAX bytes; what is not text becomes U+FFFD.
struct metric_series *metric_series(const struct metric_family *family, const struct slice *values);
struct metric_series *metric_plain(const struct metric_family *family); // without labels
void metric_add(struct metric_series *s, int64_t amount); // relaxed atomics
void metric_set(struct metric_series *s, int64_t value);  // gauges
void metric_observe(struct metric_series *s, int64_t value);
int64_t metric_value(const struct metric_series *s); // counter, gauge; histogram: count
// Families that are shown even before their first series: for `# HELP`.
void metric_declare(const struct metric_family *family);
void metric_write_all(struct buffer *out);
void metric_reset_for_test(void);

#endif
