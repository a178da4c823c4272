// What the tests of rules share: a classifier from the text of its section, and
// requests asked of it.
#ifndef RULES_FIXTURE_H
#define RULES_FIXTURE_H

#include "route_fixture.h"

#include "farthing/classify.h"

#define RULES_HEAD                                                                                 \
    "provider \"p\" { base_url = \"http://h/v1\" }\n"                                              \
    "tier \"small\" { models = {\"p/a\"} }\n"                                                      \
    "tier \"middle\" { models = {\"p/b\"} }\n"                                                     \
    "tier \"large\" { models = {\"p/c\"} }\n"
enum { RULES_HEAD_LINES = 4 };

struct rules_scene {
    struct classifier *classifier;
    const struct config *config;
    struct buffer messages;
    struct arena *arena;
    struct json_doc *doc;
    struct classify_input in;
    struct classify_result out;
};

// `text`: the classifier's section and routes, behind the tiers.
static inline void rules_begin(struct rules_scene *s, const char *text) {
    struct buffer file = {0};
    buffer_printf(&file, "%s%s%c", RULES_HEAD, text, '\0');
    *s = (struct rules_scene){.config = load(file.ptr)};
    s->classifier = classifier_new(s->config, &s->messages);
    s->arena = arena_new(4096);
    s->doc = json_doc_new();
    s->in = (struct classify_input){.arena = s->arena, .input_tokens = 100};
    buffer_free(&file);
}

static inline void rules_end(struct rules_scene *s) {
    classifier_unref(s->classifier);
    config_unref(s->config);
    buffer_free(&s->messages);
    arena_free(s->arena);
    json_doc_free(s->doc);
}

static inline void rules_ask_body(struct rules_scene *s, struct slice body) {
    struct error err;
    if (!json_parse(s->doc, body, NULL, &err))
        fail_msg("%s: %.*s", err.text, SLICE_ARG(body));
    classify_request(s->classifier, NULL, API_CHAT_COMPLETIONS, s->doc, &s->in, &s->out);
}

// A chat in which a user says the text, which is JSON between quotes.
static inline void rules_ask(struct rules_scene *s, const char *text) {
    struct buffer body = {0};
    buffer_printf(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text);
    rules_ask_body(s, arena_copy(s->arena, buffer_slice(&body)));
    buffer_free(&body);
}

// The rule that fitted; "" when none did.
static inline struct slice rules_fired(const struct rules_scene *s) {
    return s->out.rule != NULL ? s->out.rule->name : SLICE("");
}

#endif
