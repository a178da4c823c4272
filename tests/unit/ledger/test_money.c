// Money: every amount is exact, every spelling that is not an amount is refused,
// and sums saturate instead of going round.
#include "support.h"

#define DOLLAR INT64_C(1000000000000)

static const struct {
    int64_t pico;
    const char *text;
} exact[] = {
    {0, "0"},
    {1, "0.000000000001"},
    {-1, "-0.000000000001"},
    {10, "0.00000000001"},
    {999999999999, "0.999999999999"},
    {DOLLAR, "1"},
    {DOLLAR + 1, "1.000000000001"},
    {DOLLAR / 2, "0.5"},
    {-DOLLAR / 2, "-0.5"},
    {150000000, "0.00015"},
    {12 * DOLLAR, "12"},
    {100 * DOLLAR, "100"},
    {1050000000000, "1.05"},
    {INT64_MAX, "9223372.036854775807"},
    {-INT64_MAX, "-9223372.036854775807"},
};

static void test_format_and_parse_are_exact(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(exact); i++) {
        struct money m;
        assert_money_equal((struct money){exact[i].pico}, exact[i].text);
        assert_true(money_parse(slice_of(exact[i].text), &m));
        assert_int_equal(m.pico, exact[i].pico);
    }
    assert_money_equal((struct money){INT64_MIN}, "-9223372.036854775808");
}

static void test_format_fits_its_buffer(void **state) {
    (void)state;
    char out[MONEY_TEXT_MAX];
    assert_true(money_format((struct money){INT64_MIN}, out) <= MONEY_TEXT_MAX);
}

static void test_random_amounts_come_back(void **state) {
    (void)state;
    random_seed(7);
    for (int i = 0; i < 20000; i++) {
        char out[MONEY_TEXT_MAX];
        // Of all magnitudes, and never INT64_MIN, which has no positive twin.
        struct money m = {(int64_t)(random_u64() >> 1 >> random_below(63))}, back;
        if (i % 2 == 0)
            m.pico = -m.pico;
        assert_true(money_parse(slice_make(out, money_format(m, out)), &back));
        assert_int_equal(m.pico, back.pico);
    }
}

static void test_other_spellings(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t pico;
    } rows[] = {
        {"2.50 usd", 5 * DOLLAR / 2}, {"2.50usd", 5 * DOLLAR / 2}, {" 2.50 USD ", 5 * DOLLAR / 2},
        {"0.05\tUsd", DOLLAR / 20},   {".5", DOLLAR / 2},          {"-.5", -DOLLAR / 2},
        {"007", 7 * DOLLAR},          {"1.000000000000", DOLLAR},  {"-0", 0},
        {"0 usd", 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct money m = {-7};
        assert_true(money_parse(slice_of(rows[i].text), &m));
        assert_int_equal(m.pico, rows[i].pico);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const char *const rows[] = {
        "", " ", "-", ".", "-.", "usd", " usd", "1.", "1. usd", "1,5", "1e3", "+1", "--1", "- 1",
        "0x10", "1 2", "1usdusd", "$1", "1 eur", "1.2.3", "1.-5", "nan", "inf",
        "0.0000000000001",         // 13 decimals
        "9223372.036854775808",    // one pico too many
        "-9223372.036854775808",   // no positive twin
        "9223373", "18446744073709551616", "99999999999999999999999999",
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct money m = {-7};
        if (money_parse(slice_of(rows[i]), &m))
            fail_msg("\"%s\" was taken for an amount", rows[i]);
        assert_int_equal(m.pico, -7); // untouched
    }
    struct money m;
    assert_false(money_parse(SLICE_NONE, &m));
    assert_false(money_parse(SLICE("1\0"), &m));
}

static void test_sums_saturate(void **state) {
    (void)state;
    static const struct {
        int64_t a, b, sum, difference;
    } rows[] = {
        {1, 2, 3, -1},
        {-5, 5, 0, -10},
        {INT64_MAX, 1, INT64_MAX, INT64_MAX - 1},
        {INT64_MAX, INT64_MAX, INT64_MAX, 0},
        {INT64_MIN, -1, INT64_MIN, INT64_MIN + 1},
        {INT64_MIN, 1, INT64_MIN + 1, INT64_MIN},
        {INT64_MAX, -1, INT64_MAX - 1, INT64_MAX},
        {0, INT64_MIN, INT64_MIN, INT64_MAX},
        {-1, INT64_MIN, INT64_MIN, INT64_MAX},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct money a = {rows[i].a}, b = {rows[i].b};
        assert_int_equal(money_add(a, b).pico, rows[i].sum);
        assert_int_equal(money_sub(a, b).pico, rows[i].difference);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_and_parse_are_exact),
        cmocka_unit_test(test_format_fits_its_buffer),
        cmocka_unit_test(test_random_amounts_come_back),
        cmocka_unit_test(test_other_spellings),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sums_saturate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
