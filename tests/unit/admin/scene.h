// An admin with all that it shows, and its server on one loop: what the tests
// of this room begin with. After the headers that cmocka wants, and cmocka.
#ifndef FARTHING_TEST_ADMIN_SCENE_H
#define FARTHING_TEST_ADMIN_SCENE_H

#include "farthing/admin.h"
#include "directory.h"
#include "loopback.h"

// Hashes of keys; the first two begin alike.
#define SCENE_A       "d4b6b8cb04ed7a2e17e9b0f1b5ab6a0b9f2b2c0f7d1c3b0a9a7a5b6c4d3e2f10"
#define SCENE_B       "d4b6b8cb04ed7a2e17e9b0f1b5ab6a0b9f2b2c0f7d1c3b0a9a7a5b6c4d3e2f11"
#define SCENE_C       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SCENE_UNKNOWN "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define SCENE_CONFIG                                                                               \
    "provider \"p\" { base_url = \"http://127.0.0.1:1\" api_key = \"k\" max_inflight = 7 }\n"      \
    "tenant \"acme\" { keys = {\"sha256:" SCENE_A "\", \"sha256:" SCENE_B "\"} concurrency = 3\n"  \
    "  budget \"daily\" { amount = \"10 usd\" window = \"1d\" }\n"                                 \
    "  budget \"all\" { amount = \"100 usd\" }\n"                                                  \
    "  budget \"each\" { amount = \"1 usd\" per = \"user\" } }\n"                                  \
    "tenant \"b/c & d\" { keys = {\"sha256:" SCENE_C "\"}\n"                                       \
    "  budget \"daily\" { amount = \"0.5 usd\" window = \"1d\" } }\n"

struct scene {
    struct event_base *loop;
    char directory[64], cost_log[96];
    struct store *store;         // NULL: the scene has none
    struct store_client *client; // as it
    struct ledger *ledger;
    struct limits *limits;
    struct flights *flights;
    struct budgets *budgets;
    struct runs *runs;
    struct key_blocks *blocks;
    struct upstream_shared *upstream;
    struct breakers *breakers;           // these three: NULL unless a test makes them
    struct retry_budgets *retry_budgets;
    struct balances *balances;
    struct outcomes *outcomes; // these two as well
    struct past *past;
    const struct config *config;
    struct admin_inflight_source inflight;
    struct admin *admin;
    struct http_server *server;
    uint16_t port;
};

static inline void scene_check(bool ok, const struct error *err) {
    if (!ok)
        fail_msg("%s", err->text);
}

static inline const struct config *scene_config(const char *text) {
    struct buffer messages = {0};
    const struct config *c = config_load_text(slice_of(text), "routing.conf", &messages);
    if (c == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&messages)));
    buffer_free(&messages);
    return c;
}

static inline void scene_open_state(struct scene *s, bool stored) {
    struct error err;
    if (stored) {
        s->store = store_open(&(struct store_options){s->directory, 1 << 20}, &err);
        scene_check(s->store != NULL, &err);
        s->client = store_client_new(s->store, s->loop);
    }
    s->ledger = ledger_open(&(struct ledger_options){s->cost_log, s->store, 0}, &err);
    scene_check(s->ledger != NULL, &err);
    ledger_set_config(s->ledger, s->config);
    s->limits = limits_new();
    limits_configure(s->limits, s->config);
    s->flights = flights_new(&(struct flights_options){.join_bytes = 1 << 20});
    s->budgets = budgets_open(s->store, &err);
    scene_check(s->budgets != NULL, &err);
    budgets_configure(s->budgets, s->config);
    s->runs = runs_open(NULL, &err);
    scene_check(s->runs != NULL, &err);
    s->blocks = key_blocks_open(s->store, &err);
    scene_check(s->blocks != NULL, &err);
    s->upstream = upstream_shared_new();
}

static inline void scene_open(struct scene *s, bool stored) {
    struct error err;
    scene_open_state(s, stored);
    const struct admin_sources sources = {
        .store = s->store,
        .ledger = s->ledger,
        .limits = s->limits,
        .flights = s->flights,
        .workers = 3,
        .loop = s->loop,
        .client = s->client,
        .budgets = s->budgets,
        .runs = s->runs,
        .blocks = s->blocks,
        .upstream = s->upstream,
        .inflight = s->inflight,
        .breakers = s->breakers,
        .retry_budgets = s->retry_budgets,
        .balances = s->balances,
        .outcomes = s->outcomes,
        .past = s->past,
    };
    s->admin = admin_new(&sources, s->config);
    const struct http_limits limits = {1 << 20, 8192, 50, 1000, 1000, 1000, 1000, 65536, 0};
    struct http_handler handler = admin_handler(s->admin);
    s->server = http_server_new(s->loop, &limits, &handler);
    s->port = http_server_listen(s->server, SLICE("127.0.0.1:0"), NULL, false, &err);
    scene_check(s->port != 0, &err);
}

static inline void scene_close(struct scene *s) {
    http_server_free(s->server);
    admin_free(s->admin);
    if (s->client != NULL)
        store_client_free(s->client);
    budgets_close(s->budgets);
    runs_close(s->runs);
    key_blocks_close(s->blocks);
    ledger_close(s->ledger);
    store_close(s->store);
    limits_free(s->limits);
    flights_free(s->flights);
    upstream_shared_free(s->upstream);
    breakers_free(s->breakers);
    retry_budgets_free(s->retry_budgets);
    balances_free(s->balances);
    outcomes_close(s->outcomes);
    past_free(s->past);
}

// Not opened yet.
static inline struct scene *scene_new_of(const char *config) {
    struct scene *s = base_calloc(1, sizeof *s);
    s->loop = event_base_new();
    strcpy(s->directory, "/tmp/farthing-admin-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->cost_log, sizeof s->cost_log, "%s/cost.jsonl", s->directory);
    s->config = scene_config(config);
    log_set_level(LOG_WARNING);
    return s;
}

static inline struct scene *scene_new(void) {
    return scene_new_of(SCENE_CONFIG);
}

static inline int scene_set_up(void **state) {
    struct scene *s = scene_new();
    scene_open(s, true);
    *state = s;
    return 0;
}

static inline int scene_set_up_without_store(void **state) {
    struct scene *s = scene_new();
    scene_open(s, false);
    *state = s;
    return 0;
}

static inline int scene_tear_down(void **state) {
    struct scene *s = *state;
    scene_close(s);
    config_unref(s->config);
    event_base_free(s->loop);
    directory_remove(s->directory);
    free(s);
    return 0;
}

// ----------------------------------------------------------------------- asking

// The whole answer; the caller frees.
static inline char *scene_ask(struct scene *s, const char *method, const char *path) {
    char request[512];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             method, path);
    return loopback_fetch(s->loop, s->port, request);
}

// `headers` after those of loopback_post.
static inline char *scene_post(struct scene *s, const char *path, const char *headers,
                               const char *body) {
    char *request = loopback_post(path, headers, body);
    char *answer = loopback_fetch(s->loop, s->port, request);
    free(request);
    return answer;
}

// Frees `got`. `status` is "200", `text` stands somewhere in the answer.
static inline void scene_expect(char *got, const char *status, const char *text) {
    if (strncmp(got, "HTTP/1.1 ", 9) != 0 || strncmp(got + 9, status, 3) != 0 ||
        strstr(got, text) == NULL)
        fail_msg("not %s with %s: %s", status, text, got);
    free(got);
}

static inline void scene_expect_page(struct scene *s, const char *path, const char *status,
                                     const char *text) {
    scene_expect(scene_ask(s, "GET", path), status, text);
}

static inline void scene_expect_order(struct scene *s, const char *path, const char *body,
                                      const char *status, const char *text) {
    scene_expect(scene_post(s, path, "", body), status, text);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_set_up, scene_tear_down)
#define SCENE_WITHOUT_STORE(test)                                                                  \
    cmocka_unit_test_setup_teardown(test, scene_set_up_without_store, scene_tear_down)

#endif
