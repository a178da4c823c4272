// Sliding windows of what routing saved, one for each route, fed by the rows as they are
// written, and the switch that they throw: a route that loses money is off.
//
// A window is cut into stretches of time. Whole stretches leave it, so it is up to one
// stretch shorter than it says. Rows count by their own time, so that what a restart
// reads from the table is what was counted before.
#include "savings.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    STRETCHES = 60,
    WINDOW_DEFAULT_MS = 24 * 60 * 60 * 1000, // of requests that no route matched
};

static const struct metric_family net_family = {
    "farthing_route_net_saving_usd",
    "What a route's routing saved within its savings_window, less what it cost; may be negative.",
    METRIC_GAUGE, {"route"}, NULL, 0, 0, 12};
static const struct metric_family disabled_family = {
    "farthing_route_routing_disabled", "1: auto_disable has switched the route's routing off.",
    METRIC_GAUGE, {"route"}, NULL, 0, 0, 0};

struct stretch {
    int64_t number; // Unix time / width
    struct ledger_saving saving;
};

// Of one name; lives until the end, also when the file has it no more.
struct savings_route {
    struct slice name;
    atomic_bool off;
    pthread_mutex_t lock; // what follows
    bool configured, auto_disable;
    bool was_used; // it is among the gauges, also when its window is empty again
    int64_t window_ms, off_since_ms;
    int64_t newest; // the stretch of now: `sum` is of those up to it
    struct ledger_saving sum;
    struct stretch stretches[STRETCHES]; // at number % STRETCHES
};

// Replaced as a whole when a route is new; loops may be reading the older ones, which are
// kept until the end: a reload seldom brings a new name.
struct savings_map {
    struct table *by_name;
    struct savings_route **routes; // in the order of the file, those that came later after them
    size_t count;
    struct savings_map *older;
};

struct savings {
    _Atomic(struct savings_map *) map;
    atomic_int off_count; // of routes: usually none, and nothing is looked up
    struct store_journal *events;
    bool was_read;
};

// ---------------------------------------------------------------------- amounts

struct money ledger_saving_net(const struct ledger_saving *s) {
    return money_sub(money_sub(s->baseline, s->cost), s->classifier_cost);
}

static void add(struct ledger_saving *to, const struct ledger_saving *more) {
    to->requests += more->requests;
    to->unknown += more->unknown;
    to->baseline = money_add(to->baseline, more->baseline);
    to->cost = money_add(to->cost, more->cost);
    to->retry_cost = money_add(to->retry_cost, more->retry_cost);
    to->classifier_cost = money_add(to->classifier_cost, more->classifier_cost);
}

// False: the row says nothing of routing. As LEDGER_SQL_COMPARED and savings_read.
static bool saving_of(const struct cost_row *row, struct ledger_saving *out) {
    *out = (struct ledger_saving){0};
    if (slice_equal(row->tenant_id, SLICE(LEDGER_OWN_TENANT))) {
        out->classifier_cost = row->cost_known ? row->cost : MONEY_ZERO;
        return slice_equal(row->feature, SLICE(LEDGER_EMBEDDINGS));
    }
    bool chosen =
        row->classifier_rule.len > 0 || slice_equal(row->experiment, SLICE(LEDGER_CANARY));
    if (!chosen || slice_equal(row->classifier_rule, SLICE(LEDGER_RULE_OFF)))
        return false;
    out->requests = 1;
    if (!row->cost_known || (!row->baseline_known && row->cost.pico != row->retry_cost.pico)) {
        out->unknown = 1;
        return true;
    }
    out->baseline = row->baseline_known ? row->baseline_cost : MONEY_ZERO;
    out->cost = row->cost;
    out->retry_cost = row->retry_cost;
    return true;
}

// ---------------------------------------------------------------------- windows

static int64_t width_of(int64_t window_ms) {
    return (window_ms + STRETCHES - 1) / STRETCHES;
}

static bool is_in_window(const struct savings_route *r, int64_t number) {
    return number > r->newest - STRETCHES && number <= r->newest;
}

// Under the route's lock, as all that follow here. A clock that is set back takes its
// stretches out of the window again.
static void move_on(struct savings_route *r) {
    int64_t newest = clock_wall_ms() / width_of(r->window_ms);
    if (newest == r->newest)
        return;
    r->newest = newest;
    r->sum = (struct ledger_saving){0};
    for (size_t i = 0; i < STRETCHES; i++)
        if (is_in_window(r, r->stretches[i].number))
            add(&r->sum, &r->stretches[i].saving);
}

static void put(struct savings_route *r, int64_t number, const struct ledger_saving *saving) {
    if (number > r->newest)
        number = r->newest;
    if (!is_in_window(r, number) || number < 0)
        return;
    struct stretch *s = &r->stretches[number % STRETCHES];
    if (s->number != number)
        *s = (struct stretch){.number = number};
    add(&s->saving, saving);
    add(&r->sum, saving);
    r->was_used = r->was_used || saving->requests > 0;
}

// What was counted goes to the stretches of the new width that its middle falls into.
static void set_window(struct savings_route *r, int64_t window_ms) {
    struct stretch old[STRETCHES];
    int64_t old_width = width_of(r->window_ms), width = width_of(window_ms);
    if (window_ms == r->window_ms)
        return;
    memcpy(old, r->stretches, sizeof old);
    memset(r->stretches, 0, sizeof r->stretches);
    r->window_ms = window_ms;
    r->newest = -1;
    move_on(r);
    for (size_t i = 0; i < STRETCHES; i++)
        put(r, (old[i].number * old_width + old_width / 2) / width, &old[i].saving);
}

// ----------------------------------------------------------------------- switch

static struct ledger_route_view view_of(const struct savings_route *r) {
    return (struct ledger_route_view){
        .route = r->name,
        .configured = r->configured,
        .auto_disable = r->auto_disable,
        .off = atomic_load(&r->off),
        .window_ms = r->window_ms,
        .off_since_ms = r->off_since_ms,
        .saving = r->sum,
    };
}

static void turn(struct savings *s, struct savings_route *r, bool off, int64_t since_ms) {
    r->off_since_ms = off ? since_ms : 0;
    atomic_store(&r->off, off);
    atomic_fetch_add(&s->off_count, off ? 1 : -1);
}

// Does it lose money, or no more? True: that has changed.
static bool decide(struct savings *s, struct savings_route *r) {
    bool loses = ledger_saving_net(&r->sum).pico < 0;
    bool enough = r->sum.requests - r->sum.unknown >= LEDGER_ROUTE_FLOOR;
    bool off = atomic_load(&r->off);
    if (off == (r->auto_disable && loses && (off || enough)))
        return false;
    turn(s, r, !off, clock_wall_ms());
    return true;
}

// Counts `saving` (NULL: nothing), moves the window on, and decides.
static void settle(struct savings *s, struct savings_route *r, int64_t ts_ms,
                   const struct ledger_saving *saving) {
    pthread_mutex_lock(&r->lock);
    move_on(r);
    if (saving != NULL)
        put(r, ts_ms / width_of(r->window_ms), saving);
    bool changed = decide(s, r);
    struct ledger_route_view view = view_of(r);
    pthread_mutex_unlock(&r->lock);
    if (changed)
        savings_event_write(s->events, &view);
}

// ----------------------------------------------------------------------- routes

static struct savings_route *find(const struct savings *s, struct slice name) {
    const struct savings_map *map = atomic_load(&s->map);
    return map != NULL ? table_get(map->by_name, name) : NULL;
}

void savings_note(struct savings *s, const struct cost_row *row) {
    struct ledger_saving saving;
    bool counts = saving_of(row, &saving);
    if (!counts && atomic_load_explicit(&s->off_count, memory_order_relaxed) == 0)
        return;
    struct savings_route *r = find(s, row->route);
    if (r != NULL)
        settle(s, r, row->ts_ms, counts ? &saving : NULL);
}

bool savings_route_is_off(const struct savings *s, struct slice route) {
    if (atomic_load_explicit(&s->off_count, memory_order_relaxed) == 0)
        return false;
    const struct savings_route *r = find(s, route);
    return r != NULL && atomic_load_explicit(&r->off, memory_order_relaxed);
}

static struct savings_route *route_new(struct slice name) {
    struct savings_route *r = base_calloc(1, sizeof *r);
    r->name = slice_make(slice_dup(name), name.len);
    r->window_ms = WINDOW_DEFAULT_MS;
    atomic_init(&r->off, false);
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

static void map_add(struct savings_map *map, struct savings_route *r) {
    map->routes = base_realloc(map->routes, (map->count + 1) * sizeof *map->routes);
    map->routes[map->count++] = r;
    (void)table_put(map->by_name, r->name, r);
}

static void add_new(struct savings_map *map, struct slice name) {
    if (table_get(map->by_name, name) == NULL)
        map_add(map, route_new(name));
}

static void map_free(struct savings_map *map) {
    table_free(map->by_name);
    free(map->routes);
    free(map);
}

static void take_names(struct savings *s, const struct config *config) {
    struct savings_map *old = atomic_load(&s->map), *map = base_calloc(1, sizeof *map);
    map->by_name = table_new();
    map->older = old;
    for (size_t i = 0; old != NULL && i < old->count; i++)
        map_add(map, old->routes[i]);
    for (size_t i = 0; i < config->route_count; i++)
        add_new(map, config->routes[i].name);
    add_new(map, SLICE(""));
    if (old != NULL && map->count == old->count)
        map_free(map);
    else
        atomic_store(&s->map, map);
}

static void configure(struct savings_route *r, const struct config *config) {
    const struct config_route *said = config_route_find(config, r->name);
    bool has_window = said != NULL && said->savings_window_ms > 0;
    pthread_mutex_lock(&r->lock);
    r->configured = said != NULL;
    r->auto_disable = said != NULL && said->auto_disable;
    set_window(r, has_window ? said->savings_window_ms : WINDOW_DEFAULT_MS);
    move_on(r);
    pthread_mutex_unlock(&r->lock);
}

// --------------------------------------------------------------------- at a start

struct reading {
    struct savings *savings;
    int64_t width_ms;
};

static void on_stretch(void *arg, struct slice name, int64_t number,
                       const struct ledger_saving *saving) {
    const struct reading *reading = arg;
    struct savings_route *r = find(reading->savings, name);
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    if (width_of(r->window_ms) == reading->width_ms)
        put(r, number, saving);
    pthread_mutex_unlock(&r->lock);
}

static void on_off(void *arg, struct slice name, int64_t at_ms) {
    struct savings *s = arg;
    struct savings_route *r = find(s, name);
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    if (!atomic_load(&r->off))
        turn(s, r, true, at_ms);
    pthread_mutex_unlock(&r->lock);
}

// Routes mostly have the same window: the table is read once for each width.
static void read_all(struct savings *s, struct store *store) {
    const struct savings_map *map = atomic_load(&s->map);
    struct table *seen = table_new();
    for (size_t i = 0; i < map->count; i++) {
        struct reading reading = {s, width_of(map->routes[i]->window_ms)};
        if (table_put(seen, slice_make(&reading.width_ms, sizeof reading.width_ms), s) != NULL)
            continue;
        int64_t first = clock_wall_ms() / reading.width_ms - STRETCHES + 1;
        savings_read(store, first * reading.width_ms, reading.width_ms, on_stretch, &reading);
    }
    table_free(seen);
    savings_events_read(store, on_off, s);
}

void savings_set_config(struct savings *s, struct store *store, const struct config *config) {
    take_names(s, config);
    const struct savings_map *map = atomic_load(&s->map);
    for (size_t i = 0; i < map->count; i++)
        configure(map->routes[i], config);
    if (!s->was_read && store != NULL) {
        s->events = savings_events_open(store);
        read_all(s, store);
    }
    s->was_read = true;
    for (size_t i = 0; i < map->count; i++)
        settle(s, map->routes[i], 0, NULL);
}

// ------------------------------------------------------------------------ shown

static struct ledger_route_view look(struct savings *s, struct savings_route *r, bool *was_used) {
    settle(s, r, 0, NULL);
    pthread_mutex_lock(&r->lock);
    struct ledger_route_view view = view_of(r);
    *was_used = r->was_used;
    pthread_mutex_unlock(&r->lock);
    return view;
}

void savings_visit(struct savings *s, void (*visit)(void *, const struct ledger_route_view *),
                   void *arg) {
    const struct savings_map *map = atomic_load(&s->map);
    for (size_t i = 0; map != NULL && i < map->count; i++) {
        bool was_used;
        struct ledger_route_view view = look(s, map->routes[i], &was_used);
        if (view.configured || view.saving.requests > 0)
            visit(arg, &view);
    }
}

// Of a route that went, the gauges stay, at what its window still holds.
void savings_publish(struct savings *s) {
    const struct savings_map *map = atomic_load(&s->map);
    for (size_t i = 0; map != NULL && i < map->count; i++) {
        bool was_used;
        struct ledger_route_view view = look(s, map->routes[i], &was_used);
        if (!view.configured && !was_used)
            continue;
        metric_set(metric_series(&net_family, &view.route),
                   ledger_saving_net(&view.saving).pico);
        metric_set(metric_series(&disabled_family, &view.route), view.off);
    }
}

void savings_declare(void) {
    metric_declare(&net_family);
    metric_declare(&disabled_family);
}

// ------------------------------------------------------------------------- life

struct savings *savings_new(void) {
    return base_calloc(1, sizeof(struct savings));
}

static void route_free(struct savings_route *r) {
    pthread_mutex_destroy(&r->lock);
    free((char *)(uintptr_t)r->name.ptr);
    free(r);
}

void savings_free(struct savings *s) {
    if (s == NULL)
        return;
    struct savings_map *map = atomic_load(&s->map);
    for (size_t i = 0; map != NULL && i < map->count; i++)
        route_free(map->routes[i]); // the newest has them all
    for (struct savings_map *older; map != NULL; map = older) {
        older = map->older;
        map_free(map);
    }
    free(s);
}
