// One attempt as a libcurl transfer: setting it up, what comes back, and what
// its end means.
#include <stdlib.h>

#include "attempt.h"

enum {
    SPARE_HANDLES = 1024, // of a target
    READ_BUFFER = 16 * 1024,
    // Shorter bodies libcurl can send with the head, in one go.
    COPIED_BODY_MAX = 64 * 1024,
    UPLOAD_BUFFER = 256 * 1024,
};

// ------------------------------------------------------------------- answers

static size_t on_header(char *bytes, size_t size, size_t count, void *arg) {
    struct attempt *a = arg;
    size_t all = size * count;
    if (!attempt_is_live(a))
        return 0;
    bool had_head = a->answer.done;
    a->progress_ms = clock_mono_ms();
    if (!fields_take_line(&a->answer, slice_make(bytes, all))) {
        a->why = a->answer.wrong;
        return 0;
    }
    if (had_head || !a->answer.done)
        return all;
    a->head_ms = a->progress_ms;
    places_note_head(a);
    struct attempt_head head = {a->answer.status, a->answer.fields, a->answer.count};
    a->events->on_head(a->arg, &head);
    return attempt_is_live(a) ? all : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
    struct attempt *a = arg;
    size_t all = size * count;
    if (!attempt_is_live(a) || !a->answer.done)
        return 0;
    if (a->state != ATTEMPT_RUNNING) // paused too early for libcurl to take note of it
        return CURL_WRITEFUNC_PAUSE;
    a->progress_ms = clock_mono_ms();
    if (a->max_body_bytes > 0 && (uint64_t)a->body_bytes + all > a->max_body_bytes) {
        a->end = ATTEMPT_TOO_LARGE;
        a->why = "the body is larger than allowed";
        return 0;
    }
    a->body_bytes += (int64_t)all;
    a->events->on_data(a->arg, slice_make(bytes, all));
    return attempt_is_live(a) ? all : 0;
}

// The last moment before a request is sent: one that was cancelled from
// another's callback has no body any more.
static int on_before_request(void *arg, char *remote, char *local, int remote_port,
                             int local_port) {
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    return attempt_is_live(arg) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

// libcurl reads bodies at times of its own choosing, and one that was cancelled from
// another's callback has none any more. So it gets a copy of a short one, and asks for
// a long one here.
static size_t on_body_wanted(char *out, size_t size, size_t count, void *arg) {
    struct attempt *a = arg;
    if (!attempt_is_live(a))
        return CURL_READFUNC_ABORT;
    size_t left = a->body.len - a->body_sent, room = size * count;
    size_t n = left < room ? left : room;
    memcpy(out, a->body.ptr + a->body_sent, n);
    a->body_sent += n;
    return n;
}

// A connection that was kept had gone: the request is sent again on another.
static int on_body_rewound(void *arg, curl_off_t offset, int origin) {
    struct attempt *a = arg;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > a->body.len)
        return CURL_SEEKFUNC_FAIL;
    a->body_sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

// ------------------------------------------------------------------ handles

static void set_constant_options(struct upstream *u, CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // Else giving an attempt up would wait, with the whole loop, until the name
    // that it looks up is found or not.
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    // No surprises from the environment, which is not even looked at so.
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)READ_BUFFER);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    // With a folder beside the file a target's own authority would not be the
    // only one; and libcurl parses the file anew for each connection.
    if (u->default_ca != NULL)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    // Compressed events would be held back; what comes compressed unasked is
    // decoded all the same.
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_request);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_body_wanted);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_body_rewound);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, watch_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, u);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, watch_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, u);
}

// Only those for a POST are kept, and counted: nearly every request is one, and
// the other methods' options do not mix.
static struct handle *take_handle(struct attempt *a) {
    struct queue *q = a->queue;
    bool post = slice_equal(a->method, SLICE("POST"));
    struct handle *h = q->spare;
    if (post && h != NULL) {
        q->spare = h->next;
        q->spare_count--;
        return h;
    }
    h = base_calloc(1, sizeof *h);
    h->number = post ? ++q->handles_made : 0;
    h->easy = curl_easy_init();
    if (h->easy == NULL)
        abort();
    set_constant_options(a->upstream, h->easy);
    return h;
}

static void handle_free(struct handle *h) {
    curl_easy_cleanup(h->easy);
    curl_url_cleanup(h->parsed_url);
    buffer_free(&h->url);
    buffer_free(&h->ca_file);
    free(h);
}

static void give_handle_back(struct queue *q, struct handle *h) {
    if (h->number == 0 || q->spare_count >= SPARE_HANDLES) {
        handle_free(h);
        return;
    }
    // What these point to goes with the attempt.
    curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
    h->next = q->spare;
    q->spare = h;
    q->spare_count++;
}

void handle_free_all(struct queue *q) {
    while (q->spare != NULL) {
        struct handle *h = q->spare;
        q->spare = h->next;
        handle_free(h);
    }
}

static bool has_body(const struct attempt *a) {
    // These announce the length of a body even where it is none (RFC 9110 8.6).
    return a->body.len > 0 || slice_equal(a->method, SLICE("POST")) ||
           slice_equal(a->method, SLICE("PUT")) || slice_equal(a->method, SLICE("PATCH"));
}

static void set_body(struct attempt *a, CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->body.len);
    if (a->body.len < COPIED_BODY_MAX) {
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, a->body.len > 0 ? a->body.ptr : "");
        return;
    }
    curl_easy_setopt(easy, CURLOPT_READDATA, a);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, a);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
}

static void set_method(struct attempt *a, struct handle *h) {
    CURL *easy = h->easy;
    if (has_body(a))
        set_body(a, easy);
    if (slice_equal(a->method, SLICE("HEAD")))
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (h->number == 0)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, a->method.ptr); // NUL-terminated copy
}

// libcurl copies and compares strings on each setting; most are as they were.
static bool changes(struct buffer *last, struct slice now) {
    if (last->ptr != NULL && slice_equal(buffer_slice(last), now))
        return false;
    buffer_clear(last);
    buffer_reserve(last, now.len + 1);
    buffer_append(last, now);
    return true;
}

static void set_trust(struct attempt *a, struct handle *h) {
    CURL *easy = h->easy;
    const struct upstream_target *t = &a->target;
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->tls_verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->tls_verify ? 2L : 0L);
    // A handle that was used with another authority forgets it (NULL would mean
    // none at all): libcurl's own default is asked for once.
    if (changes(&h->ca_file, t->ca_file))
        curl_easy_setopt(easy, CURLOPT_CAINFO,
                         t->ca_file.len > 0 ? t->ca_file.ptr : a->upstream->default_ca);
}

static bool is_tls(const struct attempt *a) {
    return slice_starts_with(a->url, SLICE("https:"));
}

// A handle that is kept stays with its shard, and so finds its own last
// connection there; all others share one.
static struct shard *shard_for(const struct attempt *a) {
    return &a->upstream->shards[is_tls(a) ? 0 : 1 + a->handle->number % (SHARDS - 1)];
}

// Given the URL as text libcurl would take it apart and put it together again
// for each transfer, a tenth of an attempt's instructions.
static CURLUcode set_url(struct attempt *a, struct handle *h) {
    if (!changes(&h->url, a->url))
        return CURLUE_OK;
    CURLU *parsed = curl_url();
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, a->url.ptr,
                                  CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);
    curl_easy_setopt(h->easy, CURLOPT_CURLU, parsed);
    curl_easy_setopt(h->easy, CURLOPT_URL, a->url.ptr); // what it tells of itself
    curl_url_cleanup(h->parsed_url);
    h->parsed_url = parsed;
    return code;
}

static void set_options(struct attempt *a, struct handle *h) {
    CURL *easy = h->easy;
    bool tls = is_tls(a);
    set_method(a, h);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, a);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, a);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, a->error);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, a->headers);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)a->target.connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     tls ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 0L); // see transfer_stop
    if (tls)
        set_trust(a, h);
}

// ------------------------------------------------------- under libcurl's hands

void transfer_stop(struct attempt *a) {
    if (a->handle == NULL)
        return;
    // Closes the connection of what is not over (shard.c); of what is, libcurl
    // has already done with it as it should.
    curl_easy_setopt(a->handle->easy, CURLOPT_FORBID_REUSE, 1L);
    if (a->shard != NULL)
        curl_multi_remove_handle(a->shard->multi, a->handle->easy);
    give_handle_back(a->queue, a->handle);
    a->handle = NULL;
}

void transfer_start(struct attempt *a) {
    a->handle = take_handle(a);
    a->running_ms = a->progress_ms = clock_mono_ms();
    attempt_go(a, a->starts_paused ? ATTEMPT_PAUSED : ATTEMPT_RUNNING);
    CURLUcode url = set_url(a, a->handle);
    if (url != CURLUE_OK) {
        a->handle->number = 0; // not to be used again
        transfer_stop(a);
        attempt_end_with(a, ATTEMPT_BAD_REQUEST, curl_url_strerror(url));
        return;
    }
    set_options(a, a->handle);
    a->shard = shard_for(a);
    CURLMcode code = curl_multi_add_handle(a->shard->multi, a->handle->easy);
    if (code != CURLM_OK)
        attempt_end_with(a, ATTEMPT_SEND_FAILED, curl_multi_strerror(code));
}

// What is not sent yet stays unsent: on_before_request sees to one that has not
// begun, and one amid its body sends no more. Both ways: where only one is paused
// libcurl (7.88) has another try at both.
void transfer_hush(struct attempt *a) {
    curl_easy_pause(a->handle->easy, CURLPAUSE_ALL);
}

void transfer_resume(struct attempt *a) {
    struct upstream *u = a->upstream;
    attempt_go(a, ATTEMPT_RUNNING);
    a->progress_ms = clock_mono_ms();
    u->in_curl = true;
    CURLcode code = curl_easy_pause(a->handle->easy, CURLPAUSE_CONT);
    u->in_curl = false;
    // A callback that refuses what was held back does not end the transfer.
    if (code != CURLE_OK && attempt_is_live(a))
        transfer_finish(a, code);
}

bool transfer_was_sent(const struct attempt *a) {
    long bytes = 0;
    if (a->handle != NULL)
        curl_easy_getinfo(a->handle->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

// -------------------------------------------------------------------- endings

static enum attempt_end meaning_of(const struct attempt *a, CURLcode code) {
    switch (code) {
    case CURLE_OK:
        return a->answer.done ? ATTEMPT_OK : ATTEMPT_RESET; // closed amid the head
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_SSL_CONNECT_ERROR: // broken off, not distrusted: may well do next time
        return ATTEMPT_CONNECT_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        return ATTEMPT_CONNECT_TIMEOUT; // the only timeout that is libcurl's
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return ATTEMPT_TLS_FAILED;
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
        return ATTEMPT_SEND_FAILED;
    case CURLE_PARTIAL_FILE:
        return ATTEMPT_TRUNCATED;
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return ATTEMPT_RESET;
    case CURLE_URL_MALFORMAT:
        return ATTEMPT_BAD_REQUEST;
    case CURLE_UNSUPPORTED_PROTOCOL: // of the URL, or an answer that is not HTTP
        return transfer_was_sent(a) ? ATTEMPT_BAD_ANSWER : ATTEMPT_BAD_REQUEST;
    default:
        return ATTEMPT_BAD_ANSWER;
    }
}

void transfer_finish(struct attempt *a, CURLcode code) {
    bool ours = code == CURLE_WRITE_ERROR && a->end != ATTEMPT_OK;
    attempt_end_with(a, ours ? a->end : meaning_of(a, code), a->why);
}
