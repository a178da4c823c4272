// What the limits show: for header fields and for the operator.
#include "limits_room.h"

static struct limits_rate_view rate_view(struct rate *r, int64_t limit, uint64_t now_us) {
    if (limit <= 0)
        return (struct limits_rate_view){.limit = CONFIG_UNSET};
    return (struct limits_rate_view){.limit = limit,
                                     .remaining = rate_remaining(r, limit, now_us),
                                     .reset_ms = rate_reset_ms(r, limit, now_us),
                                     .next_ms = rate_wait_ms(r, limit, 1, now_us)};
}

// On its own an instance shows what it goes by; the figure is what the file says.
static struct limits_rate_view rate_of(struct limits_tenant *t, enum limits_kind kind,
                                       uint64_t now_us) {
    bool requests = kind == LIMITS_REQUESTS;
    int64_t figure = requests ? t->figures.requests_per_minute : t->figures.tokens_per_minute;
    struct limits_share *s = t->share;
    if (s == NULL || !s->alone || figure <= 0)
        return rate_view(requests ? &t->requests : &t->tokens, figure, now_us);
    struct limits_rate_view view =
        rate_view(&s->rates[kind].alone, limits_share_even(s, figure), now_us);
    view.limit = figure;
    return view;
}

static void view_tenant(struct limits_tenant *t, struct limits_view *out) {
    uint64_t now_us = clock_mono_us();
    pthread_mutex_lock(&t->lock);
    const struct config_limits *f = &t->figures;
    *out = (struct limits_view){.name = t->name,
                                .requests = rate_of(t, LIMITS_REQUESTS, now_us),
                                .tokens = rate_of(t, LIMITS_TOKENS, now_us),
                                .concurrency = f->concurrency > 0 ? f->concurrency : CONFIG_UNSET,
                                .running = t->running,
                                .queue = f->queue > 0 ? f->queue : 0,
                                .queued = t->queue.count,
                                .hold_ms = t->hold_us / 1000};
    pthread_mutex_unlock(&t->lock);
}

void limits_view_ticket(const struct limits_ticket *t, struct limits_view *out) {
    if (t->tenant != NULL && atomic_load_explicit(&t->tenant->limited, memory_order_relaxed))
        view_tenant(t->tenant, out);
    else
        *out = (struct limits_view){.requests.limit = CONFIG_UNSET,
                                    .tokens.limit = CONFIG_UNSET,
                                    .concurrency = CONFIG_UNSET};
}

void limits_visit(struct limits *l, limits_visitor *visit, void *arg) {
    pthread_mutex_lock(&l->lock);
    struct limits_tenant *t = l->tenants; // what is there stays, and so do its links
    pthread_mutex_unlock(&l->lock);
    for (; t != NULL; t = t->next) {
        struct limits_view view;
        view_tenant(t, &view);
        visit(arg, &view);
    }
}
