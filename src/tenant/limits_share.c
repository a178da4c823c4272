// The book-keeping of an instance's part in a shared limit: what it asks the store
// for, what it makes of the answer, and what it does without the store.
//
// Requests are paid from credit that was granted before, so most of them wait for
// nobody. What they really took, and what is not needed, is charged: a sum that
// the next call reports. The rates of the name itself (limits_tenant) are what is
// known of all: debt as of the last answer, less the credit that is here. They
// answer for the header fields and say how long to wait.
//
// Without the store each instance has an even share of the figures, from where
// the known debts stood; what it took beyond its part of them is charged when
// the store is back.
#include "limits_share.h"

#include "limits_room.h"

// -------------------------------------------------------------------- small parts

static int64_t more_than_none(int64_t n) {
    return n > 0 ? n : 0;
}

static int64_t lower(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// A tenth of the term is for clocks that run apart.
bool limits_share_is_leased(const struct limits_share *s, uint64_t now_us) {
    return s->have > 0 && now_us - s->leased_us < s->term_us / 10 * 9;
}

int64_t limits_share_even(const struct limits_share *s, int64_t figure) {
    int64_t share = figure / s->instances;
    return share > 0 ? share : 1;
}

// Sums go to scripts as whole numbers, which are exact there only up to here.
// Nobody gets there: it is a hundred years of a million a second.
static int64_t bound(int64_t sum) {
    if (sum > NUMBERS_MAX)
        return NUMBERS_MAX;
    return sum < -NUMBERS_MAX ? -NUMBERS_MAX : sum;
}

static int64_t limit_of(const struct limits_tenant *t, enum limits_kind kind) {
    int64_t limit =
        kind == LIMITS_REQUESTS ? t->figures.requests_per_minute : t->figures.tokens_per_minute;
    return limit < LIMITS_VALUE_MAX ? limit : LIMITS_VALUE_MAX;
}

static struct rate *known_of(struct limits_tenant *t, enum limits_kind kind) {
    return kind == LIMITS_REQUESTS ? &t->requests : &t->tokens;
}

static void turn(struct limits_meter *m, uint64_t now_us) {
    uint64_t elapsed = now_us - m->since_us;
    if (elapsed < LIMITS_METER_US)
        return;
    m->before = elapsed < 2 * LIMITS_METER_US ? m->now : 0;
    m->now = 0;
    m->since_us = now_us;
}

int64_t limits_share_recent(const struct limits_meter *m, uint64_t now_us) {
    struct limits_meter turned = *m;
    turn(&turned, now_us);
    return turned.now + turned.before;
}

static void count(struct limits_meter *m, int64_t n, uint64_t now_us) {
    turn(m, now_us);
    m->now = bound(m->now + n);
}

static void note_low(struct limits_low *low, int64_t left) {
    low->least = lower(low->least, left);
}

// What lay idle all the time: when it was long enough, another begins.
static int64_t find_idle(struct limits_low *low, int64_t there, uint64_t now_us) {
    if (now_us - low->since_us < LIMITS_KEEP_US)
        return 0;
    int64_t idle = more_than_none(lower(low->least, there));
    if (idle == 0)
        *low = (struct limits_low){there, now_us};
    return idle;
}

static int64_t take_idle(struct limits_low *low, int64_t there, uint64_t now_us) {
    int64_t idle = find_idle(low, there, now_us);
    if (idle > 0)
        *low = (struct limits_low){there - idle, now_us};
    return idle;
}

bool limits_share_has_idle(struct limits_tenant *t, uint64_t now_us) {
    struct limits_share *s = t->share;
    bool has = find_idle(&s->spare, s->have - t->running, now_us) > 0;
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
        has = find_idle(&s->rates[k].low, s->rates[k].credit, now_us) > 0 || has;
    return has;
}

// ------------------------------------------------------------------------- using

void limits_share_spend(struct limits_share *s, enum limits_kind kind, int64_t units,
                        uint64_t now_us) {
    struct limits_rate *r = &s->rates[kind];
    count(&r->used, lower(units, NUMBERS_MAX), now_us);
    r->credit -= units;
    note_low(&r->low, r->credit);
}

void limits_share_note_start(struct limits_share *s, int64_t spare, uint64_t now_us) {
    count(&s->starts, 1, now_us);
    note_low(&s->spare, spare);
}

void limits_share_charge(struct limits_share *s, enum limits_kind kind, int64_t units) {
    s->rates[kind].charged = bound(s->rates[kind].charged + bound(units));
}

bool limits_share_is_idle(const struct limits_tenant *t) {
    const struct limits_share *s = t->share;
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
        if (s->rates[k].credit != 0 || s->rates[k].charged != s->rates[k].charged_known)
            return false;
    return s->call == NULL && s->first == NULL && s->have == 0 && t->queue.count == 0 && !s->alone;
}

// ------------------------------------------------------------------------ asking

// In units, rounded up.
static int64_t units_of(__int128 debt) {
    return debt > 0 ? (int64_t)((debt + RATE_UNIT - 1) / RATE_UNIT) : 0;
}

// What the store is told where it knows nothing any more.
static int64_t debt_known(struct limits_tenant *t, enum limits_kind kind, uint64_t now_us) {
    const struct limits_rate *r = &t->share->rates[kind];
    int64_t limit = limit_of(t, kind);
    if (limit <= 0)
        return 0;
    rate_take(known_of(t, kind), limit, 0, now_us); // runs off
    int64_t debt = units_of(known_of(t, kind)->debt) + r->credit - (r->charged - r->charged_known);
    return lower(more_than_none(debt), NUMBERS_MAX);
}

// More than is needed, if so much was used lately that calls are saved by it.
static int64_t worth_keeping(const struct limits_share *s, int64_t used, uint64_t now_us) {
    return limits_share_recent(&s->starts, now_us) >= LIMITS_BUSY ? used : 0;
}

static void prepare_rate(struct limits_tenant *t, struct limits_request *r, enum limits_kind kind,
                         uint64_t now_us) {
    struct limits_share *s = t->share;
    struct limits_rate *rate = &s->rates[kind];
    int64_t idle = s->first == NULL ? take_idle(&rate->low, rate->credit, now_us) : 0;
    rate->credit -= idle;
    limits_share_charge(s, kind, -idle);
    int64_t keep = worth_keeping(s, limits_share_recent(&rate->used, now_us), now_us);
    r->rates[kind].limit = limit_of(t, kind);
    r->rates[kind].granted = rate->granted;
    r->rates[kind].charged_known = rate->charged_known;
    r->rates[kind].charged = rate->charged;
    r->rates[kind].debt = debt_known(t, kind, now_us);
    int64_t need = r->rates[kind].need; // of the line
    r->rates[kind].need = more_than_none(need - rate->credit);
    r->rates[kind].least = more_than_none(r->rates[kind].least - rate->credit);
    r->rates[kind].more = more_than_none(keep - more_than_none(rate->credit - need));
}

// Places that others wait for are not kept, and those that are to be given back
// go as soon as they are free.
static void prepare_places(struct limits_tenant *t, struct limits_request *r, int64_t need,
                           uint64_t now_us) {
    struct limits_share *s = t->share;
    int64_t spare = more_than_none(s->have - t->running), back;
    if (s->waiting > 0)
        back = spare;
    else if (s->yield > 0)
        back = lower(s->yield, spare);
    else
        back = need == 0 ? take_idle(&s->spare, spare, now_us) : 0;
    s->have -= back;
    s->yield = more_than_none(s->yield - back);
    if (s->have < t->running || s->alone || !limits_share_is_leased(s, now_us))
        s->have = t->running; // that is how it is
    r->gave_places_back = back > 0 && s->waiting > 0;
    r->concurrency = lower(t->figures.concurrency, LIMITS_PLACES_MAX);
    r->have = lower(s->have, LIMITS_PLACES_MAX);
    r->need = more_than_none(need - (s->have - t->running));
    r->more = limits_share_recent(&s->starts, now_us) >= LIMITS_BUSY && s->waiting == 0
                  ? lower(1 + s->have / 8, LIMITS_MORE_PLACES)
                  : 0;
    if (r->concurrency <= 0)
        s->have = s->yield = s->waiting = r->have = r->need = r->more = 0;
}

void limits_share_prepare(struct limits_tenant *t, struct limits_request *r, int64_t need_places,
                          uint64_t now_us) {
    struct limits_share *s = t->share;
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
        prepare_rate(t, r, k, now_us);
    prepare_places(t, r, need_places, now_us);
    r->instances = s->instances;
    r->number = ++s->number;
    r->sent_us = s->asked_us = now_us;
    r->arrivals = s->arrivals;
    s->wanting = r->need > 0;
    s->called = false;
}

// --------------------------------------------------------------------- the answer

// What was taken alone beyond this instance's part of the debts that were known.
static void charge_for_being_alone(struct limits_tenant *t, enum limits_kind kind,
                                   uint64_t now_us) {
    struct limits_share *s = t->share;
    int64_t limit = limit_of(t, kind);
    if (limit <= 0)
        return;
    rate_take(&s->rates[kind].alone, limits_share_even(s, limit), 0, now_us);
    rate_take(known_of(t, kind), limit, 0, now_us);
    limits_share_charge(
        s, kind, units_of(s->rates[kind].alone.debt - known_of(t, kind)->debt / s->instances));
}

static void apply_rate(struct limits_tenant *t, enum limits_kind kind,
                       const struct limits_request *r, const struct limits_answer *a,
                       uint64_t now_us) {
    struct limits_rate *rate = &t->share->rates[kind];
    if (t->share->alone)
        charge_for_being_alone(t, kind, now_us);
    if (a->rates[kind].granted > rate->granted) {
        rate->credit += a->rates[kind].granted - rate->granted;
        rate->granted = a->rates[kind].granted;
    }
    rate->charged_known = r->rates[kind].charged;
    __int128 units = (__int128)a->rates[kind].debt - rate->credit + rate->charged -
                     rate->charged_known;
    __int128 debt = units * RATE_UNIT - a->rates[kind].paid;
    *known_of(t, kind) = (struct rate){.debt = debt > 0 ? debt : 0, .updated_us = now_us};
}

// Who has none asks often; who has some has them come free himself.
static uint64_t pause_us(int64_t places) {
    return places > 0 ? 100000 + random_below(150000) : 20000 + random_below(30000);
}

void limits_share_apply(struct limits_tenant *t, const struct limits_request *r,
                        const struct limits_answer *a, uint64_t now_us) {
    struct limits_share *s = t->share;
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++)
        apply_rate(t, k, r, a, now_us);
    s->have = a->places;
    s->yield = a->yield;
    s->waiting = a->waiting;
    s->leased_us = r->sent_us;
    s->full_us = a->places - r->have < r->need ? now_us : 0;
    s->poll_us = now_us + pause_us(a->places);
    s->answered_us = now_us;
    s->alone = s->closed = false;
}

// ------------------------------------------------------------------------- alone

void limits_share_go_alone(struct limits_tenant *t, uint64_t now_us) {
    struct limits_share *s = t->share;
    s->alone = true;
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++) {
        struct limits_rate *rate = &s->rates[k];
        int64_t limit = limit_of(t, k);
        limits_share_charge(s, k, -rate->credit);
        rate->credit = 0;
        if (limit <= 0)
            continue;
        rate_take(known_of(t, k), limit, 0, now_us);
        rate->alone = (struct rate){known_of(t, k)->debt / s->instances, now_us};
    }
}
