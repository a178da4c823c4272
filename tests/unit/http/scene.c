#include "scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// ------------------------------------------------------------------- server

static void on_end(void *arg, enum http_end how) {
    struct seen *seen = arg;
    assert_non_null(seen->request);
    seen->request = NULL;
    seen->ends++;
    seen->how = how;
    if (seen->on_end != NULL)
        seen->on_end(seen);
}

static void on_drain(void *arg) {
    struct seen *seen = arg;
    seen->drains++;
    if (seen->on_drain != NULL)
        seen->on_drain(seen);
}

static void on_request(struct http_request *request, void *arg) {
    struct scene *s = arg;
    assert_true(s->seen_count < SEEN_MAX);
    struct seen *seen = &s->seen[s->seen_count++];
    seen->scene = s;
    seen->request = request;
    seen->started_ns = http_request_started_ns(request);
    buffer_append(&seen->method, http_request_method(request));
    buffer_append(&seen->path, http_request_path(request));
    buffer_append(&seen->query, http_request_query(request));
    buffer_append(&seen->body, http_request_body(request));
    http_request_on_end(request, on_end, seen);
    http_reply_on_drain(request, on_drain, seen);
    if (s->act != NULL) {
        s->act(seen);
        assert_int_equal(seen->ends, 0); // never from within on_request
    }
}

static void on_refused(enum api_error error, void *arg) {
    struct scene *s = arg;
    s->refused[error]++;
}

int scene_make(void **state) {
    signal(SIGPIPE, SIG_IGN);
    struct scene *s = base_calloc(1, sizeof *s);
    s->loop = event_base_new();
    s->limits = (struct http_limits){
        .max_body_bytes = 64 << 20,
        .max_header_bytes = 16384,
        .max_headers = 50,
        .header_timeout_ms = 60000,
        .body_timeout_ms = 60000,
        .keepalive_timeout_ms = 60000,
        .write_timeout_ms = 60000,
        .stream_buffer_bytes = 65536,
        .max_connections = 0,
    };
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        s->clients[i].fd = -1;
    *state = s;
    return 0;
}

void scene_start(struct scene *s) {
    struct http_handler handler = {on_request, on_refused, s};
    struct error err;
    s->server = http_server_new(s->loop, &s->limits, &handler);
    s->port = http_server_listen(s->server, SLICE("127.0.0.1:0"), s->tls, false, &err);
    assert_int_not_equal(s->port, 0);
}

void scene_stop(struct scene *s) {
    http_server_free(s->server);
    s->server = NULL;
}

int scene_end(void **state) {
    struct scene *s = *state;
    scene_stop(s);
    clock_thaw();
    http_tls_unref(s->tls);
    for (size_t i = 0; i < s->seen_count; i++) {
        struct seen *seen = &s->seen[i];
        assert_int_equal(seen->ends, 1); // each request once, whatever came
        buffer_free(&seen->method);
        buffer_free(&seen->path);
        buffer_free(&seen->query);
        buffer_free(&seen->body);
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        client_close(&s->clients[i]);
        buffer_free(&s->clients[i].in);
        buffer_free(&s->clients[i].out);
    }
    SSL_CTX_free(s->client_tls);
    event_base_free(s->loop);
    free(s);
    return 0;
}

// ------------------------------------------------------------------ clients

static struct client *new_client(struct scene *s, int receive_bytes) {
    struct client *c = s->clients;
    while (c->fd >= 0 || c->in.len > 0 || client_gone(c))
        assert_true(++c < s->clients + CLIENTS_MAX);
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(c->fd >= 0);
    if (receive_bytes > 0)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    c->is_slow = receive_bytes > 0;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(s->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    // The kernel answers for the listener: this does not wait for the loop.
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (s->client_tls != NULL) {
        c->ssl = SSL_new(s->client_tls);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
    }
    return c;
}

struct client *client_open(struct scene *s) {
    return new_client(s, 0);
}

struct client *client_open_slow(struct scene *s, int receive_bytes) {
    return new_client(s, receive_bytes);
}

static ssize_t try_write(struct client *c) {
    if (c->ssl == NULL)
        return send(c->fd, c->out.ptr, c->out.len, MSG_NOSIGNAL);
    ERR_clear_error();
    return SSL_write(c->ssl, c->out.ptr, (int)c->out.len);
}

static bool push(struct client *c) {
    if (c->fd < 0 || c->out.len == 0 || (c->ssl != NULL && !c->shaken))
        return false;
    ssize_t n = try_write(c);
    if (n > 0)
        buffer_consume(&c->out, (size_t)n);
    return n > 0;
}

static bool fetch_tls(struct client *c, char *bytes, size_t room) {
    ERR_clear_error();
    int n = SSL_read(c->ssl, bytes, (int)room);
    if (n > 0) {
        buffer_append(&c->in, slice_make(bytes, (size_t)n));
        return true;
    }
    int error = SSL_get_error(c->ssl, n);
    c->ended = error == SSL_ERROR_ZERO_RETURN;
    c->broken = !c->ended && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
    return client_gone(c);
}

static bool fetch(struct client *c) {
    static char bytes[65536];
    if (c->fd < 0 || c->is_slow || client_gone(c) || (c->ssl != NULL && !c->shaken))
        return false;
    if (c->ssl != NULL)
        return fetch_tls(c, bytes, sizeof bytes);
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    c->ended = n == 0;
    c->broken = n < 0;
    if (n > 0)
        buffer_append(&c->in, slice_make(bytes, (size_t)n));
    return true;
}

static bool shake(struct client *c) {
    if (c->ssl == NULL || c->shaken || client_gone(c) || c->fd < 0)
        return false;
    ERR_clear_error();
    int code = SSL_do_handshake(c->ssl);
    int error = SSL_get_error(c->ssl, code);
    c->shaken = code == 1;
    c->broken = !c->shaken && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
    return c->shaken || c->broken;
}

void scene_step(struct scene *s) {
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    bool moved = false;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        moved |= shake(&s->clients[i]);
        moved |= push(&s->clients[i]);
        moved |= fetch(&s->clients[i]);
    }
    s->turns++;
    if (!moved)
        poll(NULL, 0, 1); // nothing to do: let time go on without burning it
}

void client_send(struct client *c, struct slice bytes) {
    buffer_append(&c->out, bytes);
    push(c);
}

void client_half_close(struct client *c) {
    assert_int_equal(c->out.len, 0);
    shutdown(c->fd, SHUT_WR);
}

void client_close(struct client *c) {
    SSL_free(c->ssl);
    c->ssl = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->ended = true;
}

void client_reset(struct client *c) {
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    client_close(c);
}

bool client_has(const struct client *c, const char *text) {
    return slice_find(buffer_slice(&c->in), slice_of(text)) >= 0;
}

bool client_is(const struct client *c, const char *text) {
    return slice_ends_with(buffer_slice(&c->in), slice_of(text));
}

size_t client_count(const struct client *c, const char *text) {
    struct slice rest = buffer_slice(&c->in);
    size_t count = 0;
    for (ptrdiff_t at; (at = slice_find(rest, slice_of(text))) >= 0; count++)
        rest = slice_from(rest, (size_t)at + strlen(text));
    return count;
}

struct slice client_body(const struct client *c) {
    ptrdiff_t end = slice_find(buffer_slice(&c->in), SLICE("\r\n\r\n"));
    return end < 0 ? SLICE_NONE : slice_from(buffer_slice(&c->in), (size_t)end + 4);
}

bool client_dechunk(const struct client *c, struct buffer *out) {
    buffer_clear(out);
    struct slice rest = client_body(c);
    for (;;) {
        ptrdiff_t line = slice_find(rest, SLICE("\r\n"));
        if (line < 0)
            return false;
        size_t size = strtoul(rest.ptr, NULL, 16); // ends at the CR
        rest = slice_from(rest, (size_t)line + 2);
        if (rest.len < size + 2)
            return false;
        buffer_append(out, slice_make(rest.ptr, size));
        rest = slice_from(rest, size);
        assert_true(slice_starts_with(rest, SLICE("\r\n")));
        rest = slice_from(rest, 2);
        if (size == 0)
            return rest.len == 0;
    }
}

// --------------------------------------------------------------------- acts

void act_ok(struct seen *seen) {
    http_reply(seen->request, 200, NULL, 0, SLICE("ok"));
}

void act_echo(struct seen *seen) {
    http_reply(seen->request, 200, NULL, 0, http_request_body(seen->request));
}
