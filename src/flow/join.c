// Station 5, recall, its second half: is this answer being bought right now?
// Identical requests in flight are one purchase, across all loops (flight.h):
// the first buys and publishes, the others follow. What a follower gets is its
// own exchange all the same, with its own row, limits and deadline. Where instances
// share a store, who would lead asks the others first (ask.c).
//
// A stream is followed live where it is what the follower asked for byte for
// byte: the events without the usage event. Whoever wants anything else of the
// same purchase (the whole answer, or a stream with its usage) waits for its end
// and is served from it as from the cache.
#include "exchange.h"

static void follow_on(struct exchange *x);

// What it looked for before it had its seat may have landed meanwhile.
static bool serve_if_kept_meanwhile(struct exchange *x) {
    if (repeat_serve_recent(x))
        return true;
    if (!exchange_is_shared(x))
        return false;
    struct cache_entry *entry = cache_peek(x->flow->shared.cache, &x->key, clock_wall_ms());
    if (entry == NULL)
        return false;
    join_serve_kept(x, entry);
    return true;
}

void join_serve_kept(struct exchange *x, struct cache_entry *entry) {
    repeat_record(x, cache_entry_answer(entry), 200);
    join_leave(x);
    x->hit = entry;
    x->lever = LEDGER_SAVED_CACHE;
    reply_from_cache(x);
}

// Who claims a key buys as a leader only.
static void buy(struct exchange *x) {
    join_leave(x);
    if (x->claim != NULL)
        exchange_resume_after_miss(x);
    else
        exchange_resume_after_recall(x);
}

bool join_is_for_one_sender(const struct exchange *x) {
    if (x->claim != NULL)
        return memcmp(x->purchase.bytes, x->key.bytes, DIGEST_LEN) != 0;
    return !exchange_is_shared(x);
}

// Why it did not buy itself. Who claimed the key first need not be the one who leads.
static enum ledger_lever lever_of(const struct exchange *x) {
    if (x->claim != NULL && (x->standing == IDEMPOTENCY_SAME || join_is_for_one_sender(x)))
        return LEDGER_SAVED_IDEMPOTENCY;
    return x->retries ? LEDGER_SAVED_RETRY : LEDGER_SAVED_COALESCE;
}

static void be_joined(struct exchange *x) {
    x->joined = true;
    x->lever = lever_of(x);
}

// ---------------------------------------------------------------- followers

static void take_head(struct exchange *x) {
    const struct cache_answer *head = flight_head(x->flight);
    be_joined(x);
    x->status = x->reply_status = 200;
    x->content_type = arena_copy(x->arena, head->content_type);
    x->origin_provider = arena_copy(x->arena, head->provider);
    x->origin_model = arena_copy(x->arena, head->model);
    x->origin_tier = arena_copy(x->arena, head->tier);
    x->first_token_ns = clock_mono_ns();
    reply_begin(x);
}

static void take_entry(struct exchange *x, struct cache_entry *entry) {
    const struct cache_answer *kept = cache_entry_answer(entry);
    be_joined(x);
    x->hit = entry;
    x->usage = kept->usage;
    x->usage_source = LEDGER_USAGE_CACHE;
    x->judged.finish_reason = kept->finish_reason;
    x->cost_known = true; // it was paid for once, by the leader
}

static void end_followed_stream(struct exchange *x) {
    if (x->flight_end == FLIGHT_DONE) {
        if (x->flight_entry != NULL)
            take_entry(x, x->flight_entry);
        x->flight_entry = NULL;
        if (x->request != NULL)
            http_reply_finish(x->request);
        station_record(x);
        return;
    }
    struct buffer event = {0};
    x->ended_by = ENDED_BY_PROVIDER;
    x->error = API_ERROR_UPSTREAM_ERROR;
    station_settle(x);
    provider_stream_error(x->endpoint, x->error,
                          x->flight_end == FLIGHT_BEHIND
                              ? SLICE("This stream is shared, and was read too slowly.")
                              : SLICE("The provider's stream ended before it was complete."),
                          &event);
    reply_stream(x, buffer_slice(&event));
    buffer_free(&event);
    if (x->request != NULL)
        http_reply_abort(x->request);
    station_record(x);
}

static void give_refusal(struct exchange *x) {
    const struct cache_answer *kept = cache_entry_answer(x->flight_entry);
    be_joined(x);
    x->ended_by = ENDED_BY_PROVIDER;
    x->error = API_ERROR_UPSTREAM_ERROR;
    x->status = x->reply_status = x->flight_status;
    x->content_type = arena_copy(x->arena, kept->content_type);
    station_settle(x);
    reply_whole(x, x->status, kept->body);
    station_record(x);
}

static void end_following(struct exchange *x) {
    struct cache_entry *entry = x->flight_entry;
    bool has_body = entry != NULL && cache_entry_answer(entry)->body.len > 0;
    if (x->reply_begun) {
        end_followed_stream(x);
    } else if (x->flight_end == FLIGHT_DONE && x->standing == IDEMPOTENCY_SAME &&
               repeat_must_look_again(x)) {
        repeat_look(x); // under its key there may be more than what is shared
    } else if (x->flight_end == FLIGHT_DONE && has_body) {
        x->flight_entry = NULL;
        join_leave(x);
        take_entry(x, entry);
        reply_from_cache(x);
    } else if (x->flight_end == FLIGHT_REFUSED && has_body) {
        give_refusal(x);
    } else {
        buy(x); // what was bought cannot serve this one
    }
}

// As far as there is something and the client takes it.
static void follow_on(struct exchange *x) {
    struct slice bytes;
    if (x->lookup != NULL)
        return; // a finished record is looked for, and goes before
    while (!x->held_back && x->request != NULL && flight_read(x->flight, &bytes)) {
        if (!x->reply_begun)
            take_head(x);
        x->held_back = !http_reply_write(x->request, bytes);
    }
    if (x->flight_over && !x->held_back)
        end_following(x);
}

void join_drained(struct exchange *x) {
    x->held_back = false;
    exchange_enter(x);
    if (x->flight != NULL && !x->leads)
        follow_on(x);
    exchange_leave(x);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct exchange *x = arg;
    exchange_enter(x);
    if (x->state == EXCHANGE_FOLLOWING && !x->leads) {
        x->ended_by = ENDED_BY_DEADLINE;
        (void)exchange_refuse(x, API_ERROR_UPSTREAM_TIMEOUT, SLICE("x-farthing-deadline-ms"),
                              "The request's deadline of %.*s ms was over before the purchase "
                              "that it shares gave an answer.",
                              SLICE_ARG(x->attributes.deadline_ms));
    }
    exchange_leave(x);
}

// ---------------------------------------------------------------- callbacks

static void on_more(void *arg) {
    struct exchange *x = arg;
    exchange_enter(x);
    follow_on(x);
    exchange_leave(x);
}

static void on_finish(void *arg, enum flight_end end, int status, struct cache_entry *entry) {
    struct exchange *x = arg;
    exchange_enter(x);
    x->flight_over = true;
    x->flight_end = end;
    x->flight_status = status;
    x->flight_entry = entry;
    // Where the leader has the same key, it wrote down what its client got: more than is shared.
    bool recorded = x->claim != NULL && idempotency_is_recorded(x->claim);
    if (entry != NULL && cache_entry_answer(entry)->body.len > 0 && !recorded)
        repeat_record(x, cache_entry_answer(entry), end == FLIGHT_REFUSED ? status : 200);
    follow_on(x);
    exchange_leave(x);
}

static bool choose_seat(const struct exchange *x, struct cache_key *key,
                        struct flight_member *member);

// Nobody in this instance buys it any more, or nobody did: it is for this one to do.
static void lead(struct exchange *x) {
    struct flight_member member = {0};
    struct cache_key key;
    if (repeat_must_look_again(x)) {
        repeat_look(x);
    } else if (!serve_if_kept_meanwhile(x)) {
        (void)choose_seat(x, &key, &member);
        ask_before_buying(x, &key, member.streams);
    }
}

static void on_promote(void *arg) {
    struct exchange *x = arg;
    exchange_enter(x);
    x->leads = true;
    if (x->pause != NULL)
        event_del(x->pause); // from here on the attempt has the deadline
    if (x->lookup == NULL)
        lead(x);
    exchange_leave(x);
}

static void on_alone(void *arg) {
    struct exchange *x = arg;
    exchange_enter(x);
    if (x->request == NULL && x->state != EXCHANGE_SETTLED)
        dispatch_client_gone(x); // nobody waits any more
    exchange_leave(x);
}

// -------------------------------------------------------------------- station

static void follow(struct exchange *x) {
    exchange_go(x, EXCHANGE_FOLLOWING);
    if (x->deadline_ms > 0)
        exchange_wait(x, x->deadline_ms - (int64_t)clock_mono_ms(), on_deadline);
    follow_on(x); // of what came while it looked elsewhere
}

// The cache's key where the cache would share it; a key's own purchase; or
// the first try of what is not shared, which only its retries may find.
static bool choose_seat(const struct exchange *x, struct cache_key *key,
                        struct flight_member *member) {
    bool shared = exchange_is_shared(x);
    member->streams = x->stream && !x->client_wants_usage;
    *key = x->key;
    if (x->claim != NULL) {
        memcpy(key->bytes, x->purchase.bytes, DIGEST_LEN);
        member->keep_all = true;
        member->streams = x->stream && x->same_form;
    } else if (!shared) {
        member->wish = x->retries ? FLIGHT_FIND : FLIGHT_LEAD_ONLY;
    }
    return x->claim != NULL || shared || (x->findable && x->has_digest);
}

static bool refuse_full(struct exchange *x) {
    x->wait_s = 5; // nobody can know; not at once
    return exchange_refuse(x, API_ERROR_IDEMPOTENCY_IN_PROGRESS, SLICE("Idempotency-Key"),
                           "The request with this Idempotency-Key runs, and its stream is too long "
                           "to be given from its beginning before it ends; try again then.");
}

bool station_join(struct exchange *x) {
    static const struct flight_callbacks callbacks = {on_more, on_finish, on_promote, on_alone};
    struct flight_member member = {.box = x->flow->mailbox, .on = &callbacks, .arg = x};
    struct cache_key key;
    enum flight_role role;
    if (!choose_seat(x, &key, &member))
        return true;
    x->flight = flight_join(x->flow->shared.flights, &key, &member, &role);
    x->leads = role == FLIGHT_LEADER;
    if (role == FLIGHT_FULL)
        return refuse_full(x);
    if (role == FLIGHT_ALONE)
        return true;
    if (x->leads)
        lead(x);
    else if (repeat_must_look_again(x))
        repeat_look(x);
    else
        follow(x);
    return false;
}

void join_be_led(struct exchange *x) {
    x->leads = false;
    follow(x);
}

void join_go_on(struct exchange *x) {
    if (x->leads)
        lead(x);
    else
        follow(x);
}

// -------------------------------------------------------------------- leaders

// One that was promoted may ask for another form than who began the purchase.
static bool has_form_of_purchase(const struct exchange *x) {
    return x->claim != NULL ? x->same_form : !x->client_wants_usage;
}

void join_publish(struct exchange *x, struct slice bytes) {
    if (!x->leads || !has_form_of_purchase(x))
        return; // its events are not what the others asked for
    if (!x->publishes) {
        struct cache_answer head = recall_head_of(x);
        flight_begin_stream(x->flight, &head);
        x->publishes = true;
    }
    flight_append(x->flight, bytes);
}

void join_give(struct exchange *x, enum flight_end end, const struct cache_answer *answer) {
    if (!x->leads || x->flight_over)
        return;
    x->flight_over = true;
    ask_finish(x, end, answer);
    flight_finish(x->flight, end, x->status, answer);
}

void join_give_error(struct exchange *x) {
    // What is wrong with the request is wrong for all; keys and rates are one's own.
    static const int for_all[] = {400, 404, 413, 415, 422};
    struct cache_answer error = recall_head_of(x);
    error.body = buffer_slice(&x->answer);
    for (size_t i = 0; i < FARTHING_COUNT(for_all); i++)
        if (x->status == for_all[i] && error.body.len > 0) {
            repeat_record(x, &error, x->status);
            join_give(x, FLIGHT_REFUSED, &error);
        }
}

bool join_is_needed(const struct exchange *x) {
    return x->leads && flight_has_followers(x->flight);
}

void join_leave(struct exchange *x) {
    ask_leave(x);
    if (x->flight == NULL)
        return;
    if (x->leads && !x->flight_over) {
        // A whole stream that could not be put together serves those who follow it live,
        // one too that its provider ended early, and said so.
        bool ended = x->judged_whole || stream_is_done(x);
        bool whole = x->publishes && x->error == API_ERROR_NONE && ended;
        struct cache_answer head = whole ? recall_head_of(x) : (struct cache_answer){0};
        join_give(x, whole ? FLIGHT_DONE : FLIGHT_FAILED, whole ? &head : NULL);
    }
    flight_leave(x->flight);
    x->flight = NULL;
    x->leads = x->publishes = x->flight_over = false;
    if (x->flight_entry != NULL)
        cache_entry_release(x->flight_entry);
    x->flight_entry = NULL;
}
