// What earlier processes left: read once, before any loop runs.
#include <event2/event.h>
#include <stdlib.h>

#include "budget_room.h"
#include "farthing/json.h"

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

struct answer {
    bool done;
    enum store_status status;
    struct buffer text;
};

static void on_rows(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct answer *a = arg;
    a->done = true;
    a->status = status;
    buffer_append(&a->text, value);
}

// On a loop of its own, since no other runs yet.
static void read_rows(struct store *store, struct answer *a) {
    char now[24];
    struct slice params[] = {
        slice_make(now, (size_t)snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms()))};
    struct event_base *loop = event_base_new();
    struct store_client *client = store_client_new(store, loop);
    a->status = STORE_FAILED;
    if (store_query(client, recovery, params, 1, on_rows, a) != NULL)
        while (!a->done)
            event_base_loop(loop, EVLOOP_ONCE);
    store_client_free(client);
    event_base_free(loop);
}

// ------------------------------------------------------------------------- rows

static int64_t number_of(const struct json_doc *doc, json_ref row, struct slice name) {
    int64_t value;
    return json_i64(doc, json_get(doc, row, name), &value) ? value : 0;
}

static int64_t positive(const struct json_doc *doc, json_ref row, struct slice name) {
    int64_t value = number_of(doc, row, name);
    return value > 0 ? value : 0;
}

// The rule: what was not given back counts as spent.
static config_pico read_span(const struct json_doc *doc, json_ref row, struct span *s) {
    config_pico spent = positive(doc, row, SLICE("spent"));
    config_pico ceiling = positive(doc, row, SLICE("ceiling"));
    config_pico lost = ceiling > spent ? ceiling - spent : 0;
    config_pico extra = number_of(doc, row, SLICE("extra"));
    *s = (struct span){
        .window = {positive(doc, row, SLICE("start_ms")), positive(doc, row, SLICE("end_ms"))},
        .spent = pico_add(spent, lost),
        .recovered = pico_add(positive(doc, row, SLICE("recovered")), lost),
        .overrun = positive(doc, row, SLICE("overrun")),
        .extra = extra > -INT64_MAX ? extra : -INT64_MAX,
        .ceiling = pico_add(spent, lost),
        .confirmed = pico_add(spent, lost),
        .reach_ms = positive(doc, row, SLICE("reach_ms")),
        .until_ms = number_of(doc, row, SLICE("until_ms")),
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
static struct span *same_window(struct budget_counter *c, const struct window *w) {
    for (size_t i = 0; i < c->span_count; i++)
        if (c->spans[i].window.start_ms == w->start_ms && c->spans[i].window.end_ms == w->end_ms)
            return &c->spans[i];
    return NULL;
}

static void keep_span(struct budget_counter *c, const struct span *found) {
    struct span *s = same_window(c, &found->window);
    if (s != NULL) {
        s->spent = pico_add(s->spent, found->spent);
        s->ceiling = s->confirmed = s->spent;
        s->dirty = c->dirty = true;
        return;
    }
    if (c->span_count == c->span_capacity) {
        c->span_capacity = c->span_capacity > 0 ? 2 * c->span_capacity : 1;
        c->spans = base_realloc(c->spans, c->span_capacity * sizeof *c->spans);
    }
    s = &c->spans[c->span_count++];
    *s = *found;
    s->epoch = ++c->last_epoch;
}

static struct budget_counter *counter_of(struct budgets *b, const struct json_doc *doc,
                                         json_ref row, uint64_t number, struct arena *arena) {
    struct slice tenant = json_string(doc, json_get(doc, row, SLICE("tenant")), arena);
    struct slice name = json_string(doc, json_get(doc, row, SLICE("budget")), arena);
    struct slice value = json_string(doc, json_get(doc, row, SLICE("value")), arena);
    struct slice per_name = json_string(doc, json_get(doc, row, SLICE("per")), arena);
    int64_t touched_ms = positive(doc, row, SLICE("touched_ms"));
    int per;
    if (!budget_per_parse(per_name, &per))
        return NULL; // a later version's
    struct budget *budget = budget_find(budget_tenant_find(b, tenant), name, per);
    struct budget_counter *c = budget_counter_make(budget, value, clock_wall_ms());
    if (number > c->newest_row) { // what it says of the counter is the truth
        c->newest_row = number;
        c->touched_ms = touched_ms;
    }
    if (per == PER_RUN_COST) // nobody else knows it until the run goes on
        c->amount = positive(doc, row, SLICE("amount"));
    return c;
}

static void recover_row(struct budgets *b, const struct json_doc *doc, json_ref row,
                        struct arena *arena) {
    uint64_t number = (uint64_t)positive(doc, row, SLICE("number"));
    struct span found;
    config_pico lost = read_span(doc, row, &found);
    bool state = found.window.end_ms == 0;
    bool frozen = state && number_of(doc, row, SLICE("frozen")) != 0;
    if (number > atomic_load(&b->rows))
        atomic_store(&b->rows, number);
    if (state ? !frozen : !span_is_live(&found, clock_wall_ms()))
        return;
    struct budget_counter *c = counter_of(b, doc, row, number, arena);
    if (c == NULL)
        return;
    c->frozen |= frozen;
    if (!state)
        keep_span(c, &found);
    if (!state && lost > 0)
        remember_loss(b, c, &found, lost);
}

static bool recover_rows(struct budgets *b, struct slice text, struct error *err) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(4096);
    bool ok = json_parse(doc, text, NULL, err);
    if (ok)
        for (json_ref row = json_first(doc, JSON_ROOT); row != JSON_NONE;
             row = json_next(doc, JSON_ROOT, row))
            recover_row(b, doc, row, arena);
    arena_free(arena);
    json_doc_free(doc);
    return ok;
}

bool budget_recover(struct budgets *b, struct error *err) {
    b->journal = store_journal_open(b->store, "budgets", columns, FARTHING_COUNT(columns), err);
    if (b->journal == NULL)
        return false;
    struct answer a = {0};
    read_rows(b->store, &a);
    bool ok = a.status == STORE_OK ? recover_rows(b, buffer_slice(&a.text), err)
                                   : error_set(err, "cannot read the budgets from the store");
    buffer_free(&a.text);
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
        bool total = loss->window.end_ms == INT64_MAX;
        const struct budget_view view = {
            .tenant = loss->budget->tenant->name,
            .budget = loss->budget->name,
            .feature = loss->budget->feature,
            .user = loss->budget->user,
            .value = loss->value,
            .per = loss->budget->per == PER_RUN_COST ? CONFIG_PER_RUN
                                                     : (enum config_budget_per)loss->budget->per,
            .sliding = loss->budget->shape.sliding,
            .amount = loss->budget->amount,
            .spent = loss->spent,
            .recovered = loss->lost,
            .window_start_ms = total ? 0 : loss->window.start_ms,
            .window_end_ms = total ? 0 : loss->window.end_ms,
            .configured = loss->budget->configured,
        };
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
