// By the cluster's specification (redis.io/docs/reference/cluster-spec). All
// that comes is checked: a slot over the last, a port that is none or a range
// the wrong way round is no answer, and the map that was known stays.
#include "redis_slots.h"

#include <stdlib.h>

// CRC16-CCITT (XMODEM): polynomial 0x1021, from 0, nothing reflected. A nibble
// at a time: keys are short, and 16 words lie in one line of the cache.
static unsigned crc16(struct slice bytes) {
    static const uint16_t nibbles[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                         0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                         0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned byte = (unsigned char)bytes.ptr[i];
        crc = (crc << 4 ^ nibbles[(crc >> 12 ^ byte >> 4) & 15]) & 0xffff;
        crc = (crc << 4 ^ nibbles[(crc >> 12 ^ byte) & 15]) & 0xffff;
    }
    return crc;
}

unsigned redis_slot_of(struct slice key) {
    ptrdiff_t open = slice_find_char(key, '{');
    if (open >= 0) {
        struct slice rest = slice_from(key, (size_t)open + 1);
        ptrdiff_t close = slice_find_char(rest, '}');
        if (close > 0)
            key = slice_make(rest.ptr, (size_t)close);
    }
    return crc16(key) % REDIS_SLOTS;
}

// ----------------------------------------------------------------- topology

struct redis_topology *redis_topology_new(void) {
    struct redis_topology *t = base_calloc(1, sizeof *t);
    for (size_t i = 0; i < REDIS_SLOTS; i++)
        t->owner[i] = REDIS_NOBODY;
    return t;
}

void redis_topology_free(struct redis_topology *t) {
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->places[i].host);
    free(t);
}

unsigned redis_topology_place(struct redis_topology *t, struct slice host, unsigned port) {
    for (size_t i = 0; i < t->count; i++)
        if (t->places[i].port == port && slice_equal(slice_of(t->places[i].host), host))
            return (unsigned)i;
    if (t->count == REDIS_PLACES_MAX)
        return REDIS_NOBODY;
    t->places[t->count] = (struct redis_place){slice_dup(host), port, false};
    return (unsigned)t->count++;
}

void redis_topology_own(struct redis_topology *t, unsigned slot, unsigned place) {
    t->served += t->owner[slot] == REDIS_NOBODY ? 1 : 0;
    t->owner[slot] = (uint16_t)place;
    t->places[place].is_master = true;
}

static const struct redis_reply *element(const struct redis_reply *array, size_t i) {
    return i < array->count ? array->elements[i] : NULL;
}

static bool read_number(const struct redis_reply *r, int64_t least, int64_t most, unsigned *out) {
    if (r == NULL || r->kind != REDIS_REPLY_IS_NUMBER || r->number < least || r->number > most)
        return false;
    *out = (unsigned)r->number;
    return true;
}

// A name or an address, and nothing that would end one for those who read it as
// a C string.
static bool is_host(struct slice host) {
    enum { HOST_BYTES_MAX = 253 };
    return host.len > 0 && host.len <= HOST_BYTES_MAX && memchr(host.ptr, '\0', host.len) == NULL &&
           !slice_equal(host, SLICE("?"));
}

// One node of a range: its address, its port, and what else there may be. One
// that says no address of its own is left out ("?": its name is not known yet).
static bool read_place(struct redis_topology *t, const struct redis_reply *r, struct slice asked,
                       unsigned *place) {
    unsigned port;
    *place = REDIS_NOBODY;
    if (r == NULL || r->kind != REDIS_REPLY_IS_ARRAY || r->count < 2 ||
        !read_number(element(r, 1), 0, 65535, &port))
        return false;
    const struct redis_reply *name = r->elements[0];
    if (name->kind != REDIS_REPLY_IS_BYTES && name->kind != REDIS_REPLY_IS_NIL)
        return false;
    struct slice host = name->len > 0 ? redis_reply_slice(name) : asked;
    if (is_host(host) && port > 0)
        *place = redis_topology_place(t, host, port);
    return true;
}

// A range: its first and its last slot, its master, then the master's replicas.
static bool read_range(struct redis_topology *t, const struct redis_reply *r, struct slice asked) {
    unsigned first, last, master, replica;
    if (r->kind != REDIS_REPLY_IS_ARRAY ||
        !read_number(element(r, 0), 0, REDIS_SLOTS - 1, &first) ||
        !read_number(element(r, 1), first, REDIS_SLOTS - 1, &last) ||
        !read_place(t, element(r, 2), asked, &master))
        return false;
    if (master != REDIS_NOBODY)
        for (unsigned slot = first; slot <= last; slot++)
            redis_topology_own(t, slot, master);
    for (size_t i = 3; i < r->count; i++)
        if (!read_place(t, r->elements[i], asked, &replica))
            return false;
    return true;
}

struct redis_topology *redis_topology_read(const struct redis_reply *reply, struct slice asked,
                                           struct error *err) {
    struct redis_topology *t = redis_topology_new();
    bool ok = reply->kind == REDIS_REPLY_IS_ARRAY;
    for (size_t i = 0; ok && i < reply->count; i++)
        ok = read_range(t, reply->elements[i], asked);
    if (ok)
        return t;
    error_set(err, "what it says of its slots is not understood");
    redis_topology_free(t);
    return NULL;
}

// ---------------------------------------------------------------- redirects

bool redis_redirect_read(struct slice error, struct redis_redirect *out) {
    struct slice word;
    uint64_t slot, port;
    if (!slice_split(&error, ' ', &word) || !slice_split_u64(&error, ' ', &slot) ||
        slot >= REDIS_SLOTS)
        return false;
    out->is_ask = slice_equal(word, SLICE("ASK"));
    if (!out->is_ask && !slice_equal(word, SLICE("MOVED")))
        return false;
    size_t colon = error.len; // the last: an IPv6 address has others
    while (colon > 0 && error.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !slice_to_u64(slice_from(error, colon), &port) || port == 0 || port > 65535)
        return false;
    out->slot = (unsigned)slot;
    out->host = slice_make(error.ptr, colon - 1);
    out->port = (unsigned)port;
    return out->host.len == 0 || is_host(out->host);
}

// ---------------------------------------------------------------- sentinels

static bool read_address(const struct redis_reply *host, const struct redis_reply *port,
                         struct redis_sentinel_place *out) {
    uint64_t number;
    if (!is_host(redis_reply_slice(host)) || !slice_to_u64(redis_reply_slice(port), &number) ||
        number == 0 || number > 65535)
        return false;
    *out = (struct redis_sentinel_place){redis_reply_slice(host), (unsigned)number};
    return true;
}

bool redis_sentinel_read_master(const struct redis_reply *reply, struct redis_sentinel_place *out) {
    return reply->kind == REDIS_REPLY_IS_ARRAY && reply->count == 2 &&
           read_address(reply->elements[0], reply->elements[1], out);
}

static const struct redis_reply *field(const struct redis_reply *fields, const char *name) {
    for (size_t i = 0; i + 1 < fields->count; i += 2)
        if (slice_equal(redis_reply_slice(fields->elements[i]), slice_of(name)))
            return fields->elements[i + 1];
    return NULL;
}

bool redis_sentinel_read_other(const struct redis_reply *other, struct redis_sentinel_place *out) {
    const struct redis_reply *host = field(other, "ip"), *port = field(other, "port");
    return host != NULL && port != NULL && read_address(host, port, out);
}
