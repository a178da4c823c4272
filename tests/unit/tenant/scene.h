// A configuration from text, a loop, and a clock that stands still: what the
// tests of limits and budgets begin with.
#ifndef FARTHING_TEST_TENANT_SCENE_H
#define FARTHING_TEST_TENANT_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After the four above.
#include <cmocka.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "farthing/config.h"

#define SCENE_KEY   "sha256:bf3cb3f1e1d5b4ed3ad32f7b4e9c1ed2d4fb0a4b4ae4d3f0d8d7ee4b06a0c1f2"
#define SCENE_KEY_B "sha256:aaacb3f1e1d5b4ed3ad32f7b4e9c1ed2d4fb0a4b4ae4d3f0d8d7ee4b06a0c1f2"
#define USD         INT64_C(1000000000000)
#define HOUR_MS     INT64_C(3600000)
#define DAY_MS      (24 * HOUR_MS)
// 2026-03-11T12:00:00Z, a Wednesday.
#define NOON_MS INT64_C(1773230400000)

// Frees the text.
static inline const struct config *scene_load(struct buffer *text) {
    struct buffer messages = {0};
    const struct config *c = config_load_text(buffer_slice(text), "test.conf", &messages);
    if (c == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&messages)));
    buffer_free(text);
    buffer_free(&messages);
    return c;
}

// `body`: what stands in tenant "acme"; `other`: in tenant "umbra".
static inline const struct config *scene_config(const char *body, const char *other) {
    struct buffer text = {0};
    buffer_printf(&text,
                  "provider \"p\" { dialect = \"openai\" base_url = \"http://127.0.0.1:1/v1\" }\n"
                  "model \"p/m\" { input_price = \"1 usd\" output_price = \"1 usd\" }\n"
                  "tier \"t\" { models = {\"p/m\"} }\n"
                  "tenant \"acme\" { keys = {\"%s\"}\n%s }\n"
                  "tenant \"umbra\" { keys = {\"%s\"}\n%s }\n",
                  SCENE_KEY, body, SCENE_KEY_B, other);
    return scene_load(&text);
}

// Among the metrics, as they stand.
static inline bool scene_shows(const char *line) {
    struct buffer text = {0};
    metric_write_all(&text);
    bool found = slice_find(buffer_slice(&text), slice_of(line)) >= 0;
    if (!found)
        print_message("%.*s\n", SLICE_ARG(buffer_slice(&text)));
    buffer_free(&text);
    return found;
}

#endif
