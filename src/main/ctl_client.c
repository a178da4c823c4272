// One question to the admin address, and its answer.
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>

#include "ctl.h"

enum { PATIENCE_S = 10 };

struct exchange {
    struct event_base *loop;
    int status; // 0: none came
    struct buffer body;
};

static void on_answer(struct evhttp_request *request, void *arg) {
    struct exchange *x = arg;
    if (request != NULL && evhttp_request_get_response_code(request) != 0) {
        struct evbuffer *in = evhttp_request_get_input_buffer(request);
        size_t n = evbuffer_get_length(in);
        x->status = evhttp_request_get_response_code(request);
        buffer_reserve(&x->body, n + 1);
        int got = evbuffer_remove(in, x->body.ptr, n);
        x->body.len = got > 0 ? (size_t)got : 0;
    }
    event_base_loopbreak(x->loop);
}

// "127.0.0.1:4001", "[::1]:4001", ":4001" (as the file may say it).
static bool split_address(const char *address, char *host, size_t room, unsigned short *port) {
    const char *colon = strrchr(address, ':');
    uint64_t number;
    if (colon == NULL || !slice_to_u64(slice_of(colon + 1), &number) || number == 0 ||
        number > 65535)
        return false;
    struct slice name = slice_make(address, (size_t)(colon - address));
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = slice_make(name.ptr + 1, name.len - 2);
    else if (slice_find_char(name, ':') >= 0 || slice_find_char(name, '/') >= 0)
        return false;
    if (name.len == 0)
        name = SLICE("127.0.0.1");
    if (name.len >= room)
        return false;
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    *port = (unsigned short)number;
    return true;
}

// Who is at the keyboard, for the audit. Header fields hold no control characters.
static void add_operator(struct evkeyvalq *headers) {
    const char *name = getenv("FARTHING_OPERATOR");
    if (name == NULL || name[0] == '\0')
        name = getenv("USER");
    if (name == NULL || name[0] == '\0')
        return;
    for (const char *c = name; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            return;
    evhttp_add_header(headers, "x-farthing-operator", name);
}

static void exchange(struct exchange *x, const char *admin, const char *host, unsigned short port,
                     const char *path, const struct buffer *body) {
    x->loop = event_base_new();
    struct evhttp_connection *c = evhttp_connection_base_new(x->loop, NULL, host, port);
    evhttp_connection_set_timeout(c, PATIENCE_S);
    struct evhttp_request *request = evhttp_request_new(on_answer, x);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Host", admin);
    if (body != NULL) {
        evhttp_add_header(headers, "Content-Type", "application/json");
        add_operator(headers);
        evbuffer_add(evhttp_request_get_output_buffer(request), body->ptr, body->len);
    }
    if (evhttp_make_request(c, request, body != NULL ? EVHTTP_REQ_POST : EVHTTP_REQ_GET, path) == 0)
        event_base_dispatch(x->loop);
    evhttp_connection_free(c);
    event_base_free(x->loop);
}

// Errors have OpenAI's shape.
static void complain(const struct exchange *x, const char *admin) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(512);
    struct slice message = SLICE_NONE;
    struct error err;
    if (json_parse(doc, buffer_slice(&x->body), NULL, &err))
        message = json_string(
            doc, json_get(doc, json_get(doc, JSON_ROOT, SLICE("error")), SLICE("message")), arena);
    if (message.len > 0)
        fprintf(stderr, "farthingctl: %.*s\n", SLICE_ARG(message));
    else
        fprintf(stderr, "farthingctl: %s answered %d\n", admin, x->status);
    arena_free(arena);
    json_doc_free(doc);
}

bool ctl_ask(const char *admin, const char *path, const struct buffer *body,
             struct buffer *answer) {
    char host[256];
    unsigned short port;
    struct exchange x = {0};
    if (!split_address(admin, host, sizeof host, &port)) {
        fprintf(stderr, "farthingctl: \"%s\" is no address; expected host:port\n", admin);
        return false;
    }
    exchange(&x, admin, host, port, path, body);
    if (x.status == 200) {
        *answer = x.body;
        return true;
    }
    if (x.status == 0)
        fprintf(stderr,
                "farthingctl: nobody answers on %s: is farthing running, and is this its "
                "admin address?\n",
                admin);
    else
        complain(&x, admin);
    buffer_free(&x.body);
    return false;
}
