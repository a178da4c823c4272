// farthingctl: asks the admin address.
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farthing/json.h"

static const char usage[] =
    "usage: farthingctl [--admin HOST:PORT] status [--json]\n"
    "       farthingctl --version | --help\n"
    "\n"
    "The admin address is 127.0.0.1:4001 unless --admin or FARTHING_ADMIN says otherwise.\n";

struct answer {
    struct event_base *loop;
    int status;
    struct buffer body;
};

static void on_answer(struct evhttp_request *request, void *arg) {
    struct answer *a = arg;
    if (request != NULL && evhttp_request_get_response_code(request) != 0) {
        struct evbuffer *in = evhttp_request_get_input_buffer(request);
        size_t n = evbuffer_get_length(in);
        a->status = evhttp_request_get_response_code(request);
        buffer_reserve(&a->body, n);
        a->body.len = (size_t)evbuffer_remove(in, a->body.ptr, n);
    }
    event_base_loopbreak(a->loop);
}

// "127.0.0.1:4001", "[::1]:4001", ":4001" (as the file may say it).
static bool split_address(const char *address, char *host, size_t room, unsigned short *port) {
    const char *colon = strrchr(address, ':');
    uint64_t number;
    if (colon == NULL || !slice_to_u64(slice_of(colon + 1), &number) || number == 0 || number > 65535)
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

static bool get(const char *admin, const char *path, struct answer *a) {
    char host[256];
    unsigned short port;
    if (!split_address(admin, host, sizeof host, &port)) {
        fprintf(stderr, "farthingctl: \"%s\" is no address; expected host:port\n", admin);
        return false;
    }
    a->loop = event_base_new();
    struct evhttp_connection *c =
        evhttp_connection_base_new(a->loop, NULL, host, port);
    evhttp_connection_set_timeout(c, 10);
    struct evhttp_request *request = evhttp_request_new(on_answer, a);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Host", admin);
    evhttp_make_request(c, request, EVHTTP_REQ_GET, path);
    event_base_dispatch(a->loop);
    evhttp_connection_free(c);
    event_base_free(a->loop);
    if (a->status == 200)
        return true;
    if (a->status == 0)
        fprintf(stderr, "farthingctl: nobody answers on %s: is farthing running, and is this its "
                        "admin address?\n", admin);
    else
        fprintf(stderr, "farthingctl: %s answered %d\n", admin, a->status);
    return false;
}

static void print_members(const struct json_doc *doc, json_ref object, const char *indent) {
    for (json_ref key = json_first(doc, object); key != JSON_NONE; key = json_next(doc, object, key)) {
        struct slice name = json_raw(doc, key), value = json_raw(doc, json_value_of(key));
        enum json_type type = json_type_of(doc, json_value_of(key));
        name = slice_make(name.ptr + 1, name.len - 2);
        if (type == JSON_OBJECT) {
            printf("%s%.*s\n", indent, SLICE_ARG(name));
            print_members(doc, json_value_of(key), "  "); // one level is all there is
            continue;
        }
        if (type == JSON_STRING)
            value = slice_make(value.ptr + 1, value.len - 2);
        printf("%s%-16.*s %.*s\n", indent, SLICE_ARG(name), SLICE_ARG(value));
    }
}

static int status(const char *admin, bool as_json) {
    struct answer a = {0};
    bool ok = get(admin, "/status", &a);
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (ok && as_json) {
        fwrite(a.body.ptr, 1, a.body.len, stdout);
    } else if (ok && json_parse(doc, buffer_slice(&a.body), NULL, &err)) {
        print_members(doc, JSON_ROOT, "");
    } else if (ok) {
        fprintf(stderr, "farthingctl: the answer is not valid: %s\n", err.text);
        ok = false;
    }
    json_doc_free(doc);
    buffer_free(&a.body);
    return ok ? 0 : 1;
}

int main(int argc, char **argv) {
    const char *admin = getenv("FARTHING_ADMIN"), *command = NULL;
    bool as_json = false;
    if (admin == NULL)
        admin = "127.0.0.1:4001";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("farthingctl %s\n", FARTHING_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--json") == 0)
            as_json = true;
        else if (strcmp(argv[i], "--admin") == 0 && i + 1 < argc)
            admin = argv[++i];
        else if (command == NULL && argv[i][0] != '-')
            command = argv[i];
        else
            command = "";
    }
    if (command != NULL && strcmp(command, "status") == 0)
        return status(admin, as_json);
    if (command != NULL && command[0] != '\0')
        fprintf(stderr, "farthingctl: there is no command \"%s\"\n", command);
    fputs(usage, stderr);
    return 2;
}
