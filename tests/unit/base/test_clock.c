// The clock and randomness: frozen, formatted, seeded, unbiased.
#include "support.h"

static void the_clock_freezes_and_thaws(void **state) {
    (void)state;
    clock_freeze(1234567, 89000000);
    assert_int_equal(clock_wall_ms(), 1234567);
    assert_int_equal(clock_mono_ns(), 89000000);
    assert_int_equal(clock_mono_ms(), 89);
    clock_freeze(-5, 0);
    assert_true(clock_wall_ms() == -5);
    clock_thaw();
    assert_true(clock_wall_ms() > 1600000000000); // this is no test of 2020
    uint64_t before = clock_mono_ns();
    assert_true(clock_mono_ns() >= before);
}

static void times_are_formatted(void **state) {
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-86400000, "1969-12-31T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {1735689599999, "2024-12-31T23:59:59.999Z"},
        {1735689600000, "2025-01-01T00:00:00.000Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"}, // 2100 has no 29 February
        {4107542399000, "2100-02-28T23:59:59.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {-62135596800000, "0001-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        char text[25];
        clock_format_ms(cases[i].wall_ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void a_seed_repeats_its_numbers(void **state) {
    (void)state;
    uint64_t first[8];
    random_seed(42);
    for (size_t i = 0; i < 8; i++)
        first[i] = random_u64();
    random_seed(42);
    for (size_t i = 0; i < 8; i++)
        assert_true(random_u64() == first[i]);
    random_seed(43);
    assert_true(random_u64() != first[0]);
}

static void bounds_hold_and_every_value_comes(void **state) {
    (void)state;
    random_seed(7);
    for (uint64_t bound = 1; bound <= 40; bound++) {
        size_t seen[40] = {0};
        for (int i = 0; i < 4000; i++) {
            uint64_t value = random_below(bound);
            assert_true(value < bound);
            seen[value]++;
        }
        for (uint64_t v = 0; v < bound; v++)
            assert_true(seen[v] > 0);
    }
    // Half of all draws are beyond this bound and drawn again.
    uint64_t large = ((uint64_t)1 << 63) + 1;
    for (int i = 0; i < 1000; i++)
        assert_true(random_below(large) < large);
    assert_true(random_below(1) == 0);
    (void)random_below(UINT64_MAX);
}

static void ids_are_ulids(void **state) {
    (void)state;
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char a[RANDOM_ID_LEN + 1], b[RANDOM_ID_LEN + 1];
    clock_freeze(1469918176385, 0); // the example of the ULID specification
    random_id(a);
    random_id(b);
    assert_int_equal(strlen(a), RANDOM_ID_LEN);
    assert_memory_equal(a, "01ARYZ6S41", 10);
    assert_memory_equal(b, "01ARYZ6S41", 10);
    assert_string_not_equal(a, b);
    for (size_t i = 0; i < RANDOM_ID_LEN; i++)
        assert_non_null(strchr(alphabet, a[i]));
    clock_freeze(1469918176386, 0);
    random_id(b);
    assert_true(strcmp(a, b) < 0); // later sorts behind
    clock_thaw();
}

static void an_id_says_when_it_was_made(void **state) {
    (void)state;
    static const char *const none[] = {"", "R1", "01ARYZ6S41", "81ARYZ6S410123456789ABCDEF",
                                       "01ARYZ6SU10123456789ABCDEF", "01aryz6s410123456789ABCDEF",
                                       "01ARYZ6S410123456789ABCDEFG"};
    static const int64_t times[] = {0, 1, 1469918176385, (INT64_C(1) << 48) - 1};
    char id[RANDOM_ID_LEN + 1];
    int64_t ms;
    for (size_t i = 0; i < FARTHING_COUNT(times); i++) {
        clock_freeze(times[i], 0);
        random_id(id);
        assert_true(random_id_time(slice_of(id), &ms));
        assert_int_equal(ms, times[i]);
    }
    clock_thaw();
    for (size_t i = 0; i < FARTHING_COUNT(none); i++)
        assert_false(random_id_time(slice_of(none[i]), &ms));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_freezes_and_thaws),
        cmocka_unit_test(times_are_formatted),
        cmocka_unit_test(a_seed_repeats_its_numbers),
        cmocka_unit_test(bounds_hold_and_every_value_comes),
        cmocka_unit_test(ids_are_ulids),
        cmocka_unit_test(an_id_says_when_it_was_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
