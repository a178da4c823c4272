// Who waits for another instance's purchase: it leads the flight here, and gives its
// followers what the owner gives. It is told of news by messages, and looks by itself
// each second, since those may be lost.
#include <stdio.h>
#include <stdlib.h>

#include "share_room.h"

static const char read_text[] =
#include "share_read.lua.h"
    ;
static const struct store_script read_script = {"read", read_text};

enum doing { DOING_NOTHING, WATCHING, READING };

struct share_remote {
    struct share_link link; // first
    struct share *share;
    struct cache_key key;
    struct flight *seat; // leads
    char token[SHARE_TOKEN_LEN + 1];   // as who waits
    char watched[SHARE_TOKEN_LEN + 1]; // the owner's purchase
    enum doing doing;
    struct store_op *op;
    bool wants_watch, wants_read; // once it does nothing
    bool begun;                   // the stream: some of it was given
    bool blind;                   // the stream cannot be had from its beginning
    bool ended, whole;            // the stream has had its last entry
    bool is_over;                 // the purchase is; the stream is looked at a last time
    uint64_t last;                // entry that was read
    uint64_t watched_ms, term_ms; // clock_mono_ms: the last look; when the claim is over
    uint64_t epoch;               // of the store, when the claim was last seen
};

static void go_on(struct share_remote *r);

// ---------------------------------------------------------------------- end

static void remote_free(struct share_remote *r) {
    if (r->op != NULL)
        store_cancel(r->op);
    flight_leave(r->seat);
    share_ring_remove(&r->link);
    (void)table_remove(r->share->remotes_by_token, slice_make(r->token, SHARE_TOKEN_LEN));
    free(r);
}

static void end(struct share_remote *r, enum flight_end how, int status,
                const struct cache_answer *answer) {
    flight_finish(r->seat, how, status, answer);
    remote_free(r);
}

static void leave(struct share_remote *r) {
    const struct share_claim_call call = {"leave", &r->key, r->token, r->watched, false};
    (void)share_run_claim(r->share, &call, NULL, NULL);
    remote_free(r);
}

static void fail(struct share_remote *r) {
    share_count("succeeded", 1);
    end(r, FLIGHT_FAILED, 0, NULL);
}

void share_remote_abandon(struct share_link *link) {
    leave((struct share_remote *)link);
}

// ------------------------------------------------------------------- stream

static bool wants_stream(const struct share_remote *r) {
    return !r->blind && !r->ended && (r->begun || flight_has_readers(r->seat));
}

static void give_bytes(struct share_remote *r, const struct share_stream *s) {
    if (s->bytes.len == 0)
        return;
    if (!r->begun) {
        struct cache_entry *head = s->head.len > 0 ? entry_decode(&r->key, s->head) : NULL;
        if (head == NULL) {
            r->blind = true;
            return;
        }
        flight_begin_stream(r->seat, cache_entry_answer(head));
        cache_entry_release(head);
        r->begun = true;
    }
    flight_append(r->seat, s->bytes);
}

// What is missing never comes. Who has had some of it has a broken stream.
static void miss(struct share_remote *r) {
    r->blind = true;
    if (r->begun)
        fail(r);
    else
        go_on(r);
}

static void take_stream(struct share_remote *r, const struct share_stream *s) {
    bool is_gap = s->flag == SHARE_STREAM_GAP || (s->flag == SHARE_STREAM_NONE && r->begun);
    if (is_gap) {
        miss(r);
        return;
    }
    give_bytes(r, s);
    r->last = s->number;
    r->wants_read = s->flag == SHARE_STREAM_MORE;
    r->ended = s->flag == SHARE_STREAM_WHOLE || s->flag == SHARE_STREAM_BROKEN;
    r->whole = s->flag == SHARE_STREAM_WHOLE;
    if (s->flag == SHARE_STREAM_BROKEN && r->begun) {
        fail(r);
        return;
    }
    if (r->ended)
        r->wants_watch = true;
    go_on(r);
}

static void on_read(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct share_remote *r = arg;
    struct share_stream s;
    r->op = NULL;
    r->doing = DOING_NOTHING;
    if (status == STORE_OK && share_wire_stream(value, &s))
        take_stream(r, &s);
    else
        go_on(r); // again with the next look
}

static bool start_read(struct share_remote *r) {
    char name[SHARE_STORE_NAME_MAX], stream[64];
    char last[STORE_NUMBER_MAX], count[STORE_NUMBER_MAX];
    snprintf(stream, sizeof stream, "stream:%s", r->watched);
    const struct slice keys[] = {share_name(&r->key, stream, name, sizeof name)};
    const struct slice args[] = {store_number(last, (int64_t)r->last),
                                 store_number(count, SHARE_READ_ENTRIES)};
    const struct store_call call = {.script = &read_script, .keys = keys, .key_count = 1,
                                    .args = args, .arg_count = FARTHING_COUNT(args)};
    r->op = store_run(r->share->client, &call, on_read, r);
    return r->op != NULL;
}

// -------------------------------------------------------------------- watch

// Another has come in the owner's place, and buys anew.
static void change_owner(struct share_remote *r, struct slice token) {
    memcpy(r->watched, token.ptr, SHARE_TOKEN_LEN);
    r->last = 0;
    r->blind = r->ended = r->whole = r->is_over = false;
}

static void take_claim(struct share_remote *r, const struct share_claim *claim) {
    bool is_other = memcmp(r->watched, claim->token.ptr, SHARE_TOKEN_LEN) != 0;
    if (is_other && r->begun) {
        fail(r);
        return;
    }
    r->term_ms = clock_mono_ms() + (uint64_t)claim->term_ms;
    r->epoch = store_epoch(r->share->store);
    if (is_other)
        change_owner(r, claim->token);
    go_on(r);
}

// The end may have come between the last look at the stream and the look at the claim.
static bool has_more_to_read(struct share_remote *r) {
    if (!r->begun || r->ended || r->is_over)
        return false;
    r->is_over = r->wants_read = r->wants_watch = true;
    go_on(r);
    return true;
}

static void take_result(struct share_remote *r, struct slice bytes) {
    if (has_more_to_read(r))
        return;
    enum flight_end how = FLIGHT_FAILED;
    struct cache_entry *entry = share_wire_result(bytes, &r->key, &how);
    // Who has had some of the stream needs the rest of it.
    if (entry == NULL || (r->begun && !r->whole)) {
        fail(r);
    } else {
        const struct cache_answer *answer = cache_entry_answer(entry);
        end(r, how, answer->status != 0 ? answer->status : 200, answer);
    }
    if (entry != NULL)
        cache_entry_release(entry);
}

// Nobody owns it, and there is no result: it is bought anew here, or somewhere. Where
// the store has forgotten what it knew, the owner may still be there: it has its term
// to say so.
static void take_nothing(struct share_remote *r) {
    bool forgot = store_epoch(r->share->store) != r->epoch;
    if ((forgot && clock_mono_ms() < r->term_ms) || has_more_to_read(r))
        return;
    if (r->begun && r->whole) {
        const struct cache_answer none = {0};
        end(r, FLIGHT_DONE, 200, &none); // those who read the stream have all of it
        return;
    }
    fail(r);
}

static void on_watch(void *arg, enum store_status status, struct slice value,
                     int64_t expires_ms) {
    (void)expires_ms;
    struct share_remote *r = arg;
    struct share_claim claim;
    r->op = NULL;
    r->doing = DOING_NOTHING;
    if (status != STORE_OK || !share_wire_claim(value, &claim))
        return; // the beat looks again, until the claim's term is over
    switch (claim.kind) {
    case SHARE_CLAIM_THEIRS:
        take_claim(r, &claim);
        break;
    case SHARE_CLAIM_RESULT:
        take_result(r, claim.result);
        break;
    case SHARE_CLAIM_OURS:
    case SHARE_CLAIM_NOBODYS:
        take_nothing(r);
        break;
    }
}

static bool start_watch(struct share_remote *r) {
    const struct share_claim_call call = {"watch", &r->key, r->token, r->watched,
                                          wants_stream(r)};
    r->watched_ms = clock_mono_ms();
    r->op = share_run_claim(r->share, &call, on_watch, r);
    return r->op != NULL;
}

// One question at a time; the stream before its end.
static void go_on(struct share_remote *r) {
    if (r->doing != DOING_NOTHING)
        return;
    if (r->wants_read && wants_stream(r)) {
        r->wants_read = false;
        if (start_read(r))
            r->doing = READING;
    } else if (r->wants_watch) {
        r->wants_watch = false;
        if (start_watch(r))
            r->doing = WATCHING;
    }
}

// --------------------------------------------------------------------- news

void share_remote_heard(struct share *s, const struct share_message *m) {
    struct share_remote *r = table_get(s->remotes_by_token, m->token);
    if (r == NULL)
        return;
    r->wants_read = true;
    r->wants_watch = r->wants_watch || m->kind == 'e';
    go_on(r);
}

void share_remote_look_after(struct share_link *link, uint64_t now_ms) {
    struct share_remote *r = (struct share_remote *)link;
    if (now_ms > r->term_ms) { // it was not renewed; or the store has not told for so long
        fail(r);
        return;
    }
    if (now_ms - r->watched_ms < SHARE_WATCH_MS)
        return;
    r->watched_ms = now_ms;
    r->wants_watch = r->wants_read = true;
    go_on(r);
}

static void on_more(void *arg) {
    (void)arg;
}

static void on_finish(void *arg, enum flight_end how, int status, struct cache_entry *entry) {
    (void)arg;
    (void)how;
    (void)status;
    if (entry != NULL)
        cache_entry_release(entry);
}

static void on_promote(void *arg) {
    (void)arg;
}

// A leader is told nothing else.
static void on_alone(void *arg) {
    leave(arg);
}

void share_follow(struct share_purchase *p) {
    static const struct flight_callbacks callbacks = {on_more, on_finish, on_promote, on_alone};
    struct share *s = p->share;
    struct share_remote *r = base_calloc(1, sizeof *r);
    r->share = s;
    r->key = p->key;
    memcpy(r->token, p->token, sizeof r->token);
    memcpy(r->watched, p->their_token, sizeof r->watched);
    r->watched_ms = clock_mono_ms();
    r->term_ms = r->watched_ms + (uint64_t)p->their_term_ms;
    r->epoch = store_epoch(s->store);
    const struct flight_member member = {
        .box = s->box, .on = &callbacks, .arg = r, .keep_all = p->keeps};
    r->seat = flight_hand_over(p->leader, &member);
    share_ring_add(&s->remotes, &r->link);
    (void)table_put(s->remotes_by_token, slice_make(r->token, SHARE_TOKEN_LEN), r);
    r->wants_read = p->has_more || p->is_over;
    r->wants_watch = p->is_over;
    share_purchase_free(p);
    share_beat_on(s);
    go_on(r);
}
