// Calls to the shared store: several counters of one tenant at once, each with its
// windows; never two on their way for the same counter. What an instance says of a
// lease is what it goes by until the answer comes, so a ceiling is lowered here first,
// and raised in the store first.
#include <stdio.h>
#include <stdlib.h>

#include "budget_room.h"

static const char budget_share_text[] =
#include "budget_share.lua.h"
    ;
static const struct store_script script = {"budget_share", budget_share_text};

enum {
    FIXED_ARGUMENTS = 5,
    HEADROOM_WORSTS = 4, // for so many requests like those that wait
    ASKS_DOUBLE_MAX = 6, // each further ask between two beats doubles that, so often
};

struct share_item {
    struct budget_counter *counter; // held
    uint64_t asked;
    size_t window_count;
    uint64_t epochs[SHARE_WINDOWS];
    config_pico spent[SHARE_WINDOWS];
};

// Owned by its loop.
struct share_call {
    struct share_call *next, *previous;
    struct budgets_loop *loop; // NULL: nobody hears the answer
    struct budget_tenant *tenant;
    struct store_op *op;
    uint64_t number;
    bool of_round;
    size_t count;
    struct share_item items[SHARE_COUNTERS];
    struct buffer keys, blocks; // one behind the other
    size_t key_ends[SHARE_COUNTERS], block_ends[SHARE_COUNTERS];
};

static struct share_call *call_new(struct budgets *b, struct budget_tenant *t) {
    struct share_call *call = base_calloc(1, sizeof *call);
    call->tenant = t;
    call->number = atomic_fetch_add(&b->share.calls, 1) + 1;
    return call;
}

struct share_call *budget_share_call_new(struct budgets_loop *l, struct budget_tenant *t) {
    struct share_call *call = call_new(t->budgets, t);
    call->loop = l;
    return call;
}

struct share_call *budget_share_round_new(struct budgets_loop *l, struct budget_tenant *t) {
    struct share_call *call = budget_share_call_new(l, t);
    call->of_round = true;
    return call;
}

static void call_free(struct share_call *call) {
    buffer_free(&call->keys);
    buffer_free(&call->blocks);
    free(call);
}

bool budget_share_call_is_full(const struct share_call *call) {
    return call->count == SHARE_COUNTERS;
}

// --------------------------------------------------------------------- windows

static int64_t until_of(const struct span *s) {
    int64_t until = s->reach_ms > 0 ? pico_add(s->window.end_ms, s->reach_ms) : s->window.end_ms;
    return s->until_ms > until ? s->until_ms : until;
}

static struct share_window window_of_span(const struct span *s) {
    config_pico used = span_used(s);
    config_pico held = s->confirmed > used ? s->confirmed : used;
    return (struct share_window){
        .window = {s->window.start_ms, s->window.end_ms},
        .until_ms = until_of(s),
        .spent = s->spent,
        .held = held,
        .least = held,
        .need = held,
        .wanted = held,
        .said = s->share,
    };
}

// What those who wait for this counter need together, and the least of them.
static bool find_needs(const struct budget_counter *c, config_pico *sum, config_pico *least) {
    *sum = 0;
    *least = INT64_MAX;
    for (const struct budget_waiter *w = c->budget->tenant->waiters; w != NULL; w = w->next)
        for (size_t i = 0; i < w->reservation->leg_count; i++)
            if (w->reservation->legs[i].counter == c) {
                *sum = pico_add(*sum, w->reservation->amount);
                *least = w->reservation->amount < *least ? w->reservation->amount : *least;
            }
    return *least != INT64_MAX;
}

static void measure_growth(struct budget_counter *c) {
    config_pico used = span_used(c->now);
    bool same = c->share.epoch_before == c->now->epoch;
    // What is reserved is many times what is spent in the end: without the peak a few
    // requests a second would each have to ask.
    config_pico most = same && c->share.peak > used ? c->share.peak : used;
    c->share.growth = same && most > c->share.used_before ? most - c->share.used_before : 0;
    c->share.used_before = c->share.peak = used;
    c->share.epoch_before = c->now->epoch;
    c->share.asks = 0;
}

// With what it used lately ahead, so that most requests need not ask.
static struct share_window current_window(struct budget_counter *c, bool beat) {
    struct span *s = c->now;
    config_pico used = span_used(s), sum, least;
    bool waits = find_needs(c, &sum, &least);
    if (beat)
        measure_growth(c);
    config_pico headroom = pico_add(c->share.growth, c->share.growth);
    if (beat && !waits && s->confirmed > pico_add(used, headroom))
        s->confirmed = pico_add(used, headroom);
    struct share_window w = window_of_span(s);
    if (waits) {
        unsigned doubled = c->share.asks < ASKS_DOUBLE_MAX ? c->share.asks++ : ASKS_DOUBLE_MAX;
        config_pico ahead = least < INT64_MAX / (HEADROOM_WORSTS << ASKS_DOUBLE_MAX)
                                ? least * (HEADROOM_WORSTS << doubled)
                                : least;
        headroom = headroom > ahead ? headroom : ahead;
        w.least = pico_add(used, least);
        w.need = pico_add(used, sum);
        w.need = w.need > w.held ? w.need : w.held;
    }
    w.wanted = pico_add(w.need, headroom);
    return w;
}

// Does the store not know all of this span?
static bool span_is_told(const struct span *s) {
    return s->share.spent_told == s->spent && s->share.ceiling_told == s->spent &&
           s->reserved == 0;
}

// Where nothing more is to come what is used is enough. The store forgets windows that
// are long over, and is not told of them again.
static bool wants_telling(const struct budget_counter *c, const struct span *s, int64_t now_ms) {
    if (!span_is_live(s, now_ms))
        return false;
    return !span_is_told(s) || (c->share.tell_all && s->spent > 0);
}

bool budget_share_is_told(const struct budget_counter *c, int64_t now_ms) {
    for (size_t i = 0; i < c->span_count; i++)
        if (wants_telling(c, &c->spans[i], now_ms) ||
            (&c->spans[i] == c->now && c->spans[i].confirmed > c->spans[i].spent))
            return false;
    return true;
}

// A total of a value that nobody used for so long the store forgets by right: it has not
// lost what it was told then.
static bool may_have_expired(const struct budget_counter *c) {
    uint64_t told_ms = c->share.told_ms;
    return c->budget->by_value != NULL && c->now->window.end_ms == INT64_MAX && told_ms != 0 &&
           clock_mono_ms() - told_ms >= (uint64_t)FORGET_TOTAL_MS;
}

// ----------------------------------------------------------------------- blocks

static void put_shape(struct buffer *out, const struct budget_counter *c) {
    const struct window_shape *shape = &c->shape;
    const struct window *w = &c->now->window;
    int64_t carry = shape->sliding ? pico_add(w->end_ms, shape->length_ms) : w->end_ms;
    struct slice zone = shape->zone != NULL ? c->budget->zone : SLICE("utc");
    buffer_printf(out, "%lld:%s:%.*s %lld", (long long)shape->length_ms,
                  shape->sliding ? "sliding" : "fixed", SLICE_ARG(zone),
                  (long long)(carry < SHARE_FOREVER_MS ? carry : SHARE_FOREVER_MS));
}

static void put_head(struct buffer *out, struct budget_counter *c, size_t window_count) {
    struct budgets *b = c->budget->tenant->budgets;
    bool fresh = clock_mono_ms() < atomic_load(&b->share.fresh_until_ms);
    bool of_value = c->budget->by_value != NULL;
    struct slice me = store_instance(b->store);
    if (c->share.lease == 0)
        c->share.lease = atomic_fetch_add(&b->share.leases, 1) + 1;
    buffer_printf(out, "%.*s.%llu %llu %lld ", SLICE_ARG(me), (unsigned long long)c->share.lease,
                  (unsigned long long)c->share.heard, (long long)c->amount);
    put_shape(out, c);
    buffer_printf(out, " %lld %d %d %u %zu", (long long)(of_value ? FORGET_TOTAL_MS : 0),
                  !of_value && c->budget->configured, fresh, 2 * store_instances(b->store),
                  window_count);
}

// A place for the counter's key and block.
static void end_item(struct share_call *call, const struct budget_counter *c) {
    budget_share_put_key(&call->keys, c);
    call->key_ends[call->count] = call->keys.len;
    call->block_ends[call->count] = call->blocks.len;
    call->count++;
}

static void add_window(struct share_item *item, struct buffer *out, const struct span *s,
                       const struct share_window *w) {
    budget_share_put_window(out, w);
    item->epochs[item->window_count] = s->epoch;
    item->spent[item->window_count++] = s->spent;
}

void budget_share_call_add(struct share_call *call, struct budget_counter *c, bool beat) {
    struct share_item *item = &call->items[call->count];
    struct buffer windows = {0};
    int64_t now_ms = budgets_now_ms(c->budget->tenant->budgets);
    struct share_window current = current_window(c, beat);
    if (may_have_expired(c))
        current.said.told = 0;
    *item = (struct share_item){.counter = c, .asked = c->budget->tenant->waiter_number};
    add_window(item, &windows, c->now, &current);
    for (size_t i = 0; i < c->span_count && item->window_count < SHARE_WINDOWS; i++) {
        struct span *s = &c->spans[i];
        if (s == c->now || !wants_telling(c, s, now_ms))
            continue;
        s->confirmed = span_used(s);
        struct share_window w = window_of_span(s);
        add_window(item, &windows, s, &w);
    }
    put_head(&call->blocks, c, item->window_count);
    buffer_append(&call->blocks, buffer_slice(&windows));
    buffer_free(&windows);
    end_item(call, c);
    c->share.asking = true;
    c->share.outdated = false;
    c->holds++;
}

// ---------------------------------------------------------------------- sending

struct share_arguments {
    struct slice keys[SHARE_COUNTERS], args[FIXED_ARGUMENTS + SHARE_COUNTERS];
    char numbers[3][STORE_NUMBER_MAX];
    struct store_call call;
};

static const struct store_call *make_arguments(const struct share_call *call, const char *mode,
                                               struct share_arguments *a) {
    struct budgets *b = call->tenant->budgets;
    a->args[0] = slice_of(mode);
    a->args[1] = store_instance(b->store);
    a->args[2] = store_number(a->numbers[0], (int64_t)call->number);
    a->args[3] = store_number(a->numbers[1], b->share.term_ms);
    a->args[4] = store_number(a->numbers[2], b->share.hold_ms);
    for (size_t i = 0, key = 0, block = 0; i < call->count; i++) {
        a->keys[i] = slice_make(call->keys.ptr + key, call->key_ends[i] - key);
        a->args[FIXED_ARGUMENTS + i] =
            slice_make(call->blocks.ptr + block, call->block_ends[i] - block);
        key = call->key_ends[i];
        block = call->block_ends[i];
    }
    a->call = (struct store_call){.script = &script,
                                  .keys = a->keys,
                                  .key_count = call->count,
                                  .args = a->args,
                                  .arg_count = FIXED_ARGUMENTS + call->count,
                                  .patience_ms = atomic_load(&b->share.timeout_ms)};
    return &a->call;
}

// ---------------------------------------------------------------------- answers

static void take_window(struct span *s, const struct share_told_window *told, config_pico spent,
                        uint64_t number) {
    s->confirmed = told->ceiling;
    s->share.spent_told = spent;
    s->share.ceiling_told = told->ceiling;
    s->share.told = number;
    s->share.reset = told->reset;
    s->share.base = told->base;
    s->share.total = told->total;
    s->share.open = told->open;
}

static void take_told(const struct share_call *call, const struct share_item *item,
                      const struct share_told *told) {
    struct budget_counter *c = item->counter;
    for (size_t i = 0; i < item->window_count; i++) {
        struct span *s = counter_span(c, item->epochs[i]);
        if (s != NULL)
            take_window(s, &told->windows[i], item->spent[i], call->number);
    }
    c->frozen = told->frozen;
    c->share.holding = told->holding;
    c->share.failed = false;
    c->share.tell_all = false;
    c->share.heard = call->number;
    c->share.told_ms = clock_mono_ms();
    struct span *now = c->now;
    if (now->epoch != item->epochs[0])
        return; // it has turned meanwhile
    now->share.others_spent = told->spent;
    now->share.others_open = told->open;
    now->extra = told->extra > -INT64_MAX ? told->extra : -INT64_MAX;
    now->recovered = told->recovered;
    if (c->frozen || c->share.outdated)
        now->confirmed = span_used(now) < now->confirmed ? span_used(now) : now->confirmed;
}

static bool counts_all(const struct budget *b) {
    return b->configured && b->feature.len == 0 && b->user.len == 0 && b->by_value == NULL &&
           !b->shape.sliding;
}

// Of several budgets of a tenant, which see the same requests, rows are made to agree
// with one: the first that counts all requests, where there is one.
static const struct budget *budget_of_rows(const struct budget_tenant *t) {
    const struct budget *chosen = NULL;
    for (const struct budget *b = t->first; b != NULL; b = b->next) {
        if (counts_all(b))
            return b;
        if (b->configured && chosen == NULL)
            chosen = b;
    }
    return chosen;
}

static void note_losses(struct budget_loss **losses, const struct budget_counter *c,
                        const struct share_told *told) {
    struct slice rest = told->losses;
    struct share_loss found;
    while (rest.len > 0 && budget_share_next_loss(&rest, &found)) {
        struct budget_loss *loss = base_calloc(1, sizeof *loss + c->value.len + 1);
        char *text = (char *)(loss + 1);
        memcpy(text, c->value.ptr, c->value.len);
        *loss = (struct budget_loss){.next = *losses,
                                     .budget = c->budget,
                                     .value = slice_make(text, c->value.len),
                                     .window = {found.start_ms, found.end_ms},
                                     .lost = found.amount,
                                     .has_row = budget_of_rows(c->budget->tenant) == c->budget};
        *losses = loss;
    }
}

static void tell_loss(struct budgets *b, const struct budget_loss *loss) {
    char usd[BUDGET_USD_TEXT_MAX];
    bool back = loss->lost < 0;
    log_write(LOG_WARNING, "budget %.*s%s%.*s of tenant %.*s: %s USD %s",
              SLICE_ARG(loss->budget->name), loss->value.len > 0 ? " of " : "",
              SLICE_ARG(loss->value), SLICE_ARG(loss->budget->tenant->name),
              budget_usd(back && loss->lost > INT64_MIN ? -loss->lost : loss->lost, usd),
              back ? "that counted as spent were not: the instance is back"
                   : "were leased to an instance that is gone; counted as spent");
    if (!loss->has_row || b->share.recovered == NULL)
        return;
    struct budget_view view = budget_view_of(loss->budget, &loss->window);
    view.value = loss->value;
    view.recovered = loss->lost;
    b->share.recovered(b->share.recovered_arg, &view);
}

static void tell_losses(struct budgets *b, struct budget_loss *losses) {
    for (struct budget_loss *loss = losses, *next; loss != NULL; loss = next) {
        next = loss->next;
        tell_loss(b, loss);
        free(loss);
    }
}

// ------------------------------------------------------------- the end of a call

static void take_answer(struct share_call *call, bool ok, struct slice rest,
                        struct budget_loss **losses) {
    struct slice line;
    ok = ok && slice_split(&rest, '\n', &line); // the first is the clock
    for (size_t i = 0; i < call->count; i++) {
        struct share_item *item = &call->items[i];
        struct budget_counter *c = item->counter;
        struct share_told told;
        ok = ok && slice_split(&rest, '\n', &line) && budget_share_parse(line, &told) &&
             told.window_count == item->window_count;
        if (ok) {
            take_told(call, item, &told);
            note_losses(losses, c, &told);
        } else {
            c->share.failed = true;
        }
        c->share.asking = false;
        c->share.answered = item->asked;
        c->holds--;
    }
}

static void unlink_call(struct share_call *call) {
    struct budgets_loop *l = call->loop;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        l->calls = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
}

static void finish(struct share_call *call, bool ok, struct slice value) {
    struct budgets_loop *l = call->loop;
    struct budget_tenant *t = call->tenant;
    struct budget_loss *losses = NULL;
    struct budget_rows rows;
    int64_t now_ms = budgets_now_ms(l->budgets);
    atomic_store(&l->budgets->share.is_silent, !ok);
    budget_rows_start(&rows);
    pthread_mutex_lock(&t->lock);
    take_answer(call, ok, value, &losses);
    budget_share_wake(t, now_ms, &rows);
    struct share_call *next = budget_share_ask(l, t);
    pthread_mutex_unlock(&t->lock);
    bool of_round = call->of_round;
    unlink_call(call);
    call_free(call);
    budget_rows_write(l, &rows);
    tell_losses(l->budgets, losses);
    budget_share_send(next);
    if (of_round && ok)
        budget_share_report_on(l);
    else if (of_round)
        l->reporting = NULL; // the next beat begins anew
}

static void on_answer(void *arg, enum store_status status, struct slice value,
                      int64_t expires_ms) {
    (void)expires_ms;
    finish(arg, status == STORE_OK, value);
}

void budget_share_send(struct share_call *call) {
    struct share_arguments a;
    if (call == NULL)
        return;
    if (call->count == 0) {
        call_free(call);
        return;
    }
    struct budgets_loop *l = call->loop;
    call->next = l->calls;
    if (call->next != NULL)
        call->next->previous = call;
    l->calls = call;
    call->op = store_run(l->client, make_arguments(call, "report", &a), on_answer, call);
    if (call->op == NULL)
        finish(call, false, SLICE_NONE);
}

static void drop_items(struct share_call *call) {
    for (size_t i = 0; i < call->count; i++) {
        call->items[i].counter->share.asking = false;
        call->items[i].counter->holds--;
    }
}

// Others may wait for these answers: they ask by themselves.
void budget_share_cancel(struct budgets_loop *l) {
    while (l->calls != NULL) {
        struct share_call *call = l->calls;
        struct budget_tenant *t = call->tenant;
        store_cancel(call->op);
        pthread_mutex_lock(&t->lock);
        drop_items(call);
        for (struct budget_waiter *w = t->waiters, *next; w != NULL; w = next) {
            next = w->next;
            w->verdict = BUDGET_WAIT;
            budget_wait_end(t, w);
        }
        pthread_mutex_unlock(&t->lock);
        unlink_call(call);
        call_free(call);
    }
}

bool budget_share_send_quietly(struct share_call *call) {
    struct share_arguments a;
    bool ok = call->count == 0 ||
              store_run_quietly(call->tenant->budgets->store, make_arguments(call, "report", &a));
    drop_items(call);
    call_free(call);
    return ok;
}

// ------------------------------------------------------------------------ deeds

// Of one counter, with nothing of the instance's own but what it has spent; `more` is
// said at its end.
static bool send_about(struct budgets *b, struct budget_counter *c, const char *mode,
                       struct slice more) {
    struct share_call *call = call_new(b, c->budget->tenant);
    struct share_arguments a;
    struct share_window w = window_of_span(c->now);
    put_head(&call->blocks, c, 1);
    budget_share_put_window(&call->blocks, &w);
    buffer_append(&call->blocks, more);
    end_item(call, c);
    bool ok = store_run_quietly(b->store, make_arguments(call, mode, &a));
    call_free(call);
    return ok;
}

// By a name of its own, so that it is done once however often it comes.
bool budget_share_send_deed(struct budgets *b, struct budget_counter *c, const char *what,
                            config_pico amount) {
    char name[RANDOM_ID_LEN + 1], more[128];
    random_id(name);
    int len = snprintf(more, sizeof more, " %s %s %lld", name, what, (long long)amount);
    return send_about(b, c, "deed", slice_make(more, (size_t)len));
}

static void settle_tenant(struct budgets *b, struct budget_tenant *t, struct slice instance,
                          budget_rows_sum *sum, void *arg) {
    const struct budget *of_rows = budget_of_rows(t);
    config_pico rows;
    if (of_rows == NULL || !counts_all(of_rows) || of_rows->count == 0)
        return;
    struct budget_counter *c = of_rows->slots[0];
    counter_turn(c, budgets_now_ms(b));
    struct budget_view view = budget_view_of(of_rows, &c->now->window);
    char more[128];
    if (!sum(arg, &view, &rows))
        return;
    int len = snprintf(more, sizeof more, " %.*s %lld", SLICE_ARG(instance), (long long)rows);
    (void)send_about(b, c, "settle", slice_make(more, (size_t)len)); // away: nothing to agree on
}

void budgets_settle_earlier(struct budgets *b, struct slice instance, budget_rows_sum *sum,
                            void *arg) {
    bool is_id = instance.len == RANDOM_ID_LEN;
    for (struct budget_tenant *t = budget_tenant_first(b); is_id && t != NULL; t = t->next)
        settle_tenant(b, t, instance, sum, arg);
}
