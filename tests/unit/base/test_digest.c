// SHA-256 (vectors of FIPS 180-4 and NIST's examples), hexadecimal, comparison.
#include "support.h"

static void assert_digest(const uint8_t *got, const char *wanted) {
    char hex[2 * DIGEST_LEN + 1];
    digest_hex(got, DIGEST_LEN, hex);
    assert_string_equal(hex, wanted);
}

static const struct {
    const char *text, *hex;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void known_texts_have_known_digests(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(vectors); i++) {
        uint8_t out[DIGEST_LEN];
        digest_sha256(slice_of(vectors[i].text), out);
        assert_digest(out, vectors[i].hex);
    }
}

// In pieces cut anywhere, and again with the same context.
static void pieces_are_digested_as_the_whole(void **state) {
    (void)state;
    struct digest *d = digest_new();
    for (size_t i = 0; i < FARTHING_COUNT(vectors); i++) {
        struct slice text = slice_of(vectors[i].text);
        for (size_t cut = 0; cut <= text.len; cut++) {
            uint8_t out[DIGEST_LEN];
            digest_update(d, slice_make(text.ptr, cut));
            digest_update(d, SLICE_NONE);
            digest_update(d, slice_from(text, cut));
            digest_finish(d, out);
            assert_digest(out, vectors[i].hex);
        }
    }
    digest_free(d);
    digest_free(NULL);
}

// Eight bytes of length, the lowest first, and the part.
static void parts_are_told_apart(void **state) {
    (void)state;
    static const char by_hand[] = "\2\0\0\0\0\0\0\0ab\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0c";
    uint8_t wanted[DIGEST_LEN], out[DIGEST_LEN];
    digest_sha256(slice_make(by_hand, sizeof by_hand - 1), wanted);
    struct digest *d = digest_of_thread();
    digest_update_part(d, SLICE("ab"));
    digest_update_part(d, SLICE_NONE);
    digest_update_part(d, SLICE("c"));
    digest_finish(d, out);
    assert_memory_equal(out, wanted, DIGEST_LEN);
    digest_update_part(d, SLICE("a"));
    digest_update_part(d, SLICE_NONE);
    digest_update_part(d, SLICE("bc"));
    digest_finish(d, out);
    assert_memory_not_equal(out, wanted, DIGEST_LEN);
}

static void a_million_letters(void **state) {
    (void)state;
    char letters[1000];
    memset(letters, 'a', sizeof letters);
    struct digest *d = digest_of_thread();
    for (int i = 0; i < 1000; i++)
        digest_update(d, slice_make(letters, sizeof letters));
    uint8_t out[DIGEST_LEN];
    digest_finish(d, out);
    assert_digest(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_ptr_equal(digest_of_thread(), d);
}

static void hexadecimal_goes_both_ways(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x01, 0x9a, 0xff};
    char hex[9];
    digest_hex(bytes, 4, hex);
    assert_string_equal(hex, "00019aff");
    uint8_t back[4];
    assert_true(digest_unhex(SLICE("00019aff"), back, 4));
    assert_memory_equal(back, bytes, 4);
    assert_true(digest_unhex(SLICE("00019AfF"), back, 4));
    assert_memory_equal(back, bytes, 4);
    static const char *const bad[] = {"",         "00019af",  "00019aff0", "00019aff00",
                                      "00019agf", "0x019aff", " 0019aff",  "00019a\xff\xff"};
    for (size_t i = 0; i < FARTHING_COUNT(bad); i++)
        assert_false(digest_unhex(slice_of(bad[i]), back, 4));
    assert_true(digest_unhex(SLICE_NONE, back, 0));
    digest_hex(bytes, 0, hex);
    assert_string_equal(hex, "");
}

static void comparison_sees_every_bit(void **state) {
    (void)state;
    uint8_t a[DIGEST_LEN] = {0}, b[DIGEST_LEN] = {0};
    assert_true(digest_equal(a, b, DIGEST_LEN));
    for (size_t bit = 0; bit < 8 * DIGEST_LEN; bit++) {
        b[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(digest_equal(a, b, DIGEST_LEN));
        b[bit / 8] = 0;
    }
    assert_true(digest_equal(a, b, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_have_known_digests),
        cmocka_unit_test(pieces_are_digested_as_the_whole),
        cmocka_unit_test(parts_are_told_apart),
        cmocka_unit_test(a_million_letters),
        cmocka_unit_test(hexadecimal_goes_both_ways),
        cmocka_unit_test(comparison_sees_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
