// Sentinels: who knows which server of several is the master now. One is asked,
// over a connection that is kept for the next time.
#ifndef FARTHING_STORE_REDIS_SENTINEL_H
#define FARTHING_STORE_REDIS_SENTINEL_H

#include "redis_link.h"
#include "redis_slots.h"

struct redis_sentinel;

// On the loop, never from within redis_sentinel_ask; one of them for each ask.
struct redis_sentinel_events {
    void (*found)(void *arg, struct slice host, unsigned port);
    void (*failed)(void *arg, const char *why); // none of those that answer knows it
};

// `options` and `tls` (NULL: none) outlive it.
struct redis_sentinel *redis_sentinel_new(struct event_base *loop,
                                          const struct store_redis_options *options,
                                          struct redis_tls *tls,
                                          const struct redis_sentinel_events *events, void *arg);
void redis_sentinel_free(struct redis_sentinel *s);
// Where is the master? One question at a time: a second is the first.
void redis_sentinel_ask(struct redis_sentinel *s);
void redis_sentinel_cancel(struct redis_sentinel *s); // no event after it; its connection ends

#endif
