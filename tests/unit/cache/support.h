// What the tests of the cache share: cmocka, and short ways to make answers.
#ifndef FARTHING_TEST_CACHE_SUPPORT_H
#define FARTHING_TEST_CACHE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// After the four above.
#include <cmocka.h>

#include "entry.h"

// The n-th of many keys, spread as digests are.
static inline struct cache_key key_number(uint64_t n) {
    struct cache_key key;
    digest_sha256(slice_make(&n, sizeof n), key.bytes);
    return key;
}

enum { BORN_MS = 1000, DIES_MS = 61000 }; // of answer_of

static inline struct cache_answer answer_of(struct slice body) {
    return (struct cache_answer){.endpoint = API_CHAT_COMPLETIONS,
                                 .body = body,
                                 .content_type = SLICE("application/json"),
                                 .provider = SLICE("openai"),
                                 .model = SLICE("gpt-4o-mini"),
                                 .tier = SLICE("small"),
                                 .finish_reason = SLICE("stop"),
                                 .usage = {.known = true, .input_tokens = 9, .output_tokens = 3},
                                 .cost_known = true,
                                 .cost_pico = 3150000,
                                 .created_ms = BORN_MS,
                                 .expires_ms = DIES_MS};
}

#define assert_slice_equal(a, b)                             \
    do {                                                     \
        struct slice a_ = (a), b_ = (b);                     \
        assert_int_equal(a_.len, b_.len);                    \
        if (a_.len > 0)                                      \
            assert_memory_equal(a_.ptr, b_.ptr, a_.len);     \
    } while (0)

#endif
