// One connection to Redis as a stream of bytes: a name or a socket's path, with
// or without TLS. It knows nothing of what is said over it.
#ifndef FARTHING_STORE_REDIS_LINK_H
#define FARTHING_STORE_REDIS_LINK_H

#include "farthing/store.h"

struct redis_link;
struct redis_tls; // who we are and whom we trust, as OpenSSL wants it

// On the link's loop, never from within a function of the link's. From each of
// them the link may be closed.
struct redis_link_events {
    void (*opened)(void *arg);
    void (*got)(void *arg, struct slice bytes);
    void (*closed)(void *arg, const char *why); // could not be opened, or broke; it is closed
};

// `options` and `tls` (NULL: none) outlive the link.
struct redis_link *redis_link_new(struct event_base *loop,
                                  const struct store_redis_options *options, struct redis_tls *tls,
                                  const struct redis_link_events *events, void *arg);
void redis_link_free(struct redis_link *l); // closes it
// Begins to connect. How long that may take is the caller's affair.
void redis_link_open(struct redis_link *l);
void redis_link_close(struct redis_link *l); // no event after it
// Of an open one. Takes over `bytes`, which malloc made; they go out in order,
// as fast as the other side reads.
void redis_link_send(struct redis_link *l, char *bytes, size_t len);

// redis_tls.c. Reads the files of the options.
struct redis_tls *redis_tls_new(const struct store_redis_options *options, struct error *err);
void redis_tls_free(struct redis_tls *t);
// An SSL of OpenSSL's that will ask for the options' host (void: whoever calls
// this includes OpenSSL).
void *redis_tls_session(struct redis_tls *t, const struct store_redis_options *options);
// Why the session could not begin, in words; `code` as the OpenSSL queue had it.
void redis_tls_explain(void *session, unsigned long code, struct error *out);

#endif
