// What instances tell each other of their breakers; breaker.h says what is believed.
//
// One row each, moments as milliseconds before the message was sent, or after it:
//   ["openai/gpt-4o","open",SINCE,UNTIL,OUTAGE,CALLS,FAILURES]
//       opened SINCE ago, lets a probe pass in UNTIL, its outage began OUTAGE ago
//   ["openai/gpt-4o","closed",SINCE]   its probe was good
//   ["openai/gpt-4o","reset",SINCE]    an operator closed it
#include "breaker_room.h"

enum {
    // Who had a good answer so lately sees for himself how it is.
    SEES_ITSELF_MS = 5000,
    ROW_BYTES_MAX = 6 * BREAKER_NAME_MAX + 160, // a byte of a name may become \u0000
};

// Far more than any outage, and far from overflow.
static const int64_t AGE_MAX_MS = INT64_C(30) * 24 * 3600 * 1000;
static const int64_t CALLS_MAX = INT64_C(1) << 40;

static struct breaker *breaker_of(struct named *n) {
    return (struct breaker *)(void *)n;
}

// -------------------------------------------------------------------- telling

static void put_past(struct json_writer *w, int64_t then_ms, int64_t now_ms) {
    int64_t age_ms = now_ms - then_ms;
    json_put_i64(w, age_ms < 0 ? 0 : age_ms < AGE_MAX_MS ? age_ms : AGE_MAX_MS);
}

static void begin_row(struct json_writer *w, const struct breaker *b, const char *word,
                      int64_t now_ms) {
    json_array_begin(w);
    json_put_string(w, b->named.name);
    json_put_string(w, slice_of(word));
    put_past(w, b->news_ms, now_ms);
}

static void put_open(struct json_writer *w, const struct breaker *b, int64_t now_ms) {
    int64_t until_ms = atomic_load(&b->next_ms) - now_ms;
    begin_row(w, b, "open", now_ms);
    json_put_i64(w, until_ms > 0 ? until_ms : 0);
    put_past(w, b->outage_ms, now_ms);
    json_put_i64(w, b->calls_told);
    json_put_i64(w, b->failures_told);
    json_array_end(w);
}

static void put_closed(struct json_writer *w, const struct breaker *b, const char *word,
                       int64_t now_ms) {
    begin_row(w, b, word, now_ms);
    json_array_end(w);
}

// Under the lock. What opened and is half-open by now is open to others: they have no
// probe under way.
static void put_row(struct json_writer *w, struct breaker *b, bool all, int64_t now_ms) {
    bool is_open = breaker_state_of(atomic_load(&b->mark)) != BREAKER_STATE_CLOSED;
    enum breaker_news news = atomic_load(&b->news);
    atomic_store(&b->news, BREAKER_NEWS_NONE);
    if (is_open && (all || news == BREAKER_NEWS_OPEN))
        put_open(w, b, now_ms);
    else if (news == BREAKER_NEWS_CLOSED)
        put_closed(w, b, "closed", now_ms);
    else if (news == BREAKER_NEWS_RESET)
        put_closed(w, b, "reset", now_ms);
}

static bool may_be_told(const struct breaker *b, bool all) {
    return b->named.name.len <= BREAKER_NAME_MAX &&
           (atomic_load(&b->news) != BREAKER_NEWS_NONE ||
            (all && breaker_state_of(atomic_load(&b->mark)) != BREAKER_STATE_CLOSED));
}

bool breakers_tell(struct breakers *b, struct buffer *out, size_t room, bool all, int64_t now_ms) {
    size_t start = out->len;
    struct json_writer w;
    json_write_start(&w, out);
    json_array_begin(&w);
    for (struct named *n = names_first(&b->names); n != NULL; n = n->next) {
        struct breaker *each = breaker_of(n);
        if (!may_be_told(each, all))
            continue;
        if (out->len - start + ROW_BYTES_MAX > room)
            break;
        pthread_mutex_lock(&each->lock);
        put_row(&w, each, all, now_ms);
        pthread_mutex_unlock(&each->lock);
    }
    return json_array_end_or_drop(&w, start);
}

// -------------------------------------------------------------------- hearing

// What another instance says of a breaker that it opened.
struct word {
    int64_t opened_ms;       // when it did so, or its last probe failed
    int64_t until_ms;        // when it lets a probe pass
    int64_t outage_ms;       // when its outage began
    int64_t calls, failures; // that it was opened by
};

static bool is_credible(const struct breaker *b, const struct word *w, int64_t now_ms) {
    return b->figures.failures > 0 && w->failures >= b->figures.failures &&
           w->failures >= w->calls - w->failures && w->until_ms > now_ms &&
           b->good_ms < w->outage_ms && b->good_ms <= now_ms - SEES_ITSELF_MS &&
           b->over_ms <= w->opened_ms;
}

// Under the lock, as all that decide.
static struct breaker_change hear_open(struct breaker *b, const struct word *w, int64_t now_ms) {
    struct breaker_change change = {.cause = BREAKER_CAUSE_HEARD_OPEN,
                                    .to = BREAKER_STATE_OPEN,
                                    .calls = w->calls,
                                    .failures = w->failures};
    if (breaker_state_of(atomic_load(&b->mark)) != BREAKER_STATE_CLOSED ||
        !is_credible(b, w, now_ms))
        return (struct breaker_change){.cause = BREAKER_CAUSE_NONE};
    int64_t most = breaker_open_for_ms(&b->figures), rest = w->until_ms - now_ms;
    b->outage_ms = w->outage_ms;
    b->outage_wall_ms = clock_wall_ms() - (now_ms - w->outage_ms);
    b->calls_told = w->calls;
    b->failures_told = w->failures;
    b->hearsay = true;
    b->trusting = b->misled = false;
    b->interval_ms = most;
    breaker_put_news(b, BREAKER_NEWS_NONE, w->opened_ms);
    breaker_go_open(b, rest < most ? rest : most, now_ms, &change);
    return change;
}

static void note_over(struct breaker *b, int64_t at_ms) {
    if (b->over_ms < at_ms)
        b->over_ms = at_ms;
}

static struct breaker_change hear_closed(struct breaker *b, int64_t good_ms, int64_t now_ms) {
    struct breaker_change none = {.cause = BREAKER_CAUSE_NONE};
    note_over(b, good_ms);
    enum breaker_state state = breaker_state_of(atomic_load(&b->mark));
    if (state == BREAKER_STATE_CLOSED || (!b->hearsay && b->bad_ms >= good_ms))
        return none;
    if (!b->misled)
        return breaker_close(b, BREAKER_CAUSE_HEARD_CLOSED, now_ms);
    if (state == BREAKER_STATE_OPEN)
        atomic_store(&b->next_ms, now_ms);
    return none;
}

static struct breaker_change hear_reset(struct breaker *b, int64_t reset_ms, int64_t now_ms) {
    note_over(b, reset_ms);
    if (breaker_state_of(atomic_load(&b->mark)) == BREAKER_STATE_CLOSED)
        return (struct breaker_change){.cause = BREAKER_CAUSE_NONE};
    return breaker_close(b, BREAKER_CAUSE_HEARD_RESET, now_ms);
}

static bool read_number(const struct json_doc *doc, json_ref row, size_t index, int64_t most,
                        int64_t *out) {
    return json_i64(doc, json_at(doc, row, index), out) && *out >= 0 && *out <= most;
}

static bool read_word(const struct json_doc *doc, json_ref row, int64_t since_ms, int64_t sent_ms,
                      struct word *w) {
    int64_t until, outage;
    if (!read_number(doc, row, 3, AGE_MAX_MS, &until) ||
        !read_number(doc, row, 4, AGE_MAX_MS, &outage) ||
        !read_number(doc, row, 5, CALLS_MAX, &w->calls) ||
        !read_number(doc, row, 6, CALLS_MAX, &w->failures) || w->failures > w->calls)
        return false;
    w->opened_ms = sent_ms - since_ms;
    w->until_ms = sent_ms + until;
    w->outage_ms = sent_ms - outage;
    return true;
}

static struct breaker_change hear_row(struct breaker *b, const struct json_doc *doc, json_ref row,
                                      int64_t sent_ms, int64_t now_ms) {
    json_ref what = json_at(doc, row, 1);
    struct word word;
    int64_t since_ms;
    if (read_number(doc, row, 2, AGE_MAX_MS, &since_ms)) {
        if (json_string_is(doc, what, SLICE("open")) &&
            read_word(doc, row, since_ms, sent_ms, &word))
            return hear_open(b, &word, now_ms);
        if (json_string_is(doc, what, SLICE("closed")))
            return hear_closed(b, sent_ms - since_ms, now_ms);
        if (json_string_is(doc, what, SLICE("reset")))
            return hear_reset(b, sent_ms - since_ms, now_ms);
    }
    return (struct breaker_change){.cause = BREAKER_CAUSE_NONE};
}

void breakers_hear(struct breakers *b, const struct json_doc *doc, json_ref rows,
                   struct arena *arena, int64_t sent_ms, int64_t now_ms) {
    if (!json_is(doc, rows, JSON_ARRAY))
        return;
    for (json_ref row = json_first(doc, rows); row != JSON_NONE; row = json_next(doc, rows, row)) {
        struct slice name = json_string(doc, json_at(doc, row, 0), arena);
        struct named *found = name.ptr != NULL ? names_find(&b->names, name) : NULL;
        if (found == NULL)
            continue;
        struct breaker *each = breaker_of(found);
        pthread_mutex_lock(&each->lock);
        struct breaker_change change = hear_row(each, doc, row, sent_ms, now_ms);
        pthread_mutex_unlock(&each->lock);
        breaker_tell(each, &change);
    }
}
