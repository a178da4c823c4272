// Streams, and the whole answers that are put together from them.
#ifndef FARTHING_TESTS_PROVIDER_ASSEMBLING_H
#define FARTHING_TESTS_PROVIDER_ASSEMBLING_H

#include "support.h"

struct sample {
    const char *name;
    enum api_endpoint endpoint;
    int64_t n;
    const char *stream;
    const char *wanted; // NULL: there is none
};

static inline void check_answer(const struct sample *s, struct hearing *h) {
    struct buffer answer = {0};
    bool ok = provider_stream_answer(h->stream, &answer);
    if (ok != (s->wanted != NULL))
        fail_msg("%s: %s: %.*s", s->name, ok ? "assembled" : "not assembled",
                 SLICE_ARG(buffer_slice(&answer)));
    if (ok)
        assert_same_json(buffer_slice(&answer), slice_of(s->wanted), s->name);
    buffer_free(&answer);
}

// In pieces of several sizes.
static inline void check_samples(const struct sample *samples, size_t count) {
    static const size_t pieces[] = {0, 1, 7, 100};
    for (size_t i = 0; i < count; i++) {
        const struct provider_stream_options options = {.endpoint = samples[i].endpoint,
                                                        .n = samples[i].n,
                                                        .assemble = true,
                                                        .swallow_usage = true};
        for (size_t p = 0; p < FARTHING_COUNT(pieces); p++) {
            struct hearing h = hear_all(&options, slice_of(samples[i].stream), pieces[p]);
            check_answer(&samples[i], &h);
            hearing_free(&h);
        }
    }
}
#define CHECK_SAMPLES(samples) check_samples((samples), FARTHING_COUNT(samples))

#endif
