// The classifier's categories, what makes vectors for them, and what is kept to
// learn from: where each value goes, what is taken for granted, what does nothing.
#include "config_fixture.h"

#define USD INT64_C(1000000000000)
#define TIERS                                                                                      \
    PROVIDER "tier \"small\" { models = {\"p/a\"} }\n"                                             \
             "tier \"large\" { models = {\"p/b\"} }\n"
#define CATEGORY "category \"c\" { examples = {\"a\"} tier = small }\n"

static const struct config *load_inside(const char *inside) {
    char text[1024];
    snprintf(text, sizeof text, TIERS "classifier {\n%s\n}\n", inside);
    return load_valid(text);
}

static void a_category_has_what_it_says(void **state) {
    (void)state;
    const struct config *c =
        load_inside("category \"refund\" { tier = large threshold = 0.75\n"
                    "  examples = {\"where is my money\", \"  pay me back \",\n \"\xC3\xBC\"} }\n"
                    "rule \"r\" { tier = small }\n"
                    "category \"greeting\" { examples = {\"hello\"} tier = \"small\" }\n");
    const struct config_category *all = c->classifier.categories;
    assert_int_equal(c->classifier.category_count, 2);
    assert_int_equal(c->classifier.rule_count, 1);
    assert_slice(all[0].name, "refund");
    assert_slice(all[0].where, "t.conf:5");
    assert_ptr_equal(all[0].tier, &c->tiers[1]);
    assert_int_equal(all[0].threshold_milli, 750);
    assert_int_equal(all[0].examples.count, 3);
    assert_slice(all[0].examples.items[1], "  pay me back ");
    assert_slice(all[0].examples.items[2], "\xC3\xBC");
    assert_slice(all[1].name, "greeting");
    assert_slice(all[1].where, "t.conf:9");
    assert_ptr_equal(all[1].tier, &c->tiers[0]);
    assert_int_equal(all[1].threshold_milli, 800);
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void without_categories_there_is_nothing(void **state) {
    (void)state;
    const struct config *c = load_valid(PROVIDER);
    const struct config_classifier *k = &c->classifier;
    assert_int_equal(k->category_count, 0);
    assert_int_equal(k->embedding_table.len + k->embedding_tokenizer.len + k->capture.len, 0);
    assert_null(k->embedding_model);
    assert_int_equal(k->embedding_timeout_ms, 5);
    assert_int_equal(k->embedding_budget, CONFIG_UNSET);
    config_unref(c);
}

static void the_tokenizer_lies_beside_the_table(void **state) {
    (void)state;
    static const struct {
        const char *keys, *table, *tokenizer;
    } rows[] = {
        {"embedding_table = \"model.safetensors\"", "model.safetensors", "tokenizer.json"},
        {"embedding_table = \"a/b/model.safetensors\"", "a/b/model.safetensors",
         "a/b/tokenizer.json"},
        {"embedding_table = \"/m.safetensors\"", "/m.safetensors", "/tokenizer.json"},
        {"embedding_table = \"../m\"", "../m", "../tokenizer.json"},
        {"embedding_table = \"a/m\" embedding_tokenizer = \"b/t.json\"", "a/m", "b/t.json"},
        {"embedding_tokenizer = \"t.json\" embedding_table = \"a/m\"", "a/m", "t.json"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char inside[256];
        snprintf(inside, sizeof inside, CATEGORY "%s", rows[i].keys);
        const struct config *c = load_inside(inside);
        assert_slice(c->classifier.embedding_table, rows[i].table);
        assert_slice(c->classifier.embedding_tokenizer, rows[i].tokenizer);
        assert_slice(c->classifier.embedding_where, "t.conf:6");
        assert_int_equal(c->warnings.count, 0);
        config_unref(c);
    }
}

static void a_model_is_asked_within_time_and_budget(void **state) {
    (void)state;
    const struct config *c =
        load_valid(TIERS "model \"p/embed\" { input_price = \"0.02 usd\" }\n"
                         "classifier { " CATEGORY " embedding_timeout = \"3ms\"\n"
                         "  embedding_model = \"p/embed\" embedding_budget = \"0.25 usd\"\n"
                         "  capture = \"farthing-data/outcomes.jsonl\" }\n");
    const struct config_classifier *k = &c->classifier;
    assert_ptr_equal(k->embedding_model, config_model_find(c, SLICE("p/embed")));
    assert_slice(k->embedding_where, "t.conf:7");
    assert_int_equal(k->embedding_timeout_ms, 3);
    assert_int_equal(k->embedding_budget, USD / 4);
    assert_slice(k->capture, "farthing-data/outcomes.jsonl");
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

// Sections may stand in any order: the model may be described after it is named.
static void the_model_may_stand_behind(void **state) {
    (void)state;
    const struct config *c = load_valid("classifier { embedding_model = \"p/embed\" " CATEGORY
                                        " }\n" TIERS "model \"p/embed\" { }\n");
    assert_slice(c->classifier.embedding_model->name, "p/embed");
    config_unref(c);
}

static void what_has_no_effect_is_warned_about(void **state) {
    (void)state;
    static const struct {
        const char *inside, *warning, *also; // NULL: no more
    } rows[] = {
        {"embedding_table = \"m\"",
         "t.conf:5: warning: embedding_table has no effect without a section category", NULL},
        {"embedding_model = \"p/a\"", "embedding_model has no effect without a section category",
         NULL},
        {"embedding_table = \"m\"\nembedding_tokenizer = \"t\"",
         "t.conf:5: warning: embedding_table has no effect",
         "t.conf:6: warning: embedding_tokenizer has no effect"},
        {"embedding_timeout = \"1ms\"\nembedding_budget = 1",
         "embedding_timeout has no effect without a section category",
         "embedding_budget has no effect without a section category"},
        {CATEGORY "embedding_tokenizer = \"t\"",
         "t.conf:6: warning: embedding_tokenizer has no effect without embedding_table", NULL},
        {CATEGORY "embedding_table = \"m\" embedding_timeout = \"1ms\"\n embedding_budget = 1",
         "t.conf:6: warning: embedding_timeout has no effect without embedding_model",
         "t.conf:7: warning: embedding_budget has no effect without embedding_model"},
        {CATEGORY "embedding_model = \"p/a\" embedding_tokenizer = \"t\"",
         "embedding_tokenizer has no effect without embedding_table", NULL},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct config *c = load_inside(rows[i].inside);
        assert_int_equal(c->warnings.count, rows[i].also != NULL ? 2 : 1);
        if (!warns(c, rows[i].warning) || (rows[i].also != NULL && !warns(c, rows[i].also)))
            fail_msg("%s: not warned, but: %.*s", rows[i].inside, SLICE_ARG(c->warnings.items[0]));
        config_unref(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_category_has_what_it_says),
        cmocka_unit_test(without_categories_there_is_nothing),
        cmocka_unit_test(the_tokenizer_lies_beside_the_table),
        cmocka_unit_test(a_model_is_asked_within_time_and_budget),
        cmocka_unit_test(the_model_may_stand_behind),
        cmocka_unit_test(what_has_no_effect_is_warned_about),
    };
    return cmocka_run_group_tests_name("config/similar", tests, NULL, NULL);
}
