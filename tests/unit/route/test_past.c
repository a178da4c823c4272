// Past success: what counts, how it fades, what is bounded, and many threads at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "farthing/config.h"
#include "farthing/past.h"

enum { START_MS = 1000000, HOUR_MS = 60 * 60 * 1000 };

static const struct slice acme = {"acme", 4}, faq = {"faq", 3}, small = {"small", 5};

static void at_ms(uint64_t ms) {
    clock_freeze(1700000000000, (START_MS + ms) * 1000000);
}

static int set_up(void **state) {
    at_ms(0);
    *state = past_new();
    return 0;
}

static int tear_down(void **state) {
    past_free(*state);
    clock_thaw();
    return 0;
}

static void note(struct past *p, unsigned good, unsigned bad) {
    for (unsigned i = 0; i < good + bad; i++)
        past_note(p, acme, faq, small, i < good);
}

static int64_t percent(struct past *p) {
    return past_percent(p, acme, faq, small);
}

// ------------------------------------------------------------------ figures

static void it_is_the_share_of_what_was_good(void **state) {
    (void)state;
    static const struct {
        unsigned good, bad;
        int64_t percent;
    } cases[] = {
        {0, 0, CONFIG_UNSET}, {1, 0, CONFIG_UNSET}, {9, 0, CONFIG_UNSET}, {0, 9, CONFIG_UNSET},
        {10, 0, 100},         {0, 10, 0},           {5, 5, 50},           {7, 3, 70},
        {9, 1, 90},           {20, 60, 25},         {33, 66, 33},         {66, 33, 67},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct past *p = past_new();
        note(p, cases[i].good, cases[i].bad);
        if (percent(p) != cases[i].percent)
            fail_msg("%u good, %u bad: %lld", cases[i].good, cases[i].bad, (long long)percent(p));
        past_free(p);
    }
}

static void each_tenant_feature_and_tier_is_apart(void **state) {
    struct past *p = *state;
    // The same bytes in a row, parted elsewhere, are other names.
    static const struct slice names[][3] = {
        {{"a", 1}, {"b", 1}, {"c", 1}},       {{"ab", 2}, {"", 0}, {"c", 1}},
        {{"a", 1}, {"bc", 2}, {"", 0}},       {{"", 0}, {"abc", 3}, {NULL, 0}},
        {{"a\0b", 3}, {"", 0}, {"c", 1}},     {{"a", 1}, {"\0b", 2}, {"c", 1}},
        {{"a", 1}, {"b", 1}, {"large", 5}},   {{"", 0}, {"", 0}, {"", 0}},
    };
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        for (size_t k = 0; k < 20; k++)
            past_note(p, names[i][0], names[i][1], names[i][2], k < i);
    assert_int_equal(past_count(p), FARTHING_COUNT(names));
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        assert_int_equal(past_percent(p, names[i][0], names[i][1], names[i][2]), 5 * i);
    assert_int_equal(percent(p), CONFIG_UNSET);
}

// ------------------------------------------------------------------- fading

static void it_becomes_unknown_with_time(void **state) {
    struct past *p = *state;
    note(p, 0, 40);
    at_ms(2 * PAST_HALF_LIFE_MS - HOUR_MS); // a little more than 10 of the 40 are left
    assert_int_equal(percent(p), 0);
    at_ms(2 * PAST_HALF_LIFE_MS + 3 * HOUR_MS);
    assert_int_equal(percent(p), CONFIG_UNSET);
}

// A tier that always failed is tried again after some days, not after months.
static void the_worst_is_forgotten_within_days(void **state) {
    struct past *p = *state;
    note(p, 0, 100000);
    assert_int_equal(percent(p), 0);
    at_ms((uint64_t)4 * PAST_HALF_LIFE_MS);
    assert_int_equal(percent(p), CONFIG_UNSET);
    note(p, 10, 0); // and then what is new outweighs what was
    assert_in_range(percent(p), 55, 65);
}

static void what_is_new_counts_more_than_what_is_old(void **state) {
    struct past *p = *state;
    note(p, 20, 0);
    at_ms(PAST_HALF_LIFE_MS);
    note(p, 0, 10); // 10 are left of the 20
    assert_int_equal(percent(p), 50);
}

static void many_outcomes_fade_by_their_number(void **state) {
    struct past *p = *state;
    note(p, 1000, 0);
    assert_int_equal(percent(p), 100);
    note(p, 0, PAST_MEMORY);
    assert_in_range(percent(p), 35, 38); // 1/e
    note(p, 0, 5 * PAST_MEMORY);
    assert_int_equal(percent(p), 0);
}

static void a_clock_that_stands_does_no_harm(void **state) {
    struct past *p = *state;
    at_ms(HOUR_MS);
    note(p, 10, 0);
    at_ms(0); // it never goes back; if a loop's look at it did, nothing grows
    note(p, 0, 10);
    assert_int_equal(percent(p), 50);
}

// ------------------------------------------------------------------- bounds

static struct slice name_of(char out[32], const char *kind, unsigned number) {
    return slice_make(out, (size_t)snprintf(out, 32, "%s-%u", kind, number));
}

static void one_tenant_cannot_take_all_the_room(void **state) {
    struct past *p = *state;
    char name[32];
    for (unsigned i = 0; i < 3 * PAST_MAX; i++)
        past_note(p, acme, name_of(name, "feature", i), small, true);
    assert_int_equal(past_count(p), PAST_TENANT_MAX);
    for (unsigned i = 0; i < 10; i++)
        past_note(p, SLICE("other"), faq, small, false);
    assert_int_equal(past_percent(p, SLICE("other"), faq, small), 0);
    // What is tracked goes on to be.
    for (unsigned i = 0; i < 10; i++)
        past_note(p, acme, SLICE("feature-0"), small, true);
    assert_int_equal(past_percent(p, acme, SLICE("feature-0"), small), 100);
}

static void fill(struct past *p) {
    char tenant[32], feature[32];
    for (unsigned t = 0; t < 2 * PAST_MAX / PAST_TENANT_MAX; t++)
        for (unsigned f = 0; f < 2 * PAST_TENANT_MAX; f++)
            past_note(p, name_of(tenant, "tenant", t), name_of(feature, "feature", f), small, true);
}

static void all_are_bounded_and_the_faded_make_room(void **state) {
    struct past *p = *state;
    fill(p);
    assert_int_equal(past_count(p), PAST_MAX);
    note(p, 10, 0);
    assert_int_equal(percent(p), CONFIG_UNSET); // not tracked
    at_ms(PAST_HALF_LIFE_MS);
    note(p, 10, 0);
    assert_int_equal(percent(p), 100);
    assert_in_range(past_count(p), PAST_MAX - PAST_MAX / 16 + 1, PAST_MAX); // one shard was swept
}

static void names_that_are_too_long_are_not_tracked(void **state) {
    struct past *p = *state;
    static char text[PAST_KEY_MAX + 1];
    memset(text, 'x', sizeof text);
    const size_t most = PAST_KEY_MAX - small.len;
    for (unsigned i = 0; i < 10; i++) {
        past_note(p, SLICE_NONE, slice_make(text, most), small, true);
        past_note(p, SLICE_NONE, slice_make(text, most + 1), small, true);
        past_note(p, slice_make(text, sizeof text), SLICE_NONE, SLICE_NONE, true);
    }
    assert_int_equal(past_percent(p, SLICE_NONE, slice_make(text, most), small), 100);
    assert_int_equal(past_percent(p, SLICE_NONE, slice_make(text, most + 1), small), CONFIG_UNSET);
    assert_int_equal(past_percent(p, slice_make(text, sizeof text), SLICE_NONE, SLICE_NONE),
                     CONFIG_UNSET);
    assert_int_equal(past_count(p), 1);
}

// ------------------------------------------------------------------ threads

enum { THREADS = 4, ROUNDS = 4000, FEATURES = 50 };

// Even features are good, odd ones are not, whichever thread says so.
static void *work(void *arg) {
    struct past *p = arg;
    char name[32];
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned n = i % FEATURES;
        struct slice feature = name_of(name, "feature", n);
        past_note(p, acme, feature, small, n % 2 == 0);
        int64_t got = past_percent(p, acme, feature, small);
        if (got != CONFIG_UNSET && got != (n % 2 == 0 ? 100 : 0))
            return p;
        past_note(p, name_of(name, "tenant", i), faq, small, true);
    }
    return NULL;
}

static void threads_share_it(void **state) {
    struct past *p = *state;
    pthread_t threads[THREADS];
    void *wrong;
    char name[32];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, p), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    for (unsigned n = 0; n < FEATURES; n++)
        assert_int_equal(past_percent(p, acme, name_of(name, "feature", n), small),
                         n % 2 == 0 ? 100 : 0);
    assert_int_equal(past_count(p), FEATURES + ROUNDS);
}

static void freeing_nothing_is_fine(void **state) {
    (void)state;
    past_free(NULL);
}

#define PAST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PAST(it_is_the_share_of_what_was_good),
        PAST(each_tenant_feature_and_tier_is_apart),
        PAST(it_becomes_unknown_with_time),
        PAST(the_worst_is_forgotten_within_days),
        PAST(what_is_new_counts_more_than_what_is_old),
        PAST(many_outcomes_fade_by_their_number),
        PAST(a_clock_that_stands_does_no_harm),
        PAST(one_tenant_cannot_take_all_the_room),
        PAST(all_are_bounded_and_the_faded_make_room),
        PAST(names_that_are_too_long_are_not_tracked),
        PAST(threads_share_it),
        cmocka_unit_test(freeing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
