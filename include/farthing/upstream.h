// upstream: attempts against providers: connections, TLS, timeouts, bytes
// out and in. libcurl lives here and nowhere else.
//
// One upstream a loop; what loops share (the places of max_inflight) is inside
// upstream_shared. An attempt is one HTTP request; whether there is another
// one is decided by the caller with retry_decide. (One that meets a kept
// connection which the provider has just closed is sent anew by libcurl.)
//
// Redirects are not followed, and proxies in the environment (http_proxy, ...)
// are not used: where a provider's key goes is the configuration's word alone.
#ifndef FARTHING_UPSTREAM_H
#define FARTHING_UPSTREAM_H

#include "farthing/api.h"
#include "farthing/base.h"

struct event_base;
struct upstream_shared; // one for the process
struct upstream;        // one for a loop
struct attempt;         // one running attempt; the handle to cancel it

// Where attempts go and how long they may take. Copied by attempt_start;
// strings are only read during the call. `name` groups connections and counts.
struct upstream_target {
    struct slice name;     // provider's name
    struct slice base_url; // "https://api.openai.com/v1"
    int64_t connect_timeout_ms;
    int64_t first_byte_timeout_ms; // from the request being sent to the status line
    int64_t idle_timeout_ms;       // between bytes
    int64_t total_timeout_ms;      // 0: none
    // 0: unlimited; over it attempts wait their turn, first_byte_timeout_ms at most.
    // What the attempt that came last says counts for all that wait.
    int64_t max_inflight;
    // max_inflight is the most (0: any number); how many it is now follows the
    // provider's answers: 20 at first, one more for each round of good ones, 0.7
    // after a 429, a 503, a 529 or when none came in time, a little less when its
    // latency grows.
    bool adaptive_inflight;
    bool tls_verify;
    struct slice ca_file; // the only authorities trusted; empty: the system's
};

struct attempt_request {
    const struct upstream_target *target;
    struct slice method;
    struct slice path; // appended to base_url, with its query: "/chat/completions?x=1"
    // Complete but for Host, Content-Length and Accept-Encoding, which are ours, as
    // is what belongs to one hop: such fields, and names that are no token, are left
    // out; CR, LF and NUL in a value become blanks.
    const struct api_header *headers;
    size_t header_count;
    struct slice body;      // NOT copied: must live until on_done or cancel
    // Who waits for a place of max_inflight, and how much it counts: places go
    // to tenants in proportion to their weights, over all loops, and within a
    // tenant to the first come. Only read during the call.
    struct slice tenant;
    unsigned weight;        // 0: 1
    size_t max_body_bytes;  // of the answer, decompressed; over: ATTEMPT_TOO_LARGE; 0: unlimited
    int64_t deadline_ms;    // clock_mono_ms() at which to give up, 0: none
};

enum attempt_end {
    ATTEMPT_OK,               // a complete HTTP answer, whatever its status
    ATTEMPT_CONNECT_FAILED,   // name, refused, unreachable, TLS handshake broken off
    ATTEMPT_TLS_FAILED,       // the certificate is not trusted, or not for this host
    ATTEMPT_CONNECT_TIMEOUT,
    ATTEMPT_FIRST_BYTE_TIMEOUT,
    ATTEMPT_IDLE_TIMEOUT,
    ATTEMPT_TOTAL_TIMEOUT,    // or the deadline
    ATTEMPT_SEND_FAILED,
    ATTEMPT_RESET,            // connection lost before or amid the answer, broken chunks
    ATTEMPT_TRUNCATED,        // body shorter than announced
    ATTEMPT_BAD_ANSWER,       // not HTTP, bad framing, bad encoding
    ATTEMPT_TOO_LARGE,
    ATTEMPT_QUEUE_TIMEOUT,    // max_inflight was not free in time
    ATTEMPT_BAD_REQUEST,      // cannot be sent as HTTP: method, URL; nothing was sent
    ATTEMPT_END_COUNT
};
const char *attempt_end_name(enum attempt_end end); // "ok", "connect_failed", ...
bool attempt_end_is_timeout(enum attempt_end end);   // of any kind, the deadline and the queue too

struct attempt_head {
    int status;
    const struct api_header *headers; // hop-by-hop ones and what Connection names removed,
    size_t header_count;              // Content-Length and Content-Encoding too (decoded here)
};

struct attempt_result {
    enum attempt_end end;
    int status;               // 0: no status line came
    struct slice detail;      // words for the log, without secrets
    int64_t latency_ms;       // from start to end
    int64_t first_byte_ms;    // from start to the status line, -1: none
    int64_t queue_ms;         // waited for max_inflight
    bool sent;                // at least one byte of the request left: it may have been processed
    bool reused;              // on a kept-alive connection
    int64_t body_bytes;
};

// All run on the loop, never before attempt_start has returned, never after
// attempt_cancel or on_done. Cancelling from inside them is allowed.
struct attempt_events {
    void (*on_head)(void *arg, const struct attempt_head *head);
    void (*on_data)(void *arg, struct slice data); // decoded; valid during the call
    void (*on_done)(void *arg, const struct attempt_result *result);
};

struct upstream_shared *upstream_shared_new(void);
void upstream_shared_free(struct upstream_shared *s); // after all upstreams
int64_t upstream_inflight(struct upstream_shared *s, struct slice target_name); // any thread

// The places of one target, now.
struct upstream_places_view {
    struct slice name; // lives as long as upstream_shared
    int64_t inflight;
    int64_t limit; // in force; 0: none
    int64_t waiting;
    bool adaptive;
};
typedef void upstream_places_visitor(void *arg, const struct upstream_places_view *view);
// Every target that was ever used. Any thread.
void upstream_places(struct upstream_shared *s, upstream_places_visitor *visit, void *arg);
// Sets the gauges farthing_provider_{inflight,inflight_limit,queue_depth} to
// these; before a scrape. Any thread.
void upstream_publish(struct upstream_shared *s);

struct upstream *upstream_new(struct event_base *loop, struct upstream_shared *shared);
void upstream_free(struct upstream *u); // cancels what runs

// Never NULL, never fails at once: failures come through on_done.
struct attempt *attempt_start(struct upstream *u, const struct attempt_request *request,
                              const struct attempt_events *events, void *arg);
// Closes the connection (HTTP/1.1) or resets the stream (HTTP/2) at once.
void attempt_cancel(struct attempt *a);
// At least one byte of the request left: what is cancelled now may be billed.
bool attempt_was_sent(const struct attempt *a);
// Back-pressure: no on_data while paused (the socket is not read, so the
// provider is slowed by TCP or HTTP/2 flow control). The first-byte and the idle
// timeout rest meanwhile. libcurl holds back what it had read: 16 KiB, more where
// that was compressed, and up to 32 MiB (its window) of an HTTP/2 stream whose
// connection is read for others. The last call before the loop turns counts.
void attempt_pause(struct attempt *a);
void attempt_resume(struct attempt *a);

// ----------------------------------------------------------------- retry

struct retry_policy {
    unsigned attempts; // including the first
    int64_t backoff_ms, backoff_max_ms;
};
struct retry_input {
    enum attempt_end end;
    int status;
    unsigned attempts_made; // 1 after the first
    bool body_started;      // bytes of an answer have gone to the client
    bool sent;
    struct slice retry_after;    // header values or empty
    struct slice retry_after_ms;
    struct slice should_retry;   // x-should-retry: true / false (OpenAI's SDKs obey it)
    int64_t now_wall_ms;         // for an HTTP-date
    int64_t time_left_ms;        // until the deadline; -1: none
    uint64_t random;             // jitter
};
// -1: do not retry; else milliseconds to wait. Full jitter over an exponential
// backoff; Retry-After and retry-after-ms win when longer and when they fit.
// A plain function: no clock, no state.
int64_t retry_decide(const struct retry_policy *policy, const struct retry_input *input);

#endif
