// What an operator does to a budget. Each is a row of the journal, like all else:
// the newest number is the truth. No row lowers a ceiling below what was granted.
#include "budget_room.h"

static bool no_budget(const struct budget_name *name, struct error *err) {
    return error_set(err, "tenant \"%.*s\" has no budget \"%.*s\"", SLICE_ARG(name->tenant),
                     SLICE_ARG(name->budget));
}

// One that stands in the file goes before that of runs, which has the name "run".
static struct budget *budget_by_name(struct budget_tenant *t, struct slice name) {
    struct budget *found = NULL;
    for (struct budget *b = t->first; b != NULL; b = b->next)
        if (b->configured && slice_equal(b->name, name) && (found == NULL || found == t->run))
            found = b;
    return found;
}

// Under the lock. NULL with err. `make`: also of a value that has not come yet.
static struct budget_counter *counter_by_name(struct budget_tenant *t,
                                              const struct budget_name *name, bool make,
                                              struct error *err) {
    struct budget *b = budget_by_name(t, name->budget);
    int64_t now_ms = budgets_now_ms(t->budgets);
    if (b == NULL) {
        no_budget(name, err);
        return NULL;
    }
    if (b->by_value == NULL && name->value.len > 0) {
        error_set(err, "budget \"%.*s\" is one for all; it has no value \"%.*s\"",
                  SLICE_ARG(b->name), SLICE_ARG(name->value));
        return NULL;
    }
    struct budget_counter *c = budget_counter_find(b, name->value);
    if (c == NULL && make && b != t->run) {
        c = budget_counter_make(b, name->value, now_ms);
        if (c != budget_counter_find(b, name->value))
            c = NULL; // no room but among the others
    }
    if (c == NULL) {
        error_set(err, "budget \"%.*s\" of tenant \"%.*s\" has no value \"%.*s\" now",
                  SLICE_ARG(b->name), SLICE_ARG(b->tenant->name), SLICE_ARG(name->value));
        return NULL;
    }
    counter_turn(c, now_ms);
    return c;
}

enum deed { TOP_UP, RESET, FREEZE, THAW };

// The amount of this window is never below 0.
static void top_up(struct budget_counter *c, config_pico amount) {
    struct counter_sums sums;
    struct span *s = c->now;
    counter_sum(c, budgets_now_ms(c->budget->tenant->budgets), &sums);
    config_pico others = pico_add(sums.extra, -s->extra); // of other parts of a sliding window
    config_pico least = -pico_add(c->amount, others > 0 ? others : 0);
    config_pico extra = pico_add(s->extra, amount);
    s->extra = extra > least ? extra : least;
    counter_set_dirty(c, s);
}

// In the shared store, for all instances; here it is seen at once, as it will be there.
static bool is_shared_deed(struct budgets *b, struct budget_counter *c, enum deed deed,
                           config_pico amount, struct error *err) {
    static const char *const names[] = {
        [TOP_UP] = "top_up", [RESET] = "reset", [FREEZE] = "freeze", [THAW] = "thaw"};
    if (b->share.on && !(store_is_up(b->store) && budget_share_send_deed(b, c, names[deed], amount)))
        return error_set(err, "the shared store is away: nothing was changed");
    return true;
}

// What this instance spent goes on as it was; the others' part of it is less than none.
static void reset_shared(struct budget_counter *c, int64_t now_ms) {
    struct counter_sums sums;
    counter_sum(c, now_ms, &sums);
    c->now->share.others_spent = pico_add(c->now->share.others_spent, -sums.spent);
    c->now->recovered = 0;
}

// A raise of the ceiling that is on its way is one of before: its answer is void.
static void reset(struct budget_counter *c) {
    int64_t now_ms = clock_wall_ms();
    for (size_t i = 0; i < c->span_count; i++) {
        struct span *s = &c->spans[i];
        if (!span_counts(c, s, now_ms))
            continue;
        s->spent = s->recovered = s->overrun = 0;
        s->told = (struct budget_told){0};
        s->raise = 0;
        if (s->confirmed != INT64_MAX) {
            s->confirmed = s->confirmed < s->reserved ? s->confirmed : s->reserved;
            s->ceiling = s->reserved;
        }
        counter_set_dirty(c, s);
    }
    c->told = (struct budget_told){0};
}

static void carry_out(struct budget_counter *c, enum deed deed, config_pico amount,
                      struct budget_rows *rows) {
    struct budgets *b = c->budget->tenant->budgets;
    if (deed == TOP_UP)
        top_up(c, amount);
    else if (deed == RESET && b->share.on)
        reset_shared(c, budgets_now_ms(b));
    else if (deed == RESET)
        reset(c);
    else
        c->frozen = deed == FREEZE;
    if (c->dirty)
        budget_rows_note_dirty(rows, c);
    if (deed == FREEZE || deed == THAW)
        budget_rows_note_state(rows, c);
    c->share.refused_until_ms = 0;
    if (b->share.on)
        budget_share_activate(c);
}

static bool change(struct budgets *b, const struct budget_name *name, enum deed deed,
                   config_pico amount, struct error *err) {
    struct budget_tenant *t = budget_tenant_lookup(b, name->tenant);
    struct budget_rows rows;
    if (t == NULL)
        return no_budget(name, err);
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    struct budget_counter *c = counter_by_name(t, name, deed == TOP_UP || deed == FREEZE, err);
    if (c != NULL && !is_shared_deed(b, c, deed, amount, err))
        c = NULL;
    if (c != NULL)
        carry_out(c, deed, amount, &rows);
    pthread_mutex_unlock(&t->lock);
    budget_rows_append(b, &rows);
    return c != NULL;
}

bool budget_top_up(struct budgets *b, const struct budget_name *name, config_pico amount,
                   struct error *err) {
    return change(b, name, TOP_UP, amount, err);
}

bool budget_reset(struct budgets *b, const struct budget_name *name, struct error *err) {
    return change(b, name, RESET, 0, err);
}

bool budget_freeze(struct budgets *b, const struct budget_name *name, bool frozen,
                   struct error *err) {
    return change(b, name, frozen ? FREEZE : THAW, 0, err);
}
