// Idempotency-Key: how its header is read, whose key it is, and who holds it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// After the four above.
#include <cmocka.h>

#include "farthing/idempotency.h"

// ------------------------------------------------------------------ header

struct reading {
    struct slice value, key; // key: what it reads as
    const char *wrong;       // or a part of what is said against it
};

static void check_reading(const struct reading *r) {
    struct arena *arena = arena_new(1024);
    struct slice key;
    struct error err = {""};
    // On the heap and exact, so that a read behind the end is seen by a sanitizer.
    char *exact = base_alloc(r->value.len > 0 ? r->value.len : 1);
    if (r->value.len > 0)
        memcpy(exact, r->value.ptr, r->value.len);
    bool ok = idempotency_read_key(slice_make(exact, r->value.len), arena, &key, &err);
    if (ok != (r->wrong == NULL))
        fail_msg("%.*s: %s", SLICE_ARG(r->value), ok ? "was accepted" : err.text);
    if (ok && !slice_equal(key, r->key))
        fail_msg("%.*s reads as %.*s", SLICE_ARG(r->value), SLICE_ARG(key));
    if (!ok && strstr(err.text, r->wrong) == NULL)
        fail_msg("%.*s: %s", SLICE_ARG(r->value), err.text);
    free(exact);
    arena_free(arena);
}

static void test_the_header_is_read(void **state) {
    (void)state;
    static const struct reading rows[] = {
        {SLICE("\"8e03978e-40d5-43e8-bc93-6894a57f9324\""),
         SLICE("8e03978e-40d5-43e8-bc93-6894a57f9324"), NULL},
        {SLICE("8e03978e-40d5-43e8-bc93-6894a57f9324"),
         SLICE("8e03978e-40d5-43e8-bc93-6894a57f9324"), NULL},
        {SLICE(" \t k \t"), SLICE("k"), NULL},
        {SLICE("\"k\" "), SLICE("k"), NULL},
        {SLICE("\" k \""), SLICE(" k "), NULL},
        {SLICE("order 17"), SLICE("order 17"), NULL},
        {SLICE("\"a\\\"b\\\\c\""), SLICE("a\"b\\c"), NULL},
        {SLICE("a\"b\\c"), SLICE("a\"b\\c"), NULL},
        {SLICE("!~"), SLICE("!~"), NULL},
        {SLICE("'single'"), SLICE("'single'"), NULL},
        {SLICE(""), SLICE_NONE, "has 0 characters; expected 1 to 255"},
        {SLICE("  "), SLICE_NONE, "has 0 characters"},
        {SLICE("\"\""), SLICE_NONE, "has 0 characters"},
        {SLICE("\""), SLICE_NONE, "no closing one"},
        {SLICE("\"k"), SLICE_NONE, "no closing one"},
        {SLICE("\"k\\\""), SLICE_NONE, "no closing one"},
        {SLICE("\"k\\"), SLICE_NONE, "backslash"},
        {SLICE("\"a\\b\""), SLICE_NONE, "backslash"},
        {SLICE("\"a\"b"), SLICE_NONE, "behind the closing one"},
        {SLICE("\"a\";p=1"), SLICE_NONE, "behind the closing one"},
        {SLICE("\"a\", \"b\""), SLICE_NONE, "behind the closing one"},
        {SLICE("a\nb"), SLICE_NONE, "at place 2"},
        {SLICE("a\0"), SLICE_NONE, "at place 2"},
        {SLICE("\x7f"), SLICE_NONE, "at place 1"},
        {SLICE("k\xc3\xa4"), SLICE_NONE, "at place 2"},
        {SLICE("a\tb"), SLICE_NONE, "at place 2"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        check_reading(&rows[i]);
}

static void test_the_length_is_bounded(void **state) {
    (void)state;
    static const struct {
        size_t len;
        const char *wrong;
    } rows[] = {{1, NULL}, {254, NULL}, {255, NULL}, {256, "256"}, {512, "512"},
                {513, "too long"}, {100000, "too long"}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer bare = {0}, quoted = {0}, escaped = {0};
        BUFFER_LITERAL(&quoted, "\"");
        BUFFER_LITERAL(&escaped, "\"");
        for (size_t n = 0; n < rows[i].len; n++) {
            buffer_append_char(&bare, 'k');
            buffer_append_char(&quoted, 'k');
            BUFFER_LITERAL(&escaped, "\\\\");
        }
        BUFFER_LITERAL(&quoted, "\"");
        BUFFER_LITERAL(&escaped, "\"");
        bool ok = rows[i].wrong == NULL;
        check_reading(&(struct reading){buffer_slice(&bare), buffer_slice(&bare), rows[i].wrong});
        check_reading(&(struct reading){buffer_slice(&quoted), buffer_slice(&bare),
                                        ok ? NULL : "Idempotency-Key"});
        memset(bare.ptr, '\\', bare.len);
        check_reading(&(struct reading){buffer_slice(&escaped), buffer_slice(&bare),
                                        ok ? NULL : "Idempotency-Key"});
        buffer_free(&bare);
        buffer_free(&quoted);
        buffer_free(&escaped);
    }
}

// -------------------------------------------------------------------- names

static void test_names_are_apart(void **state) {
    (void)state;
    static const uint8_t keys[2][DIGEST_LEN] = {{1}, {2}};
    static const struct {
        struct slice tenant;
        const uint8_t *provider_key;
        struct slice key;
    } rows[] = {
        {SLICE("acme"), NULL, SLICE("k")},    {SLICE("acme"), keys[0], SLICE("k")},
        {SLICE("acme"), keys[1], SLICE("k")}, {SLICE("other"), NULL, SLICE("k")},
        {SLICE("acme"), NULL, SLICE("K")},    {SLICE("acmek"), NULL, SLICE("")},
        {SLICE("acm"), NULL, SLICE("ek")},    {SLICE(""), NULL, SLICE("acmek")},
    };
    struct idempotency_digest names[FARTHING_COUNT(rows)], again;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        idempotency_name(rows[i].tenant, rows[i].provider_key, rows[i].key, &names[i]);
        idempotency_name(rows[i].tenant, rows[i].provider_key, rows[i].key, &again);
        assert_memory_equal(names[i].bytes, again.bytes, DIGEST_LEN);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(names[i].bytes, names[k].bytes, DIGEST_LEN);
    }
}

// ------------------------------------------------------------------- claims

struct holder {
    enum idempotency_standing standing;
    struct idempotency_claim *claim;
    struct idempotency_digest purchase;
};

static struct idempotency_digest digest(uint8_t a, uint8_t b) {
    return (struct idempotency_digest){{a, b}};
}

static struct holder claim(struct idempotency *all, struct idempotency_digest name,
                           uint8_t fingerprint, uint8_t purchase) {
    struct holder h = {.purchase = digest(purchase, 0)};
    struct idempotency_digest asked = digest(fingerprint, 0);
    h.standing = idempotency_claim(all, &name, &asked, &h.purchase, &h.claim);
    assert_int_equal(h.claim != NULL, h.standing != IDEMPOTENCY_OTHER);
    return h;
}

static void assert_in_flight(struct idempotency *all, int64_t keys, int64_t claims) {
    struct idempotency_stats s;
    idempotency_stats_get(all, &s);
    assert_int_equal(s.keys, keys);
    assert_int_equal(s.claims, claims);
}

static int set_up(void **state) {
    *state = idempotency_new();
    return 0;
}

static int tear_down(void **state) {
    assert_in_flight(*state, 0, 0);
    idempotency_free(*state);
    return 0;
}

static void test_the_first_and_those_who_ask_the_same(void **state) {
    struct idempotency_digest name = digest(7, 7);
    struct holder first = claim(*state, name, 1, 10), same = claim(*state, name, 1, 20);
    assert_int_equal(first.standing, IDEMPOTENCY_FIRST);
    assert_int_equal(same.standing, IDEMPOTENCY_SAME);
    assert_int_equal(first.purchase.bytes[0], 10);
    assert_int_equal(same.purchase.bytes[0], 10); // the first's
    assert_in_flight(*state, 1, 2);
    idempotency_release(same.claim);
    idempotency_release(first.claim);
    first = claim(*state, name, 2, 30);
    assert_int_equal(first.standing, IDEMPOTENCY_FIRST);
    assert_int_equal(first.purchase.bytes[0], 30);
    idempotency_release(first.claim);
}

static void test_another_fingerprint_is_refused_all_the_time(void **state) {
    struct idempotency_digest name = digest(7, 7);
    struct holder first = claim(*state, name, 1, 10), same = claim(*state, name, 1, 10);
    assert_int_equal(claim(*state, name, 2, 10).standing, IDEMPOTENCY_OTHER);
    idempotency_release(first.claim); // the first failed, another goes on
    assert_int_equal(claim(*state, name, 2, 10).standing, IDEMPOTENCY_OTHER);
    struct holder third = claim(*state, name, 1, 30);
    assert_int_equal(third.standing, IDEMPOTENCY_SAME);
    assert_int_equal(third.purchase.bytes[0], 10);
    idempotency_release(same.claim);
    assert_int_equal(claim(*state, name, 2, 10).standing, IDEMPOTENCY_OTHER);
    idempotency_release(third.claim);
    struct holder other = claim(*state, name, 2, 40);
    assert_int_equal(other.standing, IDEMPOTENCY_FIRST);
    idempotency_release(other.claim);
    struct idempotency_stats s;
    idempotency_stats_get(*state, &s);
    assert_int_equal(s.joined, 2);
    assert_int_equal(s.mismatched, 3);
}

static void test_a_record_is_known_to_all_who_hold_it(void **state) {
    struct idempotency_digest name = digest(7, 7), elsewhere = digest(7, 8);
    struct holder a = claim(*state, name, 1, 10), b = claim(*state, name, 1, 10);
    struct holder apart = claim(*state, elsewhere, 1, 10);
    assert_false(idempotency_is_recorded(a.claim));
    idempotency_recorded(b.claim);
    idempotency_release(b.claim);
    assert_true(idempotency_is_recorded(a.claim));
    assert_false(idempotency_is_recorded(apart.claim));
    struct holder late = claim(*state, name, 1, 10);
    assert_true(idempotency_is_recorded(late.claim));
    idempotency_release(a.claim);
    idempotency_release(late.claim);
    idempotency_release(apart.claim);
    late = claim(*state, name, 1, 10); // looks after all of them: it needs no hint
    assert_false(idempotency_is_recorded(late.claim));
    idempotency_release(late.claim);
}

// Names that share a shard and a bucket, released in any order.
static void test_many_names(void **state) {
    enum { NAMES = 300 };
    struct holder held[NAMES];
    for (size_t i = 0; i < NAMES; i++) {
        struct idempotency_digest name = digest((uint8_t)(i % 3), (uint8_t)(i % 2));
        name.bytes[5] = (uint8_t)i;
        name.bytes[6] = (uint8_t)(i >> 8);
        held[i] = claim(*state, name, 1, 1);
        assert_int_equal(held[i].standing, IDEMPOTENCY_FIRST);
    }
    assert_in_flight(*state, NAMES, NAMES);
    for (size_t i = 0; i < NAMES; i++)
        idempotency_release(held[i * 7 % NAMES].claim);
}

#define CLAIM_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_header_is_read),
        cmocka_unit_test(test_the_length_is_bounded),
        cmocka_unit_test(test_names_are_apart),
        CLAIM_TEST(test_the_first_and_those_who_ask_the_same),
        CLAIM_TEST(test_another_fingerprint_is_refused_all_the_time),
        CLAIM_TEST(test_a_record_is_known_to_all_who_hold_it),
        CLAIM_TEST(test_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
