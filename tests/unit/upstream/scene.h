// What the tests of this room share: a provider that does exactly what its
// script says, byte for byte, and an attempt that notes all that it is told.
//
// The provider lives on threads of its own with blocking sockets, so a script
// reads in order; what a test waits for is a counter, never a duration.
#ifndef FARTHING_TEST_UPSTREAM_SCENE_H
#define FARTHING_TEST_UPSTREAM_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "farthing/upstream.h"

// ------------------------------------------------------------- the provider

enum step_kind {
    STEP_END,        // close
    STEP_READ,       // one request, head and body
    STEP_READ_HEAD,  // the head only
    STEP_WRITE,      // `bytes`
    STEP_DRIP,       // `bytes`, each in a write of its own
    STEP_FLOOD,      // `count` bytes of 'x' in large writes
    STEP_GATE,       // until server_open_gate has been called `count` times
    STEP_HALF_CLOSE, // no more bytes from here; the other direction stays open
    STEP_RESET,      // close with a TCP reset
    STEP_WAIT_CLOSE, // until the other end closes
    STEP_AGAIN,      // from the first step, on the same connection
};
struct step {
    enum step_kind kind;
    const char *bytes;
    size_t len;
    size_t count;
};
#define READ                                                                                       \
    { .kind = STEP_READ }
#define READ_HEAD                                                                                  \
    { .kind = STEP_READ_HEAD }
#define WRITE(literal)                                                                             \
    { .kind = STEP_WRITE, .bytes = (literal), .len = sizeof(literal) - 1 }
#define FLOOD(size)                                                                                \
    { .kind = STEP_FLOOD, .count = (size) }
#define GATE(number)                                                                               \
    { .kind = STEP_GATE, .count = (number) }
#define HALF_CLOSE                                                                                 \
    { .kind = STEP_HALF_CLOSE }
#define RESET                                                                                      \
    { .kind = STEP_RESET }
#define WAIT_CLOSE                                                                                 \
    { .kind = STEP_WAIT_CLOSE }
#define AGAIN                                                                                      \
    { .kind = STEP_AGAIN }
#define END                                                                                        \
    { .kind = STEP_END }

#define ANSWER_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

enum { CONNECTIONS_MAX = 128 };

struct server {
    int fd;
    char url[64]; // "http://127.0.0.1:4711"
    // Connection n runs script n, the last one for all that follow.
    const struct step *const *scripts;
    size_t script_count;
    SSL_CTX *tls; // borrowed; NULL: plain
    _Atomic int accepted, requests, active, most_active;
    _Atomic int closed;     // by the other end, as STEP_WAIT_CLOSE saw
    _Atomic int over;       // connections closed from here
    _Atomic int written;    // steps
    _Atomic size_t flooded; // bytes of STEP_FLOOD taken so far
    _Atomic int stalled;    // STEP_FLOOD has found no room for a while
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t gate;
    struct buffer last_request;
    pthread_t acceptor;
    struct connection {
        struct server *server;
        const struct step *script;
        pthread_t thread;
        int fd;
        SSL *ssl;
    } connections[CONNECTIONS_MAX];
};

void server_open(struct server *s, const struct step *const *scripts, size_t count, SSL_CTX *tls);
// One script for every connection.
void server_open_one(struct server *s, const struct step *const *script);
void server_open_gate(struct server *s);
// The last request's bytes, as they came; the caller frees.
char *server_last_request(struct server *s);
void server_close(struct server *s); // after the scene

// --------------------------------------------------------------- the proxy

struct scene {
    struct event_base *loop;
    struct upstream_shared *shared;
    struct upstream *upstream;
    struct event *tick;
};

void scene_open(struct scene *s);
void scene_close(struct scene *s);
// Turns the loop until *value reaches `wanted`; the test fails when it never does.
void scene_run_until(struct scene *s, const _Atomic int *value, int wanted);
void scene_turn(struct scene *s, int times); // so many rounds of the loop

// What an attempt was told. `then` runs inside a callback, after noting.
struct probe {
    struct scene *scene;
    struct attempt *attempt; // NULL after on_done
    bool returned;           // attempt_start has
    bool cancelled;
    int heads, datas;
    _Atomic int done;
    int status;
    struct buffer fields; // "name: value\n" for each header
    struct buffer body;
    struct attempt_result result;
    char detail[256];
    void (*in_head)(struct probe *p);
    void (*in_data)(struct probe *p);
    void (*in_done)(struct probe *p);
    void *arg;
};

struct upstream_target target_of(const char *base_url);
// POST /v1/x with a body of its own, unless `request` says else (its target too).
void probe_start(struct probe *p, struct scene *s, const struct attempt_request *request);
void probe_start_url(struct probe *p, struct scene *s, const char *base_url);
void probe_cancel(struct probe *p);
void probe_wait(struct probe *p); // until on_done
void probe_free(struct probe *p);
void assert_end(const struct probe *p, enum attempt_end end, const char *what);
void assert_body(const struct probe *p, const char *body);

#endif
