// What is said to a shared store about budgets, and what it answers: taken whole or not
// at all.
#include "scene.h"
// After it: cmocka's.
#include "budget_room.h"

static void test_an_answer(void **state) {
    (void)state;
    struct share_told told;
    struct share_loss loss;
    struct slice line = SLICE("1 0 -5 12 -30 40 2 10 -7 1 3 6 0 0 0 0 0 2 "
                              "1773187200000:1773273600000 5 0:9000000000000000 -4");
    assert_true(budget_share_parse(line, &told));
    assert_true(told.frozen && !told.holding);
    assert_int_equal(told.extra, -5);
    assert_int_equal(told.recovered, 12);
    assert_int_equal(told.spent, -30);
    assert_int_equal(told.open, 40);
    assert_int_equal(told.window_count, 2);
    assert_int_equal(told.windows[0].ceiling, 10);
    assert_int_equal(told.windows[0].base, -7);
    assert_int_equal(told.windows[0].reset, 1);
    assert_int_equal(told.windows[0].total, 3);
    assert_int_equal(told.windows[0].open, 6);
    assert_int_equal(told.loss_count, 2);
    assert_true(budget_share_next_loss(&told.losses, &loss));
    assert_true(loss.start_ms == 1773187200000 && loss.end_ms == 1773273600000 && loss.amount == 5);
    assert_true(budget_share_next_loss(&told.losses, &loss));
    assert_true(loss.start_ms == 0 && loss.end_ms == INT64_MAX && loss.amount == -4);
    assert_int_equal(told.losses.len, 0);
}

static void test_what_is_none(void **state) {
    (void)state;
    static const char *const lines[] = {
        "",
        "0",
        "2 0 0 0 0 0 0 0",                       // a flag is 0 or 1
        "0 0 0 -1 0 0 0 0",                      // recovered is never less than nothing
        "0 0 0 0 0 -1 0 0",                      // nor is what is leased
        "0 0 0 0 0 0 33 0",                      // more windows than were asked for
        "0 0 0 0 0 0 1 0 0 0 0 0",               // no losses
        "0 0 0 0 0 0 1 -1 0 0 0 0 0",            // a ceiling below nothing
        "0 0 0 0 0 0 1 0 0 9223372036854775808 0 0 0",
        "0 0 0 0 0 0 0 1",                       // a loss that is not there
        "0 0 0 0 0 0 0 1 5 5",                   // of no window
        "0 0 0 0 0 0 0 1 1:2 x",
        "0 0 0 0 0 0 0 0 0",                     // something behind it
        "0 0 9223372036854775808 0 0 0 0 0",     // more than there can be
        "0  0 0 0 0 0 0 0",
        "0 0 0 0 0 0 0 99999999999999999999",
    };
    struct share_told told;
    for (size_t i = 0; i < FARTHING_COUNT(lines); i++)
        if (budget_share_parse(slice_of(lines[i]), &told))
            fail_msg("taken: %s", lines[i]);
    assert_true(budget_share_parse(SLICE("0 0 0 0 0 0 0 0"), &told));
}

static void test_a_window_is_said(void **state) {
    (void)state;
    struct buffer text = {0};
    struct share_window w = {.window = {0, INT64_MAX},
                             .until_ms = INT64_MAX,
                             .spent = 1,
                             .held = 2,
                             .least = 3,
                             .need = 4,
                             .wanted = INT64_MAX,
                             .said = {.told = 9, .base = -1, .reset = 2, .total = 5, .open = 6}};
    budget_share_put_window(&text, &w); // nothing of its lease is known there: no call is named
    assert_true(slice_equal(
        buffer_slice(&text),
        SLICE(" 0:9000000000000000 9000000000000000 1 2 3 4 9223372036854775807 0 -1 2 5 6")));
    buffer_clear(&text);
    w.window.end_ms = 7;
    w.until_ms = 8;
    w.said.spent_told = 1;
    budget_share_put_window(&text, &w);
    assert_true(slice_starts_with(buffer_slice(&text), SLICE(" 0:7 8 1 2 3 4 ")));
    assert_true(slice_ends_with(buffer_slice(&text), SLICE(" 9 -1 2 5 6")));
    buffer_free(&text);
}

// Where a key lies is said by what stands between the first braces; and "d" of value "e:f"
// is not "d:e" of value "f".
static void test_keys(void **state) {
    (void)state;
    struct budget_tenant t = {.name = SLICE("a{b}%c")};
    struct budget b = {.tenant = &t, .name = SLICE("d}:e"), .per = CONFIG_PER_USER};
    struct budget_counter c = {.budget = &b, .value = SLICE("{v}:f")};
    struct buffer text = {0};
    budget_share_put_key(&text, &c);
    assert_true(slice_equal(buffer_slice(&text), SLICE("{t:a%7bb%7d%25c}:budget:user:d%7d%3ae")));
    buffer_clear(&text);
    b.by_value = table_new();
    budget_share_put_key(&text, &c);
    assert_true(slice_equal(buffer_slice(&text), SLICE("{t:a%7bb%7d%25c}:budget:user:d%7d%3ae:{v}:f")));
    table_free(b.by_value);
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_a_window_is_said),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
