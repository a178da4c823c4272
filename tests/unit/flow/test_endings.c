// Whatever way an exchange ends, it leaves one row, and nothing stays behind.
//
// As curl's torture tests fail the n-th allocation for every n, these cut the
// client, the provider, or the whole proxy after every n-th turn of the loop:
// each state of an exchange meets each end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/demo.h"
#include "farthing/flow.h"
#include "loopback.h"
#include "routing.h"

enum { TURNS_MAX = 24, WORDS = 4 }; // by then every case has come to its own end

// SHA-256 of "k".
#define KEY_DIGEST "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a"

struct world {
    struct event_base *loop;
    char directory[64], cost_log[96];
    struct ledger *ledger;
    struct cache *cache;
    struct upstream_shared *upstream;
    struct limits *limits;
    struct flights *flights;
    struct budgets *budgets;
    struct runs *runs;
    struct estimator *estimator;
    struct flow_shared shared;
    struct mailbox *mailbox;
    const struct config *config;
    struct mock *mock;
    struct http_server *provider, *server;
    struct flow *flow;
    uint16_t port;
};

static const struct http_limits limits = {1 << 20, 8192, 50, 1000, 1000, 1000, 1000, 65536, 0};

static struct http_server *serve(struct world *w, struct http_handler handler, uint16_t *port) {
    struct error err;
    struct http_server *s = http_server_new(w->loop, &limits, &handler);
    *port = http_server_listen(s, SLICE("127.0.0.1:0"), NULL, false, &err);
    assert_int_not_equal(*port, 0);
    return s;
}

static struct world *world_new(const char *route) {
    struct world *w = base_calloc(1, sizeof *w);
    struct error err;
    struct buffer text = {0}, messages = {0};
    uint16_t provider_port;
    w->loop = event_base_new();
    strcpy(w->directory, "/tmp/farthing-flow-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->cost_log, sizeof w->cost_log, "%s/cost.jsonl", w->directory);
    w->ledger = ledger_open(&(struct ledger_options){w->cost_log, NULL, 0}, &err);
    assert_non_null(w->ledger);
    w->mock = mock_new(w->loop, &(struct mock_options){1, 1, WORDS});
    w->provider = serve(w, mock_handler(w->mock), &provider_port);
    buffer_printf(&text,
                  "provider \"mock\" { base_url = \"http://127.0.0.1:%u/v1\" api_key = \"k\"\n"
                  "  retry { attempts = 2 backoff = \"1ms\" backoff_max = \"1ms\" } }\n"
                  "model \"mock/m\" { input_price = \"1 usd\" output_price = \"1 usd\" }\n"
                  "route \"r\" { %s }\n"
                  "tenant \"acme\" { keys = {\"sha256:" KEY_DIGEST "\"} concurrency = 50\n"
                  "  tokens = \"1000000/min\" run { max_steps = 1000000 }\n"
                  "  budget \"all\" { amount = \"1000 usd\" window = \"total\" } }\n",
                  provider_port, route);
    w->config = config_load_text(buffer_slice(&text), "routing.conf", &messages);
    assert_non_null(w->config);
    buffer_free(&text);
    buffer_free(&messages);
    w->cache = cache_new(&(struct cache_options){.memory_bytes = 1 << 20, .max_entry_bytes = 1 << 18});
    w->upstream = upstream_shared_new();
    w->limits = limits_new();
    limits_configure(w->limits, w->config);
    w->flights = flights_new(&(struct flights_options){.join_bytes = 1 << 20});
    w->mailbox = mailbox_new(w->loop);
    w->budgets = budgets_open(NULL, &err);
    budgets_configure(w->budgets, w->config);
    w->runs = runs_open(NULL, &err);
    w->estimator = estimator_new();
    w->shared = (struct flow_shared){
        .cache = w->cache,
        .ledger = w->ledger,
        .upstream = w->upstream,
        .limits = w->limits,
        .flights = w->flights,
        .budgets = w->budgets,
        .runs = w->runs,
        .estimator = w->estimator,
    };
    share_providers(&w->shared);
    w->flow = flow_of(w->loop, w->mailbox, &w->shared, w->config);
    w->server = serve(w, flow_handler(w->flow), &w->port);
    return w;
}

static int64_t rows(struct world *w) {
    struct ledger_stats stats;
    ledger_stats_get(w->ledger, &stats);
    return stats.rows;
}

static void assert_no_place_is_held(void *arg, const struct limits_view *view) {
    (void)arg;
    assert_int_equal(view->running, 0);
    assert_int_equal(view->queued, 0);
}

static void assert_no_money_is_held(void *arg, const struct budget_view *view) {
    int64_t *budgets_seen = arg;
    assert_int_equal(view->reserved, 0);
    ++*budgets_seen;
}

// Whatever way the exchanges ended, each gave back what it had, once.
static void assert_nothing_is_held(struct world *w) {
    int64_t budgets_seen = 0, budgets = 0;
    for (size_t i = 0; i < w->config->tenant_count; i++)
        budgets += (int64_t)w->config->tenants[i].budget_count;
    limits_visit(w->limits, assert_no_place_is_held, NULL);
    budgets_visit(w->budgets, assert_no_money_is_held, &budgets_seen);
    assert_in_range(budgets_seen, budgets, 3); // of what a reload took out too
}

enum { ONE_OR_MORE = -1 };

// Ends what still runs, as a worker does, and looks at what was left behind.
static void world_end(struct world *w, int64_t expected_rows) {
    http_server_free(w->server);
    flow_free(w->flow);
    if (expected_rows == ONE_OR_MORE)
        assert_in_range(rows(w), 1, 6);
    else
        assert_int_equal(rows(w), expected_rows);
    http_server_free(w->provider);
    mock_free(w->mock);
    cache_free(w->cache);
    upstream_shared_free(w->upstream);
    assert_nothing_is_held(w);
    unshare_providers(&w->shared);
    budgets_close(w->budgets);
    runs_close(w->runs);
    estimator_free(w->estimator);
    limits_free(w->limits);
    mailbox_free(w->mailbox);
    flights_free(w->flights);
    ledger_close(w->ledger);
    config_unref(w->config);
    event_base_free(w->loop);
    unlink(w->cost_log);
    rmdir(w->directory);
    free(w);
}

static void settle_down(struct world *w) {
    for (int i = 0; i < 3; i++) // accepted, read, begun
        loopback_turn(w->loop);
    for (int i = 0; flow_running(w->flow) > 0; i++) {
        assert_in_range(i, 0, 20000);
        loopback_turn(w->loop);
    }
}

static const struct {
    const char *name, *route, *path, *body;
} cases[] = {
    {"a whole answer", "", "/v1/chat/completions", "{\"model\":\"mock/m\",\"messages\":[]}"},
    {"a stream", "stream_summary = true", "/v1/chat/completions",
     "{\"model\":\"mock/m\",\"messages\":[],\"stream\":true}"},
    {"a purchase that is finished", "on_client_gone = \"finish\"", "/v1/chat/completions",
     "{\"model\":\"mock/m\",\"messages\":[],\"stream\":true}"},
    {"a purchase that waits", "on_client_gone = \"wait 3ms\"", "/v1/chat/completions",
     "{\"model\":\"mock/m\",\"messages\":[],\"stream\":true}"},
    {"a retry", "", "/v1/chat/completions", "{\"model\":\"mock/mock-flaky\",\"messages\":[]}"},
    {"a path that passes through", "", "/v1/files", "{}"},
    {"a refusal", "", "/v1/chat/completions", "{"},
};

static char *request_of(size_t i) {
    return loopback_post(cases[i].path, "Authorization: Bearer k\r\nx-farthing-run: r1\r\n",
                         cases[i].body);
}

static int open_request(struct world *w, const char *request, int turns) {
    int fd = loopback_connect(w->port);
    loopback_send(fd, request);
    for (int i = 0; i < turns; i++)
        loopback_turn(w->loop);
    return fd;
}

static void a_client_may_leave_at_any_moment(void **state) {
    (void)state;
    for (size_t c = 0; c < FARTHING_COUNT(cases); c++) {
        struct world *w = world_new(cases[c].route);
        char *request = request_of(c);
        int64_t expected = 0;
        for (int turns = 0; turns < TURNS_MAX; turns++) {
            int fd = open_request(w, request, turns);
            if (turns % 2 == 1) // a reset, not an end
                setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
            close(fd);
            settle_down(w);
            // A reset before the proxy has looked takes the request with it.
            expected += turns != 1 || rows(w) > expected;
            assert_int_equal(rows(w), expected);
        }
        free(request);
        world_end(w, expected);
    }
}

static void the_provider_may_die_at_any_moment(void **state) {
    (void)state;
    for (size_t c = 0; c < FARTHING_COUNT(cases); c++)
        for (int turns = 1; turns < TURNS_MAX; turns += 2) {
            struct world *w = world_new(cases[c].route);
            char *request = request_of(c);
            int fd = open_request(w, request, turns);
            http_server_free(w->provider);
            w->provider = NULL;
            settle_down(w);
            close(fd);
            free(request);
            world_end(w, 1);
        }
}

static void the_proxy_may_be_stopped_at_any_moment(void **state) {
    (void)state;
    for (size_t c = 0; c < FARTHING_COUNT(cases); c++)
        for (int turns = 2; turns < TURNS_MAX; turns += 2) {
            struct world *w = world_new(cases[c].route);
            char *request = request_of(c);
            int fd = open_request(w, request, turns);
            free(request);
            world_end(w, 1);
            close(fd);
        }
}

static void what_outlives_its_client_leaves_a_row_when_the_proxy_stops(void **state) {
    (void)state;
    for (int turns = 4; turns < TURNS_MAX; turns += 2) {
        struct world *w = world_new("on_client_gone = \"finish\"");
        char *request = request_of(1);
        close(open_request(w, request, turns));
        for (int i = 0; i < 3; i++) // the proxy sees that it has gone
            loopback_turn(w->loop);
        free(request);
        world_end(w, 1);
    }
}

// Two with the same request: one buys, the other follows.
static void who_shares_a_purchase_may_end_at_any_moment(void **state) {
    (void)state;
    enum { LEADER_LEAVES, FOLLOWER_LEAVES, PROVIDER_DIES, PROXY_STOPS, ENDINGS };
    for (size_t c = 0; c < 2; c++) // a whole answer, a stream
        for (int ending = 0; ending < ENDINGS; ending++)
            for (int turns = 0; turns < TURNS_MAX; turns += 2) {
                struct world *w = world_new(cases[c].route);
                char *request = request_of(c);
                int leader = open_request(w, request, 4), follower = open_request(w, request, 4 + turns);
                free(request);
                if (ending == LEADER_LEAVES || ending == FOLLOWER_LEAVES)
                    close(ending == LEADER_LEAVES ? leader : follower);
                if (ending == PROVIDER_DIES) {
                    http_server_free(w->provider);
                    w->provider = NULL;
                }
                if (ending != PROXY_STOPS)
                    settle_down(w);
                world_end(w, 2);
                if (ending != LEADER_LEAVES)
                    close(leader);
                if (ending != FOLLOWER_LEAVES)
                    close(follower);
            }
}

static void the_configuration_may_change_at_any_moment(void **state) {
    (void)state;
    for (int turns = 1; turns < TURNS_MAX; turns += 3) {
        struct world *w = world_new("");
        char *request = request_of(1);
        int fd = open_request(w, request, turns);
        struct buffer messages = {0};
        const struct config *other = config_load_text(
            SLICE("provider \"other\" { base_url = \"http://127.0.0.1:1\" api_key = \"k\" }"), "b.conf",
            &messages);
        assert_non_null(other);
        flow_reload(w->flow, other);
        config_unref(w->config); // the exchange holds the one that it started with
        w->config = other;
        settle_down(w);
        close(fd);
        buffer_free(&messages);
        free(request);
        world_end(w, 1);
    }
}

static char *question_of(const char *text) {
    char body[128];
    snprintf(body, sizeof body, "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
             text);
    return loopback_post("/v1/chat/completions", "Authorization: Bearer k\r\n", body);
}

// The first request asks for the example's vector; the second one waits for its own.
// Either is followed by a shadow.
static void what_is_asked_beside_it_may_end_at_any_moment(void **state) {
    (void)state;
    enum { CLIENT_LEAVES, PROVIDER_DIES, PROXY_STOPS, ENDINGS };
    static const char trial[] =
        "tiers = {\"one\"} shadow { tier = \"two\" percent = 100 budget = \"1 usd\" } }\n"
        "model \"mock/n\" { input_price = \"1 usd\" output_price = \"1 usd\" }\n"
        "model \"mock/e\" { input_price = \"1 usd\" }\n"
        "tier \"one\" { models = {\"mock/m\"} }\n"
        "tier \"two\" { models = {\"mock/n\"} }\n"
        "classifier { embedding_model = \"mock/e\" embedding_budget = \"1 usd\"\n"
        "  category \"c\" { examples = {\"an example\"} tier = \"one\" }";
    char *first = question_of("one"), *second = question_of("another");
    for (int ending = 0; ending < ENDINGS; ending++)
        for (int turns = 2; turns < 2 * TURNS_MAX; turns++) {
            struct world *w = world_new(trial);
            bool is_second = turns % 2 == 0;
            int before = is_second ? open_request(w, first, 0) : -1;
            settle_down(w);
            assert_int_equal(rows(w), is_second ? 3 : 0);
            int fd = open_request(w, is_second ? second : first, turns);
            if (ending == CLIENT_LEAVES)
                close(fd);
            if (ending == PROVIDER_DIES) {
                http_server_free(w->provider);
                w->provider = NULL;
            }
            if (ending != PROXY_STOPS)
                settle_down(w);
            world_end(w, ONE_OR_MORE);
            if (ending != CLIENT_LEAVES)
                close(fd);
            if (is_second)
                close(before);
        }
    free(first);
    free(second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_may_leave_at_any_moment),
        cmocka_unit_test(the_provider_may_die_at_any_moment),
        cmocka_unit_test(the_proxy_may_be_stopped_at_any_moment),
        cmocka_unit_test(what_outlives_its_client_leaves_a_row_when_the_proxy_stops),
        cmocka_unit_test(who_shares_a_purchase_may_end_at_any_moment),
        cmocka_unit_test(the_configuration_may_change_at_any_moment),
        cmocka_unit_test(what_is_asked_beside_it_may_end_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
