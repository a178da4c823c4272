// Runs in memory: one lock a shard, held for some tens of nanoseconds.
//
// The number of runs is bounded, since clients invent them. At the bound a new
// one takes the place of an idle one, of its own tenant if that has its share of
// all already, otherwise of the tenant that has most: who invents runs pushes out
// his own. Runs with requests running stay, over the bound if need be; they are
// no more than the requests, which cost more memory than they do.
#include "runs_room.h"

#include <stdlib.h>

// Of one ticket; so the sum over all that run cannot run over.
#define TOKENS_MAX (INT64_C(1) << 40)

static int64_t add(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t mono_ms(void) {
    return (int64_t)clock_mono_ms();
}

// ------------------------------------------------------------------------ making

struct runs *runs_new(size_t shards, size_t most) {
    struct runs *r = base_calloc_lines(sizeof *r + shards * sizeof r->shards[0]);
    r->shard_count = shards;
    for (size_t i = 0; i < shards; i++) {
        r->shards[i] = (struct run_shard){.by_tenant = table_new(), .most = most};
        base_lock_init(&r->shards[i].lock);
    }
    return r;
}

static void owner_free(struct run_owner *o) {
    size_t cursor = 0;
    struct slice name;
    void *state;
    while (table_next(o->by_name, &cursor, &name, &state))
        free(state);
    table_free(o->by_name);
    free((char *)o->tenant.ptr);
    free(o);
}

void runs_close(struct runs *r) {
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->shard_count; i++) {
        struct run_shard *s = &r->shards[i];
        for (struct run_owner *o = s->owners, *next; o != NULL; o = next) {
            next = o->next;
            owner_free(o);
        }
        table_free(s->by_tenant);
        pthread_mutex_destroy(&s->lock);
    }
    free(r);
}

// ------------------------------------------------------------------------ idling

static void unlink_idle(struct run_state *s) {
    struct run_owner *o = s->owner;
    if (s->older != NULL)
        s->older->newer = s->newer;
    else
        o->oldest = s->newer;
    if (s->newer != NULL)
        s->newer->older = s->older;
    else
        o->newest = s->older;
    s->older = s->newer = NULL;
}

static void link_newest(struct run_state *s) {
    struct run_owner *o = s->owner;
    s->older = o->newest;
    s->newer = NULL;
    if (o->newest != NULL)
        o->newest->newer = s;
    else
        o->oldest = s;
    o->newest = s;
}

static void link_oldest(struct run_state *s) {
    struct run_owner *o = s->owner;
    s->newer = o->oldest;
    s->older = NULL;
    if (o->oldest != NULL)
        o->oldest->older = s;
    else
        o->newest = s;
    o->oldest = s;
}

static bool is_over(const struct run_state *s, int64_t now) {
    return s->running == 0 && now - s->last_mono_ms >= RUN_IDLE_MS;
}

static void forget(struct run_state *s) { // an idle one
    unlink_idle(s);
    table_remove(s->owner->by_name, s->name);
    s->owner->count--;
    s->shard->count--;
    free(s);
}

// -------------------------------------------------------------------------- room

static struct run_owner *find_crowded(const struct run_shard *shard) {
    struct run_owner *most = NULL;
    for (struct run_owner *o = shard->owners; o != NULL; o = o->next)
        if (o->oldest != NULL && (most == NULL || o->count > most->count))
            most = o;
    return most;
}

// A tenant with its share gives its own; so the walk over all tenants is for
// those that have few, and each shortens the others by one.
static void shrink(struct run_shard *shard, size_t most, struct run_owner *own) {
    while (shard->count > most) {
        bool has_share = own->count * shard->owner_count >= shard->most;
        struct run_owner *from = has_share && own->oldest != NULL ? own : find_crowded(shard);
        if (from == NULL)
            return; // all are running
        forget(from->oldest);
    }
}

// A few at a time, so that nobody waits for a long day's end.
static void forget_those_over(struct run_owner *o, int64_t now) {
    for (int i = 0; i < 4 && o->oldest != NULL && is_over(o->oldest, now); i++)
        forget(o->oldest);
}

// ----------------------------------------------------------------------- finding

struct run_shard *run_shard_of(struct runs *r, struct slice tenant, struct slice run) {
    uint64_t hash = base_hash(run) ^ (base_hash(tenant) << 1);
    return &r->shards[(hash >> 32) % r->shard_count];
}

static struct run_owner *find_owner(struct run_shard *shard, struct slice tenant) {
    struct run_owner *o = table_get(shard->by_tenant, tenant);
    if (o != NULL)
        return o;
    o = base_calloc(1, sizeof *o);
    o->tenant = slice_make(slice_dup(tenant), tenant.len);
    o->by_name = table_new();
    o->next = shard->owners;
    shard->owners = o;
    shard->owner_count++;
    table_put(shard->by_tenant, tenant, o);
    return o;
}

static struct run_state *state_new(struct run_shard *shard, struct run_owner *owner,
                                   struct slice run) {
    struct run_state *s = base_calloc(1, sizeof *s + run.len);
    memcpy(s + 1, run.ptr, run.len);
    s->name = slice_make(s + 1, run.len);
    s->shard = shard;
    s->owner = owner;
    table_put(owner->by_name, run, s);
    owner->count++;
    shard->count++;
    return s;
}

struct slice run_name_cut(struct slice run) {
    return run.len > RUN_NAME_BYTES_MAX ? slice_make(run.ptr, RUN_NAME_BYTES_MAX) : run;
}

// On no list of idle ones; the caller puts it there or counts a request.
static struct run_state *take(struct run_shard *shard, struct slice tenant, struct slice run,
                              int64_t now) {
    struct run_owner *owner = find_owner(shard, tenant);
    forget_those_over(owner, now);
    struct run_state *s = table_get(owner->by_name, run);
    if (s != NULL && is_over(s, now)) {
        forget(s);
        s = NULL;
    }
    if (s == NULL) {
        shrink(shard, shard->most - 1, owner);
        s = state_new(shard, owner, run);
        s->started_mono_ms = now;
    } else if (s->running == 0) {
        unlink_idle(s);
    }
    s->last_mono_ms = now;
    return s;
}

void runs_restore(struct runs *r, const struct run_view *past, int64_t wall_now_ms) {
    struct slice run = run_name_cut(past->run);
    struct run_shard *shard = run_shard_of(r, past->tenant, run);
    struct run_owner *owner = find_owner(shard, past->tenant);
    int64_t since_start = wall_now_ms - past->started_ms, since_last = wall_now_ms - past->last_ms;
    if (shard->count >= shard->most || table_get(owner->by_name, run) != NULL)
        return;
    struct run_state *s = state_new(shard, owner, run);
    if (r->store != NULL) { // it may know more of them
        s->others = (struct run_others){
            .steps = past->steps, .attempts = past->attempts, .tokens = past->tokens};
        s->restored = true;
    } else {
        s->steps = past->steps;
        s->attempts = past->attempts;
        s->tokens = past->tokens;
    }
    s->started_mono_ms = mono_ms() - (since_start > 0 ? since_start : 0);
    s->last_mono_ms = mono_ms() - (since_last > 0 ? since_last : 0);
    link_oldest(s);
}

// -------------------------------------------------------------------------- caps

bool run_has_caps(const struct config_run *caps) {
    return caps->max_steps >= 0 || caps->max_attempts >= 0 || caps->max_tokens >= 0 ||
           caps->max_wall_ms >= 0;
}

static bool refuse(struct run_refusal *out, enum run_cap cap, int64_t limit, int64_t used,
                   int64_t asked) {
    *out = (struct run_refusal){cap, limit, used, asked};
    return false;
}

static bool has_time(const struct run_state *s, const struct config_run *caps, int64_t now,
                     struct run_refusal *refusal) {
    int64_t elapsed = now - s->started_mono_ms;
    if (caps->max_wall_ms < 0 || elapsed < caps->max_wall_ms)
        return true;
    return refuse(refusal, RUN_CAP_WALL, caps->max_wall_ms, elapsed, 0);
}

// A count and one more.
static bool has_one_more(enum run_cap cap, int64_t limit, int64_t used,
                         struct run_refusal *refusal) {
    return limit < 0 || used < limit || refuse(refusal, cap, limit, used, 1);
}

// The store's word, where it gave one, is that of all instances at one moment.
static bool count_step(struct run_state *s, const struct config_run *caps, int64_t now,
                       struct run_question *question, struct run_refusal *refusal) {
    bool granted;
    int64_t used;
    bool answered = run_question_settle(question, &granted, &used);
    if (!has_time(s, caps, now, refusal))
        return false;
    if (answered && !granted)
        return refuse(refusal, RUN_CAP_STEPS, caps->max_steps, used, 1);
    if (!answered && !has_one_more(RUN_CAP_STEPS, caps->max_steps,
                                   add(s->steps, s->others.steps), refusal))
        return false;
    s->steps++;
    s->running++;
    return true;
}

struct run_state *run_hold(struct run_shard *shard, struct slice tenant, struct slice run) {
    struct run_state *s = take(shard, tenant, run, mono_ms());
    s->running++;
    return s;
}

void run_let_go(struct run_state *s) {
    s->last_mono_ms = mono_ms();
    if (--s->running == 0)
        link_newest(s);
    shrink(s->shard, s->shard->most, s->owner); // while all were running it could not be done
}

bool run_enter(struct runs *r, struct run_ticket *t, struct slice tenant, struct slice run,
               const struct config_run *caps, struct run_refusal *refusal) {
    struct run_question *question = t->question;
    *t = (struct run_ticket){.runs = r};
    if (run.len == 0 || !run_has_caps(caps)) {
        run_question_free(question);
        return true;
    }
    run = run_name_cut(run);
    struct run_shard *shard = run_shard_of(r, tenant, run);
    int64_t now = mono_ms();
    pthread_mutex_lock(&shard->lock);
    struct run_state *s = take(shard, tenant, run, now);
    bool entered = count_step(s, caps, now, question, refusal);
    if (s->running == 0)
        link_newest(s);
    pthread_mutex_unlock(&shard->lock);
    run_question_free(question);
    if (entered)
        t->state = s;
    return entered;
}

// The tokens of the others and of this one.
static bool fits(const struct run_state *s, const struct run_ticket *t,
                 const struct config_run *caps, int64_t tokens, struct run_refusal *refusal) {
    int64_t used = add(add(s->tokens, s->others.tokens), s->reserved - t->tokens);
    if (caps->max_tokens < 0 || add(used, tokens) <= caps->max_tokens)
        return true;
    return refuse(refusal, RUN_CAP_TOKENS, caps->max_tokens, used, tokens);
}

static void reserve(struct run_ticket *t, int64_t tokens) {
    int64_t reserved = tokens < TOKENS_MAX ? tokens : TOKENS_MAX;
    t->state->reserved += reserved - t->tokens;
    t->tokens = reserved;
}

bool run_attempt(struct run_ticket *t, const struct config_run *caps, int64_t tokens,
                 struct run_refusal *refusal) {
    struct run_state *s = t->state;
    if (s == NULL)
        return true;
    if (tokens < 0)
        tokens = 0;
    pthread_mutex_lock(&s->shard->lock);
    bool fine = has_time(s, caps, mono_ms(), refusal) &&
                has_one_more(RUN_CAP_ATTEMPTS, caps->max_attempts,
                             add(s->attempts, s->others.attempts), refusal) &&
                fits(s, t, caps, tokens, refusal);
    if (fine) {
        s->attempts++;
        reserve(t, tokens);
    }
    pthread_mutex_unlock(&s->shard->lock);
    if (fine)
        run_report(t->runs, s);
    return fine;
}

void run_settle(struct run_ticket *t, int64_t tokens) {
    struct run_state *s = t->state;
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->shard->lock);
    reserve(t, 0);
    s->tokens = add(s->tokens, tokens > 0 ? tokens : 0);
    pthread_mutex_unlock(&s->shard->lock);
}

void run_leave(struct run_ticket *t) {
    struct run_state *s = t->state;
    run_question_free(t->question);
    t->question = NULL;
    if (s == NULL)
        return;
    struct run_shard *shard = s->shard;
    pthread_mutex_lock(&shard->lock);
    reserve(t, 0);
    pthread_mutex_unlock(&shard->lock);
    run_report(t->runs, s);
    pthread_mutex_lock(&shard->lock);
    run_let_go(s);
    pthread_mutex_unlock(&shard->lock);
    t->state = NULL;
}

// ----------------------------------------------------------------------- showing

static void add_view(struct buffer *out, const struct run_owner *o, const struct run_state *s,
                     int64_t wall_less_mono) {
    struct run_view view = {.tenant = o->tenant,
                            .run.len = s->name.len,
                            .steps = add(s->steps, s->others.steps),
                            .attempts = add(s->attempts, s->others.attempts),
                            .tokens = add(s->tokens, s->others.tokens),
                            .reserved = s->reserved,
                            .running = s->running,
                            .started_ms = s->started_mono_ms + wall_less_mono,
                            .last_ms = s->last_mono_ms + wall_less_mono};
    buffer_append(out, slice_make(&view, sizeof view));
    buffer_append(out, s->name);
}

static void copy_shard(struct run_shard *shard, struct buffer *out) {
    int64_t wall_less_mono = clock_wall_ms() - mono_ms();
    pthread_mutex_lock(&shard->lock);
    for (struct run_owner *o = shard->owners; o != NULL; o = o->next) {
        size_t cursor = 0;
        struct slice name;
        void *state;
        while (table_next(o->by_name, &cursor, &name, &state))
            add_view(out, o, state, wall_less_mono);
    }
    pthread_mutex_unlock(&shard->lock);
}

// A copy of each shard: the visitor may take its time. (Owners stay.)
void runs_visit(struct runs *r, run_visitor *visit, void *arg) {
    struct buffer copy = {0};
    for (size_t i = 0; i < r->shard_count; i++) {
        buffer_clear(&copy);
        copy_shard(&r->shards[i], &copy);
        for (size_t at = 0; at < copy.len;) {
            struct run_view view;
            memcpy(&view, copy.ptr + at, sizeof view);
            view.run.ptr = copy.ptr + at + sizeof view;
            at += sizeof view + view.run.len;
            visit(arg, &view);
        }
    }
    buffer_free(&copy);
}
