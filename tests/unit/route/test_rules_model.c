// The tier by a learned model: the cheapest whose chance reaches the target.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "rules_fixture.h"

// Trained on greetings, which the small model can answer, and on proofs, which it
// cannot.
static struct learn_model *train(void) {
    struct learn_rows *rows = learn_rows_new();
    struct error err;
    for (int i = 0; i < 400; i++) {
        char text[64];
        bool easy = i % 2 == 0;
        snprintf(text, sizeof text, easy ? "hello friend %d" : "prove the lemma %d", i / 2);
        learn_rows_text(rows, slice_of(text));
        // One in ten is not as it looks, so that chances stay off 0 and 1.
        bool odd = i % 20 >= 18;
        assert_true(learn_rows_end(rows, easy != odd, i % 40 != 1));
    }
    struct learn_model *m = learn_train(rows, NULL, 0, &err);
    assert_non_null(m);
    learn_rows_free(rows);
    return m;
}

static void ask(struct rules_scene *s, const struct learn_model *m, const char *text) {
    struct buffer body = {0};
    buffer_printf(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text);
    assert_true(json_parse(s->doc, arena_copy(s->arena, buffer_slice(&body)), NULL, NULL));
    classify_request(s->classifier, m, API_CHAT_COMPLETIONS, s->doc, &s->in, &s->out);
    buffer_free(&body);
}

static void assert_tier(const struct rules_scene *s, const char *tier) {
    if (!slice_equal(s->out.tier->name, slice_of(tier)))
        fail_msg("%.*s, not %s: chances %.3f to %.3f, target %.3f", SLICE_ARG(s->out.tier->name),
                 tier, s->out.learned.p_small, s->out.learned.p_large, s->out.target);
}

static void assert_near(double a, double b) {
    if (fabs(a - b) > 1e-9)
        fail_msg("%.12f is not %.12f", a, b);
}

// What the texts say is what the model is asked about, and nothing else.
static void the_model_is_asked_about_what_users_say(void **state) {
    (void)state;
    struct learn_model *m = train();
    struct rules_scene s;
    rules_begin(&s, "");
    assert_true(json_parse(s.doc,
                           SLICE("{\"messages\":[{\"role\":\"system\",\"content\":\"prove it\"},"
                                 "{\"role\":\"user\",\"content\":\"hello\"},"
                                 "{\"role\":\"user\",\"content\":\"friend \\u0416\"}]}"),
                           NULL, NULL));
    classify_request(s.classifier, m, API_CHAT_COMPLETIONS, s.doc, &s.in, &s.out);
    struct learn_reading *r = base_alloc(sizeof *r);
    learn_score_begin(r);
    learn_score_text(r, m, SLICE("hello"));
    learn_score_text(r, m, SLICE("friend \xD0\x96"));
    struct learn_score wanted = learn_score_end(r, m);
    free(r);
    assert_true(s.out.has_model);
    assert_int_equal(s.out.by, CLASSIFY_BY_MODEL);
    assert_near(s.out.learned.score, wanted.score);
    assert_near(s.out.learned.p_small, wanted.p_small);
    assert_near(s.out.learned.p_large, wanted.p_large);
    rules_end(&s);
    learn_model_unref(m);
}

static void chances_lie_between_small_and_large(void **state) {
    (void)state;
    struct learn_model *m = train();
    struct rules_scene s;
    rules_begin(&s, "");
    ask(&s, m, "prove the lemma");
    double small = s.out.learned.p_small, large = s.out.learned.p_large;
    assert_true(small < large);
    assert_int_equal(s.out.chance_count, 3);
    assert_near(s.out.chances[0], small);
    assert_near(s.out.chances[1], (small + large) / 2);
    assert_near(s.out.chances[2], large);
    assert_near(s.out.target, 0.8);
    rules_end(&s);
    learn_model_unref(m);
}

static void the_cheapest_good_enough_is_chosen(void **state) {
    (void)state;
    struct learn_model *m = train();
    struct rules_scene s;
    rules_begin(&s, "");
    ask(&s, m, "hello friend");
    double easy = s.out.learned.p_small;
    ask(&s, m, "prove the lemma");
    double hard = s.out.learned.p_small, middle = s.out.chances[1];
    rules_end(&s);
    // A model that learned nothing would prove nothing here.
    assert_true(hard < 0.4 && easy > 0.7 && middle > hard + 0.1);
    struct {
        double target;
        const char *text, *tier;
    } rows[] = {
        {easy - 0.02, "hello friend", "small"},     {hard - 0.02, "prove the lemma", "small"},
        {hard + 0.02, "prove the lemma", "middle"}, {middle - 0.02, "prove the lemma", "middle"},
        {middle + 0.02, "prove the lemma", "large"}, {1, "prove the lemma", "large"},
        {0, "prove the lemma", "small"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char text[128];
        snprintf(text, sizeof text, "route \"r\" { quality_target = %.3f }", rows[i].target);
        rules_begin(&s, text);
        s.in.route = &s.config->routes[0];
        ask(&s, m, rows[i].text);
        assert_tier(&s, rows[i].tier);
        rules_end(&s);
    }
    learn_model_unref(m);
}

static void tenants_may_ask_for_less_or_the_best(void **state) {
    (void)state;
    struct learn_model *m = train();
    struct rules_scene s;
    rules_begin(&s, "route \"r\" { quality_target = 0.6 }\n"
                    "route \"low\" { quality_target = 0.05 }");
    s.in.route = &s.config->routes[0];
    s.in.quality = CLASSIFY_ECONOMY;
    ask(&s, m, "hello friend");
    assert_near(s.out.target, 0.5);
    s.in.quality = CLASSIFY_BALANCED;
    ask(&s, m, "hello friend");
    assert_near(s.out.target, 0.6);
    assert_tier(&s, "small");
    s.in.quality = CLASSIFY_BEST;
    ask(&s, m, "hello friend");
    assert_tier(&s, "large");
    assert_int_equal(s.out.by, CLASSIFY_BY_QUALITY);
    assert_false(s.out.has_model); // not asked: it would change nothing
    s.in.route = &s.config->routes[1];
    s.in.quality = CLASSIFY_ECONOMY;
    ask(&s, m, "prove the lemma");
    assert_near(s.out.target, 0);
    rules_end(&s);
    learn_model_unref(m);
}

static void a_rule_s_score_shifts_the_chances(void **state) {
    (void)state;
    struct learn_model *m = train();
    struct rules_scene s;
    rules_begin(&s, "classifier { rule \"hard\" { keywords = {\"friend\"} score = 0.3 }\n"
                    "rule \"easy\" { keywords = {\"lemma\"} score = -1 } }");
    ask(&s, m, "hello friend");
    assert_near(s.out.chances[0], s.out.learned.p_small - 0.3);
    assert_int_equal(s.out.by, CLASSIFY_BY_MODEL);
    ask(&s, m, "prove the lemma");
    assert_near(s.out.chances[0], 1); // never over it
    assert_tier(&s, "small");
    rules_end(&s);
    learn_model_unref(m);
}

static void a_rule_s_tier_needs_no_model(void **state) {
    (void)state;
    struct learn_model *m = train();
    struct rules_scene s;
    rules_begin(&s, "classifier { default_tier = large rule \"r\" { keywords = {\"lemma\"} "
                    "tier = middle } }");
    ask(&s, m, "prove the lemma");
    assert_tier(&s, "middle");
    assert_false(s.out.has_model);
    ask(&s, m, "hello");
    assert_int_equal(s.out.by, CLASSIFY_BY_MODEL); // before default_tier
    rules_end(&s);
    learn_model_unref(m);
}

// A route of one tier has nothing to choose.
static void one_tier_is_the_tier(void **state) {
    (void)state;
    struct learn_model *m = train();
    struct rules_scene s;
    rules_begin(&s, "route \"r\" { tiers = {\"middle\"} }");
    s.in.route = &s.config->routes[0];
    ask(&s, m, "prove the lemma");
    assert_tier(&s, "middle");
    assert_int_equal(s.out.chance_count, 1);
    assert_near(s.out.chances[0], s.out.learned.p_large);
    rules_end(&s);
    learn_model_unref(m);
}

static void write_file(const char *path, struct slice bytes) {
    FILE *f = fopen(path, "wbe");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

static void the_file_names_its_model(void **state) {
    (void)state;
    char path[] = "/tmp/farthing-rules-XXXXXX", text[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct learn_model *m = train();
    struct buffer file = {0};
    learn_model_write(m, &file);
    write_file(path, buffer_slice(&file));
    snprintf(text, sizeof text, "classifier {\n\n model = \"%s\" }", path);
    struct rules_scene s;
    rules_begin(&s, text);
    assert_non_null(s.classifier);
    ask(&s, NULL, "hello friend");
    assert_int_equal(s.out.by, CLASSIFY_BY_MODEL);
    double wanted = s.out.learned.p_small;
    ask(&s, m, "hello friend");
    assert_near(s.out.learned.p_small, wanted);
    rules_end(&s);

    write_file(path, SLICE("no model"));
    rules_begin(&s, text);
    assert_null(s.classifier);
    assert_true(slice_starts_with(buffer_slice(&s.messages), SLICE("t.conf:7: model: ")));
    rules_end(&s);
    assert_int_equal(unlink(path), 0);
    rules_begin(&s, text);
    assert_null(s.classifier);
    assert_true(slice_starts_with(buffer_slice(&s.messages), SLICE("t.conf:7: model: ")));
    assert_true(slice_find(buffer_slice(&s.messages), slice_of(path)) >= 0);
    rules_end(&s);
    buffer_free(&file);
    learn_model_unref(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_is_asked_about_what_users_say),
        cmocka_unit_test(chances_lie_between_small_and_large),
        cmocka_unit_test(the_cheapest_good_enough_is_chosen),
        cmocka_unit_test(tenants_may_ask_for_less_or_the_best),
        cmocka_unit_test(a_rule_s_score_shifts_the_chances),
        cmocka_unit_test(a_rule_s_tier_needs_no_model),
        cmocka_unit_test(one_tier_is_the_tier),
        cmocka_unit_test(the_file_names_its_model),
    };
    return cmocka_run_group_tests_name("route/rules_model", tests, NULL, NULL);
}
