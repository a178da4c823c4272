// The admin address: what is served where, and to whom it is refused. No keys:
// it listens on loopback unless the operator says otherwise.
#include <stdio.h>
#include <stdlib.h>

#include "admin_room.h"

// ------------------------------------------------------------------------- life

struct admin *admin_new(const struct admin_sources *sources, const struct config *config) {
    struct admin *a = base_calloc(1, sizeof *a);
    a->sources = *sources;
    a->config = config_ref(config);
    a->started_ms = clock_wall_ms();
    if (sources->loop != NULL)
        a->mailbox = mailbox_new(sources->loop);
    audit_open(a);
    shared_open(a);
    metrics_declare();
    feedback_declare();
    return a;
}

void admin_set_config(struct admin *a, const struct config *config) {
    config_ref(config);
    config_unref(a->config);
    a->config = config;
    a->reloads++;
    metrics_count_reload(SLICE("ok"), 1);
    free(a->reload_error);
    a->reload_error = NULL;
}

void admin_set_prices(struct admin *a, struct prices *prices) {
    if (prices != NULL)
        prices_ref(prices);
    prices_unref(a->prices);
    a->prices = prices;
}

void admin_set_state(struct admin *a, enum admin_state state) {
    a->state = state;
}

void admin_reload_failed(struct admin *a, struct slice why) {
    metrics_count_reload(SLICE("failed"), 1);
    free(a->reload_error);
    a->reload_error = slice_dup(why);
}

void admin_free(struct admin *a) {
    if (a == NULL)
        return;
    inflight_close(a);
    shared_close(a);
    if (a->mailbox != NULL)
        mailbox_free(a->mailbox); // and what had come there
    config_unref(a->config);
    prices_unref(a->prices);
    free(a->reload_error);
    free(a);
}

// ----------------------------------------------------------------------- health

static void serve_health(struct admin *a, struct http_request *request) {
    (void)a;
    admin_reply(request, 200, SLICE("text/plain; charset=utf-8"), SLICE("ok\n"));
}

static void serve_ready(struct admin *a, struct http_request *request) {
    bool ready = a->state == ADMIN_SERVING;
    // Ready all the same: without the store all instances would be taken out at once.
    admin_reply(request, ready ? 200 : 503, SLICE("text/plain; charset=utf-8"),
                !ready              ? SLICE("not ready\n")
                : shared_is_away(a) ? SLICE("ready\nthe shared store is away\n")
                                    : SLICE("ready\n"));
}

// ------------------------------------------------------------------------ paths

static const struct {
    const char *path;
    void (*serve)(struct admin *a, struct http_request *request);
} pages[] = {
    {"/metrics", serve_metrics},     {"/status", serve_status},   {"/healthz", serve_health},
    {"/readyz", serve_ready},        {"/budgets", serve_budgets}, {"/limits", serve_limits},
    {"/inflight", serve_inflight},   {"/runs", serve_runs},       {"/keys", serve_keys},
    {"/providers", serve_providers}, {"/audit", serve_audit},     {"/breakers", serve_breakers},
    {"/savings", serve_savings},     {"/routes", serve_routes},   {"/cache", serve_cache},
};

enum { ORDER_OF_BUDGET = ORDER_TENANT | ORDER_BUDGET };

static const struct {
    const char *path;
    unsigned required, optional;
    bool (*act)(struct admin *a, struct admin_order *order, struct admin_deed *deed);
} orders[] = {
    {"/budgets/top-up", ORDER_OF_BUDGET | ORDER_AMOUNT, ORDER_VALUE | ORDER_REASON,
     act_budget_top_up},
    {"/budgets/reset", ORDER_OF_BUDGET, ORDER_VALUE | ORDER_REASON, act_budget_reset},
    {"/budgets/freeze", ORDER_OF_BUDGET, ORDER_VALUE | ORDER_REASON, act_budget_freeze},
    {"/budgets/thaw", ORDER_OF_BUDGET, ORDER_VALUE | ORDER_REASON, act_budget_thaw},
    {"/keys/block", 0, ORDER_KEY | ORDER_TENANT | ORDER_REASON, act_key_block},
    {"/keys/unblock", 0, ORDER_KEY | ORDER_TENANT | ORDER_REASON, act_key_unblock},
    {"/breakers/reset", ORDER_NAME, ORDER_REASON, act_breaker_reset},
    {"/cache/purge", 0,
     ORDER_TENANT | ORDER_FEATURE | ORDER_PROMPT_VERSION | ORDER_CORPUS_VERSION | ORDER_ROUTE |
         ORDER_KEY | ORDER_REASON,
     act_cache_purge},
    {"/feedback", ORDER_REQUEST | ORDER_OK, ORDER_WHO | ORDER_REASON, act_feedback},
};

static void carry_out(struct admin *a, struct http_request *request, size_t i) {
    struct arena *arena = arena_new(1024);
    struct admin_order order;
    struct admin_deed deed = {0};
    if (order_read(a, request, orders[i].required | orders[i].optional, orders[i].required, arena,
                   &order) &&
        orders[i].act(a, &order, &deed))
        audit_and_reply(a, &order, &deed);
    buffer_free(&deed.before);
    buffer_free(&deed.after);
    arena_free(arena);
}

static void refuse_method(struct http_request *request, struct slice served, struct slice allowed) {
    const struct api_header allow = {SLICE("Allow"), allowed}; // RFC 9110 15.5.6
    char text[64];
    int n = snprintf(text, sizeof text, "Only %.*s is served here.", SLICE_ARG(served));
    http_reply_error(request, API_ERROR_METHOD_NOT_ALLOWED, 0, slice_make(text, (size_t)n),
                     SLICE_NONE, &allow, 1);
}

static void refuse_path(struct http_request *request) {
    struct buffer text = {0};
    BUFFER_LITERAL(&text, "The admin address serves GET");
    for (size_t i = 0; i < FARTHING_COUNT(pages); i++)
        buffer_printf(&text, "%s %s", i > 0 ? "," : "", pages[i].path);
    BUFFER_LITERAL(&text, "; and POST");
    for (size_t i = 0; i < FARTHING_COUNT(orders); i++)
        buffer_printf(&text, "%s %s", i > 0 ? "," : "", orders[i].path);
    buffer_append_char(&text, '.');
    http_reply_error(request, API_ERROR_NOT_FOUND, 0, buffer_slice(&text), SLICE_NONE, NULL, 0);
    buffer_free(&text);
}

static void on_request(struct http_request *request, void *arg) {
    struct slice method = http_request_method(request), path = http_request_path(request);
    bool reads = slice_equal(method, SLICE("GET")) || slice_equal(method, SLICE("HEAD"));
    for (size_t i = 0; i < FARTHING_COUNT(pages); i++) {
        if (!slice_equal(path, slice_of(pages[i].path)))
            continue;
        if (reads)
            pages[i].serve(arg, request);
        else
            refuse_method(request, SLICE("GET"), SLICE("GET, HEAD"));
        return;
    }
    for (size_t i = 0; i < FARTHING_COUNT(orders); i++) {
        if (!slice_equal(path, slice_of(orders[i].path)))
            continue;
        if (slice_equal(method, SLICE("POST")))
            carry_out(arg, request, i);
        else
            refuse_method(request, SLICE("POST"), SLICE("POST"));
        return;
    }
    refuse_path(request);
}

struct http_handler admin_handler(struct admin *a) {
    return (struct http_handler){on_request, NULL, a};
}
