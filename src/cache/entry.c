// Entries: making, sharing, and their form in the store.
//
// In the store an entry is a magic word with the version, the numbers of the
// answer and its tags (64 bits each, little-endian), its fingerprint, the strings,
// and a checksum. A change of what is listed here takes a new version: entries of an
// old one are then simply not there.
#include "entry.h"

#include <stdlib.h>

enum {
    NUMBER_BYTES = 8,
    CHECK_LEN = 8,
    // What malloc keeps beside a block and loses to rounding, about.
    BLOCK_OVERHEAD = 32,
};
static const char magic[8] = "FTHENT04";

// The strings of an answer, in the order in which they are stored.
#define STRINGS(a)                                                                            \
    {                                                                                         \
        &(a)->body, &(a)->content_type, &(a)->provider, &(a)->model, &(a)->tier,              \
            &(a)->finish_reason, &(a)->request_id                                             \
    }
enum { STRING_COUNT = 7 };

// The numbers that are as they are; endpoint, the two flags and the status have
// less than 64 bits and stand before them.
#define NUMBERS(a)                                                                            \
    {                                                                                         \
        &(a)->cost_pico, &(a)->created_ms, &(a)->expires_ms, &(a)->usage.input_tokens,        \
            &(a)->usage.output_tokens, &(a)->usage.cached_tokens,                             \
            &(a)->usage.cache_write_tokens, &(a)->usage.cache_write_1h_tokens,                \
            &(a)->usage.reasoning_tokens, &(a)->usage.input_audio_tokens,                     \
            &(a)->usage.output_audio_tokens, &(a)->usage.input_image_tokens,                  \
            &(a)->usage.output_image_tokens                                                   \
    }
enum { NUMBER_COUNT = 13 };

enum {
    TAG_COUNT = CACHE_TAG_KEY,
    FIXED_BYTES = sizeof magic + (5 + TAG_COUNT + NUMBER_COUNT + STRING_COUNT) * NUMBER_BYTES +
                  DIGEST_LEN + CHECK_LEN
};

// ------------------------------------------------------------------- memory

static size_t strings_size(const struct cache_answer *a) {
    const struct slice *const strings[STRING_COUNT] = STRINGS(a);
    size_t bytes = 0;
    for (size_t i = 0; i < STRING_COUNT; i++)
        bytes += strings[i]->len;
    return bytes;
}

size_t entry_size(const struct cache_answer *a) {
    return sizeof(struct cache_entry) + strings_size(a) + BLOCK_OVERHEAD;
}

struct cache_entry *entry_new(const struct cache_key *key, const struct cache_answer *answer) {
    struct cache_entry *e = base_alloc(sizeof *e + strings_size(answer));
    *e = (struct cache_entry){
        .answer = *answer, .key = *key, .bytes = entry_size(answer), .references = 1};
    struct slice *const strings[STRING_COUNT] = STRINGS(&e->answer);
    char *at = (char *)(e + 1);
    for (size_t i = 0; i < STRING_COUNT; i++) {
        if (strings[i]->len > 0)
            memcpy(at, strings[i]->ptr, strings[i]->len);
        strings[i]->ptr = at;
        at += strings[i]->len;
    }
    return e;
}

struct cache_entry *entry_ref(struct cache_entry *e) {
    atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed);
    return e;
}

void cache_entry_release(struct cache_entry *e) {
    if (atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel) == 1)
        free(e);
}

const struct cache_answer *cache_entry_answer(const struct cache_entry *e) {
    return &e->answer;
}

// ------------------------------------------------------------------ the store

// Over the key too: a value that a damaged database hands out under another
// key would be another request's, perhaps another tenant's.
static void checksum(const struct cache_key *key, struct slice bytes, char out[CHECK_LEN]) {
    uint8_t sum[DIGEST_LEN];
    struct digest *d = digest_of_thread();
    digest_update(d, slice_make(key->bytes, DIGEST_LEN));
    digest_update(d, bytes);
    digest_finish(d, sum);
    memcpy(out, sum, CHECK_LEN);
}

static void put_number(struct buffer *out, uint64_t n) {
    for (unsigned i = 0; i < NUMBER_BYTES; i++)
        buffer_append_char(out, (char)(n >> 8 * i & 0xff));
}

// The next number; `rest` holds at least one.
static uint64_t take_number(struct slice *rest) {
    uint64_t n = 0;
    for (unsigned i = 0; i < NUMBER_BYTES; i++)
        n |= (uint64_t)(unsigned char)rest->ptr[i] << 8 * i;
    *rest = slice_from(*rest, NUMBER_BYTES);
    return n;
}

static bool take_flag(struct slice *rest, bool *flag) {
    uint64_t n = take_number(rest);
    *flag = n == 1;
    return n <= 1;
}

void entry_encode(const struct cache_key *key, const struct cache_answer *a, struct buffer *out) {
    const int64_t *const numbers[NUMBER_COUNT] = NUMBERS(a);
    const struct slice *const strings[STRING_COUNT] = STRINGS(a);
    size_t from = out->len;
    buffer_reserve(out, FIXED_BYTES + strings_size(a));
    buffer_append(out, slice_make(magic, sizeof magic));
    put_number(out, a->endpoint);
    put_number(out, a->cost_known);
    put_number(out, a->usage.known);
    put_number(out, (uint64_t)a->status);
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        put_number(out, (uint64_t)*numbers[i]);
    put_number(out, a->birth.born); // what was ordered locally is nobody else's affair
    for (size_t i = 0; i < TAG_COUNT; i++)
        put_number(out, a->tags[i]);
    for (size_t i = 0; i < STRING_COUNT; i++)
        put_number(out, strings[i]->len);
    buffer_append(out, slice_make(a->fingerprint, DIGEST_LEN));
    for (size_t i = 0; i < STRING_COUNT; i++)
        buffer_append(out, *strings[i]);
    char check[CHECK_LEN];
    checksum(key, slice_make(out->ptr + from, out->len - from), check);
    buffer_append(out, slice_make(check, sizeof check));
}

static bool take_status(struct slice *rest, int *status) {
    uint64_t n = take_number(rest);
    *status = (int)n;
    return n <= CACHE_STATUS_MAX;
}

// The rest: the strings' lengths, the fingerprint, the strings.
static bool take_strings(struct slice rest, struct cache_answer *a) {
    struct slice *const strings[STRING_COUNT] = STRINGS(a);
    uint64_t lengths[STRING_COUNT];
    for (size_t i = 0; i < STRING_COUNT; i++)
        lengths[i] = take_number(&rest);
    memcpy(a->fingerprint, rest.ptr, DIGEST_LEN);
    rest = slice_from(rest, DIGEST_LEN);
    for (size_t i = 0; i < STRING_COUNT; i++) {
        if (lengths[i] > rest.len)
            return false;
        *strings[i] = slice_make(rest.ptr, (size_t)lengths[i]);
        rest = slice_from(rest, (size_t)lengths[i]);
    }
    return rest.len == 0;
}

struct cache_entry *entry_decode(const struct cache_key *key, struct slice bytes) {
    if (bytes.len < FIXED_BYTES || memcmp(bytes.ptr, magic, sizeof magic) != 0)
        return NULL;
    char check[CHECK_LEN];
    struct slice checked = slice_make(bytes.ptr, bytes.len - CHECK_LEN);
    checksum(key, checked, check);
    if (memcmp(check, bytes.ptr + checked.len, CHECK_LEN) != 0)
        return NULL;
    struct slice rest = slice_from(checked, sizeof magic);
    struct cache_answer a = {0};
    uint64_t endpoint = take_number(&rest);
    if (endpoint >= API_ENDPOINT_COUNT)
        return NULL;
    a.endpoint = (enum api_endpoint)endpoint;
    if (!take_flag(&rest, &a.cost_known) || !take_flag(&rest, &a.usage.known) ||
        !take_status(&rest, &a.status))
        return NULL;
    int64_t *const numbers[NUMBER_COUNT] = NUMBERS(&a);
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        *numbers[i] = (int64_t)take_number(&rest);
    a.birth.born = take_number(&rest);
    for (size_t i = 0; i < TAG_COUNT; i++)
        a.tags[i] = take_number(&rest);
    return take_strings(rest, &a) ? entry_new(key, &a) : NULL;
}
