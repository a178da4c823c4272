// What of the budgets is on disk, and how it gets there without anybody on a
// loop waiting for it.
//
// Rows are appended to a journal: values of the store may be pushed out by the
// cache, and are given up when the disk is full. The row with the highest number
// of a window is the truth. A row that raises a ceiling is followed by a query
// for it; its answer, with no failure of the store in between, says that the row
// is committed. A row that lowers one needs no answer: until it is on disk the
// higher ceiling stands there, which is safe.
#include <event2/event.h>
#include <stdlib.h>

#include "budget_room.h"
#include "farthing/json.h"

static const struct store_column columns[] = {
    {"number", "INTEGER", true},     {"tenant", "TEXT", false},     {"budget", "TEXT", false},
    {"start_ms", "INTEGER", false},  {"end_ms", "INTEGER", false},  {"spent", "INTEGER", false},
    {"recovered", "INTEGER", false}, {"overrun", "INTEGER", false}, {"ceiling", "INTEGER", false},
    {"written", "TEXT", false},
};

// ------------------------------------------------------------------- making rows

static struct budget_row *add_row(struct budget_rows *rows) {
    size_t room = rows->items == NULL || rows->items == rows->own ? FARTHING_COUNT(rows->own)
                                                                  : rows->capacity;
    if (rows->items == NULL)
        rows->items = rows->own;
    if (rows->count == room) {
        struct budget_row *old = rows->items;
        rows->capacity = 2 * room;
        rows->items = base_calloc(rows->capacity, sizeof *old);
        memcpy(rows->items, old, rows->count * sizeof *old);
        if (old != rows->own)
            free(old);
    }
    return &rows->items[rows->count++];
}

static void free_rows(struct budget_rows *rows) {
    if (rows->items != rows->own)
        free(rows->items);
    rows->items = NULL;
    rows->count = 0;
}

static void make_row(struct budget_rows *rows, struct budget_counter *c, const struct span *s,
                     config_pico ceiling, bool confirm) {
    *add_row(rows) = (struct budget_row){
        .counter = c,
        .number = atomic_fetch_add(&c->tenant->budgets->rows, 1) + 1,
        .epoch = s->epoch,
        .window = s->window,
        .spent = s->spent,
        .recovered = s->recovered,
        .overrun = s->overrun,
        .ceiling = ceiling,
        .confirm = confirm,
    };
}

void budget_rows_note(struct budget_rows *rows, struct budget_counter *c, struct span *s) {
    config_pico ceiling;
    if (counter_wants_raise(c, s, &ceiling)) {
        s->ceiling = ceiling;
        s->confirming = true;
        make_row(rows, c, s, ceiling, true);
    } else if (counter_wants_lower(c, s, &ceiling)) {
        s->ceiling = s->confirmed = ceiling; // at once: the row may be on disk any moment
        make_row(rows, c, s, ceiling, false);
    }
}

static void write_line(struct buffer *out, const struct budget_row *row) {
    const struct budget_counter *c = row->counter;
    char written[25];
    struct json_writer w;
    clock_format_ms(clock_wall_ms(), written);
    json_write_start(&w, out);
    json_object_begin(&w);
    json_key(&w, SLICE("number")), json_put_u64(&w, row->number);
    json_key(&w, SLICE("tenant")), json_put_string(&w, c->tenant->name);
    json_key(&w, SLICE("budget")), json_put_string(&w, c->name);
    json_key(&w, SLICE("start_ms")), json_put_i64(&w, row->window.start_ms);
    json_key(&w, SLICE("end_ms")), json_put_i64(&w, row->window.end_ms);
    json_key(&w, SLICE("spent")), json_put_i64(&w, row->spent);
    json_key(&w, SLICE("recovered")), json_put_i64(&w, row->recovered);
    json_key(&w, SLICE("overrun")), json_put_i64(&w, row->overrun);
    json_key(&w, SLICE("ceiling")), json_put_i64(&w, row->ceiling);
    json_key(&w, SLICE("written")), json_put_string(&w, slice_of(written));
    json_object_end(&w);
    buffer_append_char(out, '\n');
}

// ------------------------------------------------------------------ confirmation

// A ceiling that is on its way to the disk. Owned by its loop.
struct confirmation {
    struct confirmation *next, *previous;
    struct budgets_loop *loop;
    struct budget_counter *counter;
    uint64_t epoch;
    config_pico ceiling;
    int64_t troubles; // of the store before
    struct store_op *op;
};

static int64_t count_troubles(struct store *s) {
    struct store_stats stats;
    store_stats_get(s, &stats);
    return stats.failures + stats.dropped;
}

static void unlink_confirmation(struct confirmation *f) {
    if (f->previous != NULL)
        f->previous->next = f->next;
    else
        f->loop->confirmations = f->next;
    if (f->next != NULL)
        f->next->previous = f->previous;
}

// Under the lock. False: the window is long over.
static bool take_confirmation(const struct confirmation *f, bool ok) {
    struct span *s = counter_span(f->counter, f->epoch);
    if (s == NULL)
        return false;
    s->confirming = false;
    if (ok)
        s->confirmed = f->ceiling;
    return true;
}

static void confirm(struct confirmation *f, bool ok) {
    struct budgets_loop *l = f->loop;
    struct budget_tenant *t = f->counter->tenant;
    struct budget_rows rows;
    atomic_store(&l->budgets->store_is_slow, !ok);
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    bool current = take_confirmation(f, ok);
    if (ok && current) // first: more may have been asked for meanwhile
        budget_rows_note(&rows, f->counter, counter_span(f->counter, f->epoch));
    budget_wake(t);
    pthread_mutex_unlock(&t->lock);
    unlink_confirmation(f);
    free(f);
    budget_rows_write(l, &rows);
}

static void on_answer(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct confirmation *f = arg;
    bool there = status == STORE_OK && !slice_equal(value, SLICE("[]"));
    confirm(f, there && count_troubles(f->loop->budgets->store) == f->troubles);
}

static void ask_for(struct budgets_loop *l, const struct budget_row *row, int64_t troubles) {
    struct confirmation *f = base_calloc(1, sizeof *f);
    char number[24];
    struct slice params[] = {slice_make(
        number, (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)row->number))};
    f->loop = l;
    f->counter = row->counter;
    f->epoch = row->epoch;
    f->ceiling = row->ceiling;
    f->troubles = troubles;
    f->next = l->confirmations;
    if (f->next != NULL)
        f->next->previous = f;
    l->confirmations = f;
    f->op = store_query(l->client, "SELECT number FROM budgets WHERE number = ?1", params, 1,
                        on_answer, f);
    if (f->op == NULL)
        confirm(f, false); // overloaded
}

void budget_confirmations_cancel(struct budgets_loop *l) {
    while (l->confirmations != NULL) {
        struct confirmation *f = l->confirmations;
        store_cancel(f->op);
        pthread_mutex_lock(&f->counter->tenant->lock);
        (void)take_confirmation(f, false); // somebody else may ask
        budget_wake(f->counter->tenant);
        pthread_mutex_unlock(&f->counter->tenant->lock);
        unlink_confirmation(f);
        free(f);
    }
}

// ------------------------------------------------------------------- writing rows

static void append_rows(struct budgets *b, const struct budget_rows *rows) {
    struct buffer lines = {0};
    for (size_t i = 0; i < rows->count; i++)
        write_line(&lines, &rows->items[i]);
    if (lines.len > 0)
        store_journal_append(b->journal, buffer_slice(&lines));
    buffer_free(&lines);
}

static bool is_time_to_refresh(const struct budget_rows *rows) {
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].number % ROWS_PER_REFRESH == 0)
            return true;
    return false;
}

void budget_rows_write(struct budgets_loop *l, struct budget_rows *rows) {
    if (rows->count == 0)
        return;
    int64_t troubles = count_troubles(l->budgets->store);
    bool refresh = is_time_to_refresh(rows);
    append_rows(l->budgets, rows);
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].confirm)
            ask_for(l, &rows->items[i], troubles);
    free_rows(rows);
    if (refresh)
        budget_rows_write_all(l->budgets, false);
}

static void write_tenant(struct budget_tenant *t, bool final) {
    struct budget_rows rows;
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    for (struct budget_counter *c = t->counters; c != NULL; c = c->next)
        for (struct span *s = c->spans; s < c->spans + SPANS; s++)
            if (s->epoch != 0)
                make_row(&rows, c, s, final ? span_used(s) : s->ceiling, false);
    pthread_mutex_unlock(&t->lock);
    append_rows(t->budgets, &rows);
    free_rows(&rows);
}

void budget_rows_write_all(struct budgets *b, bool final) {
    if (b->journal == NULL)
        return;
    pthread_mutex_lock(&b->lock);
    struct budget_tenant *t = b->tenants;
    pthread_mutex_unlock(&b->lock);
    for (; t != NULL; t = t->next)
        write_tenant(t, final);
}

// ---------------------------------------------------------------------- recovery

// Windows that may still be asked for: SPANS of their own length.
static const char recovery[] =
    "SELECT tenant, budget, start_ms, end_ms, spent, recovered, overrun, ceiling, "
    "max(number) AS number FROM budgets "
    "WHERE end_ms = 9223372036854775807 OR end_ms + 8 * (end_ms - start_ms) > CAST(?1 AS INTEGER) "
    "GROUP BY tenant, budget, start_ms, end_ms ORDER BY end_ms";

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

static int64_t number_of(const struct json_doc *doc, json_ref row, struct slice name) {
    int64_t value;
    return json_i64(doc, json_get(doc, row, name), &value) && value > 0 ? value : 0;
}

// The rule: what was not given back counts as spent.
static void recover_row(struct budgets *b, const struct json_doc *doc, json_ref row,
                        struct arena *arena) {
    struct slice tenant = json_string(doc, json_get(doc, row, SLICE("tenant")), arena);
    struct slice name = json_string(doc, json_get(doc, row, SLICE("budget")), arena);
    config_pico spent = number_of(doc, row, SLICE("spent"));
    config_pico ceiling = number_of(doc, row, SLICE("ceiling"));
    config_pico lost = ceiling > spent ? ceiling - spent : 0;
    uint64_t number = (uint64_t)number_of(doc, row, SLICE("number"));
    struct budget_counter *c = budget_counter_find(budget_tenant_find(b, tenant), name);
    *counter_make_room(c) = // rows come in the order of their ends
        (struct span){
            .window = {number_of(doc, row, SLICE("start_ms")),
                       number_of(doc, row, SLICE("end_ms"))},
            .epoch = ++c->last_epoch,
            .spent = pico_add(spent, lost),
            .recovered = pico_add(number_of(doc, row, SLICE("recovered")), lost),
            .overrun = number_of(doc, row, SLICE("overrun")),
            .ceiling = pico_add(spent, lost),
            .confirmed = pico_add(spent, lost),
        };
    if (number > atomic_load(&b->rows))
        atomic_store(&b->rows, number);
    if (lost > 0)
        log_write(LOG_WARNING,
                  "budget %.*s of tenant %.*s: %lld pico-USD were reserved when the process ended; "
                  "counted as spent",
                  SLICE_ARG(name), SLICE_ARG(tenant), (long long)lost);
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
    if (ok)
        budget_rows_write_all(b, false); // newest again: the oldest rows are forgotten first
    return ok;
}
