// Station 5, recall, among instances that share a store: who is about to buy asks
// first whether another instance does already (share.h), and looks once more for what
// was bought a moment ago; and who has an Idempotency-Key holds it among all of them.
// With an embedded store nothing of this is there.
//
// Without the store's word a purchase is made all the same: it is the key that
// promises that there is one only.
#include "exchange.h"

enum { RECORDS, ANSWERS }; // of `ask.looks`: under the key, and in the cache

static struct cache_key as_key(const struct idempotency_digest *digest) {
    struct cache_key key;
    memcpy(key.bytes, digest->bytes, sizeof key.bytes);
    return key;
}

void ask_leave(struct exchange *x) {
    for (unsigned i = 0; i < FARTHING_COUNT(x->ask.looks); i++) {
        if (x->ask.looks[i] != NULL)
            cache_lookup_cancel(x->ask.looks[i]);
        if (x->ask.found[i] != NULL)
            cache_entry_release(x->ask.found[i]);
        x->ask.looks[i] = NULL;
        x->ask.found[i] = NULL;
    }
    x->ask.due = 0;
}

void ask_finish(struct exchange *x, enum flight_end end, const struct cache_answer *answer) {
    if (x->ask.purchase != NULL)
        share_finish(x->ask.purchase, end, x->status, answer);
    x->ask.purchase = NULL;
}

void ask_release_key(struct exchange *x) {
    if (x->ask.key != NULL)
        share_key_release(x->ask.key);
    x->ask.key = NULL;
}

// -------------------------------------------------------------------- looks

static struct cache_entry *take_found(struct exchange *x, unsigned which) {
    struct cache_entry *entry = x->ask.found[which];
    x->ask.found[which] = NULL;
    return entry;
}

static void a_word_came(struct exchange *x) {
    if (--x->ask.due == 0)
        x->ask.decide(x);
}

static void on_look(struct exchange *x, unsigned which, struct cache_entry *entry) {
    exchange_enter(x);
    x->ask.looks[which] = NULL;
    x->ask.found[which] = entry;
    a_word_came(x);
    exchange_leave(x);
}

static void on_record(void *arg, struct cache_entry *entry) {
    on_look(arg, RECORDS, entry);
}

static void on_answer(void *arg, struct cache_entry *entry) {
    on_look(arg, ANSWERS, entry);
}

static void look(struct exchange *x, unsigned which, struct cache *cache,
                 const struct cache_key *key) {
    x->ask.looks[which] =
        cache_lookup_start(cache, x->flow->store, key, clock_wall_ms(),
                           which == RECORDS ? on_record : on_answer, x);
    if (x->ask.looks[which] != NULL)
        x->ask.due++;
}

static void look_for_record(struct exchange *x) {
    const struct cache_key name = as_key(&x->record_name);
    look(x, RECORDS, x->flow->shared.records, &name);
}

static void look_for_answer(struct exchange *x) {
    if (exchange_is_shared(x))
        look(x, ANSWERS, x->flow->shared.cache, &x->key);
}

// ------------------------------------------------------------- without a word

// True: it goes on alone.
static bool may_go_on_alone(struct exchange *x) {
    if (x->claim == NULL || x->config->store.on_failure.idempotency_local)
        return true;
    x->wait_s = 1;
    return exchange_refuse(x, API_ERROR_STORE_UNAVAILABLE, SLICE("Idempotency-Key"),
                           "The store that instances share does not answer, so that nobody knows "
                           "whether this Idempotency-Key is being served already; try again.");
}

// ---------------------------------------------------------------- a purchase

static void decide_purchase(struct exchange *x) {
    struct cache_entry *entry;
    bool has_word = x->ask.word != SHARE_NO_WORD &&
                    (x->claim == NULL || store_is_up(x->flow->shared.store)); // looks failed, too
    if ((entry = take_found(x, RECORDS)) != NULL) {
        repeat_serve(x, entry);
    } else if ((entry = take_found(x, ANSWERS)) != NULL) {
        join_serve_kept(x, entry);
    } else if (!has_word) {
        if (may_go_on_alone(x))
            exchange_resume_after_recall(x);
    } else if (x->ask.word == SHARE_THEIRS) {
        share_follow(x->ask.purchase);
        x->ask.purchase = NULL;
        join_be_led(x);
    } else {
        exchange_resume_after_recall(x);
    }
}

// Under a key the look begins when the claim is there, since it must not be before.
// Otherwise both are under way at once; what may come in between is a second purchase.
static void on_word(void *arg, enum share_word word) {
    struct exchange *x = arg;
    exchange_enter(x);
    x->ask.word = word;
    if (x->claim != NULL && word != SHARE_NO_WORD) {
        look_for_record(x);
        look_for_answer(x);
    }
    a_word_came(x);
    exchange_leave(x);
}

void ask_before_buying(struct exchange *x, const struct cache_key *key, bool streams) {
    if (x->flow->share == NULL || (x->claim == NULL && !exchange_is_shared(x))) {
        exchange_resume_after_recall(x);
        return;
    }
    bool asked;
    x->ask.purchase =
        share_ask(x->flow->share, key, x->flight, streams, x->claim != NULL, on_word, x, &asked);
    if (!asked) {
        if (may_go_on_alone(x))
            exchange_resume_after_recall(x);
        return;
    }
    x->ask.decide = decide_purchase;
    x->ask.due = 1;
    if (x->claim == NULL)
        look_for_answer(x);
    exchange_go(x, EXCHANGE_RECALLING);
}

// -------------------------------------------------------------------- a key

static void decide_key(struct exchange *x) {
    struct cache_entry *entry = take_found(x, RECORDS);
    if (entry != NULL) {
        repeat_serve(x, entry);
        return;
    }
    switch (x->ask.standing) {
    case SHARE_KEY_OTHER:
        (void)repeat_refuse_mismatch(x);
        return;
    case SHARE_KEY_NO_WORD:
        if (!may_go_on_alone(x))
            return;
        break;
    case SHARE_KEY_SAME:
        x->standing = IDEMPOTENCY_SAME;
        break;
    case SHARE_KEY_FIRST:
        break;
    }
    recall_go_on(x);
}

static void on_held(void *arg, enum share_standing standing, const struct cache_key *purchase) {
    struct exchange *x = arg;
    exchange_enter(x);
    x->ask.standing = standing;
    if (standing == SHARE_KEY_SAME)
        repeat_take_purchase(x, purchase);
    a_word_came(x);
    exchange_leave(x);
}

void ask_for_key(struct exchange *x) {
    const struct cache_key name = as_key(&x->record_name), print = as_key(&x->fingerprint),
                           purchase = as_key(&x->purchase);
    struct cache_entry *entry = cache_peek(x->flow->shared.records, &name, clock_wall_ms());
    if (entry != NULL) { // what is finished is so whoever else is there
        repeat_serve(x, entry);
        return;
    }
    x->ask.key = share_key_hold(x->flow->share, &name, &print, &purchase, on_held, x);
    if (x->ask.key == NULL) {
        if (may_go_on_alone(x))
            recall_go_on(x);
        return;
    }
    x->ask.decide = decide_key;
    x->ask.due = 1;
    look_for_record(x);
    exchange_go(x, EXCHANGE_RECALLING);
}
