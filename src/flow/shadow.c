// Shadows: a second tier is asked what a client was just answered, and its answer is
// judged, and given to nobody. An exchange like any other, of the tenant "farthing":
// its budget, its row, its retries and its breaker are those of everybody. It has no
// client, no chain, and no part in anybody's limits.
#include "exchange.h"

enum { HEADERS_MAX = 64, HEADERS_OF_CLIENT_MAX = 56 };

struct headers {
    struct api_header items[HEADERS_MAX];
    size_t count;
};

static void add(struct headers *h, struct slice name, struct slice value) {
    if (value.len > 0 && h->count < HEADERS_MAX)
        h->items[h->count++] = (struct api_header){name, value};
}

// Not its words to Farthing, which were said of the other request; not its key of
// idempotency, which stands for that one; nor its own key, which is not to pay for this.
static bool is_of_one_request(struct slice name) {
    static const char *const names[] = {"authorization", "x-api-key", "idempotency-key",
                                        "x-stainless-retry-count"};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        if (slice_equal_nocase(name, slice_of(names[i])))
            return true;
    return api_header_is_farthing(name);
}

static void add_client_headers(struct headers *h, const struct http_request *request) {
    size_t count = http_request_header_count(request);
    for (size_t i = 0; i < count && h->count < HEADERS_OF_CLIENT_MAX; i++) {
        struct api_header header = http_request_header_at(request, i);
        if (!is_of_one_request(header.name))
            add(h, header.name, header.value);
    }
}

// What makes a request more than a question: it would be done twice.
static bool changes_something(const struct exchange *x) {
    return !json_is_absent(x->doc, json_get(x->doc, JSON_ROOT, SLICE("conversation"))) ||
           json_is_true(x->doc, json_get(x->doc, JSON_ROOT, SLICE("background")));
}

// As its client sent it, but whole at once, kept by nobody, and without its labels.
static struct slice body_of_shadow(struct exchange *x) {
    static const char *const left_out[] = {"stream", "stream_options", "store", "metadata"};
    struct json_edits *edits = json_edits_new(x->doc, x->arena);
    for (size_t i = 0; i < FARTHING_COUNT(left_out); i++)
        if (json_get(x->doc, JSON_ROOT, slice_of(left_out[i])) != JSON_NONE)
            json_edit_remove(edits, JSON_ROOT, slice_of(left_out[i]));
    if (x->endpoint == API_RESPONSES) // keeps what does not say otherwise
        json_edit_set(edits, JSON_ROOT, SLICE("store"), SLICE("false"));
    return json_edits_apply(edits);
}

static bool make_body(struct exchange *x, struct slice *body) {
    struct error ignored;
    x->doc = flow_take_doc(x->flow);
    bool makes = json_parse(x->doc, http_request_body(x->request), NULL, &ignored) &&
                 !changes_something(x);
    if (makes)
        *body = body_of_shadow(x);
    flow_give_doc(x->flow, x->doc);
    x->doc = NULL;
    return makes;
}

static bool is_of_sample(int64_t percent_milli) {
    return (int64_t)(random_u64() % 100000) < percent_milli;
}

// Only what was bought, and well: an answer that there is something to compare with.
static bool wants_shadow(const struct exchange *x) {
    const struct config_shadow *shadow = x->route != NULL ? &x->route->shadow : NULL;
    if (shadow == NULL || shadow->tier == NULL || x->own != NULL || x->flow->draining)
        return false;
    bool is_question = x->body_is_json && api_endpoint_is_cacheable(x->endpoint) &&
                       x->endpoint != API_EMBEDDINGS;
    return is_question && x->error == API_ERROR_NONE && x->reply_status == 200 &&
           settle_has_bought(x) && x->candidates[x->candidate].tier != shadow->tier &&
           is_of_sample(shadow->percent_milli);
}

void shadow_follow(struct exchange *x) {
    struct slice body;
    if (!wants_shadow(x) || !make_body(x, &body))
        return;
    const struct config_route *route = x->route;
    struct headers headers = {.count = 0};
    add_client_headers(&headers, x->request);
    add(&headers, SLICE("x-farthing-feature"),
        arena_printf(x->arena, "shadow:%.*s", SLICE_ARG(route->name)));
    add(&headers, SLICE("x-farthing-prompt-version"), x->attributes.prompt_version);
    add(&headers, SLICE("x-farthing-user"), x->attributes.user);
    add(&headers, SLICE("x-farthing-cache"), SLICE("bypass"));
    const struct http_own question = {
        .method = SLICE("POST"),
        .path = http_request_path(x->request),
        .query = http_request_query(x->request),
        .headers = headers.items,
        .header_count = headers.count,
        .body = body,
    };
    const struct own_exchange own = {
        .route = route,
        .tier = route->shadow.tier,
        .of_route = route->name,
        .of_request = x->id,
        .of_tenant = x->tenant->name,
        .of_feature = x->attributes.feature,
    };
    struct http_request *request = http_own_request(x->request, &question);
    if (request != NULL)
        exchange_start_own(x, request, &own);
}
