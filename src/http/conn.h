// What the files of this room share: servers, connections, requests.
#ifndef FARTHING_HTTP_CONN_H
#define FARTHING_HTTP_CONN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "farthing/http.h"
#include "scan.h"

enum conn_state {
    CONN_HANDSHAKE, // TLS is being agreed upon
    CONN_HEAD,      // between requests, or reading a head
    CONN_BODY,      // reading a body; `request` is set and ours alone
    CONN_BUSY,      // `request` is with the handler, until its on_end was called
    CONN_FLUSH,     // the last answer is on its way out; no request, what comes in is dropped
    CONN_LINGER,    // all is said: waits for the client to close, drops what comes in
    CONN_CLOSED,    // no socket any more; on the server's list of the dead
};

// Made by conn_open, freed by the server some time after conn_close: whoever
// is up the stack may still look at its state.
struct conn {
    struct http_server *server;
    struct conn *next, *previous; // all of the server's
    enum conn_state state;
    int fd;
    SSL *ssl; // NULL: plain
    struct event readable, writable;
    bool reads, waits_to_write; // which of them are added
    bool tls_wants_write;       // a read or handshake waits for the socket to take bytes
    bool closes;                // after the answer under way
    bool peer_closed;           // its FIN was seen
    uint64_t deadline_ms; // clock_mono_ms; 0: none
    struct buffer in;     // read, not yet used from in_at on
    size_t in_at;
    struct scan_progress progress; // in the head that is being read
    uint64_t began_ns;             // its first byte; 0: nothing of it came yet
    struct buffer out;             // not yet sent from out_at on
    size_t out_at;
    struct scan_chunks chunks;
    struct http_request *request;
    size_t dropped; // bytes that were read and forgotten
};

enum reply_state {
    REPLY_NONE,   // the handler has not answered
    REPLY_STREAM, // begun
    REPLY_WHOLE,  // all given, perhaps not all sent
    REPLY_BROKEN, // ended visibly broken, perhaps not all sent
    REPLY_OVER,   // on the server's list of those whose on_end is due; `how` is set
};

// Lives in its own arena. The connection's until it is handed over, then the
// server's to end: on_end, and free.
struct http_request {
    struct conn *conn; // NULL: it is closed, or has no more to do with this
    struct http_server *server;
    struct arena *arena;
    struct scan_head head;
    struct buffer body;
    uint64_t began_ns;
    enum reply_state reply;
    bool chunked_reply; // its end can be seen
    bool bodyless_reply;
    bool drain_wanted;
    enum http_end how;
    http_on_end *on_end;
    void *on_end_arg;
    void (*on_drain)(void *arg);
    void *on_drain_arg;
    struct http_request *next_over;
    bool is_own; // no connection brought it; own.c
    int own_status;
    struct buffer answer;
    http_on_answer *on_answer;
    void *on_answer_arg;
    struct http_request *next_own, *previous_own; // of the server's
};

struct listener {
    struct listener *next;
    struct http_server *server;
    int fd;
    struct event readable;
    struct http_tls *tls;
};

struct http_server {
    struct event_base *loop;
    struct http_limits limits;
    struct http_handler handler;
    struct listener *listeners;
    bool accepts_paused; // out of descriptors; the sweep tries again
    bool starved;        // ... and it was logged; until one was accepted
    struct conn *conns, *dead;
    size_t conn_count, active;
    bool draining; // no new connections
    bool ending;   // being freed
    struct http_request *over, **over_tail;
    struct http_request *own; // requests of the process's own that are not over
    struct event *deferred;
    struct event *sweep;
    bool sweeping;
    struct buffer reply; // heads are built here
    char date[40];
    int64_t date_second;
    char scratch[65536]; // reads land here first
};

struct http_tls {
    SSL_CTX *ctx;
    _Atomic unsigned references;
};

// conn.c: life and states
void conn_open(struct http_server *s, int fd, struct http_tls *tls);
void conn_close(struct conn *c);    // at once; ends its request
void conn_reset(struct conn *c);    // the same, and the client cannot take it for an end
void conn_peer_ended(struct conn *c, bool orderly); // FIN, or reset
bool conn_reads(const struct conn *c);              // or is reading paused?
void conn_continue(struct conn *c); // its request is over: the next one, or close
void conn_refuse(struct conn *c, const struct scan_refusal *refusal);
void conn_last_sent(struct conn *c); // nothing more will be written
void conn_update(struct conn *c);    // which events it waits for
void conn_set_deadline(struct conn *c, int64_t timeout_ms);
void conn_drain(struct conn *c);     // closes it when it is idle
// For connections whose reading is paused: did the client close or reset?
bool conn_lost_unseen(const struct conn *c);

// input.c
void input_ready(struct conn *c); // the socket has something, or has ended
void input_take(struct conn *c);  // what was read before and is not used yet
static inline size_t input_held(const struct conn *c) {
    return c->in.len - c->in_at;
}
enum { INPUT_HELD_MAX = 64 * 1024 }; // of pipelined successors; then reading pauses

// output.c
void output_send(struct conn *c, const struct slice *parts, size_t count); // now, or when it can
void output_ready(struct conn *c);
static inline size_t output_unsent(const struct conn *c) {
    return c->out.len - c->out_at;
}

// wire.c: n bytes, 0 at the end, WIRE_AGAIN, WIRE_ERROR
enum { WIRE_AGAIN = -1, WIRE_ERROR = -2, WIRE_PARTS = 4 };
ssize_t wire_read(struct conn *c, void *to, size_t room);
ssize_t wire_drop(struct conn *c); // reads to forget, under TLS too
ssize_t wire_write(struct conn *c, const struct slice *parts, size_t count); // TLS: count is 1
int wire_handshake(struct conn *c); // 1, WIRE_AGAIN, WIRE_ERROR

// request.c
struct http_request *request_new(struct conn *c, struct slice head,
                                 const struct scan_limits *limits,
                                 struct scan_refusal *refusal); // NULL: refused
void request_free(struct http_request *r);
void request_over(struct http_request *r, enum http_end how); // on_end comes later
void request_all_sent(struct http_request *r); // what was given is with the kernel
void request_drained(struct http_request *r);

// own.c: what http_reply and its sisters do for a request of the process's own
void own_reply(struct http_request *r, int status, struct slice body);
void own_begin(struct http_request *r, int status);
void own_write(struct http_request *r, struct slice data);
void own_end(struct http_request *r, bool whole);
void own_tell(struct http_request *r); // it is over
void own_end_all(struct http_server *s);

// reply.c
void reply_refusal(struct conn *c, const struct scan_refusal *refusal);

// server.c
void server_wake(struct http_server *s); // run what is deferred
void server_start_sweep(struct http_server *s);

// listen.c
void listen_resume(struct http_server *s); // descriptors may be free again
void listen_close(struct http_server *s);  // after taking whoever waits

#endif
