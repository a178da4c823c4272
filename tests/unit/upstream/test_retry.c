// The retry policy as a table: what happened, and whether and when to try again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "farthing/upstream.h"

enum { NEVER = -1 };

static const struct retry_policy usual = {.attempts = 3, .backoff_ms = 200, .backoff_max_ms = 8000};

static struct retry_input input_of(enum attempt_end end, int status) {
    return (struct retry_input){
        .end = end,
        .status = status,
        .attempts_made = 1,
        .sent = true,
        .now_wall_ms = 784111777000, // Sun, 06 Nov 1994 08:49:37 GMT
        .time_left_ms = -1,
    };
}

static void test_ends(void **state) {
    (void)state;
    static const bool retried[ATTEMPT_END_COUNT] = {
        [ATTEMPT_CONNECT_FAILED] = true,     [ATTEMPT_CONNECT_TIMEOUT] = true,
        [ATTEMPT_FIRST_BYTE_TIMEOUT] = true, [ATTEMPT_IDLE_TIMEOUT] = true,
        [ATTEMPT_SEND_FAILED] = true,        [ATTEMPT_RESET] = true,
        [ATTEMPT_TRUNCATED] = true,
    };
    for (int end = 0; end < ATTEMPT_END_COUNT; end++) {
        if (end == ATTEMPT_OK)
            continue; // the status decides, below
        struct retry_input in = input_of((enum attempt_end)end, 0);
        assert_int_equal(retry_decide(&usual, &in), retried[end] ? 0 : NEVER);
        // A status that came before the end does not make it better or worse.
        in.status = 503;
        assert_int_equal(retry_decide(&usual, &in), retried[end] ? 0 : NEVER);
        in.body_started = true;
        assert_int_equal(retry_decide(&usual, &in), NEVER);
    }
}

static void test_end_names(void **state) {
    (void)state;
    for (int end = 0; end < ATTEMPT_END_COUNT; end++) {
        assert_non_null(attempt_end_name((enum attempt_end)end));
        for (int other = 0; other < end; other++)
            assert_string_not_equal(attempt_end_name((enum attempt_end)end),
                                    attempt_end_name((enum attempt_end)other));
    }
}

static void test_statuses(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *should_retry;
        bool retried;
    } rows[] = {
        {200, "", false},
        {204, "", false},
        {301, "", false},
        {400, "", false},
        {401, "", false},
        {403, "", false},
        {404, "", false},
        {408, "", true},
        {409, "", true},
        {410, "", false},
        {413, "", false},
        {422, "", false},
        {425, "", false},
        {429, "", true},
        {499, "", false},
        {500, "", true},
        {501, "", true},
        {502, "", true},
        {503, "", true},
        {504, "", true},
        {529, "", true},
        {599, "", true},
        // The provider's own word wins over the table.
        {400, "true", true},
        {404, "true", true},
        {429, "false", false},
        {500, "false", false},
        {500, "true", true},
        // What is neither word says nothing.
        {500, "maybe", true},
        {400, "yes", false},
        {500, "FALSE ", true},
        {400, "1", false},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct retry_input in = input_of(ATTEMPT_OK, rows[i].status);
        in.should_retry = slice_of(rows[i].should_retry);
        if (retry_decide(&usual, &in) != (rows[i].retried ? 0 : NEVER))
            fail_msg("status %d, x-should-retry \"%s\"", rows[i].status, rows[i].should_retry);
    }
}

static void test_attempts_are_counted(void **state) {
    (void)state;
    for (unsigned attempts = 0; attempts <= 4; attempts++)
        for (unsigned made = 1; made <= 5; made++) {
            struct retry_policy policy = {attempts, 200, 8000};
            struct retry_input in = input_of(ATTEMPT_RESET, 0);
            in.attempts_made = made;
            assert_int_equal(retry_decide(&policy, &in), made < attempts ? 0 : NEVER);
        }
}

// The longest wait that jitter can choose: its bounds are found by trying every
// remainder, as `random % (bound + 1)` is not something to know from outside.
static int64_t longest_wait(const struct retry_policy *policy, unsigned made) {
    int64_t longest = -1;
    for (uint64_t random = 0; random < 40000; random++) {
        struct retry_input in = input_of(ATTEMPT_RESET, 0);
        in.attempts_made = made;
        in.random = random;
        int64_t wait = retry_decide(policy, &in);
        assert_true(wait >= 0);
        if (wait > longest)
            longest = wait;
    }
    return longest;
}

static void test_backoff_doubles_up_to_its_bound(void **state) {
    (void)state;
    static const struct {
        int64_t backoff, max;
        unsigned made;
        int64_t bound;
    } rows[] = {
        {200, 8000, 1, 200},  {200, 8000, 2, 400},    {200, 8000, 3, 800}, {200, 8000, 6, 6400},
        {200, 8000, 7, 8000}, {200, 8000, 500, 8000}, {500, 100, 1, 100},  {0, 8000, 3, 0},
        {200, 0, 1, 0},       {1, 30000, 15, 16384},  {-5, 8000, 2, 0},    {200, -1, 2, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct retry_policy policy = {1000, rows[i].backoff, rows[i].max};
        assert_int_equal(longest_wait(&policy, rows[i].made), rows[i].bound);
    }
}

static void test_backoff_does_not_overflow(void **state) {
    (void)state;
    struct retry_policy policy = {1000, INT64_MAX / 2 + 10, INT64_MAX - 1};
    for (unsigned made = 1; made < 999; made++) {
        struct retry_input in = input_of(ATTEMPT_RESET, 0);
        in.attempts_made = made;
        in.random = UINT64_MAX;
        assert_true(retry_decide(&policy, &in) >= 0);
    }
}

static void test_jitter_follows_the_seed(void **state) {
    (void)state;
    struct retry_policy policy = {10, 1000, 8000};
    int64_t first[64];
    bool differs = false;
    for (int round = 0; round < 2; round++) {
        random_seed(42);
        for (size_t i = 0; i < FARTHING_COUNT(first); i++) {
            struct retry_input in = input_of(ATTEMPT_OK, 503);
            in.random = random_u64();
            int64_t wait = retry_decide(&policy, &in);
            assert_in_range(wait, 0, 1000);
            if (round == 0)
                first[i] = wait;
            else
                assert_int_equal(wait, first[i]);
            differs = differs || wait != first[0];
        }
    }
    assert_true(differs);
}

static void test_retry_after(void **state) {
    (void)state;
    static const struct {
        const char *after, *after_ms;
        int64_t wait; // with no backoff of ours
    } rows[] = {
        {"", "", 0},
        {"0", "", 0},
        {"3", "", 3000},
        {"60", "", 60000},
        {"61", "", NEVER}, // told to come back much later: the client shall know
        {"3600", "", NEVER},
        {"18446744073709551615", "", NEVER},
        {"99999999999999999999999999", "", 0}, // not a number of ours: as if absent
        {"-1", "", 0},
        {"soon", "", 0},
        {"1e3", "", 0},
        {"0x10", "", 0},
        {"1.5", "", 1500}, // OpenAI's SDKs read it as a float
        {"0.0004", "", 0},
        {"2.", "", 2000},
        {".5", "", 500},
        {".", "", 0},
        {"1.2.3", "", 0},
        {"1.-5", "", 0},
        {"", "250", 250},
        {"", "250.75", 250},
        {"", "0.5", 0},
        {"", "60001", NEVER},
        {"", "18446744073709551615", NEVER},
        {"", "x", 0},
        {"7", "250", 250}, // the finer one wins
        {"7", "x", 7000},
        {"Sun, 06 Nov 1994 08:49:40 GMT", "", 3000},
        {"Sun, 06 Nov 1994 08:50:37 GMT", "", 60000},
        {"Sun, 06 Nov 1994 08:50:38 GMT", "", NEVER},
        {"Sun, 06 Nov 1994 08:49:37 GMT", "", 0}, // now
        {"Sun, 06 Nov 1994 08:49:30 GMT", "", 0}, // past
        {"Fri, 31 Dec 1993 23:59:59 GMT", "", 0},
        {"Wed, 29 Feb 2096 00:00:00 GMT", "", NEVER},
        {"Sun, 06 Nov 9999 08:49:40 GMT", "", NEVER},
        {"Sun, 06 Foo 1994 08:49:40 GMT", "", 0},
        {"Sun, 06 Nov 1994 08:49:40 UTC", "", 0},
        {"Sun, 06 Nov 1994 08:49:40", "", 0},
        {"Sun, xx Nov 1994 08:49:40 GMT", "", 0},
        {"Sun, 06 Nov 1994 08:4x:40 GMT", "", 0},
    };
    struct retry_policy policy = {3, 0, 0};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct retry_input in = input_of(ATTEMPT_OK, 429);
        in.retry_after = slice_of(rows[i].after);
        in.retry_after_ms = slice_of(rows[i].after_ms);
        int64_t wait = retry_decide(&policy, &in);
        if (wait != rows[i].wait)
            fail_msg("Retry-After \"%s\", retry-after-ms \"%s\": %lld, not %lld", rows[i].after,
                     rows[i].after_ms, (long long)wait, (long long)rows[i].wait);
    }
}

// The days before and after each month's end, against the C library's calendar.
static void test_http_dates(void **state) {
    (void)state;
    struct retry_policy policy = {3, 0, 0};
    for (int64_t day = 0; day < 366 * 110; day++) {
        time_t second = (time_t)(day * 86400 + 86399);
        struct tm utc;
        gmtime_r(&second, &utc);
        char text[64];
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        struct retry_input in = input_of(ATTEMPT_OK, 503);
        in.now_wall_ms = (int64_t)second * 1000 - 1234;
        in.retry_after = slice_of(text);
        assert_int_equal(retry_decide(&policy, &in), 1234);
    }
}

static void test_longer_of_backoff_and_retry_after(void **state) {
    (void)state;
    struct retry_policy policy = {3, 1000, 8000};
    struct retry_input in = input_of(ATTEMPT_OK, 429);
    in.random = 1000; // the upper end of 0..1000
    assert_int_equal(retry_decide(&policy, &in), 1000);
    in.retry_after_ms = SLICE("400");
    assert_int_equal(retry_decide(&policy, &in), 1000);
    in.retry_after_ms = SLICE("4000");
    assert_int_equal(retry_decide(&policy, &in), 4000);
    // backoff_max bounds what is ours, not what the provider asks for.
    in.retry_after_ms = SLICE("9000");
    assert_int_equal(retry_decide(&policy, &in), 9000);
}

static void test_time_left(void **state) {
    (void)state;
    static const struct {
        int64_t left, wait;
    } rows[] = {{-1, 500}, {0, NEVER}, {499, NEVER}, {500, NEVER}, {501, 500}, {INT64_MAX, 500}};
    struct retry_policy policy = {3, 500, 8000};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct retry_input in = input_of(ATTEMPT_OK, 500);
        in.random = 500;
        in.time_left_ms = rows[i].left;
        assert_int_equal(retry_decide(&policy, &in), rows[i].wait);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_end_names),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_attempts_are_counted),
        cmocka_unit_test(test_backoff_doubles_up_to_its_bound),
        cmocka_unit_test(test_backoff_does_not_overflow),
        cmocka_unit_test(test_jitter_follows_the_seed),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_http_dates),
        cmocka_unit_test(test_longer_of_backoff_and_retry_after),
        cmocka_unit_test(test_time_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
