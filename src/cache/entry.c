// Entries: making, sharing, and their form in the store.
#include "entry.h"

#include <stdlib.h>

enum { STRING_COUNT = 6, CHECK_LEN = 8 };
static const char magic[8] = "FTHENT01";

// The numbers of an answer as they are stored. Little-endian machines only
// read what they wrote: the file never leaves the machine, and the checksum
// covers the rest.
struct numbers {
    int64_t endpoint, cost_known, cost_pico, created_ms, expires_ms;
    struct api_usage usage;
    uint64_t lengths[STRING_COUNT];
};

static void strings_of(const struct cache_answer *a, struct slice out[STRING_COUNT]) {
    const struct slice all[STRING_COUNT] = {a->body,  a->content_type, a->provider,
                                            a->model, a->tier,         a->finish_reason};
    memcpy(out, all, sizeof all);
}

static void set_strings(struct cache_answer *a, const struct slice in[STRING_COUNT]) {
    a->body = in[0];
    a->content_type = in[1];
    a->provider = in[2];
    a->model = in[3];
    a->tier = in[4];
    a->finish_reason = in[5];
}

struct cache_entry *entry_new(const struct cache_key *key, const struct cache_answer *answer) {
    struct slice strings[STRING_COUNT];
    strings_of(answer, strings);
    size_t bytes = sizeof(struct cache_entry);
    for (size_t i = 0; i < STRING_COUNT; i++)
        bytes += strings[i].len;
    struct cache_entry *e = base_alloc(bytes);
    *e = (struct cache_entry){.answer = *answer, .key = *key, .references = 1, .bytes = bytes};
    char *at = (char *)(e + 1);
    for (size_t i = 0; i < STRING_COUNT; i++) {
        if (strings[i].len > 0)
            memcpy(at, strings[i].ptr, strings[i].len);
        strings[i].ptr = at;
        at += strings[i].len;
    }
    set_strings(&e->answer, strings);
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

static void checksum(struct slice bytes, uint8_t out[CHECK_LEN]) {
    uint8_t digest[DIGEST_LEN];
    digest_sha256(bytes, digest);
    memcpy(out, digest, CHECK_LEN);
}

void entry_encode(const struct cache_answer *a, struct buffer *out) {
    struct slice strings[STRING_COUNT];
    strings_of(a, strings);
    struct numbers n;
    memset(&n, 0, sizeof n); // padding too: it is hashed
    n.endpoint = a->endpoint;
    n.cost_known = a->cost_known;
    n.cost_pico = a->cost_pico;
    n.created_ms = a->created_ms;
    n.expires_ms = a->expires_ms;
    memcpy(&n.usage, &a->usage, sizeof n.usage);
    for (size_t i = 0; i < STRING_COUNT; i++)
        n.lengths[i] = strings[i].len;
    size_t from = out->len;
    buffer_append(out, slice_make(magic, sizeof magic));
    buffer_append(out, slice_make(&n, sizeof n));
    for (size_t i = 0; i < STRING_COUNT; i++)
        buffer_append(out, strings[i]);
    uint8_t check[CHECK_LEN];
    checksum(slice_make(out->ptr + from, out->len - from), check);
    buffer_append(out, slice_make(check, sizeof check));
}

struct cache_entry *entry_decode(const struct cache_key *key, struct slice bytes) {
    struct numbers n;
    size_t fixed = sizeof magic + sizeof n + CHECK_LEN;
    if (bytes.len < fixed || memcmp(bytes.ptr, magic, sizeof magic) != 0)
        return NULL;
    uint8_t check[CHECK_LEN];
    checksum(slice_make(bytes.ptr, bytes.len - CHECK_LEN), check);
    if (memcmp(check, bytes.ptr + bytes.len - CHECK_LEN, CHECK_LEN) != 0)
        return NULL;
    memcpy(&n, bytes.ptr + sizeof magic, sizeof n);
    struct slice rest = slice_make(bytes.ptr + sizeof magic + sizeof n, bytes.len - fixed);
    struct slice strings[STRING_COUNT];
    for (size_t i = 0; i < STRING_COUNT; i++) {
        if (n.lengths[i] > rest.len)
            return NULL;
        strings[i] = slice_make(rest.ptr, (size_t)n.lengths[i]);
        rest = slice_from(rest, (size_t)n.lengths[i]);
    }
    if (rest.len != 0 || n.endpoint < 0 || n.endpoint >= API_ENDPOINT_COUNT)
        return NULL;
    struct cache_answer a = {
        .endpoint = (enum api_endpoint)n.endpoint,
        .cost_known = n.cost_known != 0,
        .cost_pico = n.cost_pico,
        .created_ms = n.created_ms,
        .expires_ms = n.expires_ms,
        .usage = n.usage,
    };
    set_strings(&a, strings);
    return entry_new(key, &a);
}
