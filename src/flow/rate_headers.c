// What an answer's head says of the limits that it stands under: RateLimit and
// RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), one item for each
// rate, and OpenAI's x-ratelimit-* for the tenant's own.
//
// Every answer of a limited tenant has them, so they are put together without
// printf, in one piece of the arena.
#include "exchange.h"

enum { TEXT_MAX = 1024 }; // six items of both fields, and six figures of OpenAI's

struct text {
    char *at;
    const char *start; // of the value that is being written
};

static void put(struct text *t, const char *words) {
    size_t n = strlen(words);
    memcpy(t->at, words, n);
    t->at += n;
}

static void put_number(struct text *t, int64_t n) {
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    while (count > 0)
        *t->at++ = digits[--count];
}

static struct slice take(struct text *t) {
    struct slice value = slice_make(t->start, (size_t)(t->at - t->start));
    t->start = t->at;
    return value;
}

// "6m0s", "1.5s", "20ms": as OpenAI writes its resets.
static void put_duration(struct text *t, int64_t ms) {
    if (ms < 1000) {
        put_number(t, ms);
        put(t, "ms");
        return;
    }
    if (ms >= 60000) {
        put_number(t, ms / 60000);
        put(t, "m");
    }
    put_number(t, ms % 60000 / 1000);
    if (ms % 1000 != 0) {
        *t->at++ = '.';
        for (int64_t rest = ms % 1000, unit = 100; rest > 0; rest %= unit, unit /= 10)
            *t->at++ = (char)('0' + rest / unit);
    }
    put(t, "s");
}

// One rate of one ticket.
struct item {
    enum admit_kind kind;
    bool of_tokens;
    struct limits_rate_view rate;
};

static size_t collect(const struct exchange *x, struct item items[2 * LIMITS_PASS_MAX]) {
    size_t count = 0;
    for (unsigned i = 0; i < x->pass.count; i++) {
        struct limits_view view;
        enum admit_kind kind = (enum admit_kind)x->admit_kinds[i];
        if (x->pass.tickets[i].state == LIMITS_IDLE)
            continue;
        limits_view_ticket(&x->pass.tickets[i], &view);
        if (view.requests.limit > 0)
            items[count++] = (struct item){kind, false, view.requests};
        if (view.tokens.limit > 0)
            items[count++] = (struct item){kind, true, view.tokens};
    }
    return count;
}

static const char *policy_name(const struct item *item) {
    static const char *const names[][2] = {[ADMIT_TENANT] = {"requests", "tokens"},
                                           [ADMIT_KEY] = {"key-requests", "key-tokens"},
                                           [ADMIT_ROUTE] = {"route-requests", "route-tokens"}};
    return names[item->kind][item->of_tokens];
}

struct headers {
    struct api_header *out;
    size_t count;
};

static void add(struct headers *h, const char *name, struct slice value) {
    h->out[h->count++] = (struct api_header){slice_of(name), value};
}

static void add_openai(struct headers *h, struct text *t, const struct item *item) {
    static const char *const names[][3] = {
        {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
         "x-ratelimit-reset-requests"},
        {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"}};
    const char *const *name = names[item->of_tokens];
    put_number(t, item->rate.limit);
    add(h, name[0], take(t));
    put_number(t, item->rate.remaining);
    add(h, name[1], take(t));
    put_duration(t, item->rate.reset_ms);
    add(h, name[2], take(t));
}

// OpenAI's fields know one limit of each kind: the tenant's, or else its key's.
static void add_all_openai(struct headers *h, struct text *t, const struct item *items,
                           size_t count) {
    bool has[2] = {false, false};
    for (size_t i = 0; i < count; i++) {
        if (!has[items[i].of_tokens] && items[i].kind != ADMIT_ROUTE)
            add_openai(h, t, &items[i]);
        has[items[i].of_tokens] = true;
    }
}

static void put_item(struct text *t, bool first, const char *name, const char *figure,
                     int64_t value, const char *then, int64_t seconds) {
    put(t, first ? "\"" : ", \"");
    put(t, name);
    put(t, figure);
    put_number(t, value);
    put(t, then);
    put_number(t, seconds);
}

static bool refused_by_limits(const struct exchange *x) {
    return x->error == API_ERROR_RATE_LIMITED || x->error == API_ERROR_CONCURRENCY_LIMITED ||
           x->error == API_ERROR_QUEUE_TIMEOUT ||
           (x->error == API_ERROR_STORE_UNAVAILABLE &&
            x->pass.refusal.reason == LIMITS_REASON_STORE);
}

static void add_retry(struct headers *h, struct text *t, int64_t wait_ms) {
    if (wait_ms < 0) {
        add(h, "x-should-retry", SLICE("false"));
        return;
    }
    put_number(t, admit_retry_after_s(wait_ms));
    add(h, "Retry-After", take(t));
}

size_t admit_headers(struct exchange *x, struct api_header out[ADMIT_HEADERS_MAX]) {
    struct item items[2 * LIMITS_PASS_MAX];
    struct headers h = {.out = out};
    bool refused = refused_by_limits(x);
    size_t count = x->pass.state == LIMITS_IDLE ? 0 : collect(x, items);
    if (x->pass.state == LIMITS_IDLE || (count == 0 && !refused))
        return 0;
    struct text t = {.at = arena_alloc(x->arena, TEXT_MAX)};
    t.start = t.at;
    add_all_openai(&h, &t, items, count);
    for (size_t i = 0; i < count; i++)
        put_item(&t, i == 0, policy_name(&items[i]), "\";q=", items[i].rate.limit, ";w=",
                 LIMITS_WINDOW_S);
    if (count > 0)
        add(&h, "RateLimit-Policy", take(&t));
    for (size_t i = 0; i < count; i++)
        put_item(&t, i == 0, policy_name(&items[i]), "\";r=", items[i].rate.remaining, ";t=",
                 (items[i].rate.reset_ms + 999) / 1000);
    if (count > 0)
        add(&h, "RateLimit", take(&t));
    if (refused)
        add_retry(&h, &t, x->pass.refusal.retry_after_ms);
    return h.count;
}
