// Rows for the journal: made under a tenant's lock, written without it. A row
// points to its counter, which stays for as long.
#include <stdlib.h>

#include "budget_room.h"
#include "farthing/json.h"

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

static struct budget_row *make_row(struct budget_rows *rows, struct budget_counter *c) {
    struct budget_row *row = add_row(rows);
    atomic_fetch_add_explicit(&c->writing, 1, memory_order_relaxed);
    *row = (struct budget_row){
        .counter = c,
        .number = atomic_fetch_add(&c->budget->tenant->budgets->rows, 1) + 1,
        .touched_ms = c->touched_ms,
        .amount = c->amount,
        .frozen = c->frozen,
    };
    return row;
}

static struct budget_row *make_span_row(struct budget_rows *rows, struct budget_counter *c,
                                        const struct span *s, config_pico ceiling) {
    struct budget_row *row = make_row(rows, c);
    row->epoch = s->epoch;
    row->window = s->window;
    row->spent = s->spent;
    row->recovered = s->recovered;
    row->overrun = s->overrun;
    row->extra = s->extra;
    row->ceiling = ceiling;
    row->reach_ms = s->reach_ms;
    row->until_ms = s->until_ms;
    return row;
}

static bool in_memory(const struct budget_counter *c) {
    return c->budget->tenant->budgets->journal == NULL;
}

// ----------------------------------------------------------------------- noting

void budget_rows_note(struct budget_rows *rows, struct budget_counter *c, struct span *s) {
    config_pico ceiling;
    if (in_memory(c))
        return;
    if (counter_wants_raise(c, s, &ceiling)) {
        s->ceiling = ceiling;
        s->confirming = true;
        struct budget_row *row = make_span_row(rows, c, s, ceiling);
        s->raise = row->number;
        row->confirm = true;
    } else if (counter_wants_lower(c, s, &ceiling)) {
        s->ceiling = s->confirmed = ceiling; // at once: the row may be on disk any moment
        (void)make_span_row(rows, c, s, ceiling);
    }
}

void budget_rows_note_dirty(struct budget_rows *rows, struct budget_counter *c) {
    c->dirty = false;
    for (size_t i = 0; i < c->span_count; i++) {
        struct span *s = &c->spans[i];
        if (!s->dirty)
            continue;
        s->dirty = false;
        if (in_memory(c))
            continue;
        config_pico ceiling;
        if (counter_wants_lower(c, s, &ceiling))
            s->ceiling = s->confirmed = ceiling;
        (void)make_span_row(rows, c, s, s->ceiling);
    }
}

// As a window of its own, which is none.
void budget_rows_note_state(struct budget_rows *rows, struct budget_counter *c) {
    if (!in_memory(c))
        (void)make_row(rows, c);
}

void budget_rows_note_live(struct budget_rows *rows, struct budget_counter *c, int64_t now_ms,
                           bool final) {
    for (size_t i = 0; i < c->span_count; i++) {
        struct span *s = &c->spans[i];
        if (s->dirty || span_is_live(s, now_ms))
            (void)make_span_row(rows, c, s, final ? span_used(s) : s->ceiling);
    }
    if (c->frozen)
        budget_rows_note_state(rows, c);
}

// ---------------------------------------------------------------------- writing

static void write_line(struct buffer *out, const struct budget_row *row, struct slice written) {
    const struct budget_counter *c = row->counter;
    const struct budget *b = c->budget;
    struct json_writer w;
    json_write_start(&w, out);
    json_object_begin(&w);
    json_key(&w, SLICE("number")), json_put_u64(&w, row->number);
    json_key(&w, SLICE("tenant")), json_put_string(&w, b->tenant->name);
    json_key(&w, SLICE("budget")), json_put_string(&w, b->name);
    json_key(&w, SLICE("start_ms")), json_put_i64(&w, row->window.start_ms);
    json_key(&w, SLICE("end_ms")), json_put_i64(&w, row->window.end_ms);
    json_key(&w, SLICE("spent")), json_put_i64(&w, row->spent);
    json_key(&w, SLICE("recovered")), json_put_i64(&w, row->recovered);
    json_key(&w, SLICE("overrun")), json_put_i64(&w, row->overrun);
    json_key(&w, SLICE("ceiling")), json_put_i64(&w, row->ceiling);
    json_key(&w, SLICE("written")), json_put_string(&w, written);
    json_key(&w, SLICE("per")), json_put_string(&w, budget_per_name(b->per));
    json_key(&w, SLICE("value")), json_put_string(&w, c->value);
    json_key(&w, SLICE("extra")), json_put_i64(&w, row->extra);
    json_key(&w, SLICE("frozen")), json_put_i64(&w, row->frozen);
    json_key(&w, SLICE("reach_ms")), json_put_i64(&w, row->reach_ms);
    json_key(&w, SLICE("until_ms")), json_put_i64(&w, row->until_ms);
    json_key(&w, SLICE("touched_ms")), json_put_i64(&w, row->touched_ms);
    json_key(&w, SLICE("amount")), json_put_i64(&w, row->amount);
    json_object_end(&w);
    buffer_append_char(out, '\n');
}

void budget_rows_journal(struct budgets *b, const struct budget_rows *rows) {
    struct buffer lines = {0};
    char written[25];
    clock_format_ms(clock_wall_ms(), written);
    for (size_t i = 0; i < rows->count; i++)
        write_line(&lines, &rows->items[i], slice_of(written));
    if (lines.len > 0)
        store_journal_append(b->journal, buffer_slice(&lines));
    buffer_free(&lines);
}

void budget_row_release(const struct budget_row *row) {
    atomic_fetch_sub_explicit(&row->counter->writing, 1, memory_order_release);
}

void budget_rows_free(struct budget_rows *rows) {
    if (rows->items != rows->own)
        free(rows->items);
    rows->items = NULL;
    rows->count = 0;
}

void budget_rows_append(struct budgets *b, struct budget_rows *rows) {
    budget_events_tell(rows);
    budget_rows_journal(b, rows);
    for (size_t i = 0; i < rows->count; i++)
        budget_row_release(&rows->items[i]);
    budget_rows_free(rows);
}
