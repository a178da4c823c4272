// What is known of providers and models: breakers, retry budgets, attempts in
// flight and how fast they answer; and the operator's word that one is well again.
#include <stdio.h>

#include "admin_room.h"

// ----------------------------------------------------------------------- showing

// Thousandths, as a number with its point; a debt has its sign also below one.
static void put_milli(struct json_writer *w, const char *name, int64_t milli) {
    char text[32];
    int64_t size = milli < 0 ? -milli : milli;
    int n = snprintf(text, sizeof text, "%s%lld.%03lld", milli < 0 ? "-" : "",
                     (long long)(size / 1000), (long long)(size % 1000));
    json_key(w, slice_of(name));
    json_put_raw(w, slice_make(text, (size_t)n));
}

static void put_null(struct json_writer *w, const char *name) {
    json_key(w, slice_of(name));
    json_put_null(w);
}

static void put_breaker(void *arg, const struct breaker_view *view) {
    struct json_writer *w = arg;
    json_object_begin(w);
    admin_put_text(w, "name", view->name);
    admin_put_text(w, "provider", view->provider);
    admin_put_optional(w, "model", view->model);
    admin_put_text(w, "state", slice_of(breaker_state_name(view->state)));
    admin_put_number(w, "calls", view->calls);
    admin_put_number(w, "failures", view->failures);
    json_key(w, SLICE("hearsay"));
    json_put_bool(w, view->hearsay);
    admin_put_moment(w, "opened_at", view->opened_at_ms);
    if (view->state == BREAKER_STATE_CLOSED)
        put_null(w, "retry_in_ms");
    else
        admin_put_number(w, "retry_in_ms", view->retry_in_ms);
    admin_put_number(w, "opened", view->opened);
    json_object_end(w);
}

static void put_retry_budget(void *arg, const struct retry_budget_view *view) {
    struct json_writer *w = arg;
    json_object_begin(w);
    admin_put_text(w, "provider", view->provider);
    put_milli(w, "left", view->left_milli);
    admin_put_number(w, "retries", view->retries);
    admin_put_number(w, "client_retries", view->client_retries);
    admin_put_number(w, "denied", view->denied);
    json_object_end(w);
}

static void put_model(void *arg, const struct balance_view *view) {
    struct json_writer *w = arg;
    json_object_begin(w);
    admin_put_text(w, "name", view->name);
    admin_put_number(w, "inflight", view->inflight);
    if (view->latency_us < 0) {
        put_null(w, "latency_ms");
        put_null(w, "measured_ms_ago");
    } else {
        put_milli(w, "latency_ms", view->latency_us);
        admin_put_number(w, "measured_ms_ago", view->measured_ms_ago);
    }
    json_object_end(w);
}

void serve_breakers(struct admin *a, struct http_request *request) {
    const struct admin_sources *s = &a->sources;
    int64_t now = (int64_t)clock_mono_ms();
    struct buffer out = {0};
    struct json_writer w;
    if (!admin_read_params(request, NULL, 0))
        return;
    json_write_start(&w, &out);
    json_object_begin(&w);
    admin_array_begin(&w, "breakers");
    if (s->breakers != NULL)
        breakers_visit(s->breakers, now, put_breaker, &w);
    json_array_end(&w);
    admin_array_begin(&w, "retry_budgets");
    if (s->retry_budgets != NULL)
        retry_budgets_visit(s->retry_budgets, now, put_retry_budget, &w);
    json_array_end(&w);
    admin_array_begin(&w, "models");
    if (s->balances != NULL)
        balances_visit(s->balances, now, put_model, &w);
    json_array_end(&w);
    json_object_end(&w);
    admin_reply_json(request, &out);
}

// ---------------------------------------------------------------------- resetting

// One name among all, or the one that is spelled most like it.
struct breaker_search {
    struct slice name;
    struct breaker_view found;
    bool is_there;
    struct slice near;
    size_t distance;
};

static void look_at(void *arg, const struct breaker_view *view) {
    struct breaker_search *s = arg;
    if (slice_equal(view->name, s->name)) {
        s->is_there = true;
        s->found = *view;
    }
    admin_note_near(view->name, s->name, &s->near, &s->distance);
}

static struct breaker_search search(struct admin *a, struct slice name) {
    struct breaker_search s = {.name = name, .distance = ADMIN_NEAR + 1};
    breakers_visit(a->sources.breakers, (int64_t)clock_mono_ms(), look_at, &s);
    return s;
}

static void put_state(struct buffer *out, const struct breaker_view *view) {
    buffer_printf(out, "{\"state\":\"%s\",\"calls\":%lld,\"failures\":%lld}",
                  breaker_state_name(view->state), (long long)view->calls,
                  (long long)view->failures);
}

bool act_breaker_reset(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    if (a->sources.breakers == NULL)
        return admin_refuse(o->request, API_ERROR_NOT_FOUND, NULL, "There are no breakers here.");
    struct breaker_search before = search(a, o->name);
    if (!before.is_there ||
        !breakers_reset(a->sources.breakers, o->name, (int64_t)clock_mono_ms()))
        return admin_refuse_unknown(o->request, "name", "breaker", o->name, before.near);
    struct breaker_search after = search(a, o->name);
    deed->action = "breakers.reset";
    deed->what = before.found.name; // outlives the order
    put_state(&deed->before, &before.found);
    put_state(&deed->after, &after.found);
    return true;
}
