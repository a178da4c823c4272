// The admin address: what it serves, and that what it says can be parsed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/admin.h"
#include "loopback.h"

struct world {
    struct event_base *loop;
    char directory[64], cost_log[96];
    struct ledger *ledger;
    struct limits *limits;
    struct flights *flights;
    const struct config *config;
    struct admin *admin;
    struct http_server *server;
    uint16_t port;
};

static int set_up(void **state) {
    struct world *w = base_calloc(1, sizeof *w);
    struct error err;
    struct buffer messages = {0};
    w->loop = event_base_new();
    strcpy(w->directory, "/tmp/farthing-admin-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->cost_log, sizeof w->cost_log, "%s/cost.jsonl", w->directory);
    w->ledger = ledger_open(&(struct ledger_options){w->cost_log, NULL, 0}, &err);
    assert_non_null(w->ledger);
    w->config = config_load_text(SLICE("provider \"p\" { base_url = \"http://127.0.0.1:1\" api_key = \"k\" }"),
                             "routing.conf", &messages);
    assert_non_null(w->config);
    buffer_free(&messages);
    w->limits = limits_new();
    w->flights = flights_new(&(struct flights_options){.join_bytes = 1 << 20});
    w->admin = admin_new(&(struct admin_sources){NULL, NULL, w->ledger, w->limits, w->flights, 3}, w->config);
    const struct http_limits limits = {1 << 20, 8192, 50, 1000, 1000, 1000, 1000, 65536, 0};
    struct http_handler handler = admin_handler(w->admin);
    w->server = http_server_new(w->loop, &limits, &handler);
    w->port = http_server_listen(w->server, SLICE("127.0.0.1:0"), NULL, false, &err);
    assert_int_not_equal(w->port, 0);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    http_server_free(w->server);
    admin_free(w->admin);
    limits_free(w->limits);
    flights_free(w->flights);
    ledger_close(w->ledger);
    config_unref(w->config);
    event_base_free(w->loop);
    unlink(w->cost_log);
    rmdir(w->directory);
    free(w);
    return 0;
}

static char *ask(struct world *w, const char *method, const char *path) {
    char request[256];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
    return loopback_fetch(w->loop, w->port, request);
}

static void expect(struct world *w, const char *method, const char *path, const char *status,
                   const char *text) {
    char *got = ask(w, method, path);
    assert_memory_equal(got, status, strlen(status));
    assert_non_null(strstr(got, text));
    free(got);
}

static void health_follows_the_state(void **state) {
    struct world *w = *state;
    expect(w, "GET", "/healthz", "HTTP/1.1 200", "ok");
    expect(w, "GET", "/readyz", "HTTP/1.1 503", "not ready");
    admin_set_state(w->admin, ADMIN_SERVING);
    expect(w, "GET", "/readyz", "HTTP/1.1 200", "ready");
    admin_set_state(w->admin, ADMIN_DRAINING);
    expect(w, "GET", "/readyz", "HTTP/1.1 503", "not ready");
    expect(w, "GET", "/healthz", "HTTP/1.1 200", "ok");
}

static void other_paths_and_methods_are_refused(void **state) {
    struct world *w = *state;
    expect(w, "GET", "/", "HTTP/1.1 404", "/metrics");
    expect(w, "POST", "/metrics", "HTTP/1.1 405", "method_not_allowed");
    expect(w, "HEAD", "/metrics", "HTTP/1.1 200", "\r\n\r\n");
}

static void metrics_are_text(void **state) {
    expect(*state, "GET", "/metrics", "HTTP/1.1 200", "text/plain; version=0.0.4");
    expect(*state, "GET", "/metrics", "HTTP/1.1 200", "farthing_build_info{version=\"" FARTHING_VERSION "\"} 1");
}

static void status_is_json_and_tells_of_reloads(void **state) {
    struct world *w = *state;
    admin_reload_failed(w->admin, SLICE("routing.conf:3: a \"quoted\" word"));
    char *got = ask(w, "GET", "/status");
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(256);
    struct error err;
    assert_true(json_parse(doc, slice_of(strstr(got, "\r\n\r\n") + 4), NULL, &err));
    int64_t workers;
    assert_true(json_i64(doc, json_get(doc, JSON_ROOT, SLICE("workers")), &workers));
    assert_int_equal(workers, 3);
    struct slice said = json_string(doc, json_get(doc, JSON_ROOT, SLICE("reload_error")), arena);
    assert_true(slice_equal(said, SLICE("routing.conf:3: a \"quoted\" word")));
    assert_true(json_is_absent(doc, json_get(doc, JSON_ROOT, SLICE("cache"))));
    free(got);
    admin_set_config(w->admin, w->config);
    expect(w, "GET", "/status", "HTTP/1.1 200", "\"reloads\":1,\"reload_error\":null");
    arena_free(arena);
    json_doc_free(doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(health_follows_the_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_paths_and_methods_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_are_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(status_is_json_and_tells_of_reloads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
