// One attempt as a libcurl transfer: setting it up, what comes back, and what
// its end means.
#include <stdlib.h>

#include "attempt.h"

enum {
    HEAD_BYTES_MAX = 256 * 1024, // of an answer's header fields
    SPARE_HANDLES = 256,
    READ_BUFFER = 16 * 1024,
};

// ------------------------------------------------------------------- answers

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

static void begin_head(struct attempt *a, struct slice line) {
    // "HTTP/1.1 200 OK", "HTTP/2 200"
    ptrdiff_t space = slice_find_char(line, ' ');
    uint64_t status = 0;
    struct slice rest = space < 0 ? SLICE_NONE : slice_from(line, (size_t)space + 1);
    if (rest.len < 3 || !slice_to_u64(slice_make(rest.ptr, 3), &status))
        status = 0;
    a->status = (int)status;
    a->head_count = 0;
}

static void add_field(struct attempt *a, struct slice line) {
    ptrdiff_t colon = slice_find_char(line, ':');
    if (colon <= 0)
        return;
    if (a->head_count == a->head_cap) {
        size_t cap = a->head_cap == 0 ? 16 : a->head_cap * 2;
        struct api_header *grown = arena_alloc(a->arena, cap * sizeof *grown);
        if (a->head_count > 0)
            memcpy(grown, a->head, a->head_count * sizeof *grown);
        a->head = grown;
        a->head_cap = cap;
    }
    struct slice copy = arena_copy(a->arena, line);
    a->head[a->head_count++] = (struct api_header){
        slice_make(copy.ptr, (size_t)colon),
        slice_trim(slice_from(copy, (size_t)colon + 1)),
    };
}

static bool named_by_connection(struct slice connection, struct slice name) {
    struct slice part;
    while (slice_split(&connection, ',', &part))
        if (slice_equal_nocase(slice_trim(part), name))
            return true;
    return false;
}

// What ends at this hop, and what is no longer true once libcurl has decoded.
static void drop_fields(struct attempt *a) {
    struct slice connection = api_header_find(a->head, a->head_count, SLICE("connection"));
    size_t kept = 0;
    for (size_t i = 0; i < a->head_count; i++) {
        struct slice name = a->head[i].name;
        if (api_header_is_hop_by_hop(name) || named_by_connection(connection, name) ||
            slice_equal_nocase(name, SLICE("content-length")) ||
            slice_equal_nocase(name, SLICE("content-encoding")))
            continue;
        a->head[kept++] = a->head[i];
    }
    a->head_count = kept;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg) {
    struct attempt *a = arg;
    struct slice line = slice_make(bytes, size * count);
    size_t all = line.len;
    a->head_bytes += all;
    a->progress_ms = clock_mono_ms();
    if (a->head_bytes > HEAD_BYTES_MAX)
        return 0;
    if (a->head_done)
        return all; // trailers
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r' ||
                            is_space(line.ptr[line.len - 1])))
        line.len--;
    if (slice_starts_with(line, SLICE("HTTP/"))) {
        begin_head(a, line);
        return all;
    }
    if (line.len > 0) {
        add_field(a, line);
        return all;
    }
    if (a->status < 200)
        return all; // 100, 103: the answer is still to come
    a->head_done = true;
    a->head_ms = a->progress_ms;
    drop_fields(a);
    struct attempt_head head = {a->status, a->head, a->head_count};
    a->events->on_head(a->arg, &head);
    return a->cancelled ? 0 : all;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
    struct attempt *a = arg;
    size_t all = size * count;
    a->progress_ms = clock_mono_ms();
    a->body_bytes += (int64_t)all;
    if (a->max_body_bytes > 0 && (uint64_t)a->body_bytes > a->max_body_bytes) {
        a->ended_early = true;
        a->end = ATTEMPT_TOO_LARGE;
        return 0;
    }
    a->events->on_data(a->arg, slice_make(bytes, all));
    return a->cancelled ? 0 : all;
}

// ------------------------------------------------------------------ handles

static void set_constant_options(struct upstream *u, CURL *easy) {
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); // no surprises from the environment
    curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)READ_BUFFER);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    // Compressed events would be held back; what comes compressed unasked is
    // decoded all the same.
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, watch_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, u);
}

static struct handle *take_handle(struct upstream *u) {
    struct handle *h = u->spare;
    if (h != NULL) {
        u->spare = h->next;
        u->spare_count--;
        return h;
    }
    h = base_calloc(1, sizeof *h);
    h->easy = curl_easy_init();
    if (h->easy == NULL)
        abort();
    set_constant_options(u, h->easy);
    return h;
}

static void handle_free(struct handle *h) {
    curl_easy_cleanup(h->easy);
    buffer_free(&h->url);
    free(h);
}

// Only those set up for a POST are kept: nearly every request is one, and the
// other methods' options do not mix.
static void give_handle_back(struct upstream *u, struct handle *h) {
    if (!h->posts || u->spare_count >= SPARE_HANDLES) {
        handle_free(h);
        return;
    }
    // What these point to goes with the attempt.
    curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
    h->next = u->spare;
    u->spare = h;
    u->spare_count++;
}

void handle_free_all(struct upstream *u) {
    for (struct handle *h = u->spare, *next; h != NULL; h = next) {
        next = h->next;
        handle_free(h);
    }
    u->spare = NULL;
}

static void set_method(struct attempt *a, struct handle *h) {
    CURL *easy = h->easy;
    bool post = slice_equal(a->method, SLICE("POST"));
    bool bodyless = a->body.len == 0 && !post;
    if (!post && h->posts) {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        h->posts = false;
    }
    if (!bodyless) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, a->body.len > 0 ? a->body.ptr : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)a->body.len);
    }
    if (slice_equal(a->method, SLICE("HEAD")))
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (!post)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, a->method.ptr); // NUL-terminated copy
    h->posts = post;
}

static void set_options(struct attempt *a, struct handle *h) {
    CURL *easy = h->easy;
    const struct upstream_target *t = &a->target;
    if (!slice_equal(buffer_slice(&h->url), a->url)) { // parsing it anew is not free
        curl_easy_setopt(easy, CURLOPT_URL, a->url.ptr);
        buffer_clear(&h->url);
        buffer_append(&h->url, a->url);
    }
    bool tls = slice_starts_with(a->url, SLICE("https:"));
    set_method(a, h);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, a);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, a->error);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, a->headers);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     tls ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    if (a->body.len > 65536)
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L * 1024);
    if (!tls)
        return;
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L); // rather a stream more than a connection
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->tls_verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->tls_verify ? 2L : 0L);
    // A handle that was used with another authority forgets it (NULL would mean
    // none at all): libcurl's own default is asked for once.
    const char *ca = t->ca_file.len > 0 ? t->ca_file.ptr : a->upstream->default_ca;
    curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
}

void transfer_start(struct attempt *a) {
    struct upstream *u = a->upstream;
    a->handle = take_handle(u);
    a->state = ATTEMPT_RUNNING;
    a->running_ms = a->progress_ms = clock_mono_ms();
    list_append(&u->running, a);
    set_options(a, a->handle);
    CURLMcode code = curl_multi_add_handle(u->multi, a->handle->easy);
    if (code != CURLM_OK) {
        log_write(LOG_ERROR, "curl_multi_add_handle: %s", curl_multi_strerror(code));
        attempt_end_with(a, ATTEMPT_SEND_FAILED);
    }
    upstream_start_sweep(u);
}

void transfer_stop(struct attempt *a) {
    struct upstream *u = a->upstream;
    if (a->state == ATTEMPT_RUNNING)
        list_remove(&u->running, a);
    if (a->handle == NULL)
        return;
    curl_multi_remove_handle(u->multi, a->handle->easy);
    give_handle_back(u, a->handle);
    a->handle = NULL;
}

// -------------------------------------------------------------------- endings

static enum attempt_end meaning_of(const struct attempt *a, CURLcode code) {
    switch (code) {
    case CURLE_OK:
        return a->head_done ? ATTEMPT_OK : ATTEMPT_BAD_ANSWER;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return ATTEMPT_CONNECT_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        return ATTEMPT_CONNECT_TIMEOUT; // the only timeout that is libcurl's
    case CURLE_SSL_CONNECT_ERROR:
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
    default:
        return ATTEMPT_BAD_ANSWER;
    }
}

void transfer_finish(struct attempt *a, CURLcode code) {
    if (a->cancelled) { // from within a callback: nobody wants to know
        list_remove(&a->upstream->running, a);
        a->state = ATTEMPT_DOOMED;
        list_append(&a->upstream->doomed, a);
        return;
    }
    attempt_end_with(a, a->ended_early ? a->end : meaning_of(a, code));
}
