// What is made of a configuration for choosing and judging: the classifier and the
// patterns of gates. Made once for each snapshot, shared by all loops, and held by
// the exchanges that began under it.
#include <stdatomic.h>
#include <stdlib.h>

#include "exchange.h"

struct routing {
    atomic_uint references;
    const struct config *config;
    struct classifier *classifier;
    struct gate_book *gates;
    _Atomic int64_t examples_from_ms; // clock_mono_ms, when their vectors may be asked for
};

struct routing *routing_new(const struct config *config, struct buffer *messages) {
    struct classifier *classifier = classifier_new(config, messages);
    struct buffer complaints = {0};
    struct gate_book *gates = gate_book_new(config, &complaints);
    bool ok = classifier != NULL && complaints.len == 0;
    buffer_append(messages, buffer_slice(&complaints));
    buffer_free(&complaints);
    if (!ok) {
        gate_book_free(gates);
        classifier_unref(classifier);
        return NULL;
    }
    struct routing *r = base_calloc(1, sizeof *r);
    atomic_init(&r->references, 1);
    r->config = config_ref(config);
    r->classifier = classifier;
    r->gates = gates;
    return r;
}

struct routing *routing_ref(struct routing *r) {
    if (r != NULL)
        atomic_fetch_add(&r->references, 1);
    return r;
}

void routing_unref(struct routing *r) {
    if (r == NULL || atomic_fetch_sub(&r->references, 1) > 1)
        return;
    gate_book_free(r->gates);
    classifier_unref(r->classifier);
    config_unref(r->config);
    free(r);
}

const struct classifier *routing_classifier(const struct routing *r) {
    return r->classifier;
}

bool routing_may_ask_examples(struct routing *r, int64_t now_ms) {
    enum { AGAIN_MS = 60 * 1000 };
    int64_t from = atomic_load(&r->examples_from_ms);
    return now_ms >= from &&
           atomic_compare_exchange_strong(&r->examples_from_ms, &from, now_ms + AGAIN_MS);
}

const struct gate_book *routing_gates(const struct routing *r) {
    return r->gates;
}
