// One classifier, asked by several threads at once while another holds and lets go
// of it: every answer is as if it were alone.
#include <pthread.h>

#include "rules_fixture.h"

enum { THREADS = 4, ROUNDS = 500 };

static const struct {
    const char *body, *rule;
} questions[] = {
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"a refund\"}]}", "money"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x1234y\"}]}", "digits"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"\\u0416?\"}]}", "asks"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", ""},
};

static void *ask(void *arg) {
    struct classifier *c = classifier_ref(arg);
    struct json_doc *doc = json_doc_new();
    uintptr_t wrong = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t q = i % FARTHING_COUNT(questions);
        struct arena *arena = arena_new(1024);
        struct classify_input in = {.arena = arena};
        struct classify_result out;
        if (json_parse(doc, slice_of(questions[q].body), NULL, NULL)) {
            classify_request(c, NULL, API_CHAT_COMPLETIONS, doc, &in, &out);
            struct slice name = out.rule != NULL ? out.rule->name : SLICE("");
            wrong += !slice_equal(name, slice_of(questions[q].rule));
        } else {
            wrong++;
        }
        arena_free(arena);
    }
    json_doc_free(doc);
    classifier_unref(c);
    return (void *)wrong;
}

static void threads_do_not_disturb_each_other(void **state) {
    (void)state;
    struct rules_scene s;
    rules_begin(&s, "classifier {\n"
                    "rule \"money\" { keywords = {\"refund\", \"card\"} tier = large }\n"
                    "rule \"digits\" { patterns = {\"\\\\d{4}\"} tier = small }\n"
                    "rule \"asks\" { min_questions = 1 scripts = {\"cyrillic\"} score = 0.5 } }\n");
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, s.classifier), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    rules_end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_do_not_disturb_each_other)};
    return cmocka_run_group_tests_name("route/rules_threads", tests, NULL, NULL);
}
