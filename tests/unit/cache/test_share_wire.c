// What scripts answer and instances tell each other: all that they write is read,
// and nothing else.
#include "support.h"

#include "share_wire.h"

#define TOKEN "01ARZ3NDEKTSV4RRFFQ69G5FAV"

static void claims(void **state) {
    (void)state;
    struct share_claim c;
    assert_true(share_wire_claim(SLICE("O"), &c));
    assert_int_equal(c.kind, SHARE_CLAIM_OURS);
    assert_true(share_wire_claim(SLICE("N"), &c));
    assert_int_equal(c.kind, SHARE_CLAIM_NOBODYS);
    assert_true(share_wire_claim(SLICE("F5999 " TOKEN), &c));
    assert_int_equal(c.kind, SHARE_CLAIM_THEIRS);
    assert_int_equal(c.term_ms, 5999);
    assert_slice_equal(c.token, SLICE(TOKEN));
    assert_true(share_wire_claim(SLICE("Rany\0bytes"), &c));
    assert_slice_equal(c.result, SLICE("any\0bytes"));
    static const char *const none[] = {"",   "X",  "O ", "NN", "F", "F1", "F1 ", "F1 short",
                                       "F-1 " TOKEN, "F1 " TOKEN "x", "Fx " TOKEN,
                                       "F9999999999 " TOKEN, "F " TOKEN};
    for (size_t i = 0; i < FARTHING_COUNT(none); i++)
        if (share_wire_claim(slice_of(none[i]), &c))
            fail_msg("taken: %s", none[i]);
}

static void results(void **state) {
    (void)state;
    static const enum flight_end ends[] = {FLIGHT_DONE, FLIGHT_REFUSED};
    const struct cache_key key = key_number(1), other = key_number(2);
    for (size_t i = 0; i < FARTHING_COUNT(ends); i++) {
        struct cache_answer answer = answer_of(SLICE("{\"a\": 1}"));
        struct buffer bytes = {0};
        enum flight_end end = FLIGHT_FAILED;
        answer.status = 200 + (int)i;
        share_wire_put_result(ends[i], &key, &answer, &bytes);
        struct cache_entry *e = share_wire_result(buffer_slice(&bytes), &key, &end);
        assert_non_null(e);
        assert_int_equal(end, ends[i]);
        assert_int_equal(cache_entry_answer(e)->status, 200 + (int)i);
        assert_slice_equal(cache_entry_answer(e)->body, answer.body);
        cache_entry_release(e);
        assert_null(share_wire_result(buffer_slice(&bytes), &other, &end));
        bytes.ptr[0] = 'X';
        assert_null(share_wire_result(buffer_slice(&bytes), &key, &end));
        buffer_free(&bytes);
    }
    enum flight_end end;
    assert_null(share_wire_result(SLICE_NONE, &key, &end));
    assert_null(share_wire_result(SLICE("D"), &key, &end));
}

static void streams(void **state) {
    (void)state;
    struct share_stream s;
    assert_true(share_wire_stream(SLICE("+ 12 4\nheadand\nmore"), &s));
    assert_int_equal(s.flag, SHARE_STREAM_WAITS);
    assert_int_equal(s.number, 12);
    assert_slice_equal(s.head, SLICE("head"));
    assert_slice_equal(s.bytes, SLICE("and\nmore"));
    assert_true(share_wire_stream(SLICE("- 0 0\n"), &s));
    assert_int_equal(s.flag, SHARE_STREAM_NONE);
    assert_int_equal(s.head.len + s.bytes.len, 0);
    static const char *const none[] = {"",        "\n",        "+\n",       "+ 1\n",  "+ 1 0",
                                       "* 1 0\n", "++ 1 0\n",  "+ 1 1\n",   "+ x 0\n", "+ 1 x\n",
                                       "+ 1 -1\n", "+ 1 0 0\n", "+ 1 18446744073709551615\nx"};
    for (size_t i = 0; i < FARTHING_COUNT(none); i++)
        if (share_wire_stream(slice_of(none[i]), &s))
            fail_msg("taken: %s", none[i]);
}

static void holds(void **state) {
    (void)state;
    struct cache_key purchase = {{0}};
    const struct cache_key expected = key_number(3);
    char standing, same[1 + DIGEST_LEN] = "2";
    assert_true(share_wire_hold(SLICE("0"), &standing, &purchase));
    assert_int_equal(standing, '0');
    assert_true(share_wire_hold(SLICE("1"), &standing, &purchase));
    memcpy(same + 1, expected.bytes, DIGEST_LEN);
    assert_true(share_wire_hold(slice_make(same, sizeof same), &standing, &purchase));
    assert_memory_equal(purchase.bytes, expected.bytes, DIGEST_LEN);
    assert_false(share_wire_hold(slice_make(same, sizeof same - 1), &standing, &purchase));
    assert_false(share_wire_hold(SLICE(""), &standing, &purchase));
    assert_false(share_wire_hold(SLICE("3"), &standing, &purchase));
    assert_false(share_wire_hold(SLICE("1x"), &standing, &purchase));
}

static void messages(void **state) {
    (void)state;
    struct share_message m;
    assert_true(share_wire_message(SLICE("m" TOKEN), &m));
    assert_slice_equal(m.token, SLICE(TOKEN));
    assert_true(share_wire_message(SLICE("e" TOKEN), &m));
    assert_int_equal(m.kind, 'e');
    assert_true(share_wire_message(SLICE("f" TOKEN "sflight:a:1 b"), &m));
    assert_true(m.streams);
    assert_slice_equal(m.name, SLICE("flight:a:1 b"));
    assert_true(share_wire_message(SLICE("f" TOKEN "wx"), &m));
    assert_false(m.streams);
    assert_true(share_wire_message(SLICE("u" TOKEN "x"), &m));
    assert_slice_equal(m.name, SLICE("x"));
    static const char *const none[] = {"", "m", "mshort", "m" TOKEN "x", "x" TOKEN, "f" TOKEN,
                                       "f" TOKEN "s", "f" TOKEN "xname", "u" TOKEN};
    for (size_t i = 0; i < FARTHING_COUNT(none); i++)
        if (share_wire_message(slice_of(none[i]), &m))
            fail_msg("taken: %s", none[i]);
    char longest[1 + SHARE_TOKEN_LEN + SHARE_NAME_MAX + 1];
    memset(longest, 'u', sizeof longest);
    assert_true(share_wire_message(slice_make(longest, sizeof longest - 1), &m));
    assert_false(share_wire_message(slice_make(longest, sizeof longest), &m));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims), cmocka_unit_test(results),  cmocka_unit_test(streams),
        cmocka_unit_test(holds),  cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
