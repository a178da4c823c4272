// How /savings is told. Amounts are exact decimals as strings, shares are numbers of four
// places; what is not known is null.
#include <stdio.h>

#include "savings.h"

// Of one, in ten-thousandths; nothing where there is no whole.
static void put_share(struct json_writer *w, const char *name, int64_t part, int64_t whole) {
    char text[32];
    json_key(w, slice_of(name));
    if (whole <= 0) {
        json_put_null(w);
        return;
    }
    __int128 scaled = (__int128)part * 10000;
    int64_t share = (int64_t)((scaled + (scaled < 0 ? -whole : whole) / 2) / whole);
    int64_t size = share < 0 ? -share : share;
    int n = snprintf(text, sizeof text, "%s%lld.%04lld", share < 0 ? "-" : "",
                     (long long)(size / 10000), (long long)(size % 10000));
    json_put_raw(w, slice_make(text, (size_t)n));
}

static void put_judged(struct json_writer *w, const struct saving_judged *j) {
    admin_put_number(w, "requests", j->requests);
    admin_put_number(w, "judged", j->judged);
    admin_put_number(w, "good", j->good);
    put_share(w, "good_share", j->good, j->judged);
}

static void put_named(struct json_writer *w, const char *name, struct slice value,
                      const struct saving_judged *j) {
    json_object_begin(w);
    admin_put_text(w, name, value);
    put_judged(w, j);
}

static void put_tiers(struct json_writer *w, const struct saving_route *r) {
    admin_array_begin(w, "tiers");
    for (size_t i = 0; i < r->tier_count; i++) {
        const struct saving_tier *t = &r->tiers[i];
        put_named(w, "tier", t->name, &t->chosen);
        admin_put_number(w, "answered", t->answered.requests);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_arms(struct json_writer *w, const struct saving_route *r) {
    const struct saving_judged rest = {r->all.requests - r->canary.requests,
                                       r->all.judged - r->canary.judged,
                                       r->all.good - r->canary.good};
    admin_array_begin(w, "arms");
    if (r->canary.requests > 0) {
        put_named(w, "arm", SLICE(LEDGER_CANARY), &r->canary);
        json_object_end(w);
        put_named(w, "arm", SLICE("rest"), &rest);
        json_object_end(w);
    }
    json_array_end(w);
}

static void put_shadows(struct json_writer *w, const struct saving_route *r) {
    admin_array_begin(w, "shadows");
    for (size_t i = 0; i < r->tier_count; i++) {
        const struct saving_tier *t = &r->tiers[i];
        if (t->shadow.requests == 0)
            continue;
        put_named(w, "tier", t->name, &t->shadow);
        admin_put_money(w, "cost_usd", t->shadow_cost.pico);
        json_object_end(w);
    }
    json_array_end(w);
}

// ------------------------------------------------------------------------ points

static const struct saving_tier *find_tier(const struct saving_route *r,
                                           const struct config_tier *tier) {
    for (size_t i = 0; tier != NULL && i < r->tier_count; i++)
        if (slice_equal(r->tiers[i].name, tier->name))
            return &r->tiers[i];
    return NULL;
}

// One policy: what it costs and how many answers are good. cost NULL: not known.
static void put_point(struct json_writer *w, const struct saving_route *r, const char *policy,
                      const struct money *cost, const struct saving_judged *j, const char *from) {
    json_object_begin(w);
    admin_put_text(w, "policy", slice_of(policy));
    if (cost != NULL)
        admin_put_money(w, "cost_usd", cost->pico);
    else
        admin_put_optional(w, "cost_usd", SLICE_NONE);
    put_share(w, "cost_share", cost != NULL ? cost->pico : 0,
              cost != NULL ? r->saving.baseline.pico : 0);
    put_share(w, "quality", j != NULL ? j->good : 0, j != NULL ? j->judged : 0);
    admin_put_optional(w, "quality_from",
                       j != NULL && j->judged > 0 ? slice_of(from) : SLICE_NONE);
    json_object_end(w);
}

// Shadows are a fair sample of all requests; what gates said is of those that came there.
static void put_end(struct json_writer *w, const struct saving_route *r, const char *policy,
                    const struct money *cost, const struct saving_tier *tier,
                    const struct saving_judged *by_gates) {
    bool by_shadows = tier != NULL && tier->shadow.judged > 0;
    put_point(w, r, policy, cost, by_shadows ? &tier->shadow : by_gates,
              by_shadows ? "shadows" : "gates");
}

static void put_points(struct json_writer *w, const struct saving_route *r) {
    const struct saving_tier *first = find_tier(r, r->first), *last = find_tier(r, r->last);
    struct money routed = money_add(r->saving.cost, r->saving.classifier_cost);
    admin_array_begin(w, "points");
    put_end(w, r, "always_small", r->small_known ? &r->small_cost : NULL, first,
            first != NULL ? &first->chosen : NULL);
    put_point(w, r, "routed", &routed, &r->all, "gates");
    put_end(w, r, "always_large", &r->saving.baseline, last,
            last != NULL ? &last->answered : NULL);
    json_array_end(w);
}

// ------------------------------------------------------------------------ routes

static void put_amounts(struct json_writer *w, const struct saving_route *r) {
    const struct ledger_saving *s = &r->saving;
    struct money net = ledger_saving_net(s);
    admin_put_money(w, "cost_usd", s->cost.pico);
    admin_put_money(w, "retry_cost_usd", s->retry_cost.pico);
    admin_put_money(w, "classifier_cost_usd", s->classifier_cost.pico);
    admin_put_money(w, "always_large_usd", s->baseline.pico);
    if (r->small_known)
        admin_put_money(w, "always_small_usd", r->small_cost.pico);
    else
        admin_put_optional(w, "always_small_usd", SLICE_NONE);
    admin_put_money(w, "net_saving_usd", net.pico);
    put_share(w, "net_saving_share", net.pico, s->baseline.pico);
}

static void put_route(struct json_writer *w, const struct saving_route *r) {
    json_object_begin(w);
    admin_put_optional(w, "route", r->name);
    admin_put_bool(w, "configured", r->route != NULL);
    admin_put_number(w, "requests", r->saving.requests);
    admin_put_number(w, "unknown", r->saving.unknown);
    admin_put_number(w, "while_off", r->while_off);
    put_amounts(w, r);
    admin_put_number(w, "escalated", r->escalated);
    put_share(w, "escalated_share", r->escalated, r->saving.requests);
    admin_put_number(w, "retries", r->retries);
    put_share(w, "quality", r->all.good, r->all.judged);
    put_tiers(w, r);
    put_arms(w, r);
    put_shadows(w, r);
    put_points(w, r);
    json_object_end(w);
}

void saving_page_write(struct json_writer *w, const struct saving_page *page) {
    json_object_begin(w);
    admin_put_number(w, "window_ms", page->window_ms);
    if (page->truncated)
        admin_put_text(w, "since", page->oldest);
    else
        admin_put_moment(w, "since", page->since_ms);
    admin_put_bool(w, "truncated", page->truncated);
    admin_array_begin(w, "routes");
    for (const struct saving_route *r = page->routes; r != NULL; r = r->next)
        put_route(w, r);
    json_array_end(w);
    json_object_end(w);
}
