// Claims: whose a purchase is. See farthing/share.h.
#include <stdio.h>
#include <stdlib.h>

#include "share_room.h"

static const char claim_text[] =
#include "share_claim.lua.h"
    ;
static const char finish_text[] =
#include "share_finish.lua.h"
    ;
static const struct store_script claim_script = {"claim", claim_text};
static const struct store_script finish_script = {"finish", finish_text};

static const struct metric_family parts_family = {
    "farthing_shared_purchases_total",
    "Purchases that were asked for among instances, by what came of it here.",
    METRIC_COUNTER,
    {"part"},
    NULL,
    0,
    0,
    0,
};

void share_count(const char *part, int64_t how_many) {
    const struct slice value = slice_of(part);
    metric_add(metric_series(&parts_family, &value), how_many);
}

// ------------------------------------------------------------------- claims

enum { CLAIM_ARGS = 7 };

struct store_op *share_run_claim(struct share *s, const struct share_claim_call *c,
                                 store_done *done, void *arg) {
    char claim[SHARE_STORE_NAME_MAX], result[SHARE_STORE_NAME_MAX], term[STORE_NUMBER_MAX];
    struct buffer me = {0};
    share_id_of(s, c->token, &me);
    const struct slice keys[] = {share_name(c->key, "flight", claim, sizeof claim),
                                 share_name(c->key, "result", result, sizeof result)};
    const struct slice args[CLAIM_ARGS] = {
        slice_of(c->mode),  slice_of(c->token),
        slice_of(s->channel), buffer_slice(&me),
        c->streams ? SLICE("s") : SLICE("w"), store_number(term, SHARE_TERM_MS),
        slice_of(c->watched),
    };
    const struct store_call call = {.script = &claim_script, .keys = keys,
                                    .key_count = FARTHING_COUNT(keys), .args = args,
                                    .arg_count = CLAIM_ARGS};
    struct store_op *op = NULL;
    if (done != NULL)
        op = store_run(s->client, &call, done, arg);
    else
        (void)store_run_quietly(s->store, &call); // the next beat, or the term, makes up for it
    buffer_free(&me);
    return op;
}

static enum share_word word_of(struct share_purchase *p, enum store_status status,
                               struct slice value) {
    struct share_claim claim;
    p->state = SHARE_HELD;
    if (status != STORE_OK || !share_wire_claim(value, &claim)) {
        p->renewed_ms = 0; // it may have been taken, and is as soon as may be
        return SHARE_NO_WORD;
    }
    if (claim.kind != SHARE_CLAIM_THEIRS)
        return SHARE_OURS;
    p->state = SHARE_FOREIGN;
    p->their_term_ms = claim.term_ms;
    memcpy(p->their_token, claim.token.ptr, SHARE_TOKEN_LEN);
    return SHARE_THEIRS;
}

static void on_claim(void *arg, enum store_status status, struct slice value,
                     int64_t expires_ms) {
    static const char *const parts[] = {"bought", "followed", "alone"}; // by enum share_word
    (void)expires_ms;
    struct share_purchase *p = arg;
    p->op = NULL;
    enum share_word word = word_of(p, status, value);
    share_count(parts[word], 1);
    p->told(p->arg, word);
}

struct share_purchase *share_ask(struct share *s, const struct cache_key *key,
                                 struct flight *leader, bool streams, bool keeps,
                                 share_told *told, void *arg, bool *asked) {
    struct share_purchase *p = base_calloc(1, sizeof *p);
    p->share = s;
    p->key = *key;
    p->leader = leader;
    p->streams = streams;
    p->keeps = keeps;
    p->told = told;
    p->arg = arg;
    p->renewed_ms = clock_mono_ms();
    random_id(p->token);
    const struct share_claim_call call = {"take", &p->key, p->token, "", streams};
    p->op = share_run_claim(s, &call, on_claim, p);
    *asked = p->op != NULL;
    if (!*asked) {
        share_count("alone", 1);
        p->state = SHARE_HELD;
        p->renewed_ms = 0;
    }
    share_ring_add(&s->purchases, &p->link);
    (void)table_put(s->purchases_by_token, slice_make(p->token, SHARE_TOKEN_LEN), p);
    share_beat_on(s);
    return p;
}

void share_purchase_free(struct share_purchase *p) {
    (void)share_relay_end(p, false); // also of one that turned out to be another's
    share_ring_remove(&p->link);
    (void)table_remove(p->share->purchases_by_token, slice_make(p->token, SHARE_TOKEN_LEN));
    free(p);
}

void share_purchase_look_after(struct share_purchase *p, uint64_t now_ms) {
    share_relay_look_after(p, now_ms);
    if (p->state != SHARE_HELD || now_ms - p->renewed_ms < SHARE_RENEW_MS)
        return;
    p->renewed_ms = now_ms;
    const struct share_claim_call call = {"keep", &p->key, p->token, "", false};
    (void)share_run_claim(p->share, &call, NULL, NULL);
}

// ------------------------------------------------------------------- ending

static void append_result(const struct share_purchase *p, enum flight_end end, int status,
                          const struct cache_answer *answer, struct buffer *out) {
    bool is_result = (end == FLIGHT_DONE || end == FLIGHT_REFUSED) && answer != NULL &&
                     answer->body.len > 0 && answer->body.len <= SHARE_RESULT_BYTES;
    if (p->relay.waiter_count == 0 || !is_result)
        return; // who waits and was not heard of finds it where results are kept
    struct cache_answer kept = *answer;
    kept.status = status;
    share_wire_put_result(end, &p->key, &kept, out);
}

static void run_finish(struct share_purchase *p, enum flight_end end, struct slice result) {
    char names[3][SHARE_STORE_NAME_MAX], stream[64];
    char number[STORE_NUMBER_MAX], stays[STORE_NUMBER_MAX];
    uint64_t last = share_relay_end(p, end == FLIGHT_DONE);
    snprintf(stream, sizeof stream, "stream:%s", p->token);
    const struct slice keys[] = {share_name(&p->key, "flight", names[0], sizeof names[0]),
                                 share_name(&p->key, "result", names[1], sizeof names[1]),
                                 share_name(&p->key, stream, names[2], sizeof names[2])};
    const struct slice args[] = {slice_of(p->token), result, store_number(stays, SHARE_RESULT_MS),
                                 store_number(number, (int64_t)last),
                                 end == FLIGHT_DONE ? SLICE("1") : SLICE("0")};
    const struct store_call call = {.script = &finish_script, .keys = keys,
                                    .key_count = FARTHING_COUNT(keys), .args = args,
                                    .arg_count = FARTHING_COUNT(args)};
    (void)store_run_quietly(p->share->store, &call); // else the claim ends with its term
}

// It is not followed: whoever owns it need not think that somebody waits here.
static void wait_no_more(struct share_purchase *p) {
    const struct share_claim_call call = {"leave", &p->key, p->token, "", false};
    (void)share_run_claim(p->share, &call, NULL, NULL);
}

void share_finish(struct share_purchase *p, enum flight_end end, int status,
                  const struct cache_answer *answer) {
    struct buffer result = {0};
    if (p->op != NULL)
        store_cancel(p->op);
    if (p->state != SHARE_HELD)
        wait_no_more(p);
    if (p->state != SHARE_FOREIGN) {
        append_result(p, end, status, answer, &result);
        run_finish(p, end, buffer_slice(&result));
    }
    buffer_free(&result);
    share_purchase_free(p);
}
