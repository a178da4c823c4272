// Vectors of texts, where the file wants them from a model: asked for by exchanges of
// the tenant "farthing", whose cache, budget and rows are those of everybody.
#include "exchange.h"

static struct http_request *ask_vectors(struct exchange *x, const struct slice *texts,
                                        size_t count, http_on_answer *on_answer, void *arg) {
    const struct api_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("x-farthing-feature"), SLICE(LEDGER_EMBEDDINGS)},
    };
    struct buffer body = {0};
    struct json_writer w;
    json_write_start(&w, &body);
    json_object_begin(&w);
    json_key(&w, SLICE("model"));
    json_put_string(&w, x->config->classifier.embedding_model->name);
    json_key(&w, SLICE("input"));
    json_array_begin(&w);
    for (size_t i = 0; i < count; i++)
        json_put_string(&w, texts[i]);
    json_array_end(&w);
    json_object_end(&w);
    const struct http_own question = {
        .method = SLICE("POST"),
        .path = SLICE("/v1/embeddings"),
        .headers = headers,
        .header_count = FARTHING_COUNT(headers),
        .body = buffer_slice(&body),
        .on_answer = on_answer,
        .arg = arg,
    };
    const struct own_exchange own = {
        .of_route = x->route != NULL ? x->route->name : SLICE_NONE,
        .of_request = x->id,
        .of_tenant = x->tenant->name,
        .of_feature = x->attributes.feature,
    };
    struct http_request *request = http_own_request(x->request, &question);
    buffer_free(&body);
    if (request != NULL)
        exchange_start_own(x, request, &own);
    return request;
}

// Those of the examples are asked for once for all loops; meanwhile, and when that
// comes to nothing, requests are classified without.
static void on_examples(void *arg, int status, struct slice body) {
    struct routing *routing = arg;
    struct error err;
    if (status != 200)
        log_write(LOG_WARNING, "the vectors of the classifier's examples cannot be had: the answer "
                               "is %d; it is tried again in a minute", status);
    else if (!classifier_take_examples(routing_classifier(routing), body, &err))
        log_write(LOG_WARNING, "the vectors of the classifier's examples are no good: %s", err.text);
    routing_unref(routing);
}

static void ask_examples(struct exchange *x) {
    const struct slice *texts;
    if (x->request == NULL || !routing_may_ask_examples(x->routing, (int64_t)clock_mono_ms()))
        return;
    size_t count = classifier_examples(routing_classifier(x->routing), &texts);
    if (ask_vectors(x, texts, count, on_examples, routing_ref(x->routing)) == NULL)
        routing_unref(x->routing);
}

static void go_on(struct exchange *x) {
    if (x->pause != NULL)
        event_del(x->pause);
    exchange_resume_after_recall(x);
}

static void on_vector(void *arg, int status, struct slice body) {
    struct exchange *x = arg;
    struct error ignored;
    exchange_enter(x);
    x->asked_vector = NULL;
    struct classify_vector *vector = arena_calloc(x->arena, sizeof *vector);
    if (status == 200 && classify_vector_parse(body, x->arena, vector, &ignored))
        x->vector = vector;
    go_on(x);
    exchange_leave(x);
}

// Too late for this one. It goes on, for the cache: the same text finds it there.
static void on_late(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct exchange *x = arg;
    exchange_enter(x);
    vectors_leave(x);
    go_on(x);
    exchange_leave(x);
}

bool vectors_ask(struct exchange *x, struct slice text) {
    const struct classifier *c = routing_classifier(x->routing);
    if (x->vector_is_asked || !classifier_wants_vectors(c) || x->flow->draining ||
        x->request == NULL || text.len == 0)
        return false;
    x->vector_is_asked = true;
    if (!classifier_has_examples(c)) {
        ask_examples(x);
        return false;
    }
    x->asked_vector = ask_vectors(x, &text, 1, on_vector, x);
    if (x->asked_vector == NULL)
        return false;
    exchange_go(x, EXCHANGE_CLASSIFYING);
    exchange_wait(x, x->config->classifier.embedding_timeout_ms, on_late);
    return true;
}

void vectors_leave(struct exchange *x) {
    if (x->asked_vector != NULL)
        http_own_forget(x->asked_vector);
    x->asked_vector = NULL;
}
