// The admin address: what it serves, and that what it says can be parsed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scene.h"

static void expect(struct scene *s, const char *method, const char *path, const char *status,
                   const char *text) {
    scene_expect(scene_ask(s, method, path), status, text);
}

static void health_follows_the_state(void **state) {
    struct scene *s = *state;
    expect(s, "GET", "/healthz", "200", "ok");
    expect(s, "GET", "/readyz", "503", "not ready");
    admin_set_state(s->admin, ADMIN_SERVING);
    expect(s, "GET", "/readyz", "200", "ready");
    admin_set_state(s->admin, ADMIN_DRAINING);
    expect(s, "GET", "/readyz", "503", "not ready");
    expect(s, "GET", "/healthz", "200", "ok");
}

static void other_paths_and_methods_are_refused(void **state) {
    struct scene *s = *state;
    expect(s, "GET", "/", "404", "/metrics");
    expect(s, "POST", "/metrics", "405", "method_not_allowed");
    expect(s, "HEAD", "/metrics", "200", "\r\n\r\n");
    expect(s, "POST", "/budgets", "405", "Allow: GET, HEAD\r\n");
    expect(s, "GET", "/keys/block", "405", "Allow: POST\r\n");
    expect(s, "DELETE", "/keys/block", "405", "Only POST is served here.");
    expect(s, "GET", "/budgets/", "404", "/budgets, ");
}

// ------------------------------------------------------------------------- lists

static void expect_without(struct scene *s, const char *path, const char *text) {
    char *got = scene_ask(s, "GET", path);
    if (strncmp(got, "HTTP/1.1 200", 12) != 0 || strstr(got, text) != NULL)
        fail_msg("%s: %s", path, got);
    free(got);
}

static void lists_show_what_is_there(void **state) {
    static const struct {
        const char *path, *text;
    } pages[] = {
        {"/budgets", "{\"tenant\":\"acme\",\"budget\":\"daily\",\"per\":null,\"value\":null,"
                     "\"feature\":null,\"user\":null,\"configured\":true,\"frozen\":false,"
                     "\"amount_usd\":\"10\",\"topped_up_usd\":\"0\",\"spent_usd\":\"0\","
                     "\"reserved_usd\":\"0\",\"remaining_usd\":\"10\",\"recovered_usd\":\"0\","
                     "\"overrun_usd\":\"0\",\"sliding\":false,\"window_start\":\"20"},
        {"/budgets", "\"amount_usd\":\"0.5\""},
        {"/budgets", "\"window_start\":null,\"window_end\":null}"},
        {"/limits", "{\"name\":\"acme\",\"kind\":\"tenant\",\"tenant\":\"acme\",\"running\":0,"
                    "\"concurrency\":3,\"queued\":0,"},
        {"/limits", "\"requests\":null,\"tokens\":null"},
        {"/providers",
         "{\"providers\":[{\"provider\":\"p\",\"inflight\":0,\"limit\":7,\"waiting\":0,"
         "\"adaptive\":false}]}"},
        {"/runs", "{\"runs\":[]}"},
        {"/keys", "{\"key\":\"sha256:d4b6b8cb04ed\",\"tenant\":\"acme\",\"in_file\":true,"
                  "\"blocked\":false,\"blocked_by\":null,"},
        {"/keys", "{\"key\":\"sha256:0123456789ab\",\"tenant\":\"b/c & d\""},
    };
    for (size_t i = 0; i < FARTHING_COUNT(pages); i++)
        scene_expect_page(*state, pages[i].path, "200", pages[i].text);
}

static void limits_of_keys_and_routes_are_told_apart(void **state) {
    struct scene *s = *state;
    const struct config_limits figures = {1, CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET,
                                          CONFIG_UNSET};
    limits_set(s->limits, SLICE("key:" SCENE_C), &figures);
    limits_set(s->limits, SLICE("key:" SCENE_UNKNOWN), &figures);
    limits_set(s->limits, SLICE("route:support"), &figures);
    scene_expect_page(s, "/limits", "200",
                      "{\"name\":\"key:0123456789ab\",\"kind\":\"key\",\"tenant\":\"b/c & d\",");
    scene_expect_page(s, "/limits", "200",
                      "{\"name\":\"key:ffffffffffff\",\"kind\":\"key\",\"tenant\":null,");
    scene_expect_page(s, "/limits", "200",
                      "{\"name\":\"route:support\",\"kind\":\"route\",\"tenant\":null,");
    scene_expect_page(s, "/limits?tenant=b%2fc%20%26%20d", "200", "key:0123456789ab");
    expect_without(s, "/limits?tenant=acme", "key:");
    expect_without(s, "/status", "key:");
    expect_without(s, "/status", "route:");
    expect_without(s, "/metrics", "tenant=\"key:");
}

static void lists_are_never_kept_by_caches(void **state) {
    scene_expect_page(*state, "/budgets", "200", "Cache-Control: no-store\r\n");
    scene_expect_page(*state, "/budgets", "200", "Content-Type: application/json\r\n");
}

static void lists_show_one_tenant(void **state) {
    static const char *const lists[] = {"/budgets", "/limits", "/keys"};
    char path[128];
    for (size_t i = 0; i < FARTHING_COUNT(lists); i++) {
        snprintf(path, sizeof path, "%s?tenant=acme", lists[i]);
        scene_expect_page(*state, path, "200", "\"acme\"");
        expect_without(*state, path, "b/c");
        snprintf(path, sizeof path, "%s?tenant=b%%2Fc%%20%%26%%20d", lists[i]);
        scene_expect_page(*state, path, "200", "\"b/c & d\"");
        expect_without(*state, path, "acme");
        snprintf(path, sizeof path, "%s?tenant=", lists[i]);
        expect_without(*state, path, "acme");
    }
}

static void other_parameters_are_refused(void **state) {
    static const char *const paths[] = {"/budgets?tenat=acme",
                                        "/limits?tenant=a&tenant=b",
                                        "/runs?x",
                                        "/keys?tenant",
                                        "/inflight?=",
                                        "/audit?n=5"};
    for (size_t i = 0; i < FARTHING_COUNT(paths); i++)
        scene_expect_page(*state, paths[i], "400", "\"code\":\"invalid_request\"");
    scene_expect_page(*state, "/budgets?tenat=acme", "400", "tenat=acme");
    scene_expect_page(*state, "/budgets?&", "200", "budgets");
}

static void a_percent_that_encodes_nothing_stays(void **state) {
    static const char *const values[] = {"%", "%2", "%zz", "%%", "acme%"};
    char path[64];
    for (size_t i = 0; i < FARTHING_COUNT(values); i++) {
        snprintf(path, sizeof path, "/budgets?tenant=%s", values[i]);
        scene_expect_page(*state, path, "200", "{\"budgets\":[]}");
    }
    scene_expect_page(*state, "/budgets?tenant=%61%63m%65", "200", "\"acme\"");
}

static void without_sources_lists_are_empty(void **state) {
    struct scene *s = *state;
    const struct admin_sources few = {
        .ledger = s->ledger, .limits = s->limits, .flights = s->flights};
    struct admin *a = admin_new(&few, s->config);
    const struct http_limits limits = {1 << 20, 8192, 50, 1000, 1000, 1000, 1000, 65536, 0};
    const struct http_handler handler = admin_handler(a);
    struct http_server *server = http_server_new(s->loop, &limits, &handler);
    struct error err;
    uint16_t port = http_server_listen(server, SLICE("127.0.0.1:0"), NULL, false, &err),
             own = s->port;
    s->port = port;
    scene_expect_page(s, "/budgets", "200", "{\"budgets\":[]}");
    scene_expect_page(s, "/runs", "200", "{\"runs\":[]}");
    scene_expect_page(s, "/providers", "200", "\"inflight\":0,\"limit\":7");
    scene_expect_page(s, "/keys", "200", "\"blocked\":false");
    scene_expect_page(s, "/metrics", "200", "farthing_build_info");
    scene_expect_page(s, "/inflight", "404", "cannot be asked for");
    scene_expect_page(s, "/audit", "404", "no store");
    scene_expect_order(s, "/keys/block", "{\"tenant\":\"acme\"}", "404", "cannot be blocked");
    s->port = own;
    http_server_free(server);
    admin_free(a);
}

static void metrics_are_text(void **state) {
    expect(*state, "GET", "/metrics", "200", "text/plain; version=0.0.4");
    expect(*state, "GET", "/metrics", "200",
           "farthing_budget_remaining_usd{tenant=\"acme\",budget=\"daily\"} 10");
    expect(*state, "GET", "/metrics", "200", "# TYPE farthing_provider_inflight gauge");
    expect(*state, "GET", "/metrics", "200",
           "farthing_build_info{version=\"" FARTHING_VERSION "\"} 1");
}

static void status_is_json_and_tells_of_reloads(void **state) {
    struct scene *s = *state;
    admin_reload_failed(s->admin, SLICE("routing.conf:3: a \"quoted\" word"));
    char *got = scene_ask(s, "GET", "/status");
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
    admin_set_config(s->admin, s->config);
    expect(s, "GET", "/status", "200", "\"reloads\":1,\"reload_error\":null");
    arena_free(arena);
    json_doc_free(doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE_WITHOUT_STORE(health_follows_the_state),
        SCENE_WITHOUT_STORE(other_paths_and_methods_are_refused),
        SCENE_WITHOUT_STORE(lists_show_what_is_there),
        SCENE_WITHOUT_STORE(limits_of_keys_and_routes_are_told_apart),
        SCENE_WITHOUT_STORE(lists_are_never_kept_by_caches),
        SCENE_WITHOUT_STORE(lists_show_one_tenant),
        SCENE_WITHOUT_STORE(other_parameters_are_refused),
        SCENE_WITHOUT_STORE(a_percent_that_encodes_nothing_stays),
        SCENE_WITHOUT_STORE(without_sources_lists_are_empty),
        SCENE_WITHOUT_STORE(metrics_are_text),
        SCENE_WITHOUT_STORE(status_is_json_and_tells_of_reloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
