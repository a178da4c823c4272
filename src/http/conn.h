// What the files of this room share: servers, connections, requests.
#ifndef FARTHING_HTTP_CONN_H
#define FARTHING_HTTP_CONN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

#include "farthing/http.h"
#include "scan.h"

enum conn_state {
    CONN_HANDSHAKE, // TLS
    CONN_HEAD,      // between requests, or reading a head
    CONN_BODY,      // reading a body
    CONN_BUSY,      // a request is with the handler
    CONN_LINGER,    // an error was answered: reads and forgets until the client closes
    CONN_CLOSED,    // waits to be freed
};

struct conn {
    struct http_server *server;
    struct conn *next, *previous; // all of the server's
    enum conn_state state;
    int fd;
    SSL *ssl; // NULL: plain
    struct event readable, writable;
    bool reads, waits_to_write; // which of them are added
    bool tls_wants_write;       // a read or handshake waits for the socket to take bytes
    uint64_t id;
    uint64_t deadline_ms; // clock_mono_ms; 0: none
    struct buffer in;     // read, not yet used
    size_t scanned;       // of `in`, by scan_find_end
    uint64_t began_ns;    // first byte of the head
    struct buffer out;    // not yet sent
    size_t out_at;
    size_t lingered;
    struct scan_chunks chunks;
    struct http_request *request;
    bool closes;      // after this answer
    bool peer_closed; // FIN was seen
    char peer[48];
};

enum reply_state {
    REPLY_NONE,    // with the handler
    REPLY_STREAM,  // begun
    REPLY_WHOLE,   // all given; perhaps not all sent
    REPLY_BROKEN,  // ended visibly broken
};

struct http_request {
    struct conn *conn; // NULL: the client is gone
    struct http_server *server;
    struct arena *arena;
    struct scan_head head;
    char *head_bytes;
    struct buffer body;
    uint64_t began_ns;
    enum reply_state reply;
    bool is_head, chunked_reply, handed_over, ending;
    enum http_end how;
    http_on_end *on_end;
    void *on_end_arg;
    void (*on_drain)(void *arg);
    void *on_drain_arg;
    bool drain_wanted;
    struct http_request *next_ended;
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
    struct conn *conns, *dead;
    size_t conn_count, active;
    bool draining;
    uint64_t next_id;
    struct http_request *ended, **ended_tail; // wait for their on_end
    struct event *deferred;
    struct event *sweep;
    bool sweeping;
    struct buffer reply; // heads are built here
    char scratch[65536]; // reads land here first
    char date[40];
    int64_t date_second;
};

struct http_tls {
    SSL_CTX *ctx;
};

// conn.c
void conn_open(struct http_server *s, int fd, const char *peer, struct http_tls *tls);
void conn_close(struct conn *c);  // frees soon; ends its request as gone
void conn_continue(struct conn *c); // the answer is sent: next request, or close
void conn_send(struct conn *c, struct slice head, struct slice body); // now, or when it can
void conn_refuse(struct conn *c, const struct scan_refusal *refusal);
void conn_update(struct conn *c); // which events it waits for
size_t conn_unsent(const struct conn *c);
void conn_set_deadline(struct conn *c, int64_t timeout_ms);

// wire.c: n bytes, 0 at the end, WIRE_AGAIN, WIRE_ERROR
enum { WIRE_AGAIN = -1, WIRE_ERROR = -2 };
ssize_t wire_read(struct conn *c, void *to, size_t room);
ssize_t wire_write(struct conn *c, struct slice head, struct slice body);
int wire_handshake(struct conn *c); // 1, WIRE_AGAIN, WIRE_ERROR

// request.c
struct http_request *request_new(struct conn *c, struct slice head);
void request_free(struct http_request *r);
void request_end(struct http_request *r, enum http_end how); // on_end comes later, once
void request_sent(struct conn *c);  // all bytes of the reply are with the kernel
void request_drained(struct http_request *r);

// server.c
void server_wake(struct http_server *s); // run what is deferred
void server_start_sweep(struct http_server *s);

#endif
