// Calls to the shared store, one at a time for each name: what is asked and told
// by limits_share.lua, the timer that looks after what was leased, and the
// messages by which instances learn that somebody waits for places or that some
// came free. A message that is lost costs time: who waits asks again by himself.
#include <event2/event.h>
#include <stdlib.h>

#include "limits_room.h"

enum {
    TICK_US = 25000,
    SAY_US = 500000, // who still waits says so again
    ARGUMENTS = 24,
};

static const char share_text[] =
#include "numbers.lua.h"
#include "limits_share.lua.h"
    ;
static const struct store_script share_script = {"limits", share_text};
static const char channel[] = "limits";

// Owned by its loop; in the loop's list until it was answered.
struct limits_call {
    struct limits_loop *loop;
    struct limits_tenant *tenant;
    struct store_op *op;
    struct limits_request request;
    struct limits_call *next, *previous;
};

// ------------------------------------------------------------------ looking after

static void on_tick(evutil_socket_t fd, short what, void *arg);

static void arm(struct limits_loop *l) {
    static const struct timeval pause = {0, TICK_US};
    if (!event_pending(l->tick, EV_TIMEOUT, NULL))
        event_add(l->tick, &pause);
}

bool limits_share_note(struct limits_loop *l, struct limits_tenant *t, uint64_t now_us) {
    struct limits_share *s = t->share;
    if (l->client == NULL)
        return false;
    if (s->steward == NULL && !limits_share_is_idle(t)) {
        s->steward = l;
        s->next = l->tended;
        l->tended = t;
        arm(l);
    }
    return limits_share_is_due(t, now_us);
}

// True: it has nothing to look after any more, and is nobody's.
static bool dismiss(struct limits_tenant *t, bool *due) {
    pthread_mutex_lock(&t->lock);
    bool idle = limits_share_is_idle(t);
    if (idle)
        t->share->steward = NULL;
    *due = !idle && limits_share_is_due(t, clock_mono_us());
    pthread_mutex_unlock(&t->lock);
    return idle;
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd, (void)what;
    struct limits_loop *l = arg;
    struct limits_tenant *t = l->tended;
    l->tended = NULL;
    while (t != NULL) {
        struct limits_tenant *next = t->share->next;
        bool due;
        if (!dismiss(t, &due)) {
            t->share->next = l->tended;
            l->tended = t;
        }
        if (due)
            limits_share_call(l, t);
        t = next;
    }
    if (l->tended != NULL)
        arm(l);
}

// ---------------------------------------------------------------------- messages

static void say(struct limits_tenant *t) {
    struct store *store = t->share->limits->store;
    struct buffer text = {0};
    buffer_printf(&text, "%.*s %.*s", SLICE_ARG(store_instance(store)), SLICE_ARG(t->name));
    store_say(store, channel, buffer_slice(&text));
    buffer_free(&text);
}

static bool is_called(struct limits_loop *l, struct limits_tenant *t) {
    pthread_mutex_lock(&t->lock);
    bool mine = t->share->steward == l;
    if (mine)
        t->share->called = true;
    bool due = mine && limits_share_is_due(t, clock_mono_us());
    pthread_mutex_unlock(&t->lock);
    return due;
}

// The instance and the name.
static void on_heard(void *arg, struct slice message) {
    struct limits_loop *l = arg;
    struct slice from;
    if (!slice_split(&message, ' ', &from) ||
        slice_equal(from, store_instance(l->limits->store)))
        return;
    struct limits_tenant *t = message.ptr != NULL ? table_get(l->known, message) : NULL;
    if (t != NULL && t->share != NULL && is_called(l, t))
        limits_share_call(l, t);
}

// Others should look: places came free that they wait for, or this one still waits.
static bool has_to_say(struct limits_share *s, const struct limits_request *r, uint64_t now_us) {
    bool wants = s->full_us == now_us && now_us - s->said_us >= SAY_US;
    if (wants)
        s->said_us = now_us;
    return wants || r->gave_places_back;
}

// -------------------------------------------------------------------------- a call

struct arguments {
    size_t count;
    struct slice list[ARGUMENTS];
    char numbers[ARGUMENTS][STORE_NUMBER_MAX];
};

static void add_number(struct arguments *a, int64_t n) {
    a->list[a->count] = store_number(a->numbers[a->count], n);
    a->count++;
}

static void put_arguments(struct arguments *a, const struct limits_share *s,
                          const struct limits_request *r) {
    const struct limits *l = s->limits;
    a->list[a->count++] = store_instance(l->store);
    add_number(a, (int64_t)r->number);
    add_number(a, l->sharing.term_ms);
    add_number(a, r->instances);
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++) {
        add_number(a, r->rates[k].limit);
        add_number(a, r->rates[k].granted);
        add_number(a, r->rates[k].charged_known);
        add_number(a, r->rates[k].debt);
        add_number(a, r->rates[k].need);
        add_number(a, r->rates[k].least);
        add_number(a, r->rates[k].more);
        add_number(a, r->rates[k].charged);
    }
    add_number(a, r->concurrency);
    add_number(a, r->have);
    add_number(a, r->need);
    add_number(a, r->more);
}

static struct store_call call_of(const struct slice *key, const struct arguments *a) {
    return (struct store_call){.script = &share_script,
                               .keys = key,
                               .key_count = 1,
                               .args = a->list,
                               .arg_count = a->count};
}

static void call_free(struct limits_call *c) {
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        c->loop->calls = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    free(c);
}

static void on_answer(void *arg, enum store_status status, struct slice value,
                      int64_t expires_ms) {
    (void)expires_ms;
    struct limits_call *c = arg;
    struct limits_loop *l = c->loop;
    struct limits_tenant *t = c->tenant;
    struct limits_share *s = t->share;
    struct limits_answer a;
    bool answered = status == STORE_OK && limits_share_answer_parse(value, &a);
    pthread_mutex_lock(&t->lock);
    uint64_t now_us = clock_mono_us();
    s->call = NULL;
    if (answered) {
        limits_share_apply(t, &c->request, &a, now_us);
        limits_hand_over(t);
        limits_line_judge(t, c->request.arrivals, now_us);
    } else {
        limits_line_give_up(t, now_us);
    }
    bool says = answered && has_to_say(s, &c->request, now_us);
    bool again = limits_share_note(l, t, now_us);
    pthread_mutex_unlock(&t->lock);
    call_free(c);
    if (says)
        say(t);
    if (again)
        limits_share_call(l, t);
}

static int64_t add(int64_t a, int64_t b) {
    return a < NUMBERS_MAX - b ? a + b : NUMBERS_MAX;
}

// Of those in the line: how much in all, and how much the first, who would be let in
// first. Answers how many want a place.
static int64_t count_line(const struct limits_share *s, struct limits_request *r) {
    int64_t count = 0;
    for (const struct limits_waiter *w = s->first; w != NULL; w = w->next, count++)
        r->rates[LIMITS_TOKENS].need =
            add(r->rates[LIMITS_TOKENS].need,
                w->ticket->tokens < NUMBERS_MAX ? w->ticket->tokens : NUMBERS_MAX);
    r->rates[LIMITS_REQUESTS].need = count;
    if (s->first != NULL) {
        int64_t tokens = s->first->ticket->tokens;
        r->rates[LIMITS_REQUESTS].least = 1;
        r->rates[LIMITS_TOKENS].least = tokens < NUMBERS_MAX ? tokens : NUMBERS_MAX;
    }
    return count;
}

// NULL: nothing is due after all. Under the lock.
static struct limits_call *prepare(struct limits_loop *l, struct limits_tenant *t) {
    struct limits_share *s = t->share;
    uint64_t now_us = clock_mono_us();
    if (l->client == NULL || !limits_share_is_due(t, now_us))
        return NULL;
    struct limits_call *c = base_calloc(1, sizeof *c);
    *c = (struct limits_call){.loop = l, .tenant = t, .next = l->calls};
    if (l->calls != NULL)
        l->calls->previous = c;
    l->calls = c;
    if (!s->alone) // whose share is of as many as there were
        s->instances = store_instances(s->limits->store);
    int64_t want = count_line(s, &c->request) + t->queue.count;
    limits_share_prepare(t, &c->request, want, now_us);
    s->call = c;
    return c;
}

static struct store_op *run(struct limits_loop *l, struct limits_call *c) {
    struct arguments a = {0};
    put_arguments(&a, c->tenant->share, &c->request);
    const struct slice key = slice_of(c->tenant->share->key);
    const struct store_call call = call_of(&key, &a);
    return store_run(l->client, &call, on_answer, c);
}

void limits_share_call(struct limits_loop *l, struct limits_tenant *t) {
    pthread_mutex_lock(&t->lock);
    struct limits_call *c = prepare(l, t);
    pthread_mutex_unlock(&t->lock);
    if (c == NULL)
        return;
    c->op = run(l, c);
    if (c->op != NULL)
        return;
    pthread_mutex_lock(&t->lock);
    t->share->call = NULL;
    limits_line_give_up(t, clock_mono_us());
    pthread_mutex_unlock(&t->lock);
    call_free(c);
}

// ------------------------------------------------------------------------ as such

void limits_loop_share(struct limits_loop *l, struct store_client *client) {
    if (client == NULL || l->limits->store == NULL)
        return;
    l->client = client;
    l->ear = store_listen(client, channel, on_heard, l);
    l->tick = evtimer_new(l->base, on_tick, l);
}

// All that is idle goes back at once; nobody of this loop is there to hear that it did.
static void leave(struct limits_tenant *t) {
    struct limits_share *s = t->share;
    struct limits_request r = {0};
    struct arguments a = {0};
    pthread_mutex_lock(&t->lock);
    uint64_t now_us = clock_mono_us();
    bool tell = s->call == NULL && !s->alone;
    s->steward = NULL;
    if (tell) {
        s->spare = (struct limits_low){INT64_MAX, 0};
        for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
            s->rates[k].low = (struct limits_low){INT64_MAX, 0};
        limits_share_prepare(t, &r, 0, now_us);
        r.more = r.rates[LIMITS_REQUESTS].more = r.rates[LIMITS_TOKENS].more = 0;
        put_arguments(&a, s, &r);
    }
    pthread_mutex_unlock(&t->lock);
    const struct slice key = slice_of(s->key);
    const struct store_call call = call_of(&key, &a);
    if (tell)
        (void)store_run_quietly(s->limits->store, &call);
}

// Whoever had looked after it may have left it to this loop's call.
static void call_off(struct limits_loop *l, struct limits_call *c) {
    struct limits_tenant *t = c->tenant;
    store_cancel(c->op);
    pthread_mutex_lock(&t->lock);
    t->share->call = NULL;
    (void)limits_share_note(l, t, clock_mono_us());
    pthread_mutex_unlock(&t->lock);
    call_free(c);
}

void limits_share_close(struct limits_loop *l) {
    while (l->calls != NULL)
        call_off(l, l->calls);
    for (struct limits_tenant *t = l->tended, *next; t != NULL; t = next) {
        next = t->share->next;
        leave(t);
    }
    l->tended = NULL;
    if (l->ear != NULL)
        store_unlisten(l->ear);
    if (l->tick != NULL)
        event_free(l->tick);
}
