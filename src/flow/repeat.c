// Station 5, recall, its first half: has this very request been made before? By
// its Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), for a day; or,
// as OpenAI's SDKs count their retries, by what it asks, for a minute.
//
// The order in which a key is claimed, looked up, bought and written down is
// idempotency.h's; station_join goes on from here.
#include "exchange.h"

#include <stdio.h>

// ------------------------------------------------------------------ what it says

static bool read_key(struct exchange *x) {
    struct slice name = SLICE("idempotency-key"), value = SLICE_NONE, key;
    size_t count = http_request_header_count(x->request), found = 0;
    for (size_t i = 0; i < count; i++) {
        struct api_header h = http_request_header_at(x->request, i);
        if (!slice_equal_nocase(h.name, name))
            continue;
        value = h.value;
        found++;
    }
    if (found == 0 || x->flow->shared.records == NULL)
        return true;
    struct error err;
    if (found > 1)
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("Idempotency-Key"),
                               "The request has %zu Idempotency-Key headers; one is allowed.",
                               found);
    if (!idempotency_read_key(value, x->arena, &key, &err))
        return exchange_refuse(x, API_ERROR_INVALID_REQUEST, SLICE("Idempotency-Key"), "%s",
                               err.text);
    const uint8_t *provider_key = normalize_tenant_is_shared(x) ? x->client_key_digest : NULL;
    idempotency_name(x->tenant->name, provider_key, key, &x->record_name);
    x->keyed = true;
    return true;
}

static bool is_retry(const struct exchange *x) {
    uint64_t count;
    struct slice said = http_request_header(x->request, SLICE("x-stainless-retry-count"));
    return slice_to_u64(said, &count) && count > 0;
}

static int64_t retry_window_ms(const struct exchange *x) {
    return x->route != NULL && x->route->retry_window_ms != CONFIG_UNSET
               ? x->route->retry_window_ms
               : x->config->cache.retry_window_ms;
}

bool repeat_read(struct exchange *x) {
    if (!api_endpoint_is_cacheable(x->endpoint) || !x->body_is_json)
        return true; // passed through, with its key: the provider's affair
    // Who bypasses wants a purchase of his own, whatever was bought for him.
    x->findable = retry_window_ms(x) > 0 && x->cache_mode != CACHE_BYPASS &&
                  x->flow->shared.recent != NULL;
    x->retries = x->findable && is_retry(x);
    return read_key(x);
}

// Under what it buys: shared by content where the cache would share it too.
// Otherwise by its key, and by the form that it asks for, since a stream can
// only be followed live by who wants the same events.
static void choose_purchase(struct exchange *x) {
    if (exchange_is_shared(x) && !x->client_wants_usage) {
        memcpy(x->purchase.bytes, x->key.bytes, DIGEST_LEN);
        return;
    }
    uint8_t text[DIGEST_LEN + 1];
    memcpy(text, x->record_name.bytes, DIGEST_LEN);
    text[DIGEST_LEN] = (uint8_t)((x->stream ? 1 : 0) | (x->client_wants_usage ? 2 : 0));
    digest_sha256(slice_make(text, sizeof text), x->purchase.bytes);
}

// What is asked, whatever form of answer is wanted.
static void take_fingerprint(struct exchange *x) {
    struct slice path = http_request_path(x->request), query = http_request_query(x->request);
    struct buffer text = {0};
    buffer_printf(&text, "%.*s?%.*s\n", SLICE_ARG(path), SLICE_ARG(query));
    if (x->has_digest)
        buffer_append(&text, slice_make(x->asked_digest.bytes, DIGEST_LEN));
    else
        buffer_append(&text, http_request_body(x->request));
    digest_sha256(buffer_slice(&text), x->fingerprint.bytes);
    buffer_free(&text);
}

// ------------------------------------------------------------------- results

bool repeat_refuse_mismatch(struct exchange *x) {
    return exchange_refuse(x, API_ERROR_IDEMPOTENCY_MISMATCH, SLICE("Idempotency-Key"),
                           "This Idempotency-Key was used for another request; a key stands for "
                           "one request only.");
}

// The provider's error, as the first had it: it would be the same again.
static void reply_recorded_error(struct exchange *x, const struct cache_answer *kept) {
    x->ended_by = ENDED_BY_PROVIDER;
    x->error = API_ERROR_UPSTREAM_ERROR;
    x->status = x->reply_status = kept->status;
    x->content_type = kept->content_type;
    x->cost_known = true;
    station_settle(x);
    reply_whole(x, x->status, kept->body);
    station_record(x);
}

void repeat_serve(struct exchange *x, struct cache_entry *entry) {
    const struct cache_answer *kept = cache_entry_answer(entry);
    if (memcmp(kept->fingerprint, x->fingerprint.bytes, DIGEST_LEN) != 0) {
        cache_entry_release(entry);
        (void)repeat_refuse_mismatch(x);
        return;
    }
    join_leave(x);
    x->hit = entry;
    x->lever = LEDGER_SAVED_IDEMPOTENCY;
    if (kept->status >= 400)
        reply_recorded_error(x, kept);
    else
        reply_from_cache(x);
}

static void no_record(struct exchange *x) {
    if (x->claim == NULL)
        (void)repeat_refuse_mismatch(x); // others hold the key, and asked something else
    else if (x->flight != NULL)
        join_go_on(x);
    else
        recall_go_on(x);
}

static void on_record(void *arg, struct cache_entry *entry) {
    struct exchange *x = arg;
    exchange_enter(x);
    x->lookup = NULL;
    if (entry != NULL)
        repeat_serve(x, entry);
    else
        no_record(x);
    exchange_leave(x);
}

void repeat_look(struct exchange *x) {
    struct cache_key key;
    int64_t now = clock_wall_ms();
    memcpy(key.bytes, x->record_name.bytes, DIGEST_LEN);
    x->looks++;
    struct cache_entry *entry = cache_peek(x->flow->shared.records, &key, now);
    if (entry != NULL) {
        repeat_serve(x, entry);
        return;
    }
    x->lookup =
        cache_lookup_start(x->flow->shared.records, x->flow->store, &key, now, on_record, x);
    if (x->lookup == NULL)
        no_record(x);
    else
        exchange_go(x, EXCHANGE_RECALLING);
}

bool repeat_must_look_again(const struct exchange *x) {
    enum { LOOKS_MAX = 3 }; // a result that could not be kept is told of, and not found
    return x->claim != NULL && idempotency_is_recorded(x->claim) && x->looks < LOOKS_MAX;
}

void repeat_claim(struct exchange *x) {
    struct idempotency_digest own;
    take_fingerprint(x);
    choose_purchase(x);
    own = x->purchase;
    x->standing = idempotency_claim(x->flow->shared.claims, &x->record_name, &x->fingerprint,
                                    &x->purchase, &x->claim);
    x->same_form = memcmp(own.bytes, x->purchase.bytes, DIGEST_LEN) == 0;
    if (x->claim != NULL && x->flow->share != NULL)
        ask_for_key(x);
    else
        repeat_look(x);
}

void repeat_take_purchase(struct exchange *x, const struct cache_key *purchase) {
    choose_purchase(x);
    x->same_form = memcmp(x->purchase.bytes, purchase->bytes, DIGEST_LEN) == 0;
    memcpy(x->purchase.bytes, purchase->bytes, DIGEST_LEN);
}

bool repeat_serve_recent(struct exchange *x) {
    if (!x->retries || !x->has_digest || x->keyed)
        return false;
    struct cache_entry *entry = cache_peek(x->flow->shared.recent, &x->key, clock_wall_ms());
    if (entry == NULL)
        return false;
    join_leave(x);
    x->hit = entry;
    x->lever = LEDGER_SAVED_RETRY;
    reply_from_cache(x);
    return true;
}

// ------------------------------------------------------------- writing them down

static int64_t record_ttl_ms(const struct exchange *x) {
    return x->route != NULL && x->route->idempotency_ttl_ms != CONFIG_UNSET
               ? x->route->idempotency_ttl_ms
               : x->config->cache.idempotency_ttl_ms;
}

static void keep(struct cache *cache, const uint8_t key[DIGEST_LEN], struct cache_answer answer,
                 int64_t ttl_ms) {
    struct cache_key name;
    memcpy(name.bytes, key, DIGEST_LEN);
    answer.created_ms = clock_wall_ms();
    answer.expires_ms = answer.created_ms + ttl_ms;
    cache_insert(cache, &name, &answer);
}

void repeat_record(struct exchange *x, const struct cache_answer *answer, int status) {
    if (x->claim == NULL)
        return;
    struct cache_answer record = *answer;
    record.status = status;
    memcpy(record.fingerprint, x->fingerprint.bytes, DIGEST_LEN);
    keep(x->flow->shared.records, x->record_name.bytes, record, record_ttl_ms(x));
    idempotency_recorded(x->claim);
}

void repeat_remember(struct exchange *x, const struct cache_answer *answer) {
    repeat_record(x, answer, 200);
    if (x->findable && x->has_digest && !exchange_is_shared(x)) // else the cache has it
        keep(x->flow->shared.recent, x->key.bytes, *answer, retry_window_ms(x));
}

bool repeat_is_of_retry(const struct exchange *x, int64_t created_ms) {
    return x->retries && clock_wall_ms() - created_ms <= retry_window_ms(x);
}

void repeat_release(struct exchange *x) {
    ask_release_key(x);
    if (x->claim != NULL)
        idempotency_release(x->claim);
    x->claim = NULL;
}
