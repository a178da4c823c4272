// Retry budgets of a fleet: what its instances tell each other, and how many retries
// a provider gets of them together. Time is a number.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "farthing/breaker.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, PERCENT = 20, ROOM = 32 * 1024, INSTANCES = 4 };

#define PROVIDER SLICE("openai")

struct instance {
    struct retry_budgets *budgets;
    struct retry_budgets_loop *loop;
};

struct fleet {
    struct instance all[INSTANCES];
    int64_t now_ms;
};

static void open_instance(struct instance *i) {
    i->budgets = retry_budgets_new();
    i->loop = retry_budgets_loop_new(i->budgets);
}

static void close_instance(struct instance *i) {
    retry_budgets_loop_free(i->loop);
    retry_budgets_free(i->budgets);
}

static int open_fleet(void **state) {
    struct fleet *f = calloc(1, sizeof *f);
    metric_reset_for_test();
    f->now_ms = 12345678;
    for (size_t i = 0; i < INSTANCES; i++) {
        open_instance(&f->all[i]);
        // Known everywhere, and nothing taken.
        assert_false(retry_budget_take(f->all[i].loop, PROVIDER, 0, f->now_ms));
    }
    *state = f;
    return 0;
}

static int close_fleet(void **state) {
    struct fleet *f = *state;
    for (size_t i = 0; i < INSTANCES; i++)
        close_instance(&f->all[i]);
    free(f);
    return 0;
}

static void hear_text(struct fleet *f, struct instance *i, struct slice text, int64_t late_ms) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(256);
    struct error err;
    assert_true(json_parse(doc, text, NULL, &err));
    retry_budgets_hear(i->budgets, doc, JSON_ROOT, arena, INSTANCES, f->now_ms - late_ms,
                       f->now_ms);
    arena_free(arena);
    json_doc_free(doc);
}

// One says what it has to say to all others.
static bool say(struct fleet *f, size_t from) {
    struct buffer text = {0};
    bool said = retry_budgets_tell(f->all[from].budgets, &text, ROOM, f->now_ms);
    assert_int_equal(said, text.len > 0);
    for (size_t i = 0; said && i < INSTANCES; i++)
        if (i != from)
            hear_text(f, &f->all[i], buffer_slice(&text), 0);
    buffer_free(&text);
    return said;
}

static void look(void *arg, const struct retry_budget_view *view) {
    if (slice_equal(view->provider, PROVIDER))
        *(int64_t *)arg = view->left_milli;
}

static int64_t left_milli(struct fleet *f, size_t i) {
    int64_t left = INT64_MIN;
    retry_budgets_visit(f->all[i].budgets, f->now_ms, look, &left);
    return left;
}

static int take_all(struct fleet *f, size_t i) {
    int taken = 0;
    while (retry_budget_take(f->all[i].loop, PROVIDER, PERCENT, f->now_ms))
        taken++;
    return taken;
}

static void good(struct fleet *f, size_t i, int n) {
    for (; n > 0; n--)
        retry_budget_note_good(f->all[i].loop, PROVIDER, PERCENT, f->now_ms);
}

// ------------------------------------------------------------------- exchange

static void test_a_share_of_what_others_earned(void **state) {
    struct fleet *f = *state;
    good(f, 0, 200); // 40 retries
    assert_true(say(f, 0));
    assert_false(say(f, 0)); // told once
    for (size_t i = 1; i < INSTANCES; i++)
        assert_int_equal(left_milli(f, i), 13000); // a fourth, and the floor
    assert_int_equal(left_milli(f, 0), 43000);
    assert_int_equal(take_all(f, 1), 13);
    assert_int_equal(take_all(f, 0), 43);
}

static void test_what_others_took_is_gone_here(void **state) {
    struct fleet *f = *state;
    good(f, 0, 200);
    assert_true(say(f, 0));
    assert_int_equal(take_all(f, 1), 13);
    assert_true(say(f, 1));
    assert_int_equal(left_milli(f, 0), 40000 - 10000); // its floor, too, is gone
    assert_int_equal(left_milli(f, 2), (40000 - 10000) / 4);
    assert_false(say(f, 0) || say(f, 2)); // no word goes round
}

static void test_what_others_clients_owe_is_owed_here(void **state) {
    struct fleet *f = *state;
    good(f, 1, 50);
    for (int i = 0; i < 30; i++)
        retry_budget_note_client_retry(f->all[0].loop, PROVIDER, f->now_ms);
    assert_true(say(f, 0));
    assert_int_equal(left_milli(f, 1), 10000 - 30000 + 3000);
    assert_int_equal(take_all(f, 1), 0);
    f->now_ms += RETRY_BUDGET_KEPT_MS; // and debts run off
    assert_int_equal(take_all(f, 1), 3);
}

static void test_it_runs_off_alike(void **state) {
    struct fleet *f = *state;
    good(f, 0, 500);         // 100
    f->now_ms += 5 * SECOND; // half of it is left, told or not
    assert_true(say(f, 0));
    assert_int_equal(left_milli(f, 0), 53000);
    assert_int_equal(left_milli(f, 1), 50000 / 4 + 3000);
    f->now_ms += 5 * SECOND;
    assert_int_equal(left_milli(f, 0), 28000);
    assert_int_equal(left_milli(f, 1), 25000 / 4 + 3000);
    f->now_ms += RETRY_BUDGET_KEPT_MS;
    assert_int_equal(left_milli(f, 1), 3000);
}

static void test_a_message_that_is_late(void **state) {
    struct fleet *f = *state;
    hear_text(f, &f->all[0], SLICE("[[\"openai\",40000,0]]"), 5000);
    assert_int_equal(left_milli(f, 0), 20000 / 4 + 3000);
    hear_text(f, &f->all[1], SLICE("[[\"openai\",40000,0]]"), RETRY_BUDGET_KEPT_MS);
    assert_int_equal(left_milli(f, 1), 3000);
}

// Messages are whole thousandths; what is not is told with the next.
static void test_nothing_is_lost_in_rounding(void **state) {
    struct fleet *f = *state;
    for (int i = 0; i < 1000; i++) {
        f->now_ms += 7;
        good(f, 0, 1);
        f->now_ms += 1;
        assert_true(say(f, 0));
    }
    int64_t there = (left_milli(f, 1) - 3000) * INSTANCES, here = left_milli(f, 0) - 3000;
    assert_in_range(here, 50000, 200000);
    assert_in_range(there, here - 10, here + 10);
}

// --------------------------------------------------------------------- fleets

// All fail for half a minute, after calm; each is asked `rate` times a second. How many
// requests the provider gets of all, for a hundred that clients make.
static int64_t outage(struct fleet *f, int rate, bool gossip) {
    int64_t requests = 0, sent = 0;
    for (int s = 0; s < 30; s++) {
        for (size_t i = 0; i < INSTANCES; i++)
            good(f, i, rate);
        for (size_t i = 0; gossip && i < INSTANCES; i++)
            (void)say(f, i);
        f->now_ms += SECOND;
    }
    for (int s = 0; s < 30; s++) {
        for (int n = 0; n < rate * INSTANCES; n++) {
            struct instance *at = &f->all[n % INSTANCES];
            requests++;
            sent++;
            for (int again = 0; again < 2; again++)
                sent += retry_budget_take(at->loop, PROVIDER, PERCENT, f->now_ms);
        }
        for (size_t i = 0; gossip && i < INSTANCES; i++)
            (void)say(f, i);
        f->now_ms += SECOND;
    }
    return sent * 100 / requests;
}

static void test_an_outage_of_all(void **state) {
    static const int rates[] = {1, 10, 100, 1000};
    for (size_t i = 0; i < FARTHING_COUNT(rates); i++) {
        struct fleet *f = *state;
        f->now_ms += 100 * (int64_t)MINUTE;
        int64_t percent = outage(f, rates[i], true);
        if (percent >= 100 + PERCENT)
            fail_msg("%lld %% at %d a second", (long long)percent, rates[i]);
    }
}

// Fleets of those who are seldom asked: one floor for all, where each had its own.
static void test_one_floor_for_all(void **state) {
    struct fleet *f = *state;
    int taken = 0;
    for (int round = 0; round < 10; round++)
        for (size_t i = 0; i < INSTANCES; i++) {
            taken += retry_budget_take(f->all[i].loop, PROVIDER, PERCENT, f->now_ms);
            (void)say(f, i);
        }
    assert_int_equal(taken, RETRY_BUDGET_FLOOR);
}

// Where all fails at one of them only, it may use its share of what the others have.
static void test_an_outage_of_one(void **state) {
    struct fleet *f = *state;
    for (int s = 0; s < 30; s++) {
        for (size_t i = 1; i < INSTANCES; i++) {
            good(f, i, 100);
            (void)say(f, i);
        }
        f->now_ms += SECOND;
    }
    assert_true(take_all(f, 0) > 50);
    for (size_t i = 1; i < INSTANCES; i++)
        assert_true(take_all(f, i) > 50);
}

// --------------------------------------------------------------------- bounds

static void test_who_is_not_known(void **state) {
    struct fleet *f = *state;
    hear_text(f, &f->all[0], SLICE("[[\"azure\",5000,0],[\"openai\",4000,0]]"), 0);
    assert_int_equal(left_milli(f, 0), 4000);
    assert_true(retry_budget_take(f->all[0].loop, SLICE("azure"), PERCENT, f->now_ms));
}

static void test_what_cannot_be_is_passed_over(void **state) {
    static const char *const texts[] = {
        "null",
        "{\"openai\":[4000,0]}",
        "[]",
        "[[],[1],[\"openai\"],[\"openai\",5000]]",
        "[[\"openai\",\"5000\",0]]",
        "[[\"openai\",5000,null]]",
        "[[\"openai\",0.5,0]]",
        "[[\"openai\",1e99,0]]",
        "[[\"openai\",0,-5000]]",
        "[[null,5000,5000]]",
    };
    struct fleet *f = *state;
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        hear_text(f, &f->all[0], slice_of(texts[i]), 0);
        if (left_milli(f, 0) != 3000)
            fail_msg("%s: %lld", texts[i], (long long)left_milli(f, 0));
    }
}

static void test_the_largest_numbers(void **state) {
    struct fleet *f = *state;
    for (int i = 0; i < 100; i++)
        hear_text(f, &f->all[0], SLICE("[[\"openai\",9223372036854775807,9223372036854775807]]"),
                  0);
    assert_int_equal(left_milli(f, 0), 100000000 / 4);
    for (int i = 0; i < 100; i++)
        hear_text(f, &f->all[0], SLICE("[[\"openai\",-9223372036854775808,0]]"), 0);
    assert_int_equal(left_milli(f, 0), -100000000);
    f->now_ms += 9999;
    assert_true(left_milli(f, 0) < 0);
    f->now_ms += RETRY_BUDGET_KEPT_MS;
    assert_true(left_milli(f, 0) >= 0);
}

static void test_what_does_not_fit_waits(void **state) {
    enum { PROVIDERS = 100, SMALL = 4096 };
    struct fleet *f = *state;
    for (int i = 0; i < PROVIDERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "provider-%d", i);
        retry_budget_note_good(f->all[0].loop, slice_of(name), PERCENT, f->now_ms);
    }
    size_t told = 0;
    struct buffer text = {0};
    struct json_doc *doc = json_doc_new();
    while (retry_budgets_tell(f->all[0].budgets, &text, SMALL, f->now_ms)) {
        struct error err;
        assert_true(text.len <= SMALL && json_parse(doc, buffer_slice(&text), NULL, &err));
        told += json_count(doc, JSON_ROOT);
        buffer_clear(&text);
    }
    assert_int_equal(told, PROVIDERS);
    json_doc_free(doc);
    buffer_free(&text);
}

#define FLEET(name) cmocka_unit_test_setup_teardown(name, open_fleet, close_fleet)

int main(void) {
    const struct CMUnitTest tests[] = {
        FLEET(test_a_share_of_what_others_earned),
        FLEET(test_what_others_took_is_gone_here),
        FLEET(test_what_others_clients_owe_is_owed_here),
        FLEET(test_it_runs_off_alike),
        FLEET(test_a_message_that_is_late),
        FLEET(test_nothing_is_lost_in_rounding),
        FLEET(test_an_outage_of_all),
        FLEET(test_one_floor_for_all),
        FLEET(test_an_outage_of_one),
        FLEET(test_who_is_not_known),
        FLEET(test_what_cannot_be_is_passed_over),
        FLEET(test_the_largest_numbers),
        FLEET(test_what_does_not_fit_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
