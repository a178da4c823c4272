// What is shown of breakers, retry budgets and models in flight, and the order
// that closes a breaker.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scene.h"

#define PAGE  "/breakers"
#define RESET "/breakers/reset"

// It opens with the first failure, and probes in a minute.
static const struct breaker_figures figures = {
    .failures = 1, .window_ms = 60000, .open_for_ms = 60000, .slow_call_ms = 0};

static int set_up(void **state) {
    struct scene *s = scene_new();
    s->breakers = breakers_new();
    s->retry_budgets = retry_budgets_new();
    s->balances = balances_new();
    breakers_declare(s->breakers, SLICE("p/declared"));
    balances_declare(s->balances, SLICE("p/declared"));
    scene_open(s, true);
    *state = s;
    return 0;
}

#define WITH_BREAKERS(test) cmocka_unit_test_setup_teardown(test, set_up, scene_tear_down)

static void call(struct scene *s, const char *name, enum breaker_outcome outcome) {
    struct breakers_loop *loop = breakers_loop_new(s->breakers);
    struct breaker_ticket ticket;
    int64_t now = (int64_t)clock_mono_ms();
    assert_int_equal(breaker_admit(loop, slice_of(name), &figures, now, &ticket), BREAKER_CLOSED);
    assert_true(breaker_report(&ticket, outcome, 5, now));
    breakers_loop_free(loop);
}

static void expect_without(struct scene *s, const char *path, const char *text) {
    char *got = scene_ask(s, "GET", path);
    if (strncmp(got, "HTTP/1.1 200", 12) != 0 || strstr(got, text) != NULL)
        fail_msg("%s: %s", path, got);
    free(got);
}

// ------------------------------------------------------------------------ shown

static void what_is_declared_is_shown_from_the_beginning(void **state) {
    scene_expect_page(*state, PAGE, "200",
                      "{\"breakers\":[{\"name\":\"p/declared\",\"provider\":\"p\","
                      "\"model\":\"declared\",\"state\":\"closed\",\"calls\":0,\"failures\":0,"
                      "\"hearsay\":false,\"opened_at\":null,\"retry_in_ms\":null,\"opened\":0}],"
                      "\"retry_budgets\":[],"
                      "\"models\":[{\"name\":\"p/declared\",\"inflight\":0,\"latency_ms\":null,"
                      "\"measured_ms_ago\":null}]}");
}

static void an_open_breaker_is_shown(void **state) {
    call(*state, "p/m", BREAKER_BAD);
    scene_expect_page(*state, PAGE, "200", "\"name\":\"p/m\",\"provider\":\"p\",\"model\":\"m\","
                                           "\"state\":\"open\",");
    scene_expect_page(*state, PAGE, "200", "\"opened_at\":\"20");
    expect_without(*state, PAGE, "\"retry_in_ms\":0");
    scene_expect_page(*state, PAGE, "200", "\"opened\":1}");
}

static void calls_of_closed_breakers_are_counted(void **state) {
    call(*state, "p/m", BREAKER_GOOD);
    call(*state, "p/m", BREAKER_GOOD);
    scene_expect_page(*state, PAGE, "200", "\"state\":\"closed\",\"calls\":2,\"failures\":0,");
}

static void a_breaker_of_a_provider_has_no_model(void **state) {
    call(*state, "alone", BREAKER_GOOD);
    scene_expect_page(*state, PAGE, "200",
                      "\"name\":\"alone\",\"provider\":\"alone\",\"model\":null,");
}

static void names_are_json_text(void **state) {
    call(*state, "p/\"\n", BREAKER_GOOD);
    scene_expect_page(*state, PAGE, "200", "\"name\":\"p/\\\"\\n\",");
}

static void retry_budgets_are_shown(void **state) {
    struct scene *s = *state;
    struct retry_budgets_loop *loop = retry_budgets_loop_new(s->retry_budgets);
    int64_t now = (int64_t)clock_mono_ms();
    for (int i = 0; i < RETRY_BUDGET_FLOOR; i++)
        assert_true(retry_budget_take(loop, SLICE("p"), 20, now));
    assert_false(retry_budget_take(loop, SLICE("p"), 20, now));
    retry_budget_note_client_retry(loop, SLICE("p"), now);
    retry_budgets_loop_free(loop);
    scene_expect_page(s, PAGE, "200", "\"retry_budgets\":[{\"provider\":\"p\",\"left\":-");
    scene_expect_page(s, PAGE, "200",
                      ",\"retries\":3,\"client_retries\":1,\"denied\":1}]");
}

static void models_in_flight_are_shown(void **state) {
    struct scene *s = *state;
    struct balance_loop *loop = balance_loop_new(s->balances);
    struct balance_ticket ticket;
    balance_begin(loop, SLICE("p/m"), &ticket);
    balance_note(&ticket, 250, (int64_t)clock_mono_ms());
    scene_expect_page(s, PAGE, "200",
                      "{\"name\":\"p/m\",\"inflight\":1,\"latency_ms\":250.000,"
                      "\"measured_ms_ago\":");
    balance_end(&ticket);
    balance_loop_free(loop);
    scene_expect_page(s, PAGE, "200", "{\"name\":\"p/m\",\"inflight\":0,\"latency_ms\":250.000,");
}

static void the_page_takes_no_parameters(void **state) {
    scene_expect_page(*state, PAGE "?tenant=acme", "400", "takes no parameters");
}

static void the_gauge_is_set_before_a_scrape(void **state) {
    call(*state, "p/gauged", BREAKER_BAD);
    scene_expect_page(*state, "/metrics", "200",
                      "farthing_breaker_state{provider=\"p\",model=\"gauged\"} 2");
    scene_expect_order(*state, RESET, "{\"name\":\"p/gauged\"}", "200", "");
    scene_expect_page(*state, "/metrics", "200",
                      "farthing_breaker_state{provider=\"p\",model=\"gauged\"} 0");
}

// ------------------------------------------------------------------------ reset

static void a_reset_closes_it(void **state) {
    struct scene *s = *state;
    call(s, "p/m", BREAKER_BAD);
    char *got = scene_post(s, RESET, "X-Farthing-Operator: jane\r\n",
                           "{\"name\":\"p/m\",\"reason\":\"they are back\"}");
    assert_non_null(strstr(got, "\"after\":{\"state\":\"closed\",\"calls\":0,\"failures\":0},"
                                "\"saved\":true}"));
    scene_expect(got, "200",
                 "{\"action\":\"breakers.reset\",\"what\":\"p/m\",\"before\":{\"state\":\"open\",");
    expect_without(s, PAGE, "\"state\":\"open\"");
    call(s, "p/m", BREAKER_GOOD); // passes
    scene_expect_page(s, "/audit", "200", "\"action\":\"breakers.reset\"");
    scene_expect_page(s, "/audit", "200", "\"operator\":\"jane\",\"what\":\"p/m\"");
    scene_expect_page(s, "/audit", "200", "\"reason\":\"they are back\"");
}

static void a_reset_touches_no_other(void **state) {
    struct scene *s = *state;
    call(s, "p/m", BREAKER_BAD);
    call(s, "p/n", BREAKER_BAD);
    scene_expect_order(s, RESET, "{\"name\":\"p/m\"}", "200", "\"what\":\"p/m\"");
    scene_expect_page(s, PAGE, "200", "\"name\":\"p/n\",\"provider\":\"p\",\"model\":\"n\","
                                      "\"state\":\"open\"");
}

static void a_closed_one_forgets_its_calls(void **state) {
    call(*state, "p/m", BREAKER_GOOD);
    scene_expect_order(*state, RESET, "{\"name\":\"p/m\"}", "200",
                       "\"before\":{\"state\":\"closed\",\"calls\":1,\"failures\":0},"
                       "\"after\":{\"state\":\"closed\",\"calls\":0,\"failures\":0}");
}

static void what_is_wrong_with_an_order_is_said(void **state) {
    static const struct {
        const char *body, *status, *text;
    } cases[] = {
        {"{}", "400", "\\\"name\\\" is missing"},
        {"{\"name\":\"\"}", "400", "\\\"name\\\" is missing"},
        {"{\"name\":5}", "400", "must be a string"},
        {"{\"name\":\"p/declared\",\"tenant\":\"acme\"}", "400", "only reason, name."},
        {"{\"name\":\"p/declare\"}", "404", "did you mean \\\"p/declared\\\"?"},
        {"{\"name\":\"something/else\"}", "404", "There is no breaker \\\"something/else\\\"."},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        scene_expect_order(*state, RESET, cases[i].body, cases[i].status, cases[i].text);
    scene_expect_page(*state, "/audit", "200", "{\"audit\":[]}");
    scene_expect(scene_post(*state, RESET, "Origin: null\r\n", "{\"name\":\"p/declared\"}"), "403",
                 "web page");
    scene_expect_page(*state, RESET, "405", "Allow: POST\r\n");
}

static void without_breakers_there_is_nothing(void **state) {
    scene_expect_page(*state, PAGE, "200",
                      "{\"breakers\":[],\"retry_budgets\":[],\"models\":[]}");
    scene_expect_page(*state, "/metrics", "200", "farthing_build_info");
    scene_expect_order(*state, RESET, "{\"name\":\"p/m\"}", "404", "There are no breakers here.");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_BREAKERS(what_is_declared_is_shown_from_the_beginning),
        WITH_BREAKERS(an_open_breaker_is_shown),
        WITH_BREAKERS(calls_of_closed_breakers_are_counted),
        WITH_BREAKERS(a_breaker_of_a_provider_has_no_model),
        WITH_BREAKERS(names_are_json_text),
        WITH_BREAKERS(retry_budgets_are_shown),
        WITH_BREAKERS(models_in_flight_are_shown),
        WITH_BREAKERS(the_page_takes_no_parameters),
        WITH_BREAKERS(the_gauge_is_set_before_a_scrape),
        WITH_BREAKERS(a_reset_closes_it),
        WITH_BREAKERS(a_reset_touches_no_other),
        WITH_BREAKERS(a_closed_one_forgets_its_calls),
        WITH_BREAKERS(what_is_wrong_with_an_order_is_said),
        SCENE(without_breakers_there_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
