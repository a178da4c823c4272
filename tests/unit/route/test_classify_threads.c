// One classifier whose vectors come from outside: threads ask while others bring the
// examples. Before, similarity is passed over; afterwards, all see the same.
#include <pthread.h>
#include <stdatomic.h>

#include "rules_fixture.h"

enum { THREADS = 4, ROUNDS = 300 };

static _Atomic bool brought;

static void *work(void *arg) {
    struct classifier *c = classifier_ref(arg);
    struct json_doc *doc = json_doc_new();
    static const float values[] = {0, 1};
    const struct classify_vector vector = {values, 2};
    uintptr_t wrong = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct arena *arena = arena_new(1024);
        struct classify_input in = {.arena = arena, .vector = &vector};
        struct classify_result out;
        bool before = atomic_load(&brought);
        if (i == ROUNDS / 2) { // each of them, at about the same time
            wrong += !classifier_take_examples(
                c, SLICE("{\"data\":[{\"embedding\":[1,0]},{\"embedding\":[0,1]}]}"), NULL);
            atomic_store(&brought, true);
        }
        wrong += !json_parse(doc, SLICE("{\"messages\":[]}"), NULL, NULL);
        classify_request(c, NULL, API_CHAT_COMPLETIONS, doc, &in, &out);
        bool similar = out.by == CLASSIFY_BY_SIMILAR;
        wrong += before && !similar;
        wrong += similar && !slice_equal(out.category->name, SLICE("two"));
        arena_free(arena);
    }
    wrong += !classifier_has_examples(c);
    json_doc_free(doc);
    classifier_unref(c);
    return (void *)wrong;
}

static void examples_come_while_threads_ask(void **state) {
    (void)state;
    struct rules_scene s;
    rules_begin(&s, "model \"p/e\" { }\nclassifier { embedding_model = \"p/e\"\n"
                    "category \"one\" { examples = {\"1\"} tier = small }\n"
                    "category \"two\" { examples = {\"2\"} tier = large } }\n");
    assert_non_null(s.classifier);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, s.classifier), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    rules_end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples_come_while_threads_ask)};
    return cmocka_run_group_tests_name("route/classify_threads", tests, NULL, NULL);
}
