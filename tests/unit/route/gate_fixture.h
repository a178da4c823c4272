// What the tests of gates share: one route with all reasons, and short ways to a
// judgement.
#ifndef FARTHING_TESTS_GATE_FIXTURE_H
#define FARTHING_TESTS_GATE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "farthing/gate.h"

#define ONLY(reason) (1u << CONFIG_ESCALATE_##reason)
#define ALL_REASONS ((1u << CONFIG_ESCALATE_COUNT) - 1)

struct bench {
    struct config_route route;
    struct config config;
    struct gate_book *book;
    struct arena *arena;
    struct slice violation; // of the last judgement
};

static inline struct config_route every_reason(void) {
    return (struct config_route){.name = SLICE("r"),
                                 .where = SLICE("f:1"),
                                 .escalate_on = ALL_REASONS,
                                 .gate.min_characters = CONFIG_UNSET};
}

static inline void bench_begin(struct bench *b, struct config_route route) {
    b->route = route;
    b->config = (struct config){.routes = &b->route, .route_count = 1};
    b->book = gate_book_new(&b->config, NULL);
    b->arena = arena_new(4096);
}

static inline void bench_end(struct bench *b) {
    gate_book_free(b->book);
    arena_free(b->arena);
}

static inline struct json_doc *parsed(const char *text) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (!json_parse(doc, slice_of(text), NULL, &err))
        fail_msg("%s: %s", text, err.text);
    return doc;
}

// The request's document is gone before the gate judges.
static inline const struct gate *gate_for(struct bench *b, enum api_endpoint e,
                                          const char *request) {
    char *bytes = slice_dup(slice_of(request));
    struct json_doc *doc = parsed(bytes);
    const struct gate *g = gate_new(b->book, &b->route, e, doc, b->arena);
    json_doc_free(doc);
    memset(bytes, 'x', strlen(request));
    free(bytes);
    return g;
}

static inline const char *judged(struct bench *b, enum api_endpoint e, const char *request,
                                 const char *answer, bool own_cap) {
    struct json_doc *doc = parsed(answer);
    struct gate_result r = gate_judge(gate_for(b, e, request), doc, own_cap, b->arena);
    json_doc_free(doc);
    assert_int_equal(r.violation.len > 0, r.reason != GATE_NONE);
    b->violation = r.violation;
    return gate_reason_name(r.reason);
}

// A chat answer that says this text, with this finish reason.
static inline const char *judged_text(struct bench *b, const char *request, struct slice text,
                                      const char *finish) {
    struct buffer answer = {0};
    BUFFER_LITERAL(&answer, "{\"choices\":[{\"message\":{\"content\":");
    json_quote(&answer, text);
    buffer_printf(&answer, "},\"finish_reason\":\"%s\"}]}", finish);
    buffer_append_char(&answer, '\0');
    const char *reason = judged(b, API_CHAT_COMPLETIONS, request, answer.ptr, false);
    buffer_free(&answer);
    return reason;
}

#endif
