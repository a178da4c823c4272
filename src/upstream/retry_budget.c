// Retry budgets: how many more requests a provider is sent than clients ask for.
//
// Earned by good answers, not by requests: what is earned by requests during an
// outage, and had been saved before it, goes beyond the percentage together,
// unless earning is made so slow that calm times suffer. What is kept from before
// is worth RETRY_BUDGET_KEPT_MS of requests, so an outage of 30 seconds sees a
// third of the percentage, and the floor: 2 + 3 retries for 30 requests of one a
// second. (A sliding window of a minute, full when the outage begins, would allow
// twice the percentage.)
//
// Among instances (breaker.h): each tells what it earned less what it took, and all
// let that run off alike, so that what one knows of the others is, but for the last
// second, what they have.
#include <stdlib.h>

#include "breaker_names.h"

// One retry, in parts: a hundredth is whole, and so is what a millisecond brings back
// of the floor.
static const int64_t RETRY = 6000000;

enum {
    FLOOR_ANSWERED_MS = 1000, // a good answer brings one of the floor back, this often
    FLOOR_ALONE_MS = 60000,   // and this is how long it takes without one
    MILLI = 6000,             // thousandths of a retry are what instances tell
    TOLD_MAX = 100000000,     // of them: what any fleet earns or takes in a second
    ROW_BYTES_MAX = 6 * BREAKER_NAME_MAX + 64,
};

struct retry_budget {
    struct named named; // first: the record is the budget
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    int64_t earned; // negative: clients' retries
    int64_t floor;
    int64_t peers;       // what other instances have earned, as far as it is known
    unsigned instances;  // that share that; 0: none was heard of
    int64_t untold;      // of what was earned, and run off as that
    int64_t floor_taken; // and not told
    int64_t now_ms;      // up to which all are reckoned
    int64_t answered_ms; // when an answer last brought one of the floor back
    int64_t retries, client_retries, denied;
};

struct retry_budgets {
    struct names names;
};

struct retry_budgets_loop {
    struct names_loop names;
};

static const struct metric_family retries_family = {
    "farthing_retries_total",
    "Requests that went to a provider again: by this proxy (by=\"farthing\"), or by clients that "
    "say so (by=\"client\").",
    METRIC_COUNTER, {"provider", "by"}, NULL, 0, 0, 0};
static const struct metric_family denied_family = {
    "farthing_retries_denied_total", "Retries that the provider's retry budget did not allow.",
    METRIC_COUNTER, {"provider"}, NULL, 0, 0, 0};

static struct retry_budget *budget_of(struct named *n) {
    return (struct retry_budget *)(void *)n;
}

// ---------------------------------------------------------------------- lives

static void on_open(struct named *n) {
    base_lock_init(&budget_of(n)->lock);
    budget_of(n)->floor = RETRY_BUDGET_FLOOR * RETRY;
    budget_of(n)->answered_ms = INT64_MIN / 2;
}

static void on_close(struct named *n) {
    pthread_mutex_destroy(&budget_of(n)->lock);
}

struct retry_budgets *retry_budgets_new(void) {
    struct retry_budgets *b = base_calloc(1, sizeof *b);
    names_open(&b->names, sizeof(struct retry_budget), on_open, on_close);
    metric_declare(&retries_family);
    metric_declare(&denied_family);
    return b;
}

void retry_budgets_free(struct retry_budgets *b) {
    if (b == NULL)
        return;
    names_close(&b->names);
    free(b);
}

struct retry_budgets_loop *retry_budgets_loop_new(struct retry_budgets *b) {
    struct retry_budgets_loop *l = base_calloc(1, sizeof *l);
    names_loop_open(&l->names, &b->names);
    return l;
}

void retry_budgets_loop_free(struct retry_budgets_loop *l) {
    if (l == NULL)
        return;
    names_loop_close(&l->names);
    free(l);
}

// ----------------------------------------------------------------- arithmetic
//
// Under the lock.

static void add_floor(struct retry_budget *b, int64_t amount) {
    int64_t most = RETRY_BUDGET_FLOOR * RETRY;
    b->floor = b->floor + amount < most ? b->floor + amount : most;
}

// What was earned, or is owed, runs off in proportion to what there is; at once
// if nothing was asked for so long. (Exponential but for the size of the steps.)
static int64_t left_after(int64_t amount, int64_t passed_ms) {
    return passed_ms < RETRY_BUDGET_KEPT_MS ? amount - amount * passed_ms / RETRY_BUDGET_KEPT_MS
                                            : 0;
}

static void run_off(struct retry_budget *b, int64_t now_ms) {
    int64_t passed = now_ms - b->now_ms;
    if (passed <= 0)
        return; // a clock that another thread read a moment earlier
    b->now_ms = now_ms;
    b->earned = left_after(b->earned, passed);
    b->peers = left_after(b->peers, passed);
    b->untold = left_after(b->untold, passed);
    int64_t full = (int64_t)FLOOR_ALONE_MS * RETRY_BUDGET_FLOOR;
    add_floor(b, (passed < full ? passed : full) * RETRY / FLOOR_ALONE_MS);
}

static void earn(struct retry_budget *b, int64_t amount) {
    b->earned += amount;
    b->untold += amount;
}

// Its own, and its share of what others earned: all of them may ask for that at the
// same moment. What they owe all owe.
static int64_t earned_of(const struct retry_budget *b) {
    return b->earned + (b->peers > 0 ? b->peers / (int64_t)b->instances : b->peers);
}

static bool take(struct retry_budget *b, unsigned percent) {
    int64_t earned = earned_of(b);
    if (percent == 0 || earned + b->floor < RETRY)
        return false;
    int64_t from_earned = earned < RETRY ? earned : RETRY;
    if (from_earned < 0)
        from_earned = 0;
    earn(b, -from_earned);
    b->floor -= RETRY - from_earned;
    b->floor_taken += RETRY - from_earned;
    return true;
}

// ------------------------------------------------------------------------ API

void retry_budget_note_good(struct retry_budgets_loop *l, struct slice provider, unsigned percent,
                            int64_t now_ms) {
    struct retry_budget *b = budget_of(names_meet(&l->names, provider));
    pthread_mutex_lock(&b->lock);
    run_off(b, now_ms);
    earn(b, RETRY / 100 * (int64_t)percent);
    if (now_ms - b->answered_ms >= FLOOR_ANSWERED_MS) {
        add_floor(b, RETRY);
        b->answered_ms = now_ms;
    }
    pthread_mutex_unlock(&b->lock);
}

static void count_retry(struct slice provider, struct slice by) {
    const struct slice labels[] = {provider, by};
    metric_add(metric_series(&retries_family, labels), 1);
}

void retry_budget_note_client_retry(struct retry_budgets_loop *l, struct slice provider,
                                    int64_t now_ms) {
    struct retry_budget *b = budget_of(names_meet(&l->names, provider));
    pthread_mutex_lock(&b->lock);
    run_off(b, now_ms);
    earn(b, -RETRY);
    b->client_retries++;
    pthread_mutex_unlock(&b->lock);
    count_retry(provider, SLICE("client"));
}

bool retry_budget_take(struct retry_budgets_loop *l, struct slice provider, unsigned percent,
                       int64_t now_ms) {
    struct retry_budget *b = budget_of(names_meet(&l->names, provider));
    pthread_mutex_lock(&b->lock);
    run_off(b, now_ms);
    bool taken = take(b, percent);
    b->retries += taken;
    b->denied += !taken;
    pthread_mutex_unlock(&b->lock);
    if (taken)
        count_retry(provider, SLICE("farthing"));
    else
        metric_add(metric_series(&denied_family, &provider), 1);
    return taken;
}

void retry_budgets_visit(struct retry_budgets *b, int64_t now_ms, retry_budgets_visitor *visit,
                         void *arg) {
    for (struct named *n = names_first(&b->names); n != NULL; n = n->next) {
        struct retry_budget *each = budget_of(n);
        pthread_mutex_lock(&each->lock);
        run_off(each, now_ms);
        int64_t left = earned_of(each) + each->floor;
        struct retry_budget_view view = {.provider = n->name,
                                         .left_milli = left / (RETRY / 1000),
                                         .retries = each->retries,
                                         .client_retries = each->client_retries,
                                         .denied = each->denied};
        pthread_mutex_unlock(&each->lock);
        visit(arg, &view);
    }
}

// ------------------------------------------------------------ among instances
//
// One row each, in thousandths of a retry: ["openai",EARNED,TAKEN_FROM_THE_FLOOR].

// What is told of an amount; the part that is not whole stays.
static int64_t tell_of(int64_t *amount) {
    int64_t milli = *amount / MILLI;
    *amount -= milli * MILLI;
    return milli;
}

static bool has_news(const struct retry_budget *b) {
    return b->untold >= MILLI || b->untold <= -MILLI || b->floor_taken >= MILLI;
}

static void put_row(struct json_writer *w, struct retry_budget *b) {
    json_array_begin(w);
    json_put_string(w, b->named.name);
    json_put_i64(w, tell_of(&b->untold));
    json_put_i64(w, tell_of(&b->floor_taken));
    json_array_end(w);
}

bool retry_budgets_tell(struct retry_budgets *b, struct buffer *out, size_t room, int64_t now_ms) {
    size_t start = out->len;
    struct json_writer w;
    json_write_start(&w, out);
    json_array_begin(&w);
    for (struct named *n = names_first(&b->names); n != NULL; n = n->next) {
        struct retry_budget *each = budget_of(n);
        if (n->name.len > BREAKER_NAME_MAX)
            continue;
        if (out->len - start + ROW_BYTES_MAX > room)
            break;
        pthread_mutex_lock(&each->lock);
        run_off(each, now_ms);
        if (has_news(each))
            put_row(&w, each);
        pthread_mutex_unlock(&each->lock);
    }
    return json_array_end_or_drop(&w, start);
}

static int64_t within(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static void hear(struct retry_budget *b, int64_t earned_milli, int64_t floor_milli,
                 unsigned instances, int64_t sent_ms, int64_t now_ms) {
    const int64_t most = (int64_t)TOLD_MAX * MILLI;
    int64_t earned = within(earned_milli, -TOLD_MAX, TOLD_MAX) * MILLI;
    int64_t taken = within(floor_milli, 0, TOLD_MAX) * MILLI;
    pthread_mutex_lock(&b->lock);
    run_off(b, now_ms);
    b->instances = instances > 1 ? instances : 2;
    b->peers = within(b->peers + left_after(earned, now_ms - sent_ms), -most, most);
    b->floor = b->floor > taken ? b->floor - taken : 0;
    pthread_mutex_unlock(&b->lock);
}

void retry_budgets_hear(struct retry_budgets *b, const struct json_doc *doc, json_ref rows,
                        struct arena *arena, unsigned instances, int64_t sent_ms,
                        int64_t now_ms) {
    if (!json_is(doc, rows, JSON_ARRAY))
        return;
    for (json_ref row = json_first(doc, rows); row != JSON_NONE; row = json_next(doc, rows, row)) {
        struct slice name = json_string(doc, json_at(doc, row, 0), arena);
        struct named *found = name.ptr != NULL ? names_find(&b->names, name) : NULL;
        int64_t earned, taken;
        if (found != NULL && json_i64(doc, json_at(doc, row, 1), &earned) &&
            json_i64(doc, json_at(doc, row, 2), &taken))
            hear(budget_of(found), earned, taken, instances, sent_ms, now_ms);
    }
}
