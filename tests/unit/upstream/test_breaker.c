// Circuit breakers: when they open, whom they let through, how they close.
#include "breaker_scene.h"

// -------------------------------------------------------------------- opening

static void test_opens(void **state) {
    static const struct {
        int good, neutral, bad;
        bool opens;
    } rows[] = {
        {0, 0, 4, false},     {0, 0, 5, true},         {0, 100, 4, false},      {0, 100, 5, true},
        {5, 0, 5, true},      {6, 0, 5, false},        {6, 0, 6, true},         {5, 100, 5, true},
        {10000, 0, 5, false}, {10000, 0, 9999, false}, {10000, 0, 10000, true},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = *state;
        s->now_ms += WINDOW;
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms) || i == 0);
        assert_int_equal(call(s, rows[i].good, BREAKER_GOOD), rows[i].good);
        assert_int_equal(call(s, rows[i].neutral, BREAKER_NEUTRAL), rows[i].neutral);
        assert_int_equal(call(s, rows[i].bad, BREAKER_BAD), rows[i].bad);
        if ((view_of(s, NAME).state == BREAKER_STATE_OPEN) != rows[i].opens)
            fail_msg("row %zu", i);
    }
}

// Good ones slide out of the window, and what is left of it has failed; but it is
// the next failure that opens, not a good call.
static void test_only_failures_open(void **state) {
    struct scene *s = *state;
    (void)call(s, 20, BREAKER_GOOD);
    s->now_ms += SLICE_MS;
    (void)call(s, 5, BREAKER_BAD);
    s->now_ms += SLICE_MS;
    (void)call(s, 1, BREAKER_GOOD);
    assert_state(s, BREAKER_STATE_CLOSED);
    (void)call(s, 1, BREAKER_BAD);
    assert_state(s, BREAKER_STATE_OPEN);
}

static void test_slow_calls(void **state) {
    static const struct {
        int64_t slow_call_ms, latency_ms;
        enum breaker_outcome outcome;
        bool opens;
    } rows[] = {
        {1000, 1000, BREAKER_GOOD, false}, {1000, 1001, BREAKER_GOOD, true},
        {1000, 1, BREAKER_BAD, true},      {1000, 9999, BREAKER_NEUTRAL, false},
        {0, 999999, BREAKER_GOOD, false},  {CONFIG_UNSET, 999999, BREAKER_GOOD, false},
    };
    for (size_t row = 0; row < FARTHING_COUNT(rows); row++) {
        struct scene *s = *state;
        s->figures.slow_call_ms = rows[row].slow_call_ms;
        for (int i = 0; i < 5; i++) {
            struct breaker_ticket t;
            assert_int_equal(admit(s, &t), BREAKER_CLOSED);
            assert_true(breaker_report(&t, rows[row].outcome, rows[row].latency_ms, s->now_ms));
        }
        assert_state(s, rows[row].opens ? BREAKER_STATE_OPEN : BREAKER_STATE_CLOSED);
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    }
}

static void test_the_window_slides(void **state) {
    static const struct {
        int64_t between_ms; // four failures and the fifth
        bool opens;
    } rows[] = {{0, true},
                {WINDOW - SLICE_MS, true},
                {WINDOW - 1, true},
                {WINDOW, false},
                {10 * WINDOW, false}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = *state;
        s->now_ms = (s->now_ms / SLICE_MS + 20) * SLICE_MS;
        (void)call(s, 4, BREAKER_BAD);
        s->now_ms += rows[i].between_ms;
        assert_int_equal(view_of(s, NAME).failures, rows[i].opens ? 4 : 0);
        (void)call(s, 1, BREAKER_BAD);
        assert_state(s, rows[i].opens ? BREAKER_STATE_OPEN : BREAKER_STATE_CLOSED);
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    }
}

// Another loop read its clock a moment before this one did.
static void test_a_clock_that_is_behind(void **state) {
    struct scene *s = *state;
    (void)call(s, 2, BREAKER_BAD);
    s->now_ms -= 2; // of the slice before
    (void)call(s, 2, BREAKER_BAD);
    assert_int_equal(view_of(s, NAME).failures, 4);
    (void)call(s, 1, BREAKER_BAD);
    assert_state(s, BREAKER_STATE_OPEN);
}

static void run_good(struct scene *s, int64_t ms) {
    for (int64_t end = s->now_ms + ms; s->now_ms < end; s->now_ms++)
        assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
}

// A thousand calls a second. Two slices of failures at most, not half a window.
static void test_a_busy_provider_dies(void **state) {
    for (int64_t into_slice = 0; into_slice < SLICE_MS; into_slice += SLICE_MS / 3) {
        struct scene *s = *state;
        run_good(s, 2 * WINDOW + into_slice);
        int64_t died_ms = s->now_ms;
        while (call(s, 1, BREAKER_BAD) > 0)
            s->now_ms++;
        assert_in_range(s->now_ms - died_ms, SLICE_MS / 2, 2 * SLICE_MS + 1);
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
        s->now_ms = (s->now_ms / SLICE_MS + 1) * SLICE_MS;
    }
}

// All of its hundred connections dropped at once, as the first of a slice.
static void test_a_busy_provider_restarts(void **state) {
    struct scene *s = *state;
    run_good(s, 2 * WINDOW);
    assert_int_equal(call(s, 100, BREAKER_BAD), 100);
    run_good(s, WINDOW);
}

// ------------------------------------------------------------ open, half-open

static void test_open_refuses(void **state) {
    struct scene *s = *state;
    struct breaker_ticket t;
    trip(s);
    int64_t retry_in_ms = view_of(s, NAME).retry_in_ms;
    assert_in_range(retry_in_ms, OPEN_FOR - OPEN_FOR / 10, OPEN_FOR);
    assert_int_equal(admit(s, &t), BREAKER_OPEN);
    assert_int_equal(t.retry_after_ms, retry_in_ms);
    assert_false(breaker_report(&t, BREAKER_GOOD, 1, s->now_ms));
    s->now_ms += retry_in_ms - 1;
    assert_int_equal(admit(s, &t), BREAKER_OPEN);
    assert_int_equal(t.retry_after_ms, 1);
    s->now_ms += 1;
    (void)probe(s);
}

static void test_one_probe_decides(void **state) {
    static const struct {
        enum breaker_outcome outcome;
        int64_t latency_ms;
        enum breaker_state then;
    } rows[] = {
        {BREAKER_GOOD, 10, BREAKER_STATE_CLOSED},
        {BREAKER_BAD, 10, BREAKER_STATE_OPEN},
        {BREAKER_GOOD, 5000, BREAKER_STATE_OPEN}, // slow
        {BREAKER_NEUTRAL, 10, BREAKER_STATE_HALF_OPEN},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = *state;
        s->figures.slow_call_ms = 4000;
        trip(s);
        wait_for_probe(s);
        struct breaker_ticket t = probe(s), other;
        assert_state(s, BREAKER_STATE_HALF_OPEN);
        s->now_ms += 100;
        assert_int_equal(admit(s, &other), BREAKER_OPEN);
        assert_int_equal(other.retry_after_ms, OPEN_FOR - 100);
        assert_true(breaker_report(&t, rows[i].outcome, rows[i].latency_ms, s->now_ms));
        assert_false(breaker_report(&t, BREAKER_GOOD, 10, s->now_ms)); // once
        assert_state(s, rows[i].then);
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
        s->now_ms += WINDOW;
    }
}

static void test_closed_again_it_counts_from_nothing(void **state) {
    struct scene *s = *state;
    trip(s);
    wait_for_probe(s);
    assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
    assert_int_equal(call(s, 4, BREAKER_BAD), 4);
    assert_state(s, BREAKER_STATE_CLOSED);
    assert_int_equal(call(s, 2, BREAKER_BAD), 1);
    assert_state(s, BREAKER_STATE_OPEN);
}

// The client of a probe went away: the very next request is the probe.
static void test_neutral_frees_the_probe(void **state) {
    struct scene *s = *state;
    trip(s);
    wait_for_probe(s);
    for (int i = 0; i < 10; i++) {
        struct breaker_ticket t = probe(s);
        report(s, &t, BREAKER_NEUTRAL);
    }
    assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
    assert_state(s, BREAKER_STATE_CLOSED);
}

static void test_a_probe_that_is_not_heard_of(void **state) {
    struct scene *s = *state;
    struct breaker_ticket t;
    trip(s);
    wait_for_probe(s);
    struct breaker_ticket lost = probe(s);
    s->now_ms += OPEN_FOR - 1;
    assert_int_equal(admit(s, &t), BREAKER_OPEN);
    s->now_ms++;
    struct breaker_ticket second = probe(s);
    // The first one's failure or cancelling is no news, and does not end the second.
    struct breaker_ticket copy = lost;
    report(s, &copy, BREAKER_BAD);
    copy = lost;
    report(s, &copy, BREAKER_NEUTRAL);
    assert_int_equal(admit(s, &t), BREAKER_OPEN);
    assert_state(s, BREAKER_STATE_HALF_OPEN);
    // An answer is one.
    report(s, &lost, BREAKER_GOOD);
    assert_state(s, BREAKER_STATE_CLOSED);
    report(s, &second, BREAKER_BAD);
    assert_state(s, BREAKER_STATE_CLOSED);
}

static void test_a_late_probe_after_opening_again(void **state) {
    struct scene *s = *state;
    trip(s);
    wait_for_probe(s);
    struct breaker_ticket lost = probe(s);
    s->now_ms += OPEN_FOR;
    assert_int_equal(call(s, 1, BREAKER_BAD), 1);
    report(s, &lost, BREAKER_GOOD);
    assert_state(s, BREAKER_STATE_OPEN);
}

// A stream that has begun well, and takes minutes.
static void test_answered(void **state) {
    struct scene *s = *state;
    s->figures.slow_call_ms = 1000;
    trip(s);
    wait_for_probe(s);
    struct breaker_ticket t = probe(s);
    breaker_answered(&t, 1001, s->now_ms);
    assert_state(s, BREAKER_STATE_HALF_OPEN);
    breaker_answered(&t, 1000, s->now_ms);
    assert_state(s, BREAKER_STATE_CLOSED);
    breaker_answered(&t, 1000, s->now_ms);
    report(s, &t, BREAKER_BAD); // counts as any other call
    assert_int_equal(view_of(s, NAME).failures, 1);
    breaker_answered(&t, 1000, s->now_ms);
    assert_int_equal(view_of(s, NAME).calls, 1);
}

// Sent before, ended after: they say nothing of how it is now.
static void test_stale_calls(void **state) {
    struct scene *s = *state;
    struct breaker_ticket hanging[20];
    for (size_t i = 0; i < FARTHING_COUNT(hanging); i++)
        assert_int_equal(admit(s, &hanging[i]), BREAKER_CLOSED);
    trip(s);
    int64_t retry_in_ms = view_of(s, NAME).retry_in_ms;
    report(s, &hanging[0], BREAKER_GOOD);
    report(s, &hanging[1], BREAKER_BAD);
    assert_state(s, BREAKER_STATE_OPEN);
    assert_int_equal(view_of(s, NAME).retry_in_ms, retry_in_ms);
    wait_for_probe(s);
    struct breaker_ticket t = probe(s);
    report(s, &hanging[2], BREAKER_GOOD);
    report(s, &hanging[3], BREAKER_BAD);
    assert_state(s, BREAKER_STATE_HALF_OPEN);
    report(s, &t, BREAKER_GOOD);
    for (size_t i = 4; i < FARTHING_COUNT(hanging); i++)
        report(s, &hanging[i], BREAKER_BAD);
    assert_state(s, BREAKER_STATE_CLOSED);
    assert_int_equal(view_of(s, NAME).calls, 0);
}

// How many of the calls, one a second, pass while nothing is answered.
static int probes_during(struct scene *s, int64_t ms) {
    int probes = 0;
    for (int64_t end = s->now_ms + ms; s->now_ms < end; s->now_ms += SECOND)
        probes += call(s, 1, BREAKER_BAD);
    return probes;
}

static void test_intervals(void **state) {
    struct scene *s = *state;
    enum { MINUTE = 60 * SECOND };
    trip(s);
    assert_in_range(probes_during(s, 5 * MINUTE), 5 * MINUTE / OPEN_FOR - 1, 23); // 13.5 s each
    assert_in_range(probes_during(s, 5 * MINUTE), 3, 5);                          // 30, 60, 120 s
    assert_in_range(probes_during(s, 20 * MINUTE), 9, 12);                        // 120 s each
    wait_for_probe(s);
    s->figures.open_for_ms = 100 * OPEN_FOR; // a reload meanwhile
    assert_int_equal(call(s, 1, BREAKER_BAD), 1);
    assert_in_range(view_of(s, NAME).retry_in_ms, 90 * OPEN_FOR, 100 * OPEN_FOR);
    wait_for_probe(s);
    s->figures = usual;
    assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
    trip(s); // the next outage begins as the first
    assert_in_range(view_of(s, NAME).retry_in_ms, OPEN_FOR * 9 / 10, OPEN_FOR);
}

static void test_jitter(void **state) {
    struct scene *s = *state;
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 200; i++) {
        trip(s);
        int64_t wait = view_of(s, NAME).retry_in_ms;
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    }
    assert_in_range(least, OPEN_FOR * 90 / 100, OPEN_FOR * 91 / 100);
    assert_in_range(most, OPEN_FOR * 99 / 100, OPEN_FOR);
}

// Requests to a provider that answers nothing hang for a minute each. It is found
// to be back within one interval, not after the hanging probe's minute.
static void test_recovery_from_hanging(void **state) {
    enum { TIMEOUT = 60 * SECOND, OUTAGE = 100 * SECOND, STEP = 100, CALLS = 2000 };
    struct scene *s = *state;
    struct breaker_ticket *calls = calloc(CALLS, sizeof *calls);
    int64_t *sent_ms = calloc(CALLS, sizeof *sent_ms), start_ms = s->now_ms, closed_ms = 0;
    size_t n = 0, ended = 0;
    for (; s->now_ms < start_ms + OUTAGE + 2 * TIMEOUT; s->now_ms += STEP) {
        for (; ended < n && s->now_ms - sent_ms[ended] >= TIMEOUT; ended++)
            report(s, &calls[ended], BREAKER_BAD);
        bool up = s->now_ms >= start_ms + OUTAGE;
        if (up && call(s, 1, BREAKER_GOOD) == 1 && closed_ms == 0)
            closed_ms = s->now_ms;
        if (!up && n < CALLS && admit(s, &calls[n]) != BREAKER_OPEN)
            sent_ms[n++] = s->now_ms;
    }
    assert_in_range(closed_ms - start_ms - OUTAGE, 0, OPEN_FOR + STEP);
    assert_state(s, BREAKER_STATE_CLOSED); // whatever timed out late
    assert_int_equal(view_of(s, NAME).opened, 1);
    free(calls);
    free(sent_ms);
}

// -------------------------------------------------------------- configuration

static void test_turned_off(void **state) {
    struct scene *s = *state;
    trip(s);
    s->figures.failures = 0;
    struct breaker_ticket t;
    assert_int_equal(admit(s, &t), BREAKER_CLOSED);
    assert_false(breaker_report(&t, BREAKER_BAD, 10, s->now_ms));
    assert_state(s, BREAKER_STATE_CLOSED);
    for (int i = 0; i < 100; i++)
        assert_int_equal(admit(s, &t), BREAKER_CLOSED);
    s->figures.failures = 1;
    (void)call(s, 1, BREAKER_BAD);
    assert_state(s, BREAKER_STATE_OPEN);
}

// A reload while calls run: those admitted before it do not bring the old figures
// back.
static void test_figures_of_the_last_admitted(void **state) {
    struct scene *s = *state;
    struct breaker_ticket before;
    assert_int_equal(admit(s, &before), BREAKER_CLOSED);
    s->now_ms++;
    s->figures = (struct breaker_figures){3, 2 * WINDOW, OPEN_FOR, 0};
    (void)call(s, 1, BREAKER_BAD);
    report(s, &before, BREAKER_BAD);
    assert_int_equal(view_of(s, NAME).failures, 2);
    (void)call(s, 1, BREAKER_BAD);
    assert_state(s, BREAKER_STATE_OPEN);
}

static void test_odd_figures(void **state) {
    static const struct breaker_figures rows[] = {
        {1, 0, 0, 0},
        {1, 1, 1, 11},
        {1, INT64_MIN, INT64_MIN, INT64_MIN},
        {1, INT64_MAX, INT64_MAX, INT64_MAX},
        {1, 9, 5, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = *state;
        s->figures = rows[i];
        assert_int_equal(call(s, 1, BREAKER_BAD), 1);
        assert_state(s, BREAKER_STATE_OPEN);
        assert_true(view_of(s, NAME).retry_in_ms > 0);
        wait_for_probe(s);
        assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
        assert_state(s, BREAKER_STATE_CLOSED);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BREAKER_TEST(test_opens),
        BREAKER_TEST(test_only_failures_open),
        BREAKER_TEST(test_slow_calls),
        BREAKER_TEST(test_the_window_slides),
        BREAKER_TEST(test_a_clock_that_is_behind),
        BREAKER_TEST(test_a_busy_provider_dies),
        BREAKER_TEST(test_a_busy_provider_restarts),
        BREAKER_TEST(test_open_refuses),
        BREAKER_TEST(test_one_probe_decides),
        BREAKER_TEST(test_closed_again_it_counts_from_nothing),
        BREAKER_TEST(test_neutral_frees_the_probe),
        BREAKER_TEST(test_a_probe_that_is_not_heard_of),
        BREAKER_TEST(test_a_late_probe_after_opening_again),
        BREAKER_TEST(test_answered),
        BREAKER_TEST(test_stale_calls),
        BREAKER_TEST(test_intervals),
        BREAKER_TEST(test_jitter),
        BREAKER_TEST(test_recovery_from_hanging),
        BREAKER_TEST(test_turned_off),
        BREAKER_TEST(test_figures_of_the_last_admitted),
        BREAKER_TEST(test_odd_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
