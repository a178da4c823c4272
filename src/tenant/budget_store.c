// How what is on disk follows what is granted, without anybody on a loop waiting
// for it.
//
// Rows are appended to a journal: values of the store may be pushed out by the
// cache, and are given up when the disk is full. The row with the highest number
// of a window is the truth. A row that raises a ceiling is followed by a query
// for it; its answer, with no failure of the store in between, says that the row
// is committed. A row that lowers one needs no answer: until it is on disk the
// higher ceiling stands there, which is safe.
//
// The journal forgets its oldest rows. So with every ROWS_PER_CHUNK rows the
// windows of a few more counters are written again, round and round, such that
// each comes by within ROWS_PER_REFRESH rows.
#include <stdio.h>
#include <stdlib.h>

#include "budget_room.h"

// ------------------------------------------------------------------ confirmation

// A ceiling that is on its way to the disk. Owned by its loop.
struct confirmation {
    struct confirmation *next, *previous;
    struct budgets_loop *loop;
    struct budget_row row; // keeps its counter
    int64_t troubles;      // of the store before
    struct store_op *op;
};

static void confirmation_free(struct confirmation *f) {
    if (f->previous != NULL)
        f->previous->next = f->next;
    else
        f->loop->confirmations = f->next;
    if (f->next != NULL)
        f->next->previous = f->previous;
    budget_row_release(&f->row);
    free(f);
}

// Under the lock. NULL: the window is long over. A reset meanwhile has made the
// row an old one, which says nothing any more.
static struct span *take_confirmation(const struct confirmation *f, bool ok) {
    struct span *s = counter_span(f->row.counter, f->row.epoch);
    if (s == NULL)
        return NULL;
    s->confirming = false;
    if (ok && s->raise == f->row.number)
        s->confirmed = f->row.ceiling;
    return s;
}

static void confirm(struct confirmation *f, bool ok) {
    struct budgets_loop *l = f->loop;
    struct budget_counter *c = f->row.counter;
    struct budget_tenant *t = c->budget->tenant;
    struct budget_rows rows;
    atomic_store(&l->budgets->store_is_slow, !ok);
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    struct span *s = take_confirmation(f, ok);
    if (ok && s != NULL) // first: more may have been asked for meanwhile
        budget_rows_note(&rows, c, s);
    budget_wake(t);
    pthread_mutex_unlock(&t->lock);
    confirmation_free(f);
    budget_rows_write(l, &rows);
}

static void on_answer(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct confirmation *f = arg;
    bool there = status == STORE_OK && !slice_equal(value, SLICE("[]"));
    confirm(f, there && store_disk_troubles(f->loop->budgets->store) == f->troubles);
}

static void ask_for(struct budgets_loop *l, const struct budget_row *row, int64_t troubles) {
    struct confirmation *f = base_calloc(1, sizeof *f);
    char number[24];
    struct slice params[] = {slice_make(
        number, (size_t)snprintf(number, sizeof number, "%llu", (unsigned long long)row->number))};
    f->loop = l;
    f->row = *row;
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
        struct budget_tenant *t = f->row.counter->budget->tenant;
        store_cancel(f->op);
        pthread_mutex_lock(&t->lock);
        (void)take_confirmation(f, false); // somebody else may ask
        budget_wake(t);
        pthread_mutex_unlock(&t->lock);
        confirmation_free(f);
    }
}

// ----------------------------------------------------------------- written again

// Of one tenant, from the place of the round on. True: none of it is left.
static bool refresh_tenant(struct budgets *b, struct budget_tenant *t, size_t *count) {
    int64_t now_ms = clock_wall_ms();
    struct budget_rows rows;
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    struct budget *at = b->refresh_budget != NULL ? b->refresh_budget : t->first;
    while (at != NULL && *count > 0) {
        if (b->refresh_slot < at->count) {
            budget_rows_note_live(&rows, at->slots[b->refresh_slot++], now_ms, false);
            --*count;
        } else {
            at = at->next;
            b->refresh_slot = 0;
        }
    }
    pthread_mutex_unlock(&t->lock);
    b->refresh_budget = at;
    budget_rows_append(b, &rows);
    return at == NULL;
}

static void refresh_some(struct budgets *b) {
    uint64_t rows = atomic_load_explicit(&b->rows, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(&b->refreshed, memory_order_relaxed);
    if (rows - before < ROWS_PER_CHUNK || pthread_mutex_trylock(&b->refreshing) != 0)
        return; // it is early, or another loop does
    size_t count = atomic_load(&b->counters) * (rows - before) / ROWS_PER_REFRESH + 1;
    atomic_store_explicit(&b->refreshed, rows, memory_order_relaxed);
    struct budget_tenant *t =
        b->refresh_tenant != NULL ? b->refresh_tenant : budget_tenant_first(b);
    while (t != NULL && count > 0 && refresh_tenant(b, t, &count))
        t = t->next;
    b->refresh_tenant = t; // NULL: the round is over
    pthread_mutex_unlock(&b->refreshing);
}

// ------------------------------------------------------------------ writing rows

static void write_rows(struct budgets_loop *l, struct budget_rows *rows) {
    int64_t troubles = store_disk_troubles(l->budgets->store);
    budget_rows_journal(l->budgets, rows);
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].confirm)
            ask_for(l, &rows->items[i], troubles);
        else
            budget_row_release(&rows->items[i]);
    budget_rows_free(rows);
    refresh_some(l->budgets);
}

void budget_rows_write(struct budgets_loop *l, struct budget_rows *rows) {
    if (rows->events != NULL)
        budget_events_tell(rows);
    if (rows->count > 0)
        write_rows(l, rows);
}

static void write_tenant(struct budget_tenant *t, bool final) {
    int64_t now_ms = clock_wall_ms();
    struct budget_rows rows;
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    for (struct budget *b = t->first; b != NULL; b = b->next)
        for (size_t i = 0; i < b->count; i++)
            budget_rows_note_live(&rows, b->slots[i], now_ms, final);
    pthread_mutex_unlock(&t->lock);
    budget_rows_append(t->budgets, &rows);
}

void budget_rows_write_all(struct budgets *b, bool final) {
    if (b->journal == NULL)
        return;
    for (struct budget_tenant *t = budget_tenant_first(b); t != NULL; t = t->next)
        write_tenant(t, final);
}
