// Budgets by name: what the file says of them, and how long they live. Counters
// are kept for as long as the process, since a tenant that is taken out of the
// file and put back has not become richer.
#include <stdlib.h>

#include "budget_room.h"

static const struct metric_family rejections_family = {"farthing_budget_rejections_total",
                                                       "Reservations that a budget could not bear.",
                                                       METRIC_COUNTER,
                                                       {"tenant", "budget"},
                                                       NULL,
                                                       0,
                                                       0,
                                                       0};
static const struct metric_family overruns_family = {"farthing_budget_overrun_usd_total",
                                                     "Spent above what was reserved for it.",
                                                     METRIC_COUNTER,
                                                     {"tenant", "budget"},
                                                     NULL,
                                                     0,
                                                     0,
                                                     12};
static const struct metric_family remaining_family = {"farthing_budget_remaining_usd",
                                                      "What is left in the budget's window.",
                                                      METRIC_GAUGE,
                                                      {"tenant", "budget"},
                                                      NULL,
                                                      0,
                                                      0,
                                                      12};
const struct metric_family budget_unconfirmed_family = {
    "farthing_budget_unconfirmed_total",
    "Grants that did not wait for a store that is slow.",
    METRIC_COUNTER,
    {0},
    NULL,
    0,
    0,
    0};

// -------------------------------------------------------------------- by name

static struct budget_tenant *tenant_new(struct budgets *b, struct slice name) {
    struct budget_tenant *t = aligned_alloc(CACHE_LINE, sizeof *t);
    if (t == NULL)
        abort();
    *t = (struct budget_tenant){.budgets = b, .name = arena_copy(b->names, name)};
    lock_init(&t->lock);
    t->next = b->tenants;
    b->tenants = t;
    table_put(b->by_name, name, t);
    return t;
}

struct budget_tenant *budget_tenant_find(struct budgets *b, struct slice name) {
    pthread_mutex_lock(&b->lock);
    struct budget_tenant *t = table_get(b->by_name, name);
    if (t == NULL)
        t = tenant_new(b, name);
    pthread_mutex_unlock(&b->lock);
    return t;
}

static struct slice keep_name(struct budgets *b, struct slice name) {
    pthread_mutex_lock(&b->lock);
    struct slice kept = arena_copy(b->names, name);
    pthread_mutex_unlock(&b->lock);
    return kept;
}

static struct budget_counter *counter_new(struct budget_tenant *t, struct slice name) {
    struct budget_counter *c = base_calloc(1, sizeof *c);
    struct slice labels[] = {t->name, name};
    c->tenant = t;
    c->name = keep_name(t->budgets, name);
    c->length_ms = CONFIG_UNSET;
    c->rejections = metric_series(&rejections_family, labels);
    c->overruns = metric_series(&overruns_family, labels);
    c->remaining = metric_series(&remaining_family, labels);
    return c;
}

struct budget_counter *budget_counter_find(struct budget_tenant *t, struct slice name) {
    struct budget_counter **at = &t->counters; // only added to, and by one thread
    while (*at != NULL && !slice_equal((*at)->name, name))
        at = &(*at)->next;
    if (*at != NULL)
        return *at;
    struct budget_counter *c = counter_new(t, name);
    pthread_mutex_lock(&t->lock);
    *at = c;
    pthread_mutex_unlock(&t->lock);
    return c;
}

// --------------------------------------------------------------- configuration

static void configure_budget(struct budget_tenant *t, const struct config_budget *budget,
                             int64_t now_ms) {
    struct budget_counter *c = budget_counter_find(t, budget->name);
    struct slice feature = slice_equal(c->feature, budget->feature)
                               ? c->feature
                               : keep_name(t->budgets, budget->feature);
    pthread_mutex_lock(&t->lock);
    c->feature = feature;
    c->amount = budget->amount > 0 ? budget->amount : 0;
    c->configured = true;
    counter_set_length(c, budget->window_ms, now_ms);
    pthread_mutex_unlock(&t->lock);
}

static bool is_configured(const struct config_tenant *tenant, struct slice budget) {
    for (size_t i = 0; tenant != NULL && i < tenant->budget_count; i++)
        if (slice_equal(tenant->budgets[i].name, budget))
            return true;
    return false;
}

static void forget_missing(struct budget_tenant *t, const struct config_tenant *tenant) {
    pthread_mutex_lock(&t->lock);
    for (struct budget_counter *c = t->counters; c != NULL; c = c->next)
        if (!is_configured(tenant, c->name))
            c->configured = false;
    pthread_mutex_unlock(&t->lock);
}

static struct budget_tenant *first_tenant(struct budgets *b) {
    pthread_mutex_lock(&b->lock);
    struct budget_tenant *t = b->tenants; // what is there stays, and so do its links
    pthread_mutex_unlock(&b->lock);
    return t;
}

void budgets_configure(struct budgets *b, const struct config *config) {
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < config->tenant_count; i++) {
        const struct config_tenant *tenant = &config->tenants[i];
        struct budget_tenant *t = budget_tenant_find(b, tenant->name);
        for (size_t k = 0; k < tenant->budget_count; k++)
            configure_budget(t, &tenant->budgets[k], now_ms);
    }
    for (struct budget_tenant *t = first_tenant(b); t != NULL; t = t->next)
        forget_missing(t, config_tenant_find(config, t->name));
}

// -------------------------------------------------------------------- lifetime

struct budgets *budgets_open(struct store *store, struct error *err) {
    struct budgets *b = base_calloc(1, sizeof *b);
    lock_init(&b->lock);
    b->by_name = table_new();
    b->names = arena_new(4096);
    b->store = store;
    metric_declare(&rejections_family);
    metric_declare(&overruns_family);
    metric_declare(&remaining_family);
    metric_add(metric_plain(&budget_unconfirmed_family), 0);
    if (store == NULL || budget_recover(b, err))
        return b;
    b->journal = NULL; // nothing to write
    budgets_close(b);
    return NULL;
}

static void tenant_free(struct budget_tenant *t) {
    for (struct budget_counter *c = t->counters, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void budgets_close(struct budgets *b) {
    if (b == NULL)
        return;
    budget_rows_write_all(b, true);
    for (struct budget_tenant *t = b->tenants, *next; t != NULL; t = next) {
        next = t->next;
        tenant_free(t);
    }
    table_free(b->by_name);
    arena_free(b->names);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

// ----------------------------------------------------------------------- loops

struct budgets_loop *budgets_loop_new(struct budgets *b, struct event_base *loop,
                                      struct store_client *client) {
    struct budgets_loop *l = base_calloc(1, sizeof *l);
    l->budgets = b;
    l->client = client;
    l->known = table_new();
    waits_open(&l->waits, loop, budget_on_due);
    return l;
}

void budgets_loop_free(struct budgets_loop *l) {
    if (l == NULL)
        return;
    budget_confirmations_cancel(l);
    waits_close(&l->waits);
    table_free(l->known);
    free(l);
}

void budgets_loop_run_due(struct budgets_loop *l, uint64_t now_ms) {
    waits_run_due(&l->waits, now_ms);
}

struct budget_tenant *budget_tenant_known(struct budgets_loop *l, struct slice name) {
    struct budget_tenant *t = table_get(l->known, name);
    if (t == NULL) {
        t = budget_tenant_find(l->budgets, name);
        table_put(l->known, name, t);
    }
    return t;
}

// --------------------------------------------------------------------- figures

// Copies of a tenant's figures, made under its lock: nobody is called with it.
static struct budget_view *copy_views(struct budget_tenant *t, size_t *count) {
    int64_t now_ms = clock_wall_ms();
    struct buffer views = {0};
    *count = 0;
    pthread_mutex_lock(&t->lock);
    for (struct budget_counter *c = t->counters; c != NULL; c = c->next) {
        struct budget_view view;
        if (c->configured)
            counter_turn(c, now_ms);
        if (c->now == NULL)
            continue; // from the store, and no longer in the file
        counter_view(c, &view);
        buffer_append(&views, slice_make(&view, sizeof view));
        ++*count;
        if (c->configured)
            metric_set(c->remaining, view.remaining);
    }
    pthread_mutex_unlock(&t->lock);
    return (struct budget_view *)(void *)views.ptr;
}

void budgets_visit(struct budgets *b, budget_visitor *visit, void *arg) {
    for (struct budget_tenant *t = first_tenant(b); t != NULL; t = t->next) {
        size_t count;
        struct budget_view *views = copy_views(t, &count);
        for (size_t i = 0; i < count; i++)
            visit(arg, &views[i]);
        free(views);
    }
}

static void show_nobody(void *arg, const struct budget_view *view) {
    (void)arg, (void)view;
}

void budgets_publish(struct budgets *b) {
    budgets_visit(b, show_nobody, NULL);
}
