// A real http_server on a loop, and clients over loopback TCP, all on one
// thread: scene_step turns everything once, UNTIL turns until something is true.
#ifndef FARTHING_TEST_HTTP_SCENE_H
#define FARTHING_TEST_HTTP_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "farthing/http.h"

enum { SEEN_MAX = 64, CLIENTS_MAX = 16 };

struct scene;

// A request as the handler saw it.
struct seen {
    struct scene *scene;
    struct http_request *request; // NULL after its on_end
    struct buffer method, path, query, body;
    uint64_t started_ns;
    unsigned ends, drains;
    enum http_end how;
    void (*on_drain)(struct seen *seen); // what to do then; may be NULL
    void (*on_end)(struct seen *seen);   // may be NULL
};

struct client {
    int fd; // -1: none
    SSL *ssl;
    struct buffer out, in;
    bool is_slow; // does not read
    bool ended;   // the server closed its side, orderly
    bool broken;  // reset, or TLS ended without goodbye
    bool shaken;  // TLS is agreed upon
};

struct scene {
    struct event_base *loop;
    struct http_limits limits;
    struct http_server *server;
    uint16_t port;
    struct http_tls *tls; // of the listener, given by the test before scene_start
    SSL_CTX *client_tls;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    unsigned refused[API_ERROR_COUNT];
    void (*act)(struct seen *seen); // within on_request; NULL: answers later
    struct client clients[CLIENTS_MAX];
    uint64_t turns;
};

// cmocka set-up and tear-down: *state is a struct scene with wide limits and
// a server that does not listen yet.
int scene_make(void **state);
int scene_end(void **state);
void scene_start(struct scene *s); // a new server with the scene's limits, listening
void scene_stop(struct scene *s);  // frees the server
void scene_step(struct scene *s);

// Turns until the condition holds; a test that waits for what never comes fails.
#define UNTIL(s, condition)                                                                        \
    do {                                                                                           \
        for (unsigned turns_ = 0; !(condition); turns_++) {                                        \
            if (turns_ > 20000)                                                                    \
                fail_msg("never came true: %s", #condition);                                       \
            scene_step(s);                                                                         \
        }                                                                                          \
    } while (0)

struct client *client_open(struct scene *s);
// With a receive buffer of so many bytes; such a client starts slow.
struct client *client_open_slow(struct scene *s, int receive_bytes);
void client_send(struct client *c, struct slice bytes); // as far as it goes, the rest by scene_step
void client_half_close(struct client *c);
void client_close(struct client *c);
void client_reset(struct client *c);
bool client_has(const struct client *c, const char *text);
bool client_is(const struct client *c, const char *text); // ends with
size_t client_count(const struct client *c, const char *text);
// The body behind the first head.
struct slice client_body(const struct client *c);
// Undoes the chunks of the body; true when the last one is there.
bool client_dechunk(const struct client *c, struct buffer *out);
static inline bool client_gone(const struct client *c) {
    return c->ended || c->broken;
}

// Common acts.
void act_ok(struct seen *seen);   // 200, "ok"
void act_echo(struct seen *seen); // 200, its body
#define GET(path) SLICE("GET " path " HTTP/1.1\r\nHost: x\r\n\r\n")

#endif
