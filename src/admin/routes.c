// /routes: what each route's routing saves at this moment, which routes auto_disable has
// switched off, and when it did so.
#include "admin_room.h"

static void put_route(void *arg, const struct ledger_route_view *view) {
    struct json_writer *w = arg;
    const struct ledger_saving *s = &view->saving;
    json_object_begin(w);
    admin_put_optional(w, "route", view->route);
    admin_put_bool(w, "configured", view->configured);
    admin_put_bool(w, "auto_disable", view->auto_disable);
    admin_put_bool(w, "off", view->off);
    admin_put_moment(w, "off_since", view->off_since_ms);
    admin_put_number(w, "window_ms", view->window_ms);
    admin_put_number(w, "requests", s->requests);
    admin_put_number(w, "unknown", s->unknown);
    admin_put_money(w, "baseline_cost_usd", s->baseline.pico);
    admin_put_money(w, "cost_usd", s->cost.pico);
    admin_put_money(w, "retry_cost_usd", s->retry_cost.pico);
    admin_put_money(w, "classifier_cost_usd", s->classifier_cost.pico);
    admin_put_money(w, "net_saving_usd", ledger_saving_net(s).pico);
    json_object_end(w);
}

// `events`: as the store gave them, newest first.
static void answer(struct http_request *request, struct admin *a, struct slice events) {
    struct buffer out = {0};
    struct json_writer w;
    json_write_start(&w, &out);
    json_object_begin(&w);
    admin_array_begin(&w, "routes");
    ledger_routes_visit(a->sources.ledger, put_route, &w);
    json_array_end(&w);
    json_key(&w, SLICE("events"));
    json_put_raw(&w, events);
    json_object_end(&w);
    admin_reply_json(request, &out);
}

struct asked {
    struct admin *admin;
};

// The table is missing where the ledger has no store, and the routes are there all the same.
static void show(struct http_request *request, void *arg, enum store_status status,
                 struct slice rows) {
    const struct asked *asked = arg;
    answer(request, asked->admin, status == STORE_OK ? rows : SLICE("[]"));
}

void serve_routes(struct admin *a, struct http_request *request) {
    if (!admin_read_params(request, NULL, 0))
        return;
    if (a->sources.store == NULL) {
        answer(request, a, SLICE("[]"));
        return;
    }
    struct asked *asked = base_alloc(sizeof *asked);
    asked->admin = a;
    ledger_routes_publish(a->sources.ledger); // so that what it switches is among the events
    later_query(a, request,
                "SELECT at, route, event, requests, net_saving_usd, window_ms FROM route_events "
                "ORDER BY rowid DESC LIMIT 100",
                NULL, 0, show, asked);
}

// In /status: those that are off.
static void put_off(void *arg, const struct ledger_route_view *view) {
    if (view->off)
        json_put_string(arg, view->route);
}

void put_routes_off(struct json_writer *w, struct admin *a) {
    admin_array_begin(w, "routes_off");
    ledger_routes_visit(a->sources.ledger, put_off, w);
    json_array_end(w);
}
