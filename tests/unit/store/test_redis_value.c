// Values as they lie in Redis: there and back, and whatever else may lie there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After the four above.
#include <cmocka.h>

#include <stdlib.h>

#include "redis_value.h"

enum { NOW = 1000000, MAX = 1 << 20 };
static struct redis_codec *codec;

static void fill(struct buffer *b, size_t len, bool is_text) {
    random_seed(len);
    while (b->len < len)
        buffer_append_char(b,
                           is_text ? "{\"key\":\"value\"},"[b->len % 16] : (char)random_below(256));
}

static void assert_verdict(struct slice stored, size_t max, enum redis_value_verdict expected) {
    struct buffer out = {0};
    int64_t expires_ms;
    BUFFER_LITERAL(&out, "of before");
    assert_int_equal(redis_value_decode(codec, stored, max, NOW, &out, &expires_ms), expected);
    if (expected != REDIS_VALUE_GOOD)
        assert_int_equal(out.len, 0);
    buffer_free(&out);
}

static void test_there_and_back(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 5000, 100000, MAX};
    static const int64_t expiries[] = {0, NOW + 1, INT64_MAX};
    for (size_t i = 0; i < 2 * FARTHING_COUNT(sizes); i++) {
        struct buffer value = {0}, stored = {0}, back = {0};
        int64_t expires_ms = -1, given = expiries[i % FARTHING_COUNT(expiries)];
        fill(&value, sizes[i / 2], i % 2 == 0);
        BUFFER_LITERAL(&stored, "before");
        redis_value_encode(codec, buffer_slice(&value), given, &stored);
        assert_true(stored.len <= 6 + REDIS_VALUE_HEADER_LEN + value.len);
        if (i % 2 == 0 && value.len >= 5000)
            assert_true(stored.len < value.len / 4);
        struct slice written = slice_from(buffer_slice(&stored), 6);
        assert_int_equal(redis_value_decode(codec, written, MAX, NOW, &back, &expires_ms),
                         REDIS_VALUE_GOOD);
        assert_true(slice_equal(buffer_slice(&back), buffer_slice(&value)));
        assert_int_equal(expires_ms, given);
        buffer_free(&value);
        buffer_free(&stored);
        buffer_free(&back);
    }
}

static void test_expiry_to_the_millisecond(void **state) {
    (void)state;
    static const struct {
        int64_t expires_ms;
        enum redis_value_verdict verdict;
    } rows[] = {{NOW - 1, REDIS_VALUE_EXPIRED}, {NOW, REDIS_VALUE_EXPIRED},
                {NOW + 1, REDIS_VALUE_GOOD},    {0, REDIS_VALUE_GOOD},
                {1, REDIS_VALUE_EXPIRED},       {-1, REDIS_VALUE_DAMAGED}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer stored = {0};
        redis_value_encode(codec, SLICE("v"), rows[i].expires_ms, &stored);
        assert_verdict(buffer_slice(&stored), MAX, rows[i].verdict);
        buffer_free(&stored);
    }
}

static void test_a_bound(void **state) {
    (void)state;
    for (unsigned is_text = 0; is_text < 2; is_text++) {
        struct buffer value = {0}, stored = {0};
        fill(&value, 5000, is_text);
        redis_value_encode(codec, buffer_slice(&value), 0, &stored);
        assert_verdict(buffer_slice(&stored), 5000, REDIS_VALUE_GOOD);
        assert_verdict(buffer_slice(&stored), 4999, REDIS_VALUE_DAMAGED);
        buffer_free(&value);
        buffer_free(&stored);
    }
}

// Cut anywhere, longer by one, and each byte of the header another.
static void test_damage(void **state) {
    (void)state;
    for (unsigned is_text = 0; is_text < 2; is_text++) {
        struct buffer value = {0}, stored = {0};
        fill(&value, is_text ? 5000 : 3000, is_text);
        redis_value_encode(codec, buffer_slice(&value), 0, &stored);
        for (size_t len = 0; len < stored.len; len++)
            assert_verdict(slice_make(stored.ptr, len), MAX, REDIS_VALUE_DAMAGED);
        for (size_t i = 0; i < 8; i++)
            for (unsigned bit = 0; bit < 8; bit++) {
                stored.ptr[i] = (char)(stored.ptr[i] ^ (1 << bit));
                assert_verdict(buffer_slice(&stored), MAX, REDIS_VALUE_DAMAGED);
                stored.ptr[i] = (char)(stored.ptr[i] ^ (1 << bit));
            }
        buffer_append_char(&stored, 'x');
        assert_verdict(buffer_slice(&stored), MAX, REDIS_VALUE_DAMAGED);
        buffer_free(&value);
        buffer_free(&stored);
    }
}

// A frame that would become far more than its header says.
static void test_a_bomb(void **state) {
    (void)state;
    struct buffer zeros = {0}, stored = {0};
    buffer_reserve(&zeros, 64 << 20);
    memset(zeros.ptr, 0, 64 << 20);
    zeros.len = 64 << 20;
    redis_value_encode(codec, buffer_slice(&zeros), 0, &stored);
    assert_true(stored.len < 64 << 10);
    assert_verdict(buffer_slice(&stored), MAX, REDIS_VALUE_DAMAGED); // as it says of itself
    memcpy(stored.ptr + 4, "\x00\x00\x10\x00", 4);                   // or lies about it: MAX
    assert_verdict(buffer_slice(&stored), MAX, REDIS_VALUE_DAMAGED);
    buffer_free(&zeros);
    buffer_free(&stored);
}

static void test_foreign_values(void **state) {
    (void)state;
    static const struct slice values[] = {SLICE(""),
                                          SLICE("1"),
                                          SLICE("a text of another program's that is longer"),
                                          SLICE("Fv\x02\0\x01\0\0\0\0\0\0\0\0\0\0\0x"),
                                          SLICE("Fv\x01\x02\x01\0\0\0\0\0\0\0\0\0\0\0x"),
                                          SLICE("Fv\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0")};
    for (size_t i = 0; i < FARTHING_COUNT(values); i++)
        assert_verdict(values[i], MAX, REDIS_VALUE_DAMAGED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_expiry_to_the_millisecond),
        cmocka_unit_test(test_a_bound),        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_a_bomb),         cmocka_unit_test(test_foreign_values),
    };
    codec = redis_codec_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    redis_codec_free(codec);
    redis_codec_free(NULL);
    return failed;
}
