// http: the listener: requests in, answers and streams out. The process must
// ignore SIGPIPE.
//
// One http_server a loop, each with its own listening sockets (SO_REUSEPORT).
// Everything here runs on that loop's thread. A request is handed over when
// its head and whole body are there, one at a time for each connection:
// pipelined requests wait, so answers are in order by construction. What RFC
// 9112 forbids is answered here, in OpenAI's error shape, and never reaches
// the handler.
#ifndef FARTHING_HTTP_H
#define FARTHING_HTTP_H

#include "farthing/api.h"
#include "farthing/base.h"

struct event_base;
struct http_server;

struct http_limits {
    int64_t max_body_bytes;       // over: 413
    int64_t max_header_bytes;     // request line and fields; over: 431
    unsigned max_headers;         // over: 431
    int64_t header_timeout_ms;    // whole head, from its first byte; over: 408 and close
    int64_t body_timeout_ms;      // pause between reads of a body; over: 408 and close
    int64_t keepalive_timeout_ms; // between requests; over: close
    int64_t write_timeout_ms;     // no progress in writing; over: close
    int64_t stream_buffer_bytes;  // unsent bytes over which http_reply_write says "full"
    int64_t max_connections;      // for this server; over: accepted and closed at once; 0: no limit
};

// One request, from the handler's call until it is answered or its client is
// gone; then `on_end` is called once and the pointer is dead.
struct http_request;

struct http_handler {
    // A complete request. Answer now or later.
    void (*on_request)(struct http_request *req, void *arg);
    // A request that was refused before it came to on_request: for counters,
    // calls nothing of this room. May be NULL.
    void (*on_refused)(enum api_error error, void *arg);
    void *arg;
};

// TLS material, shared by all servers of the process. 1.2 and up, ALPN
// http/1.1. Reference-counted: made with one reference.
struct http_tls;
struct http_tls *http_tls_new(const char *certificate_chain_file, const char *key_file,
                              struct error *err);
struct http_tls *http_tls_ref(struct http_tls *tls);
void http_tls_unref(struct http_tls *tls); // NULL is fine; after the servers that use it

struct http_server *http_server_new(struct event_base *loop, const struct http_limits *limits,
                                    const struct http_handler *handler);
// "127.0.0.1:4000", "[::1]:4000", ":4000", "0.0.0.0:0". May be called several
// times. tls NULL: plain. joins: another server of this process listens there
// already and shares it; otherwise an address that anybody listens on is taken.
// Returns the bound port, or 0 with err filled.
uint16_t http_server_listen(struct http_server *s, struct slice address, struct http_tls *tls,
                            bool joins, struct error *err);
// For what begins from now on, on the connections that are there too.
// New connections to listeners that have TLS get this instead: a renewed
// certificate. The caller keeps it as long as the server.
void http_server_set_tls(struct http_server *s, struct http_tls *tls);
void http_server_set_limits(struct http_server *s, const struct http_limits *limits);
// Drain: no new connections; idle ones are closed; running exchanges finish,
// with `Connection: close`.
void http_server_drain(struct http_server *s);
size_t http_server_active(const struct http_server *s);      // requests handed over, not ended
size_t http_server_connections(const struct http_server *s);
// Ends what is left (on_end is called for each request, within this call) and
// frees. Never from within a callback of this server. Its TLS material goes later.
void http_server_free(struct http_server *s);

// --------------------------------------------------------------- request

struct slice http_request_method(const struct http_request *req);
struct slice http_request_path(const struct http_request *req);  // without query, undecoded
struct slice http_request_query(const struct http_request *req); // without '?'
// First value without surrounding blanks; SLICE_NONE when absent.
struct slice http_request_header(const struct http_request *req, struct slice name);
size_t http_request_header_count(const struct http_request *req);
struct api_header http_request_header_at(const struct http_request *req, size_t i);
struct slice http_request_body(const struct http_request *req); // contiguous, lives until on_end
// Who asks: an address without its port, "127.0.0.1", "::1"; "" when it is gone.
enum { HTTP_PEER_MAX = 64 };
void http_request_peer(const struct http_request *req, char out[HTTP_PEER_MAX]);
uint64_t http_request_started_ns(const struct http_request *req); // clock_mono_ns at the first byte

// How the reply ended. HTTP_END_SENT: all bytes were handed to the kernel.
enum http_end { HTTP_END_SENT, HTTP_END_CLIENT_GONE, HTTP_END_ABORTED, HTTP_END_SHUTDOWN };

// Called once, on the loop, never from within on_request or a reply function.
// After HTTP_END_CLIENT_GONE nothing more can be sent. A client is gone on
// reset, on a failed write, and, as for nginx, when it closes its side before
// it was given its whole answer: that is how SDKs abandon a request.
typedef void http_on_end(void *arg, enum http_end how);
void http_request_on_end(struct http_request *req, http_on_end *on_end, void *arg);

// ----------------------------------------------------------------- reply

// Whole answer; adds Content-Length, Date, Connection. HEAD: head only.
// `body` is copied (or written at once); headers are copied. Here and in
// http_reply_begin: a header that is no valid field, or that the framing
// depends on (these three, Transfer-Encoding), is left out.
void http_reply(struct http_request *req, int status, const struct api_header *headers,
                size_t header_count, struct slice body);
// As http_reply with OpenAI's error shape and x-should-retry where the error's
// table says so. `headers` are further ones, may be NULL.
void http_reply_error(struct http_request *req, enum api_error error, int status_or_0,
                      struct slice message, struct slice param, const struct api_header *headers,
                      size_t header_count);

// A streamed answer (chunked; to an HTTP/1.0 client: until close).
void http_reply_begin(struct http_request *req, int status, const struct api_header *headers,
                      size_t header_count);
// Sends now (nothing is held back). False: more than stream_buffer_bytes are
// unsent; pause the source until on_drain is called (once, below half).
bool http_reply_write(struct http_request *req, struct slice data);
void http_reply_on_drain(struct http_request *req, void (*on_drain)(void *arg), void *arg);
void http_reply_finish(struct http_request *req);
// Ends a begun answer visibly broken: what was written is sent, the last chunk
// is not, and the connection is closed.
void http_reply_abort(struct http_request *req);

// ------------------------------------------------- requests of the process's own

// Called once, on the loop, never from within a reply function, after the request's
// on_end: what it was answered. The body lives for the call; status 0: it was ended
// without a whole answer.
typedef void http_on_answer(void *arg, int status, struct slice body);

struct http_own {
    struct slice method, path, query;
    const struct api_header *headers;
    size_t header_count;
    struct slice body;
    http_on_answer *on_answer; // NULL: nobody wants to know
    void *arg;
};

// A request that no connection brings, on the server of another one. All is copied.
// It is not given to the handler: the caller does with it what its handler would, and
// it is read, answered and ended like any other. NULL: the server is being freed.
struct http_request *http_own_request(const struct http_request *beside,
                                      const struct http_own *own);
// Its answer is not wanted any more. It goes on.
void http_own_forget(struct http_request *req);

#endif
