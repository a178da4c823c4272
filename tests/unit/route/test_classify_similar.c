// Categories: the tier by the nearest example, and what stands before and after it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rules_fixture.h"

#define REFUND                                                                                     \
    "category \"refund\" { examples = {\"where is my money\", \"refund my order\"}\n"              \
    "tier = small threshold = 0.6 }\n"
#define PROOF                                                                                      \
    "category \"proof\" { examples = {\"prove the lemma\"} tier = large threshold = 0.6 }\n"

static void begin(struct rules_scene *s, const char *text) {
    rules_begin(s, text);
    if (s->classifier == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&s->messages)));
    s->in.past_success_percent = s->in.deadline_ms = CONFIG_UNSET;
}

static void assert_decided(const struct rules_scene *s, const char *name, const char *tier) {
    struct slice seen = classify_result_name(&s->out, s->arena);
    if (!slice_equal(seen, slice_of(name)) || !slice_equal(s->out.tier->name, slice_of(tier)))
        fail_msg("%.*s and %.*s, not %s and %s (similarity %.3f)", SLICE_ARG(seen),
                 SLICE_ARG(s->out.tier->name), name, tier, s->out.similarity);
}

static void the_nearest_example_chooses(void **state) {
    (void)state;
    static const struct {
        const char *text, *name, *tier;
    } rows[] = {
        {"Where is my money?", "category:refund", "small"},
        {"refund my order please", "category:refund", "small"},
        {"Prove the lemma!", "category:proof", "large"},
        {"please prove the lemma, and refund nothing", "category:proof", "large"},
        {"tell me a joke", "default", "middle"},
        {"?", "default", "middle"},
        {"", "default", "middle"},
    };
    struct rules_scene s;
    begin(&s, "classifier { default_tier = middle\n" REFUND PROOF "}");
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        rules_ask(&s, rows[i].text);
        assert_decided(&s, rows[i].name, rows[i].tier);
        assert_int_equal(s.out.by == CLASSIFY_BY_SIMILAR, rows[i].name[0] == 'c');
    }
    assert_false(classifier_wants_vectors(s.classifier));
    assert_true(classifier_has_examples(s.classifier));
    rules_end(&s);
}

// The nearest of all: one that is further away does not stand in for it.
static void the_threshold_is_the_nearest_one_s(void **state) {
    (void)state;
    struct rules_scene s;
    begin(&s,
          "classifier { default_tier = middle\n"
          "category \"strict\" { examples = {\"where is my money\"} tier = small threshold = 1 }\n"
          "category \"loose\" { examples = {\"money\"} tier = large threshold = 0.01 } }");
    rules_ask(&s, "my money, where is it");
    assert_decided(&s, "default", "middle");
    assert_true(slice_equal(s.out.category->name, SLICE("strict")));
    assert_true(s.out.similarity > 0.8 && s.out.similarity < 1);
    rules_ask(&s, "WHERE is my money?"); // a threshold of 1 is reached by the same words
    assert_decided(&s, "category:strict", "small");
    assert_true(s.out.similarity == 1);
    rules_ask(&s, "money makes the world go round");
    assert_decided(&s, "category:loose", "large");
    rules_end(&s);
}

static void a_tier_that_the_chain_lacks_is_passed_over(void **state) {
    (void)state;
    struct rules_scene s;
    begin(&s, "classifier { " REFUND "}\nroute \"r\" { tiers = {\"middle\", \"large\"} }");
    rules_ask(&s, "where is my money");
    assert_decided(&s, "category:refund", "small");
    s.in.route = &s.config->routes[0];
    rules_ask(&s, "where is my money");
    assert_decided(&s, "default", "middle");
    assert_true(s.out.category != NULL); // and the row tells why it nearly was
    rules_end(&s);
}

static void what_comes_before_and_after(void **state) {
    (void)state;
    struct rules_scene s;
    begin(&s, "classifier { default_tier = large\n" REFUND
              "rule \"vip\" { keywords = {\"vip\"} tier = middle }\n"
              "rule \"hard\" { keywords = {\"urgent\"} score = 1 } }");
    rules_ask(&s, "vip: where is my money");
    assert_decided(&s, "vip", "middle");
    assert_null(s.out.category); // not looked for
    s.in.quality = CLASSIFY_BEST;
    rules_ask(&s, "where is my money");
    assert_decided(&s, "quality", "large");
    assert_null(s.out.category);
    s.in.quality = CLASSIFY_ECONOMY;
    rules_ask(&s, "where is my money");
    assert_decided(&s, "category:refund", "small");
    s.in.quality = CLASSIFY_BALANCED;
    rules_ask(&s, "urgent: where is my money"); // before a score, which still fits
    assert_decided(&s, "category:refund", "small");
    assert_true(slice_equal(rules_fired(&s), SLICE("hard")));
    rules_ask(&s, "urgent: tell me a joke");
    assert_decided(&s, "hard", "large");
    rules_end(&s);
}

static void before_the_model(void **state) {
    (void)state;
    struct learn_rows *rows = learn_rows_new();
    struct error err;
    for (int i = 0; i < 40; i++) {
        learn_rows_text(rows, i % 2 == 0 ? SLICE("where is my money") : SLICE("hello friend"));
        assert_true(learn_rows_end(rows, i % 2 != 0, true));
    }
    struct learn_model *m = learn_train(rows, NULL, 0, &err);
    assert_non_null(m);
    struct rules_scene s;
    begin(&s, "classifier { " REFUND "}");
    assert_true(json_parse(s.doc,
                           SLICE("{\"messages\":[{\"role\":\"user\",\"content\":\"where is my "
                                 "money\"}]}"),
                           NULL, NULL));
    classify_request(s.classifier, m, API_CHAT_COMPLETIONS, s.doc, &s.in, &s.out);
    assert_decided(&s, "category:refund", "small");
    assert_false(s.out.has_model); // not asked
    assert_true(json_parse(
        s.doc, SLICE("{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"), NULL, NULL));
    classify_request(s.classifier, m, API_CHAT_COMPLETIONS, s.doc, &s.in, &s.out);
    assert_int_equal(s.out.by, CLASSIFY_BY_MODEL);
    rules_end(&s);
    learn_model_unref(m);
    learn_rows_free(rows);
}

// ---------------------------------------------------------------------- text

static void what_is_compared(void **state) {
    (void)state;
    static const struct {
        const char *messages, *text;
    } rows[] = {
        {"", ""},
        {"{\"role\":\"user\",\"content\":\"one\"}", "one"},
        {"{\"role\":\"system\",\"content\":\"zero\"},{\"role\":\"user\",\"content\":\"one\"},"
         "{\"role\":\"assistant\",\"content\":\"two\"},{\"role\":\"user\",\"content\":\"three\"}",
         "three"},
        {"{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"user\",\"content\":\"two\"}",
         "one\ntwo"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"image_"
         "url\"},"
         "{\"type\":\"text\",\"text\":\"two\"}]}",
         "one\ntwo"},
        // An agent's turn goes on: what was asked is still what the user said.
        {"{\"role\":\"user\",\"content\":\"old\"},{\"role\":\"assistant\",\"content\":\"x\"},"
         "{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"tool_calls\":[]},"
         "{\"role\":\"tool\",\"content\":\"result\"}",
         "one"},
        // A picture without words is no text.
        {"{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":\"x\"},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}",
         ""},
    };
    struct rules_scene s;
    begin(&s, "");
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer body = {0};
        buffer_printf(&body, "{\"messages\":[%s]}", rows[i].messages);
        rules_ask_body(&s, buffer_slice(&body));
        struct slice text = classify_similar_text(&s.out.texts, s.arena);
        if (!slice_equal(text, slice_of(rows[i].text)))
            fail_msg("\"%.*s\", not \"%s\"", SLICE_ARG(text), rows[i].text);
        buffer_free(&body);
    }
    rules_end(&s);
}

static void a_long_text_is_cut_between_characters(void **state) {
    (void)state;
    struct arena *arena = arena_new(1024);
    char *bytes = arena_alloc(arena, 20000);
    for (size_t i = 0; i < 20000; i += 2)
        memcpy(bytes + i, "\xD0\x96", 2);
    struct slice items[] = {slice_make(bytes, 20000), SLICE("end")};
    struct classify_texts texts = {items, 1, 20000, 0};
    assert_int_equal(classify_similar_text(&texts, arena).len, CLASSIFY_SIMILAR_BYTES);
    items[0] = slice_make(bytes + 1, 19999); // begins within one
    assert_int_equal(classify_similar_text(&texts, arena).len, CLASSIFY_SIMILAR_BYTES - 1);
    texts.count = 2;
    assert_int_equal(classify_similar_text(&texts, arena).len, CLASSIFY_SIMILAR_BYTES - 1);
    items[0] = slice_make(bytes, CLASSIFY_SIMILAR_BYTES - 2); // a newline, and a byte
    struct slice joined = classify_similar_text(&texts, arena);
    assert_int_equal(joined.len, CLASSIFY_SIMILAR_BYTES);
    assert_memory_equal(joined.ptr + joined.len - 2, "\ne", 2);
    items[0] = slice_make(bytes, CLASSIFY_SIMILAR_BYTES);
    assert_int_equal(classify_similar_text(&texts, arena).len, CLASSIFY_SIMILAR_BYTES);
    arena_free(arena);
}

// ------------------------------------------------------------------- signals

static void the_row_names_what_is_similar(void **state) {
    (void)state;
    struct rules_scene s;
    struct buffer out = {0};
    begin(&s, "classifier { " REFUND "}");
    rules_ask(&s, "where is my money");
    classify_result_write(&s.out, &out);
    assert_true(slice_equal(buffer_slice(&out),
                            SLICE("{\"input_tokens\":100,\"turns\":1,\"scripts\":[\"latin\"],"
                                  "\"similar\":\"refund\",\"similarity\":1.000}")));
    rules_ask(&s, "?");
    buffer_clear(&out);
    classify_result_write(&s.out, &out);
    assert_true(slice_equal(buffer_slice(&out),
                            SLICE("{\"input_tokens\":100,\"turns\":1,\"questions\":1}")));
    buffer_free(&out);
    rules_end(&s);
}

static void past_success_is_a_signal(void **state) {
    (void)state;
    static const struct {
        int64_t percent;
        const char *name, *json;
    } rows[] = {
        {CONFIG_UNSET, "default", "{\"input_tokens\":100,\"turns\":1}"},
        {0, "shaky", "{\"input_tokens\":100,\"turns\":1,\"past_success\":0}"},
        {70, "shaky", "{\"input_tokens\":100,\"turns\":1,\"past_success\":70}"},
        {71, "default", "{\"input_tokens\":100,\"turns\":1,\"past_success\":71}"},
        {95, "fine", "{\"input_tokens\":100,\"turns\":1,\"past_success\":95}"},
        {100, "fine", "{\"input_tokens\":100,\"turns\":1,\"past_success\":100}"},
    };
    struct rules_scene s;
    begin(&s, "classifier { rule \"shaky\" { max_past_success = 70 tier = large }\n"
              "rule \"fine\" { min_past_success = 95 tier = small } }");
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer out = {0};
        s.in.past_success_percent = rows[i].percent;
        rules_ask(&s, "");
        struct slice name = classify_result_name(&s.out, s.arena);
        assert_true(slice_equal(name, slice_of(rows[i].name)));
        classify_result_write(&s.out, &out);
        if (!slice_equal(buffer_slice(&out), slice_of(rows[i].json)))
            fail_msg("%.*s, not %s", SLICE_ARG(buffer_slice(&out)), rows[i].json);
        buffer_free(&out);
    }
    rules_end(&s);
}

static void the_deadline_is_a_signal(void **state) {
    (void)state;
    static const struct {
        int64_t left;
        const char *name;
    } rows[] = {{CONFIG_UNSET, "default"}, {0, "urgent"}, {2000, "urgent"},
                {2001, "default"},         {60000, "patient"}};
    struct rules_scene s;
    begin(&s, "classifier { rule \"urgent\" { max_deadline_ms = 2000 tier = small }\n"
              "rule \"patient\" { min_deadline_ms = 60000 tier = large } }");
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        s.in.deadline_ms = rows[i].left;
        rules_ask(&s, "");
        struct slice name = classify_result_name(&s.out, s.arena);
        if (!slice_equal(name, slice_of(rows[i].name)))
            fail_msg("%lld ms: %.*s", (long long)rows[i].left, SLICE_ARG(name));
    }
    assert_int_equal(s.out.signals.values[CONFIG_SIGNAL_DEADLINE_MS], 60000);
    rules_end(&s);
}

// A rule that compares it does not fit every request, so it forestalls nobody.
static void what_may_be_unknown_forestalls_nobody(void **state) {
    (void)state;
    struct rules_scene s;
    begin(&s, "classifier { rule \"known\" { min_past_success = 0 tier = large }\n"
              "rule \"all\" { max_turns = 5 tier = small } }");
    assert_int_equal(s.messages.len, 0);
    rules_end(&s);
}

// The caller may have computed the signals already.
static void signals_may_come_with_the_question(void **state) {
    (void)state;
    struct rules_scene s;
    begin(&s, "classifier { " REFUND "rule \"many\" { min_turns = 7 tier = large } }");
    static const struct slice items[] = {{"prove the lemma", 15}, {"where is my money", 17}};
    struct classify_texts texts = {items, 2, 32, 1};
    struct classify_signals signals = {.values[CONFIG_SIGNAL_TURNS] = 3};
    s.in.signals = &signals;
    s.in.texts = &texts;
    rules_ask(&s, "");
    assert_decided(&s, "category:refund", "small");
    assert_int_equal(s.out.signals.values[CONFIG_SIGNAL_TURNS], 3);
    assert_int_equal(s.out.texts.count, 2);
    signals.values[CONFIG_SIGNAL_TURNS] = 7;
    rules_ask(&s, "");
    assert_decided(&s, "many", "large");
    rules_end(&s);
}

static void categories_are_counted(void **state) {
    (void)state;
    struct buffer text = {0};
    struct rules_scene s;
    metric_reset_for_test();
    begin(&s, "classifier { " REFUND PROOF "}");
    for (int i = 0; i < 3; i++)
        rules_ask(&s, "where is my money");
    rules_ask(&s, "tell me a joke");
    metric_write_all(&text);
    assert_true(slice_find(buffer_slice(&text),
                           SLICE("farthing_classifier_category_total{category=\"refund\"} 3\n")) >
                0);
    assert_true(slice_find(buffer_slice(&text),
                           SLICE("farthing_classifier_category_total{category=\"proof\"} 0\n")) >
                0);
    buffer_free(&text);
    rules_end(&s);
}

// -------------------------------------------------------------- from outside

#define OUTSIDE                                                                                    \
    "model \"p/e\" { }\nclassifier { embedding_model = \"p/e\" default_tier = middle\n" REFUND     \
        PROOF "}"
#define VECTORS                                                                                    \
    "{\"data\":[{\"index\":0,\"embedding\":[1,0]},{\"index\":1,\"embedding\":[4,3]},"              \
    "{\"index\":2,\"embedding\":[0,2]}]}"

static void vectors_from_outside(void **state) {
    (void)state;
    static const float near[] = {0.8f, 0.6f}, third[] = {0, 1}, other[] = {-1, 0},
                       wide[] = {1, 0, 0}, none[] = {0, 0};
    static const struct {
        struct classify_vector vector;
        const char *name, *tier;
        double similarity;
    } rows[] = {
        {{near, 2}, "category:refund", "small", 1},
        {{third, 2}, "category:proof", "large", 1},
        {{other, 2}, "default", "middle", 0},
        {{wide, 3}, "default", "middle", 0}, // of another model
        {{none, 2}, "default", "middle", 0},
    };
    struct rules_scene s;
    struct error err;
    const struct slice *texts;
    begin(&s, OUTSIDE);
    assert_true(classifier_wants_vectors(s.classifier));
    assert_false(classifier_has_examples(s.classifier));
    assert_int_equal(classifier_examples(s.classifier, &texts), 3);
    assert_true(slice_equal(texts[0], SLICE("where is my money")));
    assert_true(slice_equal(texts[2], SLICE("prove the lemma")));
    s.in.vector = &rows[0].vector;
    rules_ask(&s, "where is my money");
    assert_decided(&s, "default", "middle"); // the examples are not there yet
    assert_false(classifier_take_examples(s.classifier, SLICE("{}"), &err));
    assert_false(classifier_take_examples(
        s.classifier,
        SLICE("{\"data\":[{\"embedding\":[1]},{\"embedding\":[0]},{\"embedding\":[1]}]}"), &err));
    assert_string_equal(err.text, "the vector of example 1 has no length");
    assert_false(classifier_has_examples(s.classifier));
    assert_true(classifier_take_examples(s.classifier, SLICE(VECTORS), &err));
    assert_true(classifier_has_examples(s.classifier));
    assert_true(classifier_take_examples(s.classifier, SLICE(VECTORS), NULL)); // the first counts
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        s.in.vector = &rows[i].vector;
        rules_ask(&s, "anything");
        assert_decided(&s, rows[i].name, rows[i].tier);
        assert_true(fabs(s.out.similarity - rows[i].similarity) < 1e-6);
    }
    s.in.vector = NULL; // none came in time
    rules_ask(&s, "where is my money");
    assert_decided(&s, "default", "middle");
    assert_null(s.out.category);
    rules_end(&s);
}

static void nobody_asks_for_vectors_without_a_model(void **state) {
    (void)state;
    struct rules_scene s;
    struct error err;
    const struct slice *texts;
    begin(&s, "classifier { " PROOF "}");
    assert_false(classifier_take_examples(s.classifier, SLICE(VECTORS), &err));
    rules_end(&s);
    begin(&s, "");
    assert_false(classifier_wants_vectors(s.classifier));
    assert_false(classifier_has_examples(s.classifier));
    assert_int_equal(classifier_examples(s.classifier, &texts), 0);
    assert_false(classifier_take_examples(s.classifier, SLICE(VECTORS), &err));
    rules_end(&s);
}

// ------------------------------------------------------------------- a table

static void put_file(const char *path, const void *bytes, size_t len) {
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

// Money and refund lie in one direction: what shares no word is similar.
static void a_table_knows_what_words_mean(void **state) {
    (void)state;
    static const char words[] = "{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{"
                                "\"type\":\"BertPreTokenizer\"},"
                                "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"vocab\":{"
                                "\"?\":0,\"money\":1,\"cash\":2,"
                                "\"lemma\":3}}}";
    static const char header[] = "{\"embeddings\":{\"dtype\":\"I8\",\"shape\":[4,2],"
                                 "\"data_offsets\":[0,8]}}";
    static const int8_t rows[] = {0, 0, 100, 1, 100, 2, 0, 9};
    char folder[] = "/tmp/farthing-classify-XXXXXX", path[2][64], text[512];
    struct buffer file = {0};
    struct rules_scene s;
    assert_non_null(mkdtemp(folder));
    snprintf(path[0], sizeof path[0], "%s/model.safetensors", folder);
    snprintf(path[1], sizeof path[1], "%s/tokenizer.json", folder);
    uint64_t len = sizeof header - 1;
    buffer_append(&file, slice_make(&len, sizeof len)); // little-endian, as these machines are
    buffer_append(&file, SLICE(header));
    buffer_append(&file, slice_make(rows, sizeof rows));
    put_file(path[0], file.ptr, file.len);
    put_file(path[1], words, sizeof words - 1);
    snprintf(text, sizeof text,
             "classifier { embedding_table = \"%s\" default_tier = middle\n"
             "category \"money\" { examples = {\"Money\", \"nothing known\"} tier = small } }",
             path[0]);
    begin(&s, text);
    assert_true(slice_starts_with(buffer_slice(&s.messages),
                                  SLICE("t.conf:6: warning: category \"money\": nothing in the "
                                        "example \"nothing known\" is known")));
    rules_ask(&s, "CASH!");
    assert_decided(&s, "category:money", "small");
    rules_ask(&s, "lemma");
    assert_decided(&s, "default", "middle");
    rules_ask(&s, "unknown words");
    assert_decided(&s, "default", "middle");
    assert_null(s.out.category);
    rules_end(&s);

    put_file(path[0], "nothing", 7);
    rules_begin(&s, text);
    assert_null(s.classifier);
    assert_true(slice_starts_with(buffer_slice(&s.messages), SLICE("t.conf:5: embedding_table: ")));
    assert_true(slice_find(buffer_slice(&s.messages), slice_of(path[0])) > 0);
    rules_end(&s);
    assert_int_equal(unlink(path[0]) + unlink(path[1]) + rmdir(folder), 0);
    buffer_free(&file);
}

// `message`: NULL, it is read.
static void check_count(const char *before, int count, const char *message) {
    struct buffer text = {0};
    struct rules_scene s;
    buffer_printf(&text, "%s{ tier = small examples = {\"a\"", before);
    for (int i = 1; i < count; i++)
        BUFFER_LITERAL(&text, ",\"a\"");
    buffer_printf(&text, "} } }%c", '\0');
    rules_begin(&s, text.ptr);
    bool told = message != NULL ? slice_starts_with(buffer_slice(&s.messages), slice_of(message))
                                : s.messages.len == 0;
    if ((s.classifier == NULL) != (message != NULL) || !told)
        fail_msg("%d examples: %.*s", count, SLICE_ARG(buffer_slice(&s.messages)));
    rules_end(&s);
    buffer_free(&text);
}

static void too_many_examples_are_refused(void **state) {
    (void)state;
    static const char own[] = "classifier {\ncategory \"c\" ";
    static const char asked[] = "model \"p/e\" { }\nclassifier {\ncategory \"d\" { tier = small "
                                "examples = {\"b\"} }\nembedding_model = \"p/e\"\ncategory \"c\" ";
    check_count(own, 4097,
                "t.conf:6: 4097 examples with vectors of 1024 numbers are too many: at most 4096");
    // All of one request: those of other categories count too.
    check_count(asked, 2047, NULL);
    check_count(asked, 2048,
                "t.conf:8: embedding_model: 2049 examples are too many for one request, by which "
                "their vectors are asked for: at most 2048");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_example_chooses),
        cmocka_unit_test(the_threshold_is_the_nearest_one_s),
        cmocka_unit_test(a_tier_that_the_chain_lacks_is_passed_over),
        cmocka_unit_test(what_comes_before_and_after),
        cmocka_unit_test(before_the_model),
        cmocka_unit_test(what_is_compared),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(the_row_names_what_is_similar),
        cmocka_unit_test(past_success_is_a_signal),
        cmocka_unit_test(the_deadline_is_a_signal),
        cmocka_unit_test(what_may_be_unknown_forestalls_nobody),
        cmocka_unit_test(signals_may_come_with_the_question),
        cmocka_unit_test(categories_are_counted),
        cmocka_unit_test(vectors_from_outside),
        cmocka_unit_test(nobody_asks_for_vectors_without_a_model),
        cmocka_unit_test(a_table_knows_what_words_mean),
        cmocka_unit_test(too_many_examples_are_refused),
    };
    return cmocka_run_group_tests_name("route/classify_similar", tests, NULL, NULL);
}
