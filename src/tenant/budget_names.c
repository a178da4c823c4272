// Budgets by name: what the file says of them. They are kept for as long as the
// process, since a tenant that is taken out of the file and put back has not
// become richer. A budget that is `per` something else is another one.
#include "budget_room.h"
#include "zone.h"

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
static const struct metric_family remaining_family = {
    "farthing_budget_remaining_usd",
    "What is left in the budget's window; of a budget per value, the least.",
    METRIC_GAUGE,
    {"tenant", "budget"},
    NULL,
    0,
    0,
    12};
const struct metric_family budget_unconfirmed_family = {
    "farthing_budget_unconfirmed_total",
    "Grants that did not wait for a store that is slow or away.",
    METRIC_COUNTER,
    {0},
    NULL,
    0,
    0,
    0};

void budget_metrics_declare(void) {
    metric_declare(&rejections_family);
    metric_declare(&overruns_family);
    metric_declare(&remaining_family);
    metric_declare(&budget_warnings_family);
    metric_add(metric_plain(&budget_unconfirmed_family), 0);
}

// ---------------------------------------------------------------------- tenants

static struct budget_tenant *tenant_new(struct budgets *b, struct slice name) {
    struct budget_tenant *t = base_calloc_lines(sizeof *t);
    base_lock_init(&t->lock);
    t->budgets = b;
    t->name = arena_copy(b->names, name);
    t->next = b->tenants;
    b->tenants = t;
    table_put(b->by_name, name, t);
    return t;
}

struct budget_tenant *budget_tenant_lookup(struct budgets *b, struct slice name) {
    pthread_mutex_lock(&b->lock);
    struct budget_tenant *t = table_get(b->by_name, name);
    pthread_mutex_unlock(&b->lock);
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

struct budget_tenant *budget_tenant_known(struct budgets_loop *l, struct slice name) {
    struct budget_tenant *t = table_get(l->known, name);
    if (t == NULL) {
        t = budget_tenant_find(l->budgets, name);
        table_put(l->known, name, t);
    }
    return t;
}

struct budget_tenant *budget_tenant_first(struct budgets *b) {
    pthread_mutex_lock(&b->lock);
    struct budget_tenant *t = b->tenants; // what is there stays, and so do its links
    pthread_mutex_unlock(&b->lock);
    return t;
}

static struct slice keep_name(struct budgets *b, struct slice name) {
    pthread_mutex_lock(&b->lock);
    struct slice kept = arena_copy(b->names, name);
    pthread_mutex_unlock(&b->lock);
    return kept;
}

// ---------------------------------------------------------------------- budgets

static const char *const per_names[] = {"", "feature", "user", "run", "key", "run_cost"};

struct slice budget_per_name(int per) {
    return slice_of(per_names[per]);
}

bool budget_per_parse(struct slice text, int *out) {
    for (size_t i = 0; i < FARTHING_COUNT(per_names); i++)
        if (slice_equal(text, slice_of(per_names[i]))) {
            *out = (int)i;
            return true;
        }
    return false;
}

// `name` lives as long as the budgets.
static struct budget *budget_new(struct budget_tenant *t, struct slice name, int per) {
    struct budget *b = base_calloc(1, sizeof *b);
    struct slice labels[] = {t->name, name};
    b->tenant = t;
    b->name = name;
    b->per = per;
    b->shape.length_ms = CONFIG_UNSET;
    b->by_value = per != CONFIG_PER_ALL ? table_new() : NULL;
    b->rejections = metric_series(&rejections_family, labels);
    b->overruns = metric_series(&overruns_family, labels);
    if (per != PER_RUN_COST) // runs come and go
        b->remaining = metric_series(&remaining_family, labels);
    return b;
}

static void append_budget(struct budget_tenant *t, struct budget *b) {
    *(t->last != NULL ? &t->last->next : &t->first) = b;
    t->last = b;
    t->budget_count++;
}

// A loop makes it for its first run.
struct budget *budget_of_runs(struct budget_tenant *t) {
    if (t->run == NULL) {
        struct budget *b = budget_new(t, SLICE("run"), PER_RUN_COST);
        b->shape = (struct window_shape){0};
        b->configured = true;
        append_budget(t, b);
        t->run = b;
    }
    return t->run;
}

static struct budget *lookup(struct budget_tenant *t, struct slice name, int per) {
    pthread_mutex_lock(&t->lock); // a loop may be adding that of its runs
    struct budget *b = t->first;
    while (b != NULL && (b->per != per || !slice_equal(b->name, name)))
        b = b->next;
    if (b == NULL && per == PER_RUN_COST)
        b = budget_of_runs(t);
    pthread_mutex_unlock(&t->lock);
    return b;
}

struct budget *budget_find(struct budget_tenant *t, struct slice name, int per) {
    struct budget *b = lookup(t, name, per);
    if (b != NULL)
        return b;
    b = budget_new(t, keep_name(t->budgets, name), per);
    pthread_mutex_lock(&t->lock);
    append_budget(t, b);
    pthread_mutex_unlock(&t->lock);
    return b;
}

// ----------------------------------------------------------------------- zones

// Each is read once; one that cannot be read is UTC.
static const struct zone *zone_of(struct budgets *b, struct slice name) {
    if (name.len == 0)
        return NULL;
    for (struct budget_zone *z = b->zones; z != NULL; z = z->next)
        if (slice_equal(z->name, name))
            return z->zone;
    struct error err;
    struct zone *zone = zone_load(name, &err);
    if (zone == NULL) {
        log_write(LOG_ERROR, "budgets: timezone %.*s: %s; UTC is used", SLICE_ARG(name), err.text);
        return NULL; // tried again with the next reload
    }
    struct budget_zone *z = base_calloc(1, sizeof *z);
    *z = (struct budget_zone){.next = b->zones, .name = keep_name(b, name), .zone = zone};
    b->zones = z;
    return zone;
}

// --------------------------------------------------------------- configuration

static bool set_warnings(struct budget *b, const struct config_budget *from) {
    uint8_t levels[WARNINGS_MAX] = {0};
    unsigned count = 0;
    for (size_t i = 0; i < from->warn_at_count && count < WARNINGS_MAX; i++)
        if (from->warn_at_percent[i] >= 1 && from->warn_at_percent[i] <= 100)
            levels[count++] = (uint8_t)from->warn_at_percent[i];
    bool changed = count != b->warn_count || memcmp(levels, b->warn_at, sizeof levels) != 0;
    b->warn_count = count;
    memcpy(b->warn_at, levels, sizeof levels);
    return changed;
}

// The lease was of more than there is now.
static void lower_lease(struct budget_counter *c) {
    if (!c->budget->tenant->budgets->share.on || c->now == NULL)
        return;
    if (c->now->confirmed > span_used(c->now))
        c->now->confirmed = span_used(c->now);
    c->share.outdated = true;
}

static void configure_counters(struct budget *b, bool mute, int64_t now_ms,
                               struct budget_rows *rows) {
    if (b->by_value == NULL)
        (void)budget_counter_make(b, SLICE_NONE, now_ms);
    for (size_t i = 0; i < b->count; i++) {
        struct budget_counter *c = b->slots[i];
        bool recovered = c->now == NULL;
        if (c->amount > b->amount)
            lower_lease(c);
        c->amount = b->amount;
        counter_set_shape(c, &b->shape, now_ms);
        if (mute || recovered)
            budget_mute_warnings(c, now_ms);
        if (c->dirty)
            budget_rows_note_dirty(rows, c);
    }
}

static void configure_budget(struct budget_tenant *t, const struct config_budget *from,
                             int64_t now_ms) {
    struct budgets *all = t->budgets;
    struct budget *b = budget_find(t, from->name, (int)from->per);
    // Only this thread changes them.
    struct slice feature =
        slice_equal(b->feature, from->feature) ? b->feature : keep_name(all, from->feature);
    struct slice user = slice_equal(b->user, from->user) ? b->user : keep_name(all, from->user);
    struct slice zone =
        slice_equal(b->zone, from->timezone) ? b->zone : keep_name(all, from->timezone);
    const struct window_shape shape = {
        .length_ms = from->window_ms,
        .sliding = from->sliding && from->window_ms > 0,
        .zone = from->sliding || from->window_ms <= 0 ? NULL : zone_of(all, from->timezone),
    };
    struct budget_rows rows;
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    b->feature = feature;
    b->feature_exact = from->feature_exact;
    b->user = user;
    b->amount = from->amount > 0 ? from->amount : 0;
    b->shape = shape;
    b->zone = zone;
    b->configured = true;
    configure_counters(b, set_warnings(b, from), now_ms, &rows);
    pthread_mutex_unlock(&t->lock);
    budget_rows_append(all, &rows);
}

static bool is_configured(const struct config_tenant *tenant, const struct budget *b) {
    if (b->per == PER_RUN_COST)
        return true; // the ask says whether
    for (size_t i = 0; tenant != NULL && i < tenant->budget_count; i++)
        if (slice_equal(tenant->budgets[i].name, b->name) && (int)tenant->budgets[i].per == b->per)
            return true;
    return false;
}

static void forget_missing(struct budget_tenant *t, const struct config_tenant *tenant) {
    pthread_mutex_lock(&t->lock);
    for (struct budget *b = t->first; b != NULL; b = b->next)
        if (!is_configured(tenant, b))
            b->configured = false;
    pthread_mutex_unlock(&t->lock);
}

// Runs from the store get their shape here; their amount comes with the next ask.
static void configure_runs(struct budget_tenant *t, int64_t now_ms) {
    struct budget_rows rows;
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; t->run != NULL && i < t->run->count; i++)
        counter_set_shape(t->run->slots[i], &t->run->shape, now_ms);
    pthread_mutex_unlock(&t->lock);
    budget_rows_append(t->budgets, &rows);
}

void budgets_configure(struct budgets *b, const struct config *config) {
    int64_t now_ms = budgets_now_ms(b);
    atomic_store(&b->share.open, config->store.on_failure.budgets_open);
    // What is late here is refused, where a cache would have bought: it may take longer.
    if (b->share.on && config->store.redis.command_timeout_ms > BUDGET_CONFIRM_MS)
        atomic_store(&b->share.timeout_ms, config->store.redis.command_timeout_ms);
    for (size_t i = 0; i < config->tenant_count; i++) {
        const struct config_tenant *tenant = &config->tenants[i];
        struct budget_tenant *t = budget_tenant_find(b, tenant->name);
        for (size_t k = 0; k < tenant->budget_count; k++)
            configure_budget(t, &tenant->budgets[k], now_ms);
        configure_runs(t, now_ms);
    }
    for (struct budget_tenant *t = budget_tenant_first(b); t != NULL; t = t->next)
        forget_missing(t, config_tenant_find(config, t->name));
}
