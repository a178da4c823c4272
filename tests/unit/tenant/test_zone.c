// Zones against the C library's, windows in them, and files that are none.
#include <time.h>

#include "scene.h"
#include "window.h"
#include "zone.h"

static const char *const names[] = {"UTC",
                                    "Europe/Berlin",
                                    "Europe/Dublin",
                                    "America/New_York",
                                    "America/Sao_Paulo",
                                    "Asia/Kolkata",
                                    "Pacific/Apia",
                                    "America/St_Johns",
                                    "America/Havana",
                                    "Asia/Tehran",
                                    "Asia/Gaza",
                                    "Africa/Monrovia",
                                    "Africa/Casablanca",
                                    "Antarctica/Troll",
                                    "Australia/Lord_Howe",
                                    "Pacific/Apia",
                                    "Asia/Beirut",
                                    "America/Scoresbysund"};

static struct zone *load(const char *name) {
    struct error err;
    struct zone *z = zone_load(slice_of(name), &err);
    if (z == NULL)
        fail_msg("%s", err.text);
    return z;
}

static void use(const char *name) {
    setenv("TZ", name, 1);
    tzset();
}

static struct tm local_time(int64_t seconds) {
    struct tm t;
    time_t at = (time_t)seconds;
    assert_non_null(localtime_r(&at, &t));
    return t;
}

static int64_t utc(int year, int month, int day, int hour, int minute) {
    struct tm t = {.tm_year = year - 1900,
                   .tm_mon = month - 1,
                   .tm_mday = day,
                   .tm_hour = hour,
                   .tm_min = minute};
    return (int64_t)timegm(&t);
}

static void test_offsets_are_those_of_the_library(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        struct zone *z = load(names[i]);
        use(names[i]);
        for (int64_t t = utc(1890, 1, 1, 0, 0); t < utc(2140, 1, 1, 0, 0); t += 11 * 86400 + 4321) {
            int64_t until, later;
            int32_t offset = zone_offset(z, t, &until);
            assert_true(until > t);
            if (offset != local_time(t).tm_gmtoff)
                fail_msg("%s at %lld: %d", names[i], (long long)t, offset);
            if (until == INT64_MAX)
                continue;
            assert_int_equal(zone_offset(z, until - 1, &later), offset);
            assert_int_equal(later, until);
            assert_int_equal(local_time(until - 1).tm_gmtoff, offset);
        }
        zone_free(z);
    }
}

// ----------------------------------------------------------------------- windows

static void assert_is_midnight(const char *name, int64_t ms) {
    struct tm t = local_time(ms / 1000), before = local_time(ms / 1000 - 1);
    bool leapt = t.tm_gmtoff != before.tm_gmtoff; // over midnight, or to it
    if (t.tm_hour + t.tm_min + t.tm_sec != 0 && !leapt)
        fail_msg("%s: %lld is no midnight", name, (long long)ms);
}

static void test_windows_follow_each_other(void **state) {
    (void)state;
    static const int64_t lengths[] = {WINDOW_DAY_MS, WINDOW_WEEK_MS, WINDOW_MONTH_MS};
    for (size_t i = 0; i < FARTHING_COUNT(names) * FARTHING_COUNT(lengths); i++) {
        const char *name = names[i / FARTHING_COUNT(lengths)];
        int64_t length = lengths[i % FARTHING_COUNT(lengths)];
        struct zone *z = load(name);
        use(name);
        struct window w = window_in_zone(z, length, utc(1985, 1, 1, 12, 0) * 1000);
        while (w.start_ms < utc(2045, 1, 1, 0, 0) * 1000) {
            struct window last = window_in_zone(z, length, w.end_ms - 1);
            assert_int_equal(last.start_ms, w.start_ms);
            assert_int_equal(last.end_ms, w.end_ms);
            struct window next = window_in_zone(z, length, w.end_ms);
            assert_int_equal(next.start_ms, w.end_ms);
            assert_true(next.end_ms > next.start_ms);
            assert_is_midnight(name, next.start_ms);
            assert_true(length != WINDOW_MONTH_MS || local_time(next.start_ms / 1000).tm_mday == 1);
            assert_true(length != WINDOW_WEEK_MS || local_time(next.start_ms / 1000).tm_wday == 1);
            w = next;
        }
        zone_free(z);
    }
}

// The days on which clocks do strange things.
static void test_days_of_another_length(void **state) {
    (void)state;
    static const struct {
        const char *zone;
        int year, month, day, hour; // UTC, in that day
        int hours;
    } rows[] = {
        {"Europe/Berlin", 2026, 3, 28, 12, 24},     {"Europe/Berlin", 2026, 3, 29, 12, 23},
        {"Europe/Berlin", 2026, 10, 25, 12, 25},    {"Europe/Berlin", 2090, 3, 26, 12, 23},
        {"America/New_York", 2026, 3, 8, 12, 23},   {"America/New_York", 2026, 11, 1, 12, 25},
        {"America/Havana", 2026, 11, 1, 12, 25},    // 01:00 becomes 00:00
        {"America/Sao_Paulo", 2018, 11, 4, 12, 23}, // 00:00 becomes 01:00
        {"America/Sao_Paulo", 2018, 2, 17, 12, 25}, // 24:00 becomes 23:00
        {"Pacific/Apia", 2011, 12, 29, 12, 24},     {"Pacific/Apia", 2011, 12, 31, 1, 24},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct zone *z = load(rows[i].zone);
        int64_t now = utc(rows[i].year, rows[i].month, rows[i].day, rows[i].hour, 0) * 1000;
        struct window w = window_in_zone(z, WINDOW_DAY_MS, now);
        assert_int_equal((w.end_ms - w.start_ms) / WINDOW_HOUR_MS, rows[i].hours);
        zone_free(z);
    }
}

static void assert_hour(const struct zone *z, int64_t now, int64_t start, int64_t end) {
    struct window w = window_in_zone(z, WINDOW_HOUR_MS, now * 1000 + 1);
    assert_int_equal(w.start_ms, start * 1000);
    assert_int_equal(w.end_ms, end * 1000);
}

static void test_hours(void **state) {
    (void)state;
    struct zone *z = load("Asia/Kolkata"); // +5:30
    assert_hour(z, utc(2026, 1, 1, 0, 15), utc(2025, 12, 31, 23, 30), utc(2026, 1, 1, 0, 30));
    zone_free(z);
    z = load("Europe/Berlin"); // 01:00 UTC is the change
    assert_hour(z, utc(2026, 10, 25, 0, 59), utc(2026, 10, 25, 0, 0), utc(2026, 10, 25, 1, 0));
    assert_hour(z, utc(2026, 10, 25, 1, 1), utc(2026, 10, 25, 1, 0), utc(2026, 10, 25, 2, 0));
    zone_free(z);
    z = load("America/St_Johns"); // 00:01 (-3:30) became 01:01
    assert_hour(z, utc(2010, 3, 14, 3, 30), utc(2010, 3, 14, 3, 30), utc(2010, 3, 14, 3, 31));
    assert_hour(z, utc(2010, 3, 14, 3, 31), utc(2010, 3, 14, 3, 31), utc(2010, 3, 14, 4, 30));
    zone_free(z);
    z = load("Australia/Lord_Howe"); // 02:00 (+11) becomes 01:30 (+10:30) at 15:00 UTC
    assert_hour(z, utc(2026, 4, 4, 14, 59), utc(2026, 4, 4, 14, 0), utc(2026, 4, 4, 15, 0));
    assert_hour(z, utc(2026, 4, 4, 15, 10), utc(2026, 4, 4, 15, 0), utc(2026, 4, 4, 15, 30));
    assert_hour(z, utc(2026, 4, 4, 15, 31), utc(2026, 4, 4, 15, 30), utc(2026, 4, 4, 16, 30));
    // 02:00 (+10:30) becomes 02:30 (+11) at 15:30 UTC
    assert_hour(z, utc(2026, 10, 3, 15, 29), utc(2026, 10, 3, 14, 30), utc(2026, 10, 3, 15, 30));
    assert_hour(z, utc(2026, 10, 3, 15, 31), utc(2026, 10, 3, 15, 30), utc(2026, 10, 3, 16, 0));
    zone_free(z);
}

static void test_shapes(void **state) {
    (void)state;
    struct zone *z = load("Europe/Berlin");
    struct window_shape day = {WINDOW_DAY_MS, false, z}, total = {0, false, z};
    struct window_shape part = {WINDOW_DAY_MS, true, NULL}, odd = {25, true, NULL};
    assert_int_equal(window_of(&day, NOON_MS).start_ms, NOON_MS - 13 * HOUR_MS);
    assert_int_equal(window_of(&total, NOON_MS).end_ms, INT64_MAX);
    assert_int_equal(window_of(&part, NOON_MS + 1).start_ms, NOON_MS);
    assert_int_equal(window_of(&part, NOON_MS + 1).end_ms, NOON_MS + HOUR_MS);
    assert_int_equal(window_of(&odd, 3).start_ms, 2); // 24 parts of 2 hold 25
    assert_int_equal(window_of(&odd, -1).start_ms, -2);
    zone_free(z);
}

// ------------------------------------------------------------------------- rules

static void test_rules_as_text(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int32_t standard, summer;
    } rows[] = {
        {"UTC0", true, 0, 0},
        {"CET-1CEST,M3.5.0,M10.5.0/3", true, 3600, 7200},
        {"EST5EDT,M3.2.0,M11.1.0", true, -18000, -14400},
        {"<+0330>-3:30", true, 12600, 0},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true, -7200, -3600},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", true, 3600, 0},
        {"XXX3EDT4,0/0,J365/23", true, -10800, -14400},
        {"AAA-24:59:59", true, 89999, 0},
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", true, 7200, 10800},
        {"", false, 0, 0},
        {"CET", false, 0, 0},
        {"CE-1", false, 0, 0},
        {"<CET-1", false, 0, 0},
        {"CET-25", false, 0, 0},
        {"CET-1CEST", false, 0, 0},
        {"CET-1CEST,", false, 0, 0},
        {"CET-1CEST,M3.5.0", false, 0, 0},
        {"CET-1CEST,M13.5.0,M10.5.0", false, 0, 0},
        {"CET-1CEST,M3.6.0,M10.5.0", false, 0, 0},
        {"CET-1CEST,M3.5.7,M10.5.0", false, 0, 0},
        {"CET-1CEST,M3.5.0,M10.5.0/168", false, 0, 0},
        {"CET-1CEST,J0,J300", false, 0, 0},
        {"CET-1CEST,366,1", false, 0, 0},
        {"CET-1CEST,M3.5.0,M10.5.0 ", false, 0, 0},
        {"CET-1:60", false, 0, 0},
        {"CET99999999999999999999", false, 0, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct zone_rule rule;
        if (zone_rule_parse(slice_of(rows[i].text), &rule) != rows[i].ok)
            fail_msg("%s", rows[i].text);
        if (!rows[i].ok)
            continue;
        assert_int_equal(rule.standard, rows[i].standard);
        assert_int_equal(rule.summer, rows[i].summer);
    }
}

// Each rule against the library's own reading of the same text.
static void test_rules_are_those_of_the_library(void **state) {
    (void)state;
    static const char *const texts[] = {"CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0",
                                        "IST-1GMT0,M10.5.0,M3.5.0/1", "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                        "AAA3BBB,J59/0,J60/0",        "AAA3BBB,58,300/5"};
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        struct zone_rule rule;
        assert_true(zone_rule_parse(slice_of(texts[i]), &rule));
        use(texts[i]);
        for (int64_t t = utc(2023, 1, 1, 0, 0); t < utc(2030, 1, 1, 0, 0); t += 1800) {
            int64_t until;
            assert_int_equal(zone_rule_offset(&rule, t, &until), local_time(t).tm_gmtoff);
            assert_true(until > t);
        }
    }
    struct zone_rule always; // summer all year (RFC 9636, 3.3.1)
    assert_true(zone_rule_parse(SLICE("XXX3EDT4,0/0,J365/23"), &always));
    for (int64_t t = utc(2023, 1, 1, 0, 0); t < utc(2030, 1, 1, 0, 0); t += 1800) {
        int64_t until;
        assert_int_equal(zone_rule_offset(&always, t, &until), -14400);
    }
}

// ------------------------------------------------------------------------- files

static struct buffer read_file(const char *path) {
    struct buffer b = {0};
    char bytes[4096];
    FILE *f = fopen(path, "rbe");
    assert_non_null(f);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;)
        buffer_append(&b, slice_make(bytes, n));
    fclose(f);
    return b;
}

static bool parses(struct slice bytes) {
    struct error err = {{0}};
    struct zone *z = zone_parse(bytes, &err);
    assert_true(z != NULL || err.text[0] != '\0');
    zone_free(z);
    return z != NULL;
}

static void test_a_file_that_was_cut(void **state) {
    (void)state;
    struct buffer b = read_file("/usr/share/zoneinfo/Europe/Berlin");
    assert_true(parses(buffer_slice(&b)));
    for (size_t n = 0; n < b.len; n++) {
        char *exact = n > 0 ? slice_dup(slice_make(b.ptr, n)) : NULL; // so that reading on is seen
        assert_false(parses(slice_make(exact, n)));
        free(exact);
    }
    buffer_free(&b);
}

static void append_header(struct buffer *b, char version, uint8_t leaps, uint8_t times,
                          uint8_t types) {
    const char zeros[15] = {0};
    const uint8_t counts[6] = {0, 0, leaps, times, types, 4};
    BUFFER_LITERAL(b, "TZif");
    buffer_append_char(b, version);
    buffer_append(b, slice_make(zeros, 15));
    for (size_t i = 0; i < 6; i++) {
        buffer_append(b, slice_make(zeros, 3));
        buffer_append_char(b, (char)counts[i]);
    }
}

// Two types (UTC and one hour east), two changes at 16 and at `second`.
static struct buffer small_file(uint8_t leaps, uint8_t second, uint8_t type, const char *offset) {
    struct buffer b = {0};
    const char at[] = {0, 0, 0, 16, 0, 0, 0, (char)second, 1, (char)type};
    append_header(&b, '\0', leaps, 2, 2);
    buffer_append(&b, slice_make(at, sizeof at));
    buffer_append(&b, slice_make("\0\0\0\0\0\0", 6));
    buffer_append(&b, slice_make(offset, 4));
    buffer_append(&b, slice_make("\0\0UTC\0", 6));
    for (int i = 0; i < leaps; i++)
        buffer_append(&b, slice_make("\0\0\0\0\0\0\0\1", 8));
    return b;
}

static void test_the_first_version_and_what_is_wrong_in_it(void **state) {
    (void)state;
    static const struct {
        uint8_t leaps, second, type;
        const char *offset;
        bool ok;
    } rows[] = {
        {0, 32, 0, "\0\0\016\020", true},  {1, 32, 0, "\0\0\016\020", false}, // leap seconds
        {0, 16, 0, "\0\0\016\020", false},                                    // not ascending
        {0, 8, 0, "\0\0\016\020", false},  {0, 32, 2, "\0\0\016\020", false}, // no such type
        {0, 32, 0, "\0\1\x6d\xa0", false},                                    // 26 h and more
        {0, 32, 0, "\x80\0\0\0", false},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer b = small_file(rows[i].leaps, rows[i].second, rows[i].type, rows[i].offset);
        assert_int_equal(parses(buffer_slice(&b)), rows[i].ok);
        buffer_free(&b);
    }
    struct buffer b = small_file(0, 32, 0, "\0\0\016\020");
    struct error err;
    int64_t until;
    struct zone *z = zone_parse(buffer_slice(&b), &err);
    assert_int_equal(zone_offset(z, 15, &until), 0);
    assert_int_equal(until, 16);
    assert_int_equal(zone_offset(z, 16, &until), 3600);
    assert_int_equal(zone_offset(z, 32, &until), 0);
    assert_int_equal(until, INT64_MAX);
    zone_free(z);
    buffer_free(&b);
}

static void test_names_stay_in_the_directory(void **state) {
    (void)state;
    static const char *const bad[] = {"",         "/etc/passwd", "../zoneinfo/UTC", "Europe/../UTC",
                                      "No/Where", "Europe",      "tzdata.zi"};
    for (size_t i = 0; i < FARTHING_COUNT(bad); i++) {
        struct error err = {{0}};
        assert_null(zone_load(slice_of(bad[i]), &err));
        assert_true(err.text[0] != '\0');
    }
}

int main(void) {
    struct error err;
    struct zone *z = zone_load(SLICE("Europe/Berlin"), &err);
    if (z == NULL) {
        fprintf(stderr, "skipped: %s\n", err.text);
        return 77;
    }
    zone_free(z);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_are_those_of_the_library),
        cmocka_unit_test(test_windows_follow_each_other),
        cmocka_unit_test(test_days_of_another_length),
        cmocka_unit_test(test_hours),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_rules_as_text),
        cmocka_unit_test(test_rules_are_those_of_the_library),
        cmocka_unit_test(test_a_file_that_was_cut),
        cmocka_unit_test(test_the_first_version_and_what_is_wrong_in_it),
        cmocka_unit_test(test_names_stay_in_the_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
