// POST /feedback: which request it is about, what of it is counted and kept, and what
// is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scene.h"

#define FEEDBACK "/feedback"
#define GOOD(id) "{\"request_id\":\"" id "\",\"ok\":true}"
#define BAD(id)  "{\"request_id\":\"" id "\",\"ok\":false}"

static void record(struct ledger *l, const char *id, const char *feature, const char *tier) {
    ledger_record(l, &(struct cost_row){.request_id = slice_of(id),
                                        .tenant_id = SLICE("acme"),
                                        .feature = slice_of(feature),
                                        .route = SLICE("support"),
                                        .tier = slice_of(tier),
                                        .cost_known = true});
}

// Some requests in the table; R0 was answered by no tier.
static void write_rows(struct scene *s) {
    struct error err;
    struct ledger *l = ledger_open(&(struct ledger_options){NULL, s->store, 0}, &err);
    scene_check(l != NULL, &err);
    record(l, "R0", "faq", NULL);
    record(l, "R1", "faq", "small");
    record(l, "R2", NULL, "large");
    ledger_flush(l);
    ledger_close(l);
}

static void capture_path(const struct scene *s, char out[128]) {
    snprintf(out, 128, "%s/outcomes.jsonl", s->directory);
}

static struct scene *open_scene(bool capture) {
    struct scene *s = scene_new();
    struct error err;
    char path[128];
    capture_path(s, path);
    s->past = past_new();
    if (capture) {
        s->outcomes = outcomes_open(path, &err);
        scene_check(s->outcomes != NULL, &err);
    }
    scene_open(s, true);
    write_rows(s);
    metric_reset_for_test();
    return s;
}

static int set_up(void **state) {
    *state = open_scene(true);
    return 0;
}

static int set_up_without_capture(void **state) {
    *state = open_scene(false);
    return 0;
}

static int64_t percent(struct scene *s, const char *feature, const char *tier) {
    return past_percent(s->past, SLICE("acme"), slice_of(feature), slice_of(tier));
}

static void expect_captured(struct scene *s, const char *text) {
    char path[128], got[1024];
    capture_path(s, path);
    outcomes_flush(s->outcomes);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    if (text[0] == '\0' ? got[0] != '\0' : strstr(got, text) == NULL)
        fail_msg("no \"%s\" in %s", text, got);
}

static void expect_metric(const char *line) {
    struct buffer text = {0};
    metric_write_all(&text);
    if (slice_find(buffer_slice(&text), slice_of(line)) < 0)
        fail_msg("no %s", line);
    buffer_free(&text);
}

// ---------------------------------------------------------------------- tests

static void it_is_counted_for_the_feature_and_tier_of_the_row(void **state) {
    struct scene *s = *state;
    for (unsigned i = 0; i < 10; i++) {
        scene_expect_order(s, FEEDBACK, i < 4 ? GOOD("R1") : BAD("R1"), "200",
                           i < 4 ? "{\"request_id\":\"R1\",\"ok\":true,\"tenant\":\"acme\","
                                   "\"feature\":\"faq\",\"route\":\"support\",\"tier\":\"small\","
                                   "\"captured\":true}"
                                 : "\"ok\":false");
        scene_expect_order(s, FEEDBACK, GOOD("R2"), "200", "\"feature\":null");
    }
    assert_int_equal(percent(s, "faq", "small"), 40);
    assert_int_equal(percent(s, "", "large"), 100);
    assert_int_equal(past_count(s->past), 2);
    expect_metric("farthing_feedback_total{result=\"good\"} 14\n");
    expect_metric("farthing_feedback_total{result=\"bad\"} 6\n");
}

static void it_is_kept_to_learn_from(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, FEEDBACK,
                       "{\"request_id\":\"R1\",\"ok\":false,\"who\":\"ann\",\"reason\":\"no\"}",
                       "200", "\"captured\":true");
    expect_captured(s, ",\"feedback\":false,\"who\":\"ann\",\"reason\":\"no\"}\n");
    expect_captured(s, "{\"request_id\":\"R1\",\"ts\":\"20");
}

static void an_answer_of_no_tier_counts_for_none(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, FEEDBACK, GOOD("R0"), "200", "\"tier\":null");
    assert_int_equal(past_count(s->past), 0);
    expect_captured(s, "\"R0\"");
}

static void without_capture_it_still_counts(void **state) {
    struct scene *s = *state;
    for (unsigned i = 0; i < 10; i++)
        scene_expect_order(s, FEEDBACK, BAD("R1"), "200", "\"captured\":false");
    assert_int_equal(percent(s, "faq", "small"), 0);
}

static void a_request_that_is_not_known(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, FEEDBACK, GOOD("R9"), "404", "There is no row of a request \\\"R9\\\"");
    scene_expect_order(s, FEEDBACK, GOOD("R1' OR '1'='1"), "404", "There is no row");
    assert_int_equal(past_count(s->past), 0);
    expect_captured(s, "");
    expect_metric("farthing_feedback_total{result=\"unknown\"} 2\n");
}

static void a_body_must_say_which_and_what(void **state) {
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"{}", "\\\"request_id\\\" is missing"},
        {"{\"ok\":true}", "\\\"request_id\\\" is missing"},
        {"{\"request_id\":\"R1\"}", "\\\"ok\\\" is missing"},
        {"{\"request_id\":\"R1\",\"ok\":null}", "\\\"ok\\\" is missing"},
        {"{\"request_id\":\"\",\"ok\":true}", "\\\"request_id\\\" is missing"},
        {"{\"request_id\":\"R1\",\"ok\":1}", "must be true or false"},
        {"{\"request_id\":\"R1\",\"ok\":\"true\"}", "must be true or false"},
        {"{\"request_id\":1,\"ok\":true}", "\\\"request_id\\\" must be a string"},
        {"{\"request_id\":\"R1\",\"ok\":true,\"tier\":\"x\"}",
         "only reason, request_id, ok, who"},
    };
    struct scene *s = *state;
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        scene_expect_order(s, FEEDBACK, cases[i].body, "400", cases[i].text);
    scene_expect(scene_post(s, FEEDBACK, "Origin: http://evil.example\r\n", BAD("R1")), "403",
                 "web page");
    scene_expect_page(s, FEEDBACK, "405", "Only POST");
    scene_expect_order(s, "/keys/block", "{\"tenant\":\"acme\",\"ok\":true}", "400",
                       "There is no member \\\"ok\\\"");
    assert_int_equal(past_count(s->past), 0);
    expect_captured(s, "");
}

static void without_a_store_no_request_is_known(void **state) {
    scene_expect_order(*state, FEEDBACK, GOOD("R1"), "404", "There is no store");
}

#define KNOWN(test) cmocka_unit_test_setup_teardown(test, set_up, scene_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        KNOWN(it_is_counted_for_the_feature_and_tier_of_the_row),
        KNOWN(it_is_kept_to_learn_from),
        KNOWN(an_answer_of_no_tier_counts_for_none),
        cmocka_unit_test_setup_teardown(without_capture_it_still_counts, set_up_without_capture,
                                        scene_tear_down),
        KNOWN(a_request_that_is_not_known),
        KNOWN(a_body_must_say_which_and_what),
        SCENE_WITHOUT_STORE(without_a_store_no_request_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
