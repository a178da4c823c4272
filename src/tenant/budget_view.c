// Figures of all budgets, copied under the lock and shown without it. Values are
// copied too, since their counters may make room.
#include "budget_room.h"

struct item {
    struct budget_view view;
    size_t value_at; // in the values
};

struct views {
    bool wanted; // false: only the metrics are
    struct buffer items, values;
};

static void add_view(struct views *views, struct budget_counter *c, int64_t now_ms,
                     config_pico *least) {
    struct item item = {.value_at = views->values.len};
    if (c->budget->configured && c->shape.length_ms != CONFIG_UNSET)
        counter_turn(c, now_ms);
    if (c->now == NULL)
        return; // from the store, and no longer in the file
    counter_view(c, now_ms, &item.view);
    if (item.view.remaining < *least)
        *least = item.view.remaining;
    if (!views->wanted)
        return;
    buffer_append(&views->values, item.view.value);
    buffer_append(&views->items, slice_make(&item, sizeof item));
}

static void show(struct views *views, budget_visitor *visit, void *arg) {
    struct item *items = (struct item *)(void *)views->items.ptr;
    for (size_t i = 0; i < views->items.len / sizeof *items; i++) {
        struct budget_view *view = &items[i].view;
        view->value = view->value.len > 0
                          ? slice_make(views->values.ptr + items[i].value_at, view->value.len)
                          : SLICE_NONE;
        visit(arg, view);
    }
    buffer_clear(&views->items);
    buffer_clear(&views->values);
}

// Nobody has come yet: all of it is left.
static void set_remaining(struct budget *b, config_pico least) {
    if (b->configured && b->remaining != NULL)
        metric_set(b->remaining, b->count > 0 ? least : b->amount);
}

// Budgets for all: in one moment.
static struct budget *view_common(struct budget_tenant *t, struct views *views) {
    int64_t now_ms = budgets_now_ms(t->budgets);
    pthread_mutex_lock(&t->lock);
    struct budget *first = t->first;
    for (struct budget *b = first; b != NULL; b = b->next) {
        config_pico least = INT64_MAX;
        if (b->by_value != NULL || b->count == 0)
            continue;
        add_view(views, b->slots[0], now_ms, &least);
        set_remaining(b, least);
    }
    pthread_mutex_unlock(&t->lock);
    return first;
}

// Counters of values: some at a time, so that requests get the lock in between.
// Where to go on; SIZE_MAX: that was all.
static size_t view_some(struct budget *b, size_t at, struct views *views, config_pico *least) {
    int64_t now_ms = budgets_now_ms(b->tenant->budgets);
    size_t end = at + VIEWS_PER_LOCK;
    pthread_mutex_lock(&b->tenant->lock);
    for (; at < end && at < b->count; at++)
        add_view(views, b->slots[at], now_ms, least);
    bool done = at >= b->count;
    if (done)
        set_remaining(b, *least);
    pthread_mutex_unlock(&b->tenant->lock);
    return done ? SIZE_MAX : at;
}

static void view_values(struct budget *b, struct views *views, budget_visitor *visit, void *arg) {
    config_pico least = INT64_MAX;
    for (size_t at = 0; at != SIZE_MAX;) {
        at = view_some(b, at, views, &least);
        show(views, visit, arg);
    }
}

static struct budget *next_of(struct budget *b) {
    pthread_mutex_lock(&b->tenant->lock);
    struct budget *next = b->next;
    pthread_mutex_unlock(&b->tenant->lock);
    return next;
}

static void look(struct budgets *all, struct views *views, budget_visitor *visit, void *arg) {
    atomic_store(&all->share.viewed_ms, clock_mono_ms()); // and is kept younger for a while
    for (struct budget_tenant *t = budget_tenant_first(all); t != NULL; t = t->next) {
        struct budget *b = view_common(t, views);
        show(views, visit, arg);
        for (; b != NULL; b = next_of(b))
            if (b->by_value != NULL)
                view_values(b, views, visit, arg);
    }
    buffer_free(&views->items);
    buffer_free(&views->values);
}

void budgets_visit(struct budgets *b, budget_visitor *visit, void *arg) {
    look(b, &(struct views){.wanted = true}, visit, arg);
}

void budgets_publish(struct budgets *b) {
    look(b, &(struct views){.wanted = false}, NULL, NULL);
}
