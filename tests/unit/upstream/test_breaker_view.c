// Circuit breakers by name, how many there are, and what the operator sees.
#include <stdio.h>

#include "breaker_scene.h"

// ---------------------------------------------------------------------- names

static enum breaker_verdict ask(struct scene *s, const char *name) {
    struct breaker_ticket t;
    enum breaker_verdict v = breaker_admit(s->loop, slice_of(name), &s->figures, s->now_ms, &t);
    (void)breaker_report(&t, BREAKER_BAD, 10, s->now_ms);
    return v;
}

static size_t names(struct scene *s) {
    struct found f = {.name = SLICE("")};
    breakers_visit(s->breakers, s->now_ms, look, &f);
    return f.count;
}

static void test_names_do_not_meet(void **state) {
    struct scene *s = *state;
    trip(s);
    static const char *const others[] = {"openai/gpt-4", "openai/gpt-4o ",       "openai",
                                         "azure/gpt-4o", "openai/openai/gpt-4o", ""};
    for (size_t i = 0; i < FARTHING_COUNT(others); i++)
        assert_int_equal(ask(s, others[i]), BREAKER_CLOSED);
    struct breaker_view v = view_of(s, SLICE("openai/openai/gpt-4o"));
    assert_true(slice_equal(v.provider, SLICE("openai")));
    assert_true(slice_equal(v.model, SLICE("openai/gpt-4o")));
    v = view_of(s, SLICE("openai"));
    assert_true(slice_equal(v.provider, SLICE("openai")) && v.model.len == 0);
}

static void invent(struct scene *s, int from, int to) {
    for (int i = from; i < to; i++) {
        char name[32];
        snprintf(name, sizeof name, "openai/invented-%d", i);
        assert_int_not_equal(ask(s, name), BREAKER_PROBE);
    }
}

// Clients fill the names: what comes later shares its provider's breaker, what
// has a name keeps it, and what is declared has one.
static void test_invented_names(void **state) {
    struct scene *s = *state;
    s->figures.failures = 1;
    invent(s, 0, BREAKER_NAMES_MAX);
    assert_int_equal(names(s), BREAKER_NAMES_MAX);
    breakers_declare(s->breakers, SLICE("openai/declared"));
    invent(s, BREAKER_NAMES_MAX, BREAKER_NAMES_MAX + 100);
    assert_int_equal(names(s), BREAKER_NAMES_MAX + 2);
    assert_int_equal(view_of(s, SLICE("openai")).state, BREAKER_STATE_OPEN);
    assert_int_equal(ask(s, "openai/later"), BREAKER_OPEN);
    assert_int_equal(ask(s, "openai/declared"), BREAKER_CLOSED);
    assert_int_equal(ask(s, "azure/later"), BREAKER_CLOSED);
    assert_int_equal(view_of(s, SLICE("azure")).state, BREAKER_STATE_OPEN);
    assert_int_equal(ask(s, "openai/invented-0"), BREAKER_OPEN);
    // Declared after all: one more may be invented.
    breakers_declare(s->breakers, SLICE("openai/invented-0"));
    breakers_declare(s->breakers, SLICE("openai/invented-0"));
    assert_int_equal(ask(s, "openai/last"), BREAKER_CLOSED);
    assert_int_equal(ask(s, "openai/too-late"), BREAKER_OPEN);
}

static void test_long_names(void **state) {
    struct scene *s = *state;
    s->figures.failures = 1;
    char name[1000] = "openai/";
    memset(name + 7, 'x', sizeof name - 8);
    assert_int_equal(ask(s, name), BREAKER_CLOSED);
    assert_int_equal(view_of(s, SLICE("openai")).state, BREAKER_STATE_OPEN);
    name[BREAKER_NAME_MAX] = '\0';
    assert_int_equal(ask(s, name), BREAKER_CLOSED);
    assert_int_equal(names(s), 2);
}

// -------------------------------------------------------------- the operator's

static void test_reset(void **state) {
    struct scene *s = *state;
    struct breaker_ticket before;
    assert_false(breakers_reset(s->breakers, NAME, s->now_ms));
    (void)call(s, 4, BREAKER_BAD);
    assert_int_equal(admit(s, &before), BREAKER_CLOSED);
    assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    report(s, &before, BREAKER_BAD); // of before
    assert_int_equal(call(s, 4, BREAKER_BAD), 4);
    assert_state(s, BREAKER_STATE_CLOSED);
    trip(s);
    assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    assert_int_equal(call(s, 4, BREAKER_BAD), 4);
    wait_for_probe(s);
    trip(s);
    wait_for_probe(s);
    struct breaker_ticket t = probe(s);
    assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    report(s, &t, BREAKER_BAD);
    assert_state(s, BREAKER_STATE_CLOSED);
}

static void test_view(void **state) {
    struct scene *s = *state;
    clock_freeze(1700000000000, 5);
    (void)call(s, 3, BREAKER_GOOD);
    (void)call(s, 2, BREAKER_BAD);
    struct breaker_view v = view_of(s, NAME);
    assert_true(v.calls == 5 && v.failures == 2 && v.opened == 0 && v.opened_at_ms == 0);
    (void)call(s, 3, BREAKER_BAD);
    v = view_of(s, NAME);
    assert_true(v.calls == 0 && v.opened == 1 && v.opened_at_ms == 1700000000000);
    clock_freeze(1700000099000, 5);
    wait_for_probe(s);
    assert_int_equal(call(s, 1, BREAKER_BAD), 1);
    v = view_of(s, NAME);
    assert_true(v.opened == 2 && v.opened_at_ms == 1700000000000 && v.retry_in_ms > 0);
    wait_for_probe(s);
    assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
    v = view_of(s, NAME);
    assert_true(v.opened == 2 && v.opened_at_ms == 0 && v.retry_in_ms == 0);
}

static bool exposes(struct scene *s, const char *line) {
    struct buffer text = {0};
    breakers_publish(s->breakers);
    metric_write_all(&text);
    bool found = slice_find(buffer_slice(&text), slice_of(line)) >= 0;
    buffer_free(&text);
    return found;
}

static void test_metrics(void **state) {
    struct scene *s = *state;
#define STATE(n) "farthing_breaker_state{provider=\"openai\",model=\"gpt-4o\"} " n "\n"
#define WENT(to, n)                                                                                \
    "farthing_breaker_transitions_total{provider=\"openai\",model=\"gpt-4o\",to=\"" to "\"} " n "\n"
    assert_true(exposes(s, "# TYPE farthing_breaker_state gauge\n"));
    (void)call(s, 1, BREAKER_GOOD);
    assert_false(exposes(s, STATE("0"))); // anybody may have made it up
    breakers_declare(s->breakers, NAME);
    assert_true(exposes(s, STATE("0")));
    trip(s);
    assert_true(exposes(s, STATE("2")) && exposes(s, WENT("open", "1")));
    wait_for_probe(s);
    struct breaker_ticket t = probe(s);
    assert_true(exposes(s, STATE("1")) && exposes(s, WENT("half_open", "1")));
    report(s, &t, BREAKER_BAD);
    wait_for_probe(s);
    assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
    assert_true(exposes(s, STATE("0")) && exposes(s, WENT("open", "2")));
    assert_true(exposes(s, WENT("half_open", "2")) && exposes(s, WENT("closed", "1")));
}

// More models than labels are shown: "other" is the worst of them.
static void test_metrics_of_many(void **state) {
    struct scene *s = *state;
    s->figures.failures = 1;
    invent(s, 0, METRIC_INVENTED_MAX + 3);
    assert_true(breakers_reset(s->breakers, SLICE("openai/invented-201"), s->now_ms));
    assert_true(exposes(s, "farthing_breaker_state{provider=\"openai\",model=\"other\"} 2\n"));
    for (int i = 0; i < METRIC_INVENTED_MAX + 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "openai/invented-%d", i);
        assert_true(breakers_reset(s->breakers, slice_of(name), s->now_ms));
    }
    assert_true(exposes(s, "farthing_breaker_state{provider=\"openai\",model=\"other\"} 0\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BREAKER_TEST(test_names_do_not_meet),
        BREAKER_TEST(test_invented_names),
        BREAKER_TEST(test_long_names),
        BREAKER_TEST(test_reset),
        BREAKER_TEST(test_view),
        BREAKER_TEST(test_metrics),
        BREAKER_TEST(test_metrics_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
