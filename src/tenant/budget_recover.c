// What earlier processes left: read once, before any loop runs.
#include <stdio.h>
#include <stdlib.h>

#include "budget_room.h"

enum { LOSSES_LOGGED = 20 }; // of thousands of values each may have one

// The order is that of tables of earlier versions, to which the last ones are added.
static const struct store_column columns[] = {
    {"number", "INTEGER", true},      {"tenant", "TEXT", false},
    {"budget", "TEXT", false},        {"start_ms", "INTEGER", false},
    {"end_ms", "INTEGER", false},     {"spent", "INTEGER", false},
    {"recovered", "INTEGER", false},  {"overrun", "INTEGER", false},
    {"ceiling", "INTEGER", false},    {"written", "TEXT", false},
    {"per", "TEXT", false},           {"value", "TEXT", false},
    {"extra", "INTEGER", false},      {"frozen", "INTEGER", false},
    {"reach_ms", "INTEGER", false},   {"until_ms", "INTEGER", false},
    {"touched_ms", "INTEGER", false}, {"amount", "INTEGER", false}, // of a run's own budget
};

// Windows that may still be asked for: SPANS of their own length, or for as long
// as they count beside it. The window that ends at 0 is none: whether the counter
// is frozen. Of values too many to keep the newest; budgets for all in any case.
// The longest untouched come first, and make room first.
static const char recovery[] =
    "SELECT * FROM (SELECT tenant, budget, coalesce(per, '') AS per, coalesce(value, '') AS value, "
    "start_ms, end_ms, spent, recovered, overrun, ceiling, coalesce(extra, 0) AS extra, "
    "coalesce(frozen, 0) AS frozen, coalesce(reach_ms, 0) AS reach_ms, "
    "coalesce(until_ms, 0) AS until_ms, coalesce(touched_ms, 0) AS touched_ms, amount, "
    "max(number) AS number FROM budgets "
    "WHERE end_ms = 0 OR end_ms = 9223372036854775807 "
    "OR end_ms + max(8 * (end_ms - start_ms), coalesce(reach_ms, 0)) > CAST(?1 AS INTEGER) "
    "OR coalesce(until_ms, 0) <> 0 "
    "GROUP BY tenant, budget, coalesce(per, ''), coalesce(value, ''), start_ms, end_ms "
    "ORDER BY coalesce(per, '') <> '', NOT (end_ms = 0 AND frozen <> 0), touched_ms DESC "
    "LIMIT 200000) ORDER BY touched_ms, end_ms";

// ------------------------------------------------------------------------- rows

static int64_t positive(const struct store_row *row, struct slice name) {
    int64_t value = store_row_i64(row, name);
    return value > 0 ? value : 0;
}

// The rule: what was not given back counts as spent.
static config_pico read_span(const struct store_row *row, struct span *s) {
    config_pico spent = positive(row, SLICE("spent"));
    config_pico ceiling = positive(row, SLICE("ceiling"));
    config_pico lost = ceiling > spent ? ceiling - spent : 0;
    config_pico extra = store_row_i64(row, SLICE("extra"));
    *s = (struct span){
        .window = {positive(row, SLICE("start_ms")), positive(row, SLICE("end_ms"))},
        .spent = pico_add(spent, lost),
        .recovered = pico_add(positive(row, SLICE("recovered")), lost),
        .overrun = positive(row, SLICE("overrun")),
        .extra = extra > -INT64_MAX ? extra : -INT64_MAX,
        .ceiling = pico_add(spent, lost),
        .confirmed = pico_add(spent, lost),
        .reach_ms = positive(row, SLICE("reach_ms")),
        .until_ms = store_row_i64(row, SLICE("until_ms")),
    };
    return lost;
}

static void log_loss(const struct budget_counter *c, config_pico lost) {
    char usd[BUDGET_USD_TEXT_MAX];
    log_write(LOG_WARNING,
              "budget %.*s%s%.*s of tenant %.*s: %s USD were reserved when the process ended; "
              "counted as spent",
              SLICE_ARG(c->budget->name), c->value.len > 0 ? " of " : "", SLICE_ARG(c->value),
              SLICE_ARG(c->budget->tenant->name), budget_usd(lost, usd));
}

static void remember_loss(struct budgets *b, struct budget_counter *c, const struct span *s,
                          config_pico lost) {
    struct budget_loss *loss = base_calloc(1, sizeof *loss + c->value.len + 1);
    char *text = (char *)(loss + 1);
    memcpy(text, c->value.ptr, c->value.len);
    *loss = (struct budget_loss){.next = b->losses,
                                 .budget = c->budget,
                                 .value = slice_make(text, c->value.len),
                                 .window = s->window,
                                 .lost = lost,
                                 .spent = s->spent};
    b->losses = loss;
    if (b->loss_count++ < LOSSES_LOGGED)
        log_loss(c, lost);
}

// A window of "other" may be there already: of others for whom there was no room.
static void keep_span(struct budget_counter *c, const struct span *found) {
    struct span *s = counter_span_of(c, &found->window);
    if (s != NULL) {
        s->spent = pico_add(s->spent, found->spent);
        s->ceiling = s->confirmed = s->spent;
        counter_set_dirty(c, s);
        return;
    }
    s = counter_push_span(c);
    *s = *found;
    s->epoch = ++c->last_epoch;
}

static struct budget_counter *counter_of(struct budgets *b, const struct store_row *row,
                                         uint64_t number) {
    int per;
    if (!budget_per_parse(store_row_text(row, SLICE("per")), &per))
        return NULL; // a later version's
    struct budget_tenant *tenant = budget_tenant_find(b, store_row_text(row, SLICE("tenant")));
    struct budget *budget = budget_find(tenant, store_row_text(row, SLICE("budget")), per);
    struct budget_counter *c =
        budget_counter_make(budget, store_row_text(row, SLICE("value")), clock_wall_ms());
    if (number > c->newest_row) { // what it says of the counter is the truth
        c->newest_row = number;
        c->touched_ms = positive(row, SLICE("touched_ms"));
    }
    if (per == PER_RUN_COST) // nobody else knows it until the run goes on
        c->amount = positive(row, SLICE("amount"));
    return c;
}

static bool recover_row(void *arg, const struct store_row *row, struct error *err) {
    (void)err;
    struct budgets *b = arg;
    uint64_t number = (uint64_t)positive(row, SLICE("number"));
    struct span found;
    config_pico lost = read_span(row, &found);
    bool state = found.window.end_ms == 0;
    bool frozen = state && store_row_i64(row, SLICE("frozen")) != 0;
    if (number > atomic_load(&b->rows))
        atomic_store(&b->rows, number);
    if (state ? !frozen : !span_is_live(&found, clock_wall_ms()))
        return true;
    struct budget_counter *c = counter_of(b, row, number);
    if (c == NULL)
        return true;
    c->frozen |= frozen;
    if (!state)
        keep_span(c, &found);
    if (!state && lost > 0)
        remember_loss(b, c, &found, lost);
    return true;
}

static bool recover_rows(struct budgets *b, struct error *err) {
    char now[24];
    struct slice params[] = {
        slice_make(now, (size_t)snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms()))};
    struct buffer rows = {0};
    bool ok = store_query_now(b->store, recovery, params, 1, &rows, err)
                  ? store_rows_visit(buffer_slice(&rows), recover_row, b, err)
                  : error_set(err, "cannot read the budgets from the store");
    buffer_free(&rows);
    return ok;
}

bool budget_recover(struct budgets *b, struct error *err) {
    b->journal = store_journal_open(b->store, "budgets", columns, FARTHING_COUNT(columns), err);
    if (b->journal == NULL)
        return false;
    bool ok = recover_rows(b, err);
    if (b->loss_count > LOSSES_LOGGED)
        log_write(LOG_WARNING, "budgets: and %zu more such amounts", b->loss_count - LOSSES_LOGGED);
    if (ok)
        budget_rows_write_all(b, false); // newest again: the oldest rows are forgotten first
    atomic_store(&b->refreshed, atomic_load(&b->rows));
    return ok;
}

// ----------------------------------------------------------------------- losses

void budgets_recovered(struct budgets *b, budget_visitor *visit, void *arg) {
    while (b->losses != NULL) {
        struct budget_loss *loss = b->losses;
        struct budget_view view = budget_view_of(loss->budget, &loss->window);
        view.value = loss->value;
        view.sliding = loss->budget->shape.sliding;
        view.amount = loss->budget->amount;
        view.spent = loss->spent;
        view.recovered = loss->lost;
        b->losses = loss->next;
        visit(arg, &view);
        free(loss);
    }
}

void budget_losses_free(struct budgets *b) {
    for (struct budget_loss *loss = b->losses, *next; loss != NULL; loss = next) {
        next = loss->next;
        free(loss);
    }
    b->losses = NULL;
}
