// What the tests of the context budgets share: a request, budgets, a verdict.
#ifndef CONTEXT_FIXTURE_H
#define CONTEXT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "farthing/estimate.h"
#include "farthing/route.h"

enum { BUDGETS_MAX = CONFIG_CONTEXT_PART_COUNT };

// One request under budgets. Ends with scene_end.
struct scene {
    struct json_doc *doc;
    struct arena *arena;
    struct slice edited; // what goes upstream
    struct route_context_result result;
};

static inline struct json_doc *parse_new(struct slice text) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (!json_parse(doc, text, NULL, &err))
        fail_msg("%s: %.*s", err.text, SLICE_ARG(text));
    return doc;
}

static inline struct scene scene_scaled(enum api_endpoint e, struct slice text, int64_t scale_milli,
                                        const struct config_context *budgets, size_t count) {
    struct config_route route = {.contexts = budgets, .context_count = count};
    struct scene s = {.doc = parse_new(text), .arena = arena_new(256)};
    struct json_edits *edits = json_edits_new(s.doc, s.arena);
    route_context_apply(&route, e, s.doc, scale_milli, edits, &s.result);
    bool trimmed = s.result.verdict == ROUTE_CONTEXT_TRIMMED;
    assert_int_equal(json_edits_empty(edits), !trimmed);
    s.edited = json_edits_apply(edits);
    return s;
}

static inline struct scene scene_of(enum api_endpoint e, struct slice text,
                                    const struct config_context *budgets, size_t count) {
    return scene_scaled(e, text, 1000, budgets, count);
}

static inline void scene_end(struct scene *s) {
    json_doc_free(s->doc);
    arena_free(s->arena);
}

// What a request measures. `markers`: a budget for retrieved context has them.
static inline struct route_context measured(enum api_endpoint e, struct slice text,
                                            const struct config_slices *markers) {
    struct config_context budgets[] = {
        {.part = CONFIG_CONTEXT_RETRIEVED, .max_tokens = INT64_MAX},
        {.part = CONFIG_CONTEXT_TOTAL, .max_tokens = INT64_MAX},
    };
    if (markers != NULL)
        budgets[0].markers = *markers;
    struct scene s =
        scene_of(e, text, markers != NULL ? budgets : budgets + 1, markers != NULL ? 2 : 1);
    struct route_context out = s.result.before;
    assert_int_equal(s.result.verdict, ROUTE_CONTEXT_FITS);
    scene_end(&s);
    return out;
}

#define CHAT             API_CHAT_COMPLETIONS
#define ROLE(role, text) "{\"role\":\"" role "\",\"content\":\"" text "\"}"
#define SYSTEM           ROLE("system", "You are a patient assistant. Answer briefly.")
#define DEVELOPER        ROLE("developer", "Use metric units in all answers.")
#define USER(n)          ROLE("user", "What about question number " n "?")
#define ASSISTANT(n)     ROLE("assistant", "This is the answer to question " n ", at length.")
#define CALL(id)                                                                                   \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" id                       \
    "\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"{\\\"n\\\":1}\"}}]}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"it is 42\"}"

#endif
