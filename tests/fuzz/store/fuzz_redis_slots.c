// Any bytes as what a node says of its cluster, or a sentinel of its master: as
// an answer, and as an error that sends a command elsewhere. Whatever comes, each slot has
// one owner, or nobody.
#include "../check.h"
#include "redis_slots.h"

static void check(const struct redis_topology *t) {
    unsigned served = 0;
    for (size_t slot = 0; slot < REDIS_SLOTS; slot++) {
        if (t->owner[slot] == REDIS_NOBODY)
            continue;
        served++;
        CHECK(t->owner[slot] < t->count && t->places[t->owner[slot]].is_master);
    }
    CHECK(served == t->served);
    for (size_t i = 0; i < t->count; i++) {
        CHECK(t->places[i].host[0] != '\0');
        CHECK(t->places[i].port > 0 && t->places[i].port < 65536);
    }
}

static void read_sentinels(const struct redis_reply *reply) {
    struct redis_sentinel_place place;
    if (redis_sentinel_read_master(reply, &place))
        CHECK(place.host.len > 0 && place.port > 0 && place.port < 65536);
    for (size_t i = 0; i < reply->count; i++)
        if (redis_sentinel_read_other(reply->elements[i], &place))
            CHECK(place.host.len > 0 && place.port > 0 && place.port < 65536);
}

static void read_topology(struct slice bytes) {
    struct redis_reader *r = redis_reader_new(1 << 16);
    struct redis_reply *reply = NULL;
    struct error err;
    redis_reader_allow_arrays(r, 1000);
    if (redis_reader_feed(r, bytes, &err) && redis_reader_next(r, &reply, &err) && reply != NULL) {
        struct redis_topology *t = redis_topology_read(reply, SLICE("asked"), &err);
        if (t != NULL)
            check(t);
        redis_topology_free(t);
        read_sentinels(reply);
        redis_reply_free(reply);
    }
    redis_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice bytes = slice_make(data, size);
    struct redis_redirect redirect;
    CHECK(redis_slot_of(bytes) < REDIS_SLOTS);
    if (redis_redirect_read(bytes, &redirect)) {
        CHECK(redirect.slot < REDIS_SLOTS && redirect.port > 0 && redirect.port < 65536);
        CHECK(redirect.host.len == 0 || memchr(redirect.host.ptr, 0, redirect.host.len) == NULL);
    }
    read_topology(bytes);
    return 0;
}
