// What the places show: for the operator and for a scrape.
#include "attempt.h"

static struct slot *first_slot(struct upstream_shared *s) {
    pthread_mutex_lock(&s->lock);
    struct slot *first = s->slots; // what is there stays, and so do its links
    pthread_mutex_unlock(&s->lock);
    return first;
}

int64_t upstream_inflight(struct upstream_shared *s, struct slice target_name) {
    pthread_mutex_lock(&s->lock);
    struct slot *slot = table_get(s->slots_by_name, target_name);
    pthread_mutex_unlock(&s->lock);
    return slot != NULL ? atomic_load(&slot->inflight) : 0;
}

void upstream_places(struct upstream_shared *s, upstream_places_visitor *visit, void *arg) {
    for (struct slot *slot = first_slot(s); slot != NULL; slot = slot->next) {
        struct upstream_places_view view = {
            .name = slot->name,
            .inflight = atomic_load(&slot->inflight),
            .limit = atomic_load(&slot->limit),
            .waiting = atomic_load(&slot->waiting),
            .adaptive = atomic_load(&slot->setting) & 1,
        };
        visit(arg, &view);
    }
}

static const struct metric_family inflight_family = {
    "farthing_provider_inflight", "Requests in flight to a provider.", METRIC_GAUGE, {"provider"},
    NULL, 0, 0, 0};
static const struct metric_family limit_family = {
    "farthing_provider_inflight_limit",
    "How many requests may be in flight to a provider now; 0: no limit.", METRIC_GAUGE,
    {"provider"}, NULL, 0, 0, 0};
static const struct metric_family queue_family = {
    "farthing_provider_queue_depth", "Requests that wait for a place at a provider.", METRIC_GAUGE,
    {"provider"}, NULL, 0, 0, 0};

static void publish(void *arg, const struct upstream_places_view *view) {
    (void)arg;
    metric_set(metric_series(&inflight_family, &view->name), view->inflight);
    metric_set(metric_series(&limit_family, &view->name), view->limit);
    metric_set(metric_series(&queue_family, &view->name), view->waiting);
}

void upstream_publish(struct upstream_shared *s) {
    metric_declare(&inflight_family);
    metric_declare(&limit_family);
    metric_declare(&queue_family);
    upstream_places(s, publish, NULL);
}
