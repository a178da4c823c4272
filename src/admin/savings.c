// /savings: what routing saved within a window, from the table of requests. Here: what is
// asked for, and the rows' sums; how they are told is savings_page.c's.
#include "savings.h"

#include "farthing/route.h"

#include <stdio.h>
#include <stdlib.h>

enum { DAY_MS = 24 * 60 * 60 * 1000 };
static const int64_t window_max_ms = INT64_C(366) * DAY_MS;

// -------------------------------------------------------------------------- rows

// Only the newest rows are summed up: each keeps the store's thread busy for some 10 us,
// and it has others to serve.
enum { ROWS_MAX = 50000 };
#define ROWS_MAX_TEXT "50000"

// One line for each kind of row and route, tiers that it began and ended with, and
// whether amounts are known. `begun_cost` is what the first attempt cost; tokens are
// those of one answer, also where several were paid for. A request is judged where a
// whole answer or an error was its end, and good when no gate objected to its last one.
// The LIMITs keep SQLite from computing anew what has a name already.
// (TIMES: how often a text stands in `attempts`. json_each is more than a query may do.)
#define TIMES(text)                                                                                \
    "(length(attempts) - length(replace(attempts, '" text "', ''))) / length('" text "')"
static const char sums[] =
    "SELECT kind, route, begun, tier, experiment, compared, begun_cost IS NOT NULL AS begun_known, "
    "count(*) AS requests, min(ts) AS oldest, sum(judged) AS judged, sum(judged AND good) AS good, "
    "sum(judged AND good AND NOT escalated) AS stayed, sum(escalated) AS escalated, "
    "sum(max(made - 1, 0)) AS retries, sum(iif(compared, baseline, 0)) AS baseline, "
    "sum(cost) AS cost, sum(iif(compared, retry_cost, 0)) AS retry_cost, "
    "sum(begun_cost) AS begun_cost, sum(input_tokens / paid) AS input, "
    "sum(output_tokens / paid) AS output, sum(cached_tokens / paid) AS cached, "
    "sum(cache_write_tokens / paid) AS written, sum(reasoning_tokens / paid) AS reasoning "
    "FROM (SELECT kind, route, begun, tier, experiment, compared, ts, made, input_tokens, "
    "output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, "
    "made > 0 AND ended_by IN ('farthing', 'provider', 'deadline') AS judged, "
    "success AND reason IS 'ok' AS good, made > 1 AND begun IS NOT ended AS escalated, "
    "coalesce(" LEDGER_SQL_PICO("baseline_cost_usd") ", 0) AS baseline, "
    "coalesce(" LEDGER_SQL_PICO("cost_usd") ", 0) AS cost, "
    LEDGER_SQL_PICO("retry_cost_usd") " AS retry_cost, "
    LEDGER_SQL_PICO("begun_cost_usd") " AS begun_cost, "
    "iif(retry_cost_usd = '0', 1, max(1, " TIMES("\"cost_usd\":\"") " - "
    TIMES("\"cost_usd\":\"0\"") ")) AS paid "
    "FROM (SELECT ts, coalesce(route, '') AS route, coalesce(tier, '') AS tier, experiment, "
    "success, ended_by, baseline_cost_usd, cost_usd, retry_cost_usd, attempts, input_tokens, "
    "output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, "
    LEDGER_SQL_COMPARED " AS compared, CASE WHEN experiment IS '" LEDGER_SHADOW "' THEN 'shadow' "
    "WHEN tenant_id IS '" LEDGER_OWN_TENANT "' THEN 'embedding' "
    "WHEN classifier_rule IS '" LEDGER_RULE_OFF "' THEN 'off' ELSE 'routed' END AS kind, "
    "json_array_length(attempts) AS made, coalesce(attempts ->> '$[0].tier', tier, '') AS begun, "
    "attempts ->> '$[0].cost_usd' AS begun_cost_usd, attempts ->> '$[#-1].tier' AS ended, "
    "attempts ->> '$[#-1].reason' AS reason "
    "FROM requests WHERE ts >= ?1 AND (?2 = '' OR coalesce(route, '') = ?3) AND "
    "(experiment IS '" LEDGER_SHADOW "' OR CASE WHEN tenant_id IS '" LEDGER_OWN_TENANT "' "
    "THEN feature IS '" LEDGER_EMBEDDINGS "' ELSE " LEDGER_SQL_CHOSEN " END) "
    "ORDER BY ts DESC LIMIT " ROWS_MAX_TEXT ") LIMIT -1) "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7";

static int64_t number(const struct store_row *row, const char *column) {
    return store_row_i64(row, slice_of(column));
}

static struct slice text(const struct store_row *row, const char *column) {
    return store_row_text(row, slice_of(column));
}

// ------------------------------------------------------------------------ routes

static struct saving_route *route_add(struct saving_page *page, struct slice name) {
    const struct config *config = page->admin->config;
    struct saving_route *r = arena_calloc(page->arena, sizeof *r);
    r->name = arena_copy(page->arena, name);
    r->route = config_route_find(config, name);
    r->small_known = true;
    r->first = route_chain_at(config, r->route, 0);
    if (r->first != NULL)
        r->last = route_chain_at(config, r->route, route_chain_length(config, r->route) - 1);
    *page->end = r;
    page->end = &r->next;
    return r;
}

static struct saving_route *route_of(struct saving_page *page, struct slice name) {
    struct saving_route *r = page->routes;
    while (r != NULL && !slice_equal(r->name, name))
        r = r->next;
    return r != NULL ? r : route_add(page, name);
}

static struct saving_tier *tier_of(struct saving_page *page, struct saving_route *r,
                                   struct slice name) {
    for (size_t i = 0; i < r->tier_count; i++)
        if (slice_equal(r->tiers[i].name, name))
            return &r->tiers[i];
    if (r->tier_count == SAVING_TIERS_MAX)
        return &r->tiers[SAVING_TIERS_MAX - 1];
    struct saving_tier *tier = &r->tiers[r->tier_count++];
    tier->name =
        r->tier_count == SAVING_TIERS_MAX ? SLICE("other") : arena_copy(page->arena, name);
    return tier;
}

// The chain first, in its order; a canary's tier and those that the file had once follow.
static void add_chain(struct saving_page *page, struct saving_route *r) {
    const struct config *config = page->admin->config;
    for (size_t i = 0; i < route_chain_length(config, r->route); i++)
        (void)tier_of(page, r, route_chain_at(config, r->route, i)->name);
}

// ---------------------------------------------------------------- always the first

// What these tokens cost at the first model of the route's first tier; false: its price
// is not known. Prices of long contexts are left aside: sums do not tell them.
static bool price_small(const struct saving_page *page, const struct saving_route *r,
                        const struct api_usage *usage, int64_t requests, struct money *out) {
    const struct admin *a = page->admin;
    if (r->first == NULL || r->first->model_count == 0)
        return false;
    const struct config_model *m = r->first->models[0];
    struct price price;
    bool known = price_configured(a->prices, m->provider, m->upstream_model, m, SLICE_NONE,
                                  clock_wall_ms(), &price);
    price_free_steps(&price);
    if (!known || !price_covers(&price, usage))
        return false;
    int64_t each = price.request > 0 ? price.request : 0, fees;
    price.request = 0;
    if (__builtin_mul_overflow(each, requests, &fees))
        return false;
    *out = money_add(price_cost(&price, usage), (struct money){fees});
    return true;
}

// A request that began at the first tier has paid for it; others would have.
static void add_small(struct saving_page *page, struct saving_route *r,
                      const struct store_row *row) {
    struct money cost = {number(row, "begun_cost")};
    const struct api_usage usage = {
        .input_tokens = number(row, "input"),
        .output_tokens = number(row, "output"),
        .cached_tokens = number(row, "cached"),
        .cache_write_tokens = number(row, "written"),
        .reasoning_tokens = number(row, "reasoning"),
    };
    bool paid = r->first != NULL && slice_equal(text(row, "begun"), r->first->name) &&
                number(row, "begun_known") != 0;
    if (paid || price_small(page, r, &usage, number(row, "requests"), &cost))
        r->small_cost = money_add(r->small_cost, cost);
    else if (usage.input_tokens > 0 || usage.output_tokens > 0)
        r->small_known = false;
}

// -------------------------------------------------------------------------- sums

static struct saving_judged judged_of(const struct store_row *row, const char *good) {
    return (struct saving_judged){number(row, "requests"), number(row, "judged"),
                                  number(row, good)};
}

static void add(struct saving_judged *to, struct saving_judged more) {
    to->requests += more.requests;
    to->judged += more.judged;
    to->good += more.good;
}

static void add_amounts(struct saving_page *page, struct saving_route *r,
                        const struct store_row *row) {
    r->saving.requests += number(row, "requests");
    if (number(row, "compared") == 0) {
        r->saving.unknown += number(row, "requests");
        return;
    }
    r->saving.baseline = money_add(r->saving.baseline, (struct money){number(row, "baseline")});
    r->saving.cost = money_add(r->saving.cost, (struct money){number(row, "cost")});
    r->saving.retry_cost =
        money_add(r->saving.retry_cost, (struct money){number(row, "retry_cost")});
    add_small(page, r, row);
}

static void add_routed(struct saving_page *page, struct saving_route *r,
                       const struct store_row *row) {
    struct saving_judged all = judged_of(row, "good");
    add(&r->all, all);
    if (slice_equal(text(row, "experiment"), SLICE(LEDGER_CANARY)))
        add(&r->canary, all);
    add(&tier_of(page, r, text(row, "begun"))->chosen, judged_of(row, "stayed"));
    add(&tier_of(page, r, text(row, "tier"))->answered, all);
    r->escalated += number(row, "escalated");
    r->retries += number(row, "retries");
    add_amounts(page, r, row);
}

static bool on_row(void *arg, const struct store_row *row, struct error *err) {
    struct saving_page *page = arg;
    struct slice kind = text(row, "kind");
    struct saving_route *r = route_of(page, text(row, "route"));
    struct slice oldest = text(row, "oldest");
    (void)err;
    page->rows += number(row, "requests");
    if (page->oldest.len == 0 || slice_compare(oldest, page->oldest) < 0)
        page->oldest = arena_copy(page->arena, oldest);
    if (r->tier_count == 0)
        add_chain(page, r);
    if (slice_equal(kind, SLICE("routed"))) {
        add_routed(page, r, row);
    } else if (slice_equal(kind, SLICE("off"))) {
        r->while_off += number(row, "requests");
    } else if (slice_equal(kind, SLICE("shadow"))) {
        struct saving_tier *tier = tier_of(page, r, text(row, "tier"));
        add(&tier->shadow, judged_of(row, "good"));
        tier->shadow_cost = money_add(tier->shadow_cost, (struct money){number(row, "cost")});
    } else {
        r->saving.classifier_cost =
            money_add(r->saving.classifier_cost, (struct money){number(row, "cost")});
    }
    return true;
}

// ------------------------------------------------------------------------ asking

struct asked {
    struct admin *admin;
    int64_t since_ms, window_ms;
    bool one;       // of this route only
    size_t len;
    char route[];
};

static void refuse_route(struct http_request *request, const struct config *config,
                         struct slice name) {
    struct slice near = SLICE_NONE;
    size_t distance = ADMIN_NEAR + 1;
    for (size_t i = 0; i < config->route_count; i++)
        admin_note_near(config->routes[i].name, name, &near, &distance);
    admin_refuse_unknown(request, "route", "route", name, near);
}

static void answer(struct http_request *request, struct saving_page *page) {
    struct buffer out = {0};
    struct json_writer w;
    page->truncated = page->rows >= ROWS_MAX;
    json_write_start(&w, &out);
    saving_page_write(&w, page);
    admin_reply_json(request, &out);
}

static void show(struct http_request *request, void *arg, enum store_status status,
                 struct slice rows) {
    const struct asked *asked = arg;
    const struct config *config = asked->admin->config;
    struct saving_page page = {.admin = asked->admin, .since_ms = asked->since_ms,
                               .window_ms = asked->window_ms, .arena = arena_new(16384)};
    struct slice name = slice_make(asked->route, asked->len);
    struct error err;
    page.end = &page.routes;
    for (size_t i = 0; i < config->route_count; i++)
        if (!asked->one || slice_equal(config->routes[i].name, name))
            add_chain(&page, route_add(&page, config->routes[i].name));
    if (status != STORE_OK || !store_rows_visit(rows, on_row, &page, &err))
        admin_refuse(request, API_ERROR_INTERNAL, NULL,
                     "The store does not answer in time: is it busy? A shorter window is less to "
                     "read.");
    else if (asked->one && page.routes == NULL && name.len > 0)
        refuse_route(request, config, name);
    else
        answer(request, &page);
    arena_free(page.arena);
}

// A route's own window where only it is asked for, else a day.
static bool read_window(struct admin *a, struct http_request *request, struct slice given,
                        struct slice route, int64_t *out) {
    const struct config_route *found = config_route_find(a->config, route);
    *out = found != NULL && found->savings_window_ms > 0 ? found->savings_window_ms : DAY_MS;
    if (given.ptr == NULL)
        return true;
    if (config_parse_duration(given, out) && *out > 0 && *out <= window_max_ms)
        return true;
    return admin_refuse(request, API_ERROR_INVALID_REQUEST, "window",
                        "\"window\" must be a duration of at most 366d, such as 7d, not \"%.*s\".",
                        (int)(given.len < 64 ? given.len : 64), given.ptr);
}

static void ask(struct admin *a, struct http_request *request, struct slice route,
                int64_t window_ms) {
    struct asked *asked = base_calloc(1, sizeof *asked + route.len + 1);
    char since[25];
    *asked = (struct asked){.admin = a, .window_ms = window_ms, .one = route.ptr != NULL,
                            .len = route.len};
    if (route.len > 0)
        memcpy(asked->route, route.ptr, route.len);
    asked->since_ms = clock_wall_ms() > window_ms ? clock_wall_ms() - window_ms : 0;
    clock_format_ms(asked->since_ms, since);
    const struct slice params[] = {slice_of(since), asked->one ? SLICE("1") : SLICE(""), route};
    later_query(a, request, sums, params, FARTHING_COUNT(params), show, asked);
}

void serve_savings(struct admin *a, struct http_request *request) {
    struct admin_param params[] = {{.name = "route", .kind = "NAME"},
                                   {.name = "window", .kind = "DURATION"}};
    int64_t window_ms;
    if (admin_read_params(request, params, FARTHING_COUNT(params)) &&
        read_window(a, request, params[1].value, params[0].value, &window_ms)) {
        if (a->sources.store == NULL)
            admin_refuse(request, API_ERROR_NOT_FOUND, NULL,
                         "There is no store: what routes save is in the metrics only.");
        else
            ask(a, request, params[0].value, window_ms);
    }
    admin_params_free(params, FARTHING_COUNT(params));
}
