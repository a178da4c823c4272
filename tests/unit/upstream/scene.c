#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/thread.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_MS = 5,
    GIVE_UP_S = 20,   // only a test that fails waits so long
    STALLED_MS = 200, // a flood that finds no room for this long has met back-pressure
};

// ------------------------------------------------------------- the provider

static ssize_t take(struct connection *c, char *bytes, size_t size) {
    if (c->ssl != NULL)
        return SSL_read(c->ssl, bytes, (int)size);
    return recv(c->fd, bytes, size, 0);
}

static bool give(struct connection *c, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, bytes, (int)len)
                                   : send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static size_t announced_length(struct slice head) {
    struct slice line;
    uint64_t length = 0;
    while (slice_split(&head, '\n', &line)) {
        struct slice name;
        if (slice_split(&line, ':', &name) && slice_equal_nocase(name, SLICE("content-length")) &&
            !slice_to_u64(slice_trim(slice_make(line.ptr, line.len - 1)), &length))
            return 0;
    }
    return (size_t)length;
}

// False when the other end closes first.
static bool read_request(struct connection *c, bool with_body) {
    struct server *s = c->server;
    struct buffer got = {0};
    bool whole = false;
    size_t wanted = SIZE_MAX;
    while (!whole) {
        char bytes[65536];
        ssize_t n = take(c, bytes, wanted == SIZE_MAX ? 1 : sizeof bytes);
        if (n <= 0)
            break;
        buffer_append(&got, slice_make(bytes, (size_t)n));
        if (wanted == SIZE_MAX && slice_ends_with(buffer_slice(&got), SLICE("\r\n\r\n")))
            wanted = got.len + (with_body ? announced_length(buffer_slice(&got)) : 0);
        whole = wanted != SIZE_MAX && got.len >= wanted;
    }
    if (whole) {
        pthread_mutex_lock(&s->lock);
        buffer_free(&s->last_request);
        s->last_request = got;
        pthread_mutex_unlock(&s->lock);
        s->requests++;
    } else {
        buffer_free(&got);
    }
    return whole;
}

// Plain connections only. Never blocks in a write, or it would not see that there
// is no room.
static bool flood(struct connection *c, size_t count) {
    static const char block[65536] = {'x'};
    while (count > 0) {
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        if (poll(&p, 1, STALLED_MS) == 0) {
            c->server->stalled = 1;
            continue;
        }
        ssize_t n = send(c->fd, block, count < sizeof block ? count : sizeof block,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0)
            return false;
        c->server->flooded += (size_t)n;
        count -= (size_t)n;
    }
    return true;
}

static void reset(struct connection *c) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void wait_for_gate(struct server *s, size_t number) {
    pthread_mutex_lock(&s->lock);
    while (s->gate < number)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void note_active(struct server *s, int change) {
    int now = atomic_fetch_add(&s->active, change) + change, most = atomic_load(&s->most_active);
    while (now > most && !atomic_compare_exchange_weak(&s->most_active, &most, now))
        ;
}

static void wait_for_close(struct connection *c) {
    char byte;
    while (take(c, &byte, 1) > 0)
        ;
    c->server->closed++;
}

// False when the connection is over.
static bool run_step(struct connection *c, const struct step *step, bool *active) {
    struct server *s = c->server;
    switch (step->kind) {
    case STEP_READ:
    case STEP_READ_HEAD:
        if (!read_request(c, step->kind == STEP_READ))
            return false;
        note_active(s, 1);
        *active = true;
        return true;
    case STEP_WRITE:
        if (*active) // before the answer is out, or the next one may already be counted
            note_active(s, -1);
        *active = false;
        if (!give(c, step->bytes, step->len))
            return false;
        s->written++;
        return true;
    case STEP_DRIP:
        for (size_t i = 0; i < step->len; i++)
            if (!give(c, step->bytes + i, 1))
                return false;
        return true;
    case STEP_FLOOD:
        return flood(c, step->count);
    case STEP_GATE:
        wait_for_gate(s, step->count);
        return true;
    case STEP_HALF_CLOSE:
        return shutdown(c->fd, SHUT_WR) == 0;
    case STEP_RESET:
        reset(c);
        return false;
    case STEP_WAIT_CLOSE:
        wait_for_close(c);
        return false;
    case STEP_END:
    case STEP_AGAIN:
        break;
    }
    return false;
}

static void *run_connection(void *arg) {
    struct connection *c = arg;
    bool active = false;
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->server->tls != NULL) {
        c->ssl = SSL_new(c->server->tls);
        SSL_set_fd(c->ssl, c->fd);
    }
    if (c->ssl == NULL || SSL_accept(c->ssl) == 1)
        for (const struct step *at = c->script; at->kind != STEP_END;
             at = (at + 1)->kind == STEP_AGAIN ? c->script : at + 1)
            if (!run_step(c, at, &active))
                break;
    if (active)
        note_active(c->server, -1);
    if (c->ssl != NULL)
        SSL_free(c->ssl);
    close(c->fd);
    c->server->over++;
    return NULL;
}

static void *run_acceptor(void *arg) {
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0 || s->accepted == CONNECTIONS_MAX)
            return NULL;
        size_t n = (size_t)s->accepted;
        struct connection *c = &s->connections[n];
        c->server = s;
        c->fd = fd;
        c->script = s->scripts[n < s->script_count ? n : s->script_count - 1];
        s->accepted++; // before anything can come of it
        if (pthread_create(&c->thread, NULL, run_connection, c) != 0)
            abort();
    }
}

void server_open(struct server *s, const struct step *const *scripts, size_t count, SSL_CTX *tls) {
    memset(s, 0, sizeof *s);
    s->scripts = scripts;
    s->script_count = count;
    s->tls = tls;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int small = 64 * 1024; // of the flood, little shall hide in the kernel
    setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, CONNECTIONS_MAX), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
    snprintf(s->url, sizeof s->url, "%s://127.0.0.1:%d", tls != NULL ? "https" : "http",
             ntohs(at.sin_port));
    assert_int_equal(pthread_create(&s->acceptor, NULL, run_acceptor, s), 0);
}

void server_open_one(struct server *s, const struct step *const *script) {
    server_open(s, script, 1, NULL);
}

void server_open_gate(struct server *s) {
    pthread_mutex_lock(&s->lock);
    s->gate++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

char *server_last_request(struct server *s) {
    pthread_mutex_lock(&s->lock);
    char *text = slice_dup(buffer_slice(&s->last_request));
    pthread_mutex_unlock(&s->lock);
    return text;
}

void server_close(struct server *s) {
    pthread_mutex_lock(&s->lock);
    s->gate = SIZE_MAX;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    close(s->fd);
    for (int i = 0; i < s->accepted; i++)
        pthread_join(s->connections[i].thread, NULL);
    buffer_free(&s->last_request);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
}

// --------------------------------------------------------------- the proxy

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    (void)arg;
}

void scene_open(struct scene *s) {
    signal(SIGPIPE, SIG_IGN); // as main does
    evthread_use_pthreads();
    s->loop = event_base_new();
    s->shared = upstream_shared_new();
    s->upstream = upstream_new(s->loop, s->shared);
    s->tick = event_new(s->loop, -1, EV_PERSIST, on_tick, NULL);
    const struct timeval pause = {0, TICK_MS * 1000};
    event_add(s->tick, &pause);
}

void scene_close(struct scene *s) {
    upstream_free(s->upstream);
    upstream_shared_free(s->shared);
    event_free(s->tick);
    event_base_free(s->loop);
}

// The system's: base's may be frozen.
static time_t seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

void scene_run_until(struct scene *s, const _Atomic int *value, int wanted) {
    time_t start = seconds();
    while (atomic_load(value) < wanted) {
        event_base_loop(s->loop, EVLOOP_ONCE);
        if (seconds() - start > GIVE_UP_S)
            fail_msg("waited in vain: %d of %d", atomic_load(value), wanted);
    }
}

void scene_turn(struct scene *s, int times) {
    for (int i = 0; i < times; i++)
        event_base_loop(s->loop, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

// ---------------------------------------------------------------- the probe

static void note_head(void *arg, const struct attempt_head *head) {
    struct probe *p = arg;
    assert_true(p->returned);
    assert_false(p->cancelled);
    assert_int_equal(p->done, 0);
    assert_int_equal(p->heads++, 0);
    assert_int_equal(p->datas, 0);
    p->status = head->status;
    for (size_t i = 0; i < head->header_count; i++) {
        buffer_append(&p->fields, head->headers[i].name);
        BUFFER_LITERAL(&p->fields, ": ");
        buffer_append(&p->fields, head->headers[i].value);
        buffer_append_char(&p->fields, '\n');
    }
    if (p->in_head != NULL)
        p->in_head(p);
}

static void note_data(void *arg, struct slice data) {
    struct probe *p = arg;
    assert_true(p->returned);
    assert_false(p->cancelled);
    assert_int_equal(p->done, 0);
    assert_int_equal(p->heads, 1);
    assert_true(data.len > 0);
    p->datas++;
    buffer_append(&p->body, data);
    if (p->in_data != NULL)
        p->in_data(p);
}

static void note_done(void *arg, const struct attempt_result *result) {
    struct probe *p = arg;
    assert_true(p->returned);
    assert_false(p->cancelled);
    assert_int_equal(p->done, 0);
    p->result = *result;
    snprintf(p->detail, sizeof p->detail, "%.*s", SLICE_ARG(result->detail));
    p->result.detail = slice_of(p->detail);
    p->done = 1;
    if (p->in_done != NULL)
        p->in_done(p);
    p->attempt = NULL;
}

struct upstream_target target_of(const char *base_url) {
    return (struct upstream_target){
        .name = SLICE("mock"),
        .base_url = slice_of(base_url),
        .connect_timeout_ms = 10000,
        .first_byte_timeout_ms = 10000,
        .idle_timeout_ms = 10000,
        .tls_verify = true,
    };
}

void probe_start(struct probe *p, struct scene *s, const struct attempt_request *request) {
    static const struct attempt_events events = {note_head, note_data, note_done};
    p->scene = s;
    p->attempt = attempt_start(s->upstream, request, &events, p);
    assert_non_null(p->attempt);
    p->returned = true;
}

void probe_start_url(struct probe *p, struct scene *s, const char *base_url) {
    struct upstream_target target = target_of(base_url);
    struct attempt_request request = {
        .target = &target,
        .method = SLICE("POST"),
        .path = SLICE("/v1/x"),
        .body = SLICE("{\"model\":\"m\"}"),
    };
    probe_start(p, s, &request);
}

void probe_cancel(struct probe *p) {
    attempt_cancel(p->attempt);
    p->cancelled = true;
    p->attempt = NULL;
}

void probe_wait(struct probe *p) {
    scene_run_until(p->scene, &p->done, 1);
}

void probe_free(struct probe *p) {
    buffer_free(&p->fields);
    buffer_free(&p->body);
}

void assert_end(const struct probe *p, enum attempt_end end, const char *what) {
    if (p->result.end != end)
        fail_msg("%s: ended as %s (%s), not as %s", what, attempt_end_name(p->result.end),
                 p->detail, attempt_end_name(end));
}

void assert_body(const struct probe *p, const char *body) {
    struct slice got = buffer_slice(&p->body);
    if (!slice_equal(got, slice_of(body)))
        fail_msg("the body is \"%.*s\", not \"%s\"", SLICE_ARG(got), body);
}
