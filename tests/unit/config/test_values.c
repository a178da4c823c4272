// Values as the file spells them, and at their limits.
#include "config_fixture.h"
#include "spec.h"

#define BAD INT64_MIN // must be refused

struct value {
    const char *text;
    int64_t number;
};

typedef bool (*parser)(struct slice, int64_t *);

static void check(parser parse, const struct value *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int64_t number = -77;
        bool ok = parse(slice_of(values[i].text), &number);
        if (ok != (values[i].number != BAD) || (ok && number != values[i].number))
            fail_msg("\"%s\": %s %lld", values[i].text, ok ? "is" : "refused", (long long)number);
    }
}

static void durations(void **state) {
    (void)state;
    static const struct value values[] = {
        {"250ms", 250},
        {"30s", 30000},
        {"10m", 600000},
        {"6h", 21600000},
        {"7d", 604800000},
        {"0", 0},
        {"0s", 0},
        {"1 s", BAD},
        {"10 m", BAD},
        {"1s ", BAD},
        {"1\ts", BAD},
        {"1S", 1000},
        {"00005ms", 5},
        {"106751991167d", INT64_C(106751991167) * 86400000},
        {"9223372036854775807ms", INT64_MAX},
        {"106751991168d", BAD},
        {"9223372036854775808ms", BAD},
        {"99999999999999999999s", BAD},
        {"", BAD},
        {"s", BAD},
        {"10", BAD},
        {"-1s", BAD},
        {"+1s", BAD},
        {"1.5s", BAD},
        {"1w", BAD},
        {" 1s", BAD},
        {"1s1", BAD},
        {"1ss", BAD},
        {"0x10s", BAD},
        {"1\ns", BAD},
    };
    check(config_parse_duration, values, FARTHING_COUNT(values));
}

static void sizes(void **state) {
    (void)state;
    static const struct value values[] = {
        {"0", 0},
        {"1", 1},
        {"64k", 65536},
        {"64K", 65536},
        {"64kb", 65536},
        {"32m", 33554432},
        {"32MB", 33554432},
        {"1g", 1 << 30},
        {"1GB", 1 << 30},
        {"64 k", BAD},
        {"64k ", BAD},
        {"8589934591g", INT64_C(8589934591) << 30},
        {"8589934592g", BAD},
        {"99999999999g", BAD},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", BAD},
        {"", BAD},
        {"k", BAD},
        {"-1k", BAD},
        {"1.5g", BAD},
        {"1t", BAD},
        {"1kk", BAD},
        {"1k ib", BAD},
    };
    check(config_parse_size, values, FARTHING_COUNT(values));
}

static void money(void **state) {
    (void)state;
    static const struct value values[] = {
        {"2.50 usd", INT64_C(2500000000000)},
        {"2.50", INT64_C(2500000000000)},
        {"2.50USD", INT64_C(2500000000000)},
        {" 1 usd ", INT64_C(1000000000000)},
        {"0", 0},
        {"0.000000000001", 1},
        {".5", INT64_C(500000000000)},
        {"5.", INT64_C(5000000000000)},
        {"0.0000000000010", 1},
        {"9223372.036854775807", INT64_MAX},
        {"0.0000000000001", BAD},
        {"9223372.036854775808", BAD},
        {"9223373", BAD},
        {"99999999999999999999", BAD},
        {"", BAD},
        {".", BAD},
        {"usd", BAD},
        {"-1", BAD},
        {"1 eur", BAD},
        {"1.2.3", BAD},
        {"1e3", BAD},
        {"$1", BAD},
        {"1,50", BAD},
        {"1 usd usd", BAD},
    };
    check(config_parse_money, values, FARTHING_COUNT(values));
}

static void rates(void **state) {
    (void)state;
    static const struct value values[] = {
        {"600/min", 600},
        {"600/m", 600},
        {"600/minute", 600},
        {"10/s", 600},
        {"10/sec", 600},
        {"10/second", 600},
        {"600 /min", BAD},
        {"600/min ", BAD},
        {"120/h", 2},
        {"60/hour", 1},
        {"0/min", 0},
        {"9223372036854775807/min", INT64_MAX},
        {"59/h", BAD},
        {"9223372036854775807/s", BAD},
        {"9223372036854775808/min", BAD},
        {"600", BAD},
        {"", BAD},
        {"/min", BAD},
        {"-5/min", BAD},
        {"1.5/min", BAD},
        {"600/day", BAD},
        {"600//min", BAD},
    };
    check(config_parse_rate, values, FARTHING_COUNT(values));
}

static void thousandths(void **state) {
    (void)state;
    static const struct value values[] = {
        {"0", 0},      {"0.1", 100}, {"2", 2000},     {"0.001", 1},
        {"0.0010", 1}, {".7", 700},  {"0.0001", BAD}, {"-0.1", -100},
        {"-1", -1000}, {"-", BAD},   {"--1", BAD},    {"+1", BAD},
        {"", BAD},     {".", BAD},   {"a", BAD},      {"9223372036854775807", BAD},
    };
    check(config_parse_milli, values, FARTHING_COUNT(values));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations), cmocka_unit_test(sizes),       cmocka_unit_test(money),
        cmocka_unit_test(rates),     cmocka_unit_test(thousandths),
    };
    return cmocka_run_group_tests_name("config/values", tests, NULL, NULL);
}
