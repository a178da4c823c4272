// What is told of budgets: that a share of one is spent, that one was exhausted.
// Found under the lock, written to the log without it.
#include <stdio.h>
#include <stdlib.h>

#include "budget_room.h"

enum { TELL_PAUSE_MS = 1000 }; // between two lines on exhausted counters of one budget

struct budget_event {
    struct budget_event *next;
    enum budget_event_kind kind;
    const struct budget *budget;
    unsigned percent;
    config_pico spent, reserved, amount, asked;
    struct slice value; // behind the struct
};

const struct metric_family budget_warnings_family = {"farthing_budget_warnings_total",
                                                     "Windows in which this share was spent.",
                                                     METRIC_COUNTER,
                                                     {"tenant", "budget", "percent"},
                                                     NULL,
                                                     0,
                                                     0,
                                                     0};

const char *budget_usd(config_pico amount, char out[BUDGET_USD_TEXT_MAX]) {
    const uint64_t unit = UINT64_C(1000000000000);
    uint64_t pico = amount < 0 ? -(uint64_t)amount : (uint64_t)amount;
    int len = snprintf(out, BUDGET_USD_TEXT_MAX, "%s%llu.%012llu", amount < 0 ? "-" : "",
                       (unsigned long long)(pico / unit), (unsigned long long)(pico % unit));
    while (out[len - 1] == '0')
        out[--len] = '\0';
    if (out[len - 1] == '.')
        out[--len] = '\0';
    return out;
}

// ---------------------------------------------------------------------- finding

static struct budget_event *add_event(struct budget_rows *rows, enum budget_event_kind kind,
                                      const struct budget *b, struct slice value) {
    struct budget_event *e = base_calloc(1, sizeof *e + value.len + 1);
    char *text = (char *)(e + 1);
    if (value.len > 0)
        memcpy(text, value.ptr, value.len);
    e->kind = kind;
    e->budget = b;
    e->value = slice_make(text, value.len);
    struct budget_event **at = &rows->events;
    while (*at != NULL)
        at = &(*at)->next;
    *at = e;
    return e;
}

// A sliding window has no beginning: its words hold for one length from the first.
static struct budget_told *told_of(struct budget_counter *c, struct span *s, int64_t now_ms) {
    if (!c->shape.sliding)
        return &s->told;
    int64_t since_ms = now_ms - c->told.since_ms;
    bool silent = c->told.warnings == 0 && !c->told.exhausted;
    if (silent || since_ms < 0 || since_ms >= c->shape.length_ms)
        c->told = (struct budget_told){.since_ms = now_ms};
    return &c->told;
}

static void sum_of(const struct budget_counter *c, const struct span *s, int64_t now_ms,
                   struct counter_sums *out) {
    if (s == c->now)
        counter_sum(c, now_ms, out);
    else
        *out = (struct counter_sums){.spent = s->spent, .extra = s->extra};
}

static bool is_reached(config_pico spent, config_pico amount, unsigned percent) {
    return (__int128)spent * 100 >= (__int128)amount * percent;
}

// How many of the budget's warnings are due?
static unsigned reached(const struct budget_counter *c, const struct counter_sums *sums) {
    config_pico amount = counter_amount(c, sums->extra);
    unsigned n = 0;
    while (n < c->budget->warn_count && is_reached(sums->spent, amount, c->budget->warn_at[n]))
        n++;
    return sums->spent > 0 ? n : 0;
}

void budget_check_warnings(struct budget_rows *rows, struct budget_counter *c, struct span *s,
                           int64_t now_ms) {
    struct counter_sums sums;
    struct budget_told *told = told_of(c, s, now_ms);
    sum_of(c, c->shape.sliding ? c->now : s, now_ms, &sums);
    for (unsigned n = reached(c, &sums); told->warnings < n; told->warnings++) {
        struct budget_event *e = add_event(rows, BUDGET_EVENT_WARNING, c->budget, c->value);
        e->percent = c->budget->warn_at[told->warnings];
        e->spent = sums.spent;
        e->reserved = sums.reserved;
        e->amount = counter_amount(c, sums.extra);
    }
}

void budget_mute_warnings(struct budget_counter *c, int64_t now_ms) {
    for (size_t i = 0; i < c->span_count; i++) {
        struct span *s = &c->spans[i];
        struct counter_sums sums;
        sum_of(c, s, now_ms, &sums);
        s->told.warnings = reached(c, &sums);
    }
    if (c->shape.sliding && c->now != NULL)
        *told_of(c, c->now, now_ms) =
            (struct budget_told){.warnings = c->now->told.warnings, .since_ms = now_ms};
}

void budget_check_exhausted(struct budget_rows *rows, struct budget_counter *c, config_pico asked,
                            int64_t now_ms) {
    struct budget *b = c->budget;
    struct budget_told *told = told_of(c, c->now, now_ms);
    if (told->exhausted || c->frozen)
        return;
    // Whoever invents values must not fill the log with them.
    int64_t pause_ms = now_ms - b->told_ms;
    if (b->by_value != NULL && pause_ms >= 0 && pause_ms < TELL_PAUSE_MS)
        return;
    b->told_ms = now_ms;
    told->exhausted = true;
    struct counter_sums sums;
    struct budget_event *e = add_event(rows, BUDGET_EVENT_EXHAUSTED, b, c->value);
    counter_sum(c, now_ms, &sums);
    e->spent = sums.spent;
    e->reserved = sums.reserved;
    e->amount = counter_amount(c, sums.extra);
    e->asked = asked;
}

void budget_check_full(struct budget_rows *rows, struct budget *b) {
    if (b->told_full)
        return;
    b->told_full = true;
    (void)add_event(rows, BUDGET_EVENT_FULL, b, SLICE_NONE);
}

// ---------------------------------------------------------------------- telling

static void tell(const struct budget_event *e) {
    char spent[BUDGET_USD_TEXT_MAX], amount[BUDGET_USD_TEXT_MAX], reserved[BUDGET_USD_TEXT_MAX],
        asked[BUDGET_USD_TEXT_MAX];
    const struct budget *b = e->budget;
    struct slice of = e->value.len > 0 ? SLICE(" of ") : SLICE_NONE;
    budget_usd(e->spent, spent);
    budget_usd(e->amount, amount);
    budget_usd(e->reserved, reserved);
    budget_usd(e->asked, asked);
    switch (e->kind) {
    case BUDGET_EVENT_WARNING:
        log_write(LOG_WARNING,
                  "budget %.*s%.*s%.*s of tenant %.*s: %u %% reached, %s USD of %s USD are spent",
                  SLICE_ARG(b->name), SLICE_ARG(of), SLICE_ARG(e->value),
                  SLICE_ARG(b->tenant->name), e->percent, spent, amount);
        return;
    case BUDGET_EVENT_EXHAUSTED:
        log_write(
            LOG_WARNING,
            "budget %.*s%.*s%.*s of tenant %.*s refuses: %s USD of %s USD are spent and %s USD "
            "reserved, %s USD were asked for",
            SLICE_ARG(b->name), SLICE_ARG(of), SLICE_ARG(e->value), SLICE_ARG(b->tenant->name),
            spent, amount, reserved, asked);
        return;
    case BUDGET_EVENT_FULL:
        log_write(LOG_WARNING,
                  "budget %.*s of tenant %.*s has no room for more values: further ones share one "
                  "counter, \"other\"",
                  SLICE_ARG(b->name), SLICE_ARG(b->tenant->name));
        return;
    }
}

void budget_events_tell(struct budget_rows *rows) {
    for (struct budget_event *e = rows->events, *next; e != NULL; e = next) {
        next = e->next;
        tell(e);
        if (e->kind == BUDGET_EVENT_WARNING) {
            char percent[12];
            struct slice labels[] = {
                e->budget->tenant->name, e->budget->name,
                slice_make(percent, (size_t)snprintf(percent, sizeof percent, "%u", e->percent))};
            metric_add(metric_series(&budget_warnings_family, labels), 1);
        }
        free(e);
    }
    rows->events = NULL;
}
