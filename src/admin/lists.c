// What budgets, limits, providers and runs look like at this moment.
#include "admin_room.h"

struct list {
    struct admin *admin;
    struct json_writer *writer;
    struct slice filter;                // tenant, or SLICE_NONE
    struct tenant_directory *directory; // of limits
};

// {"NAME":[...]}, of one tenant where ?tenant= says so.
static void serve_list(struct admin *a, struct http_request *request, const char *name,
                       void (*put_all)(struct list *list)) {
    struct buffer out = {0}, filter = {0};
    struct json_writer w;
    struct list list = {.admin = a, .writer = &w};
    if (admin_read_filter(request, &filter, &list.filter)) {
        json_write_start(&w, &out);
        json_object_begin(&w);
        json_key(&w, slice_of(name));
        json_array_begin(&w);
        put_all(&list);
        json_array_end(&w);
        json_object_end(&w);
        admin_reply_json(request, &out);
    }
    buffer_free(&filter);
}

// ----------------------------------------------------------------------- budgets

const char *admin_per_name(enum config_budget_per per) {
    switch (per) {
    case CONFIG_PER_FEATURE:
        return "feature";
    case CONFIG_PER_USER:
        return "user";
    case CONFIG_PER_RUN:
        return "run";
    case CONFIG_PER_KEY:
        return "key";
    case CONFIG_PER_ALL:
        break;
    }
    return NULL;
}

void put_budget(struct json_writer *w, const struct budget_view *view) {
    json_object_begin(w);
    admin_put_text(w, "tenant", view->tenant);
    admin_put_text(w, "budget", view->budget);
    admin_put_optional(w, "per", slice_of(admin_per_name(view->per)));
    if (view->per != CONFIG_PER_ALL)
        admin_put_text(w, "value", view->value); // may be the empty one
    else
        admin_put_optional(w, "value", SLICE_NONE);
    admin_put_optional(w, "feature", view->feature);
    admin_put_optional(w, "user", view->user);
    admin_put_bool(w, "configured", view->configured);
    admin_put_bool(w, "frozen", view->frozen);
    admin_put_money(w, "amount_usd", view->amount);
    admin_put_money(w, "topped_up_usd", view->topped_up);
    admin_put_money(w, "spent_usd", view->spent);
    admin_put_money(w, "reserved_usd", view->reserved);
    admin_put_money(w, "remaining_usd", view->remaining);
    admin_put_money(w, "recovered_usd", view->recovered);
    admin_put_money(w, "overrun_usd", view->overrun);
    admin_put_bool(w, "sliding", view->sliding);
    admin_put_moment(w, "window_start", view->window_start_ms);
    admin_put_moment(w, "window_end", view->window_end_ms);
    json_object_end(w);
}

static void on_budget(void *arg, const struct budget_view *view) {
    struct list *list = arg;
    if (admin_filter_fits(list->filter, view->tenant))
        put_budget(list->writer, view);
}

static void put_budgets(struct list *list) {
    if (list->admin->sources.budgets != NULL)
        budgets_visit(list->admin->sources.budgets, on_budget, list);
}

void serve_budgets(struct admin *a, struct http_request *request) {
    serve_list(a, request, "budgets", put_budgets);
}

// ------------------------------------------------------------------------ limits

static const struct slice of_route = {"route:", 6}, of_key = {"key:", 4};

enum limits_kind admin_limits_kind(const struct admin *a, struct slice name) {
    bool route = slice_starts_with(name, of_route), key = slice_starts_with(name, of_key);
    if (!route && !key)
        return LIMITS_OF_TENANT;
    if (config_tenant_find(a->config, name) != NULL)
        return LIMITS_OF_TENANT; // one that is called so
    return route ? LIMITS_OF_ROUTE : LIMITS_OF_KEY;
}

// Of one key only the start of its hash is shown, as everywhere.
static struct slice find_owner(const struct list *list, enum limits_kind kind, struct slice *name) {
    uint8_t digest[DIGEST_LEN];
    if (kind == LIMITS_OF_TENANT)
        return *name;
    if (kind == LIMITS_OF_ROUTE || !list->admin->config->has_tenant_sections ||
        !digest_unhex(slice_from(*name, of_key.len), digest, DIGEST_LEN))
        return SLICE_NONE;
    const struct config_tenant *tenant = tenant_identify(list->directory, digest);
    name->len = of_key.len + KEY_PREFIX_DIGITS;
    return tenant != NULL ? tenant->name : SLICE_NONE;
}

static void on_limits(void *arg, const struct limits_view *view) {
    static const char *const kinds[] = {"tenant", "route", "key"};
    struct list *list = arg;
    struct json_writer *w = list->writer;
    enum limits_kind kind = admin_limits_kind(list->admin, view->name);
    struct slice name = view->name, tenant = find_owner(list, kind, &name);
    if (!admin_filter_fits(list->filter, tenant))
        return;
    json_object_begin(w);
    admin_put_text(w, "name", name);
    admin_put_text(w, "kind", slice_of(kinds[kind]));
    admin_put_optional(w, "tenant", tenant);
    put_limits_figures(w, view);
    admin_put_number(w, "hold_ms", view->hold_ms);
    json_object_end(w);
}

static void put_limits(struct list *list) {
    list->directory = tenant_directory_new(list->admin->config);
    limits_visit(list->admin->sources.limits, on_limits, list);
    tenant_directory_free(list->directory);
}

void serve_limits(struct admin *a, struct http_request *request) {
    serve_list(a, request, "limits", put_limits);
}

// --------------------------------------------------------------------- providers

struct place {
    struct slice name;
    struct upstream_places_view view;
};

static void on_places(void *arg, const struct upstream_places_view *view) {
    struct place *place = arg;
    if (slice_equal(view->name, place->name))
        place->view = *view;
}

// One that was not asked yet has no places, but its limit already.
static void put_provider(struct list *list, const struct config_provider *p) {
    struct json_writer *w = list->writer;
    struct place place = {
        .name = p->name,
        .view = {.limit = p->max_inflight, .adaptive = p->adaptive_inflight},
    };
    if (list->admin->sources.upstream != NULL)
        upstream_places(list->admin->sources.upstream, on_places, &place);
    json_object_begin(w);
    admin_put_text(w, "provider", p->name);
    admin_put_number(w, "inflight", place.view.inflight);
    json_key(w, SLICE("limit")); // in force; null: none
    if (place.view.limit > 0)
        json_put_i64(w, place.view.limit);
    else
        json_put_null(w);
    admin_put_number(w, "waiting", place.view.waiting);
    admin_put_bool(w, "adaptive", place.view.adaptive);
    json_object_end(w);
}

static void put_providers(struct list *list) {
    const struct config *config = list->admin->config;
    for (size_t i = 0; i < config->provider_count; i++)
        put_provider(list, &config->providers[i]);
}

void serve_providers(struct admin *a, struct http_request *request) {
    serve_list(a, request, "providers", put_providers);
}

// -------------------------------------------------------------------------- runs

static void on_run(void *arg, const struct run_view *view) {
    struct list *list = arg;
    struct json_writer *w = list->writer;
    if (!admin_filter_fits(list->filter, view->tenant))
        return;
    json_object_begin(w);
    admin_put_text(w, "tenant", view->tenant);
    admin_put_text(w, "run", view->run);
    admin_put_number(w, "running", view->running);
    admin_put_number(w, "steps", view->steps);
    admin_put_number(w, "attempts", view->attempts);
    admin_put_number(w, "tokens", view->tokens);
    admin_put_number(w, "reserved_tokens", view->reserved);
    admin_put_moment(w, "started", view->started_ms);
    admin_put_moment(w, "last", view->last_ms);
    json_object_end(w);
}

static void put_runs(struct list *list) {
    if (list->admin->sources.runs != NULL)
        runs_visit(list->admin->sources.runs, on_run, list);
}

void serve_runs(struct admin *a, struct http_request *request) {
    serve_list(a, request, "runs", put_runs);
}
