// Runs that several instances serve: each tells its own sums, and asks for those of
// the others before a step. One hash for each run (runs_share.lua), which goes when
// the run is over.
#include <stdio.h>
#include <stdlib.h>

#include "runs_room.h"

enum { FIGURES = 11, QUESTIONS_MAX = 200, ARGUMENTS = FIGURES + QUESTIONS_MAX };

static const char share_text[] =
#include "numbers.lua.h"
#include "runs_share.lua.h"
    ;
static const struct store_script share_script = {"runs", share_text};

struct run_question {
    struct runs *runs;
    struct run_state *state; // held
    struct store_op *op;     // NULL: answered
    // In the state's list until its step is counted or given up.
    struct run_question *next, **link;
    uint64_t number;
    bool summed; // among the steps that are told, since more were asked for than a call names
    bool answered, granted;
    int64_t used;
    run_known *done;
    void *arg;
};

// -------------------------------------------------------------------------- a call

// Its texts lie in it.
struct call {
    struct store_call call;
    struct slice key, args[ARGUMENTS];
    char key_text[2 * DIGEST_LEN + 16], numbers[ARGUMENTS][STORE_NUMBER_MAX];
};

static void put_key(struct call *c, const struct run_state *s) {
    uint8_t bytes[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    struct digest *d = digest_of_thread();
    digest_update_part(d, s->owner->tenant);
    digest_update_part(d, s->name);
    digest_finish(d, bytes);
    digest_hex(bytes, DIGEST_LEN, hex);
    int len = snprintf(c->key_text, sizeof c->key_text, "{r:%s}:run", hex);
    c->key = slice_make(c->key_text, (size_t)len);
}

static void put_number(struct call *c, int64_t n) {
    size_t at = c->call.arg_count++;
    c->args[at] = store_number(c->numbers[at], n < NUMBERS_MAX ? n : NUMBERS_MAX);
}

// What may have been granted and is not counted yet: the newest by their numbers. What
// was not named once is forgotten there, and so told as a step from then on: rather one
// that was not granted than none that was. Answers how many are told so.
static int64_t name_questions(const struct run_state *s, uint64_t numbers[QUESTIONS_MAX],
                              size_t *count) {
    int64_t summed = 0;
    *count = 0;
    for (struct run_question *q = s->questions; q != NULL; q = q->next) {
        if (q->answered && !q->granted)
            continue;
        q->summed = q->summed || *count == QUESTIONS_MAX;
        if (q->summed)
            summed++;
        else
            numbers[(*count)++] = q->number;
    }
    return summed;
}

// Under the lock of its shard: so a later number has later figures.
static uint64_t prepare(struct call *c, struct runs *r, const struct run_state *s,
                        int64_t max_steps, bool asks) {
    uint64_t number = atomic_fetch_add(&r->calls, 1) + 1;
    static const struct run_others none;
    const struct run_others *past = s->restored ? &s->others : &none;
    uint64_t named[QUESTIONS_MAX];
    size_t named_count;
    int64_t tokens, summed = name_questions(s, named, &named_count);
    if (__builtin_add_overflow(s->tokens, s->reserved, &tokens))
        tokens = INT64_MAX;
    *c = (struct call){.call = {.script = &share_script, .keys = &c->key, .key_count = 1}};
    c->call.args = c->args;
    put_key(c, s);
    c->args[c->call.arg_count++] = store_instance(r->store);
    put_number(c, (int64_t)number);
    put_number(c, s->steps + summed);
    put_number(c, s->attempts);
    put_number(c, tokens);
    put_number(c, (int64_t)clock_mono_ms() - s->started_mono_ms);
    put_number(c, max_steps);
    put_number(c, asks ? 1 : 0);
    put_number(c, past->steps);
    put_number(c, past->attempts);
    put_number(c, past->tokens);
    for (size_t i = 0; i < named_count; i++)
        put_number(c, (int64_t)named[i]);
    return number;
}

void run_report(struct runs *r, struct run_state *s) {
    struct call c;
    if (r->store == NULL)
        return;
    pthread_mutex_lock(&s->shard->lock);
    (void)prepare(&c, r, s, -1, false);
    pthread_mutex_unlock(&s->shard->lock);
    (void)store_run_quietly(r->store, &c.call); // else with the next
}

// ---------------------------------------------------------------------- questions

static void learn(struct run_question *q, const struct run_others *others) {
    struct run_state *s = q->state;
    int64_t started = (int64_t)clock_mono_ms() - others->age_ms;
    pthread_mutex_lock(&s->shard->lock);
    s->others = *others;
    s->restored = false;
    if (started < s->started_mono_ms)
        s->started_mono_ms = started;
    q->answered = true;
    q->granted = others->granted > 0;
    q->used = others->used;
    pthread_mutex_unlock(&s->shard->lock);
}

static void on_answer(void *arg, enum store_status status, struct slice value,
                      int64_t expires_ms) {
    (void)expires_ms;
    struct run_question *q = arg;
    struct run_others others;
    q->op = NULL;
    if (status == STORE_OK && run_others_parse(value, &others))
        learn(q, &others);
    q->done(q->arg);
}

bool run_ask(struct runs *r, struct store_client *client, struct run_ticket *t,
             struct slice tenant, struct slice run, const struct config_run *caps,
             run_known *done, void *arg) {
    if (r->store == NULL || client == NULL || run.len == 0 || !run_has_caps(caps) ||
        !store_is_up(r->store))
        return false;
    struct run_question *q = base_calloc(1, sizeof *q);
    struct call c;
    run = run_name_cut(run);
    struct run_shard *shard = run_shard_of(r, tenant, run);
    pthread_mutex_lock(&shard->lock);
    *q = (struct run_question){
        .runs = r, .state = run_hold(shard, tenant, run), .done = done, .arg = arg};
    q->number = prepare(&c, r, q->state, caps->max_steps, true);
    q->next = q->state->questions;
    q->link = &q->state->questions;
    if (q->next != NULL)
        q->next->link = &q->next;
    q->state->questions = q;
    pthread_mutex_unlock(&shard->lock);
    q->op = store_run(client, &c.call, on_answer, q);
    if (q->op != NULL)
        t->question = q;
    else
        run_question_free(q);
    return t->question != NULL;
}

bool run_question_settle(struct run_question *q, bool *granted, int64_t *used) {
    if (q == NULL || q->link == NULL)
        return false;
    *q->link = q->next;
    if (q->next != NULL)
        q->next->link = q->link;
    q->link = NULL;
    *granted = q->granted;
    *used = q->used;
    return q->answered;
}

void run_question_free(struct run_question *q) {
    if (q == NULL)
        return;
    bool granted;
    int64_t used;
    struct run_shard *shard = q->state->shard;
    if (q->op != NULL)
        store_cancel(q->op);
    pthread_mutex_lock(&shard->lock);
    bool given_up = q->link != NULL;
    (void)run_question_settle(q, &granted, &used);
    pthread_mutex_unlock(&shard->lock);
    if (given_up)
        run_report(q->runs, q->state); // it may have been granted
    pthread_mutex_lock(&shard->lock);
    run_let_go(q->state);
    pthread_mutex_unlock(&shard->lock);
    free(q);
}
