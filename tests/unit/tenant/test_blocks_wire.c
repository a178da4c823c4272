// How orders to block are written in a shared store, and what is made of its answers:
// what was written comes back, and of anything else nothing is believed.
#include "scene.h"

#include "blocks_room.h"

static const uint8_t a_digest[DIGEST_LEN] = {0xab, 0xcd, 0x01};

static void put_frame(struct buffer *out, const struct key_block *block) {
    struct buffer name = {0}, order = {0};
    blocks_put_name(&name, block);
    blocks_put_order(&order, block);
    buffer_printf(out, "%zu %zu\n", name.len, order.len);
    buffer_append(out, buffer_slice(&name));
    buffer_append(out, buffer_slice(&order));
    buffer_free(&name);
    buffer_free(&order);
}

static void put_raw(struct buffer *out, const char *name, const char *order) {
    buffer_printf(out, "%zu %zu\n%s%s", strlen(name), strlen(order), name, order);
}

static void expect_same(const struct key_block *a, const struct key_block *b) {
    assert_int_equal(a->digest != NULL, b->digest != NULL);
    if (a->digest != NULL)
        assert_memory_equal(a->digest, b->digest, DIGEST_LEN);
    assert_true(slice_equal(a->tenant, b->tenant));
    assert_true(slice_equal(a->who, b->who));
    assert_true(slice_equal(a->reason, b->reason));
    assert_int_equal(a->blocked, b->blocked);
    assert_int_equal(a->at_ms, b->at_ms);
}

static void what_was_written_comes_back(void **state) {
    (void)state;
    const struct slice odd = SLICE("\0 1\n2 3\n\xff\"}");
    const struct key_block blocks[] = {
        {.digest = a_digest, .blocked = true, .at_ms = 1},
        {a_digest, SLICE("acme"), false, NOON_MS, SLICE("joe"), SLICE("leaked")},
        {.tenant = SLICE("acme"), .blocked = true, .at_ms = BLOCKS_AT_MAX},
        {.tenant = odd, .blocked = false, .at_ms = 5, .who = odd, .reason = odd},
    };
    struct buffer text = {0};
    struct blocks_answer a;
    struct key_block block;
    uint8_t digest[DIGEST_LEN];
    buffer_printf(&text, "171.5 3 7 1\n");
    for (size_t i = 0; i < FARTHING_COUNT(blocks); i++)
        put_frame(&text, &blocks[i]);
    assert_true(blocks_answer_read(buffer_slice(&text), &a));
    assert_string_equal(a.id, "171.5");
    assert_true(a.from == 3 && a.to == 7 && a.more);
    for (size_t i = 0; i < FARTHING_COUNT(blocks); i++) {
        assert_true(blocks_answer_next(&a, &block, digest));
        expect_same(&block, &blocks[i]);
    }
    assert_false(blocks_answer_next(&a, &block, digest));
    assert_false(blocks_answer_next(&a, &block, digest));
    buffer_free(&text);
}

static void what_is_no_answer_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "", "x", "x 1 2 0", " 1 2 0\n", "x 1 2 2\n", "x 2 1 0\n", "x -1 2 0\n",
        "x 1 99999999999999999999 0\n",
        "x 1 1 1\n", // more, and yet nothing was passed
        "x 1 2 0 \n", "0123456789012345678901234567890123456789+ 0 0 0\n", "x  1 2 0\n",
    };
    struct blocks_answer a;
    for (size_t i = 0; i < FARTHING_COUNT(wrong); i++)
        if (blocks_answer_read(slice_of(wrong[i]), &a))
            fail_msg("read: %s", wrong[i]);
    assert_false(blocks_answer_read(SLICE("x\0y 0 0 0\n"), &a));
    assert_true(blocks_answer_read(SLICE("0123456789012345678901234567890123456789 0 0 0\n"), &a));
}

static void what_cannot_be_an_order_is_passed_over(void **state) {
    (void)state;
    char hex[2 * DIGEST_LEN + 2] = "k", text[KEY_BLOCK_TEXT_MAX + 2] = "t", order[400];
    digest_hex(a_digest, DIGEST_LEN, hex + 1);
    memset(text + 1, 'x', KEY_BLOCK_TEXT_MAX);
    struct buffer all = {0};
    buffer_printf(&all, "x 0 9 0\n");
    static const char *const orders[] = {
        "", "1 1 0 0", "0 1 0 0\n", "1 2 0 0\n", "1 1 1 0\n", "1 1 0 1\n", "-1 1 0 0\n",
        "253402300800000 1 0 0\n", "1 1 18446744073709551615 1\nx", "1 1 0 18446744073709551615\nx",
    };
    for (size_t i = 0; i < FARTHING_COUNT(orders); i++)
        put_raw(&all, hex, orders[i]);
    static const char *const names[] = {"", "k", "t", "x", "id", "k12ab", "revision"};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        put_raw(&all, names[i], "1 1 0 0\n");
    hex[5] = 'g';
    put_raw(&all, hex, "1 1 0 0\n");
    snprintf(order, sizeof order, "1 1 0 0\n%sx", text); // a reason that is too long
    put_raw(&all, "tacme", order);
    snprintf(order, sizeof order, "1 1 0 257\n%s", text);
    put_raw(&all, "tacme", order);
    put_raw(&all, text, "8 1 0 0\n"); // a name that is just not
    struct blocks_answer a;
    struct key_block block;
    uint8_t digest[DIGEST_LEN];
    assert_true(blocks_answer_read(buffer_slice(&all), &a));
    assert_true(blocks_answer_next(&a, &block, digest));
    assert_int_equal(block.at_ms, 8);
    assert_int_equal(block.tenant.len, KEY_BLOCK_TEXT_MAX);
    assert_false(blocks_answer_next(&a, &block, digest));
    buffer_free(&all);
}

static void an_answer_that_is_cut_off_gives_what_is_whole(void **state) {
    (void)state;
    struct buffer text = {0};
    const struct key_block acme = {.tenant = SLICE("acme"), .blocked = true, .at_ms = 5};
    buffer_printf(&text, "x 0 2 0\n");
    size_t head = text.len;
    put_frame(&text, &acme);
    size_t one = text.len;
    put_frame(&text, &acme);
    for (size_t len = head; len <= text.len; len++) {
        struct blocks_answer a;
        struct key_block block;
        uint8_t digest[DIGEST_LEN];
        size_t count = 0;
        assert_true(blocks_answer_read(slice_make(text.ptr, len), &a));
        while (blocks_answer_next(&a, &block, digest))
            count++;
        assert_int_equal(count, len == text.len ? 2 : len >= one ? 1 : 0);
    }
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_comes_back),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(what_cannot_be_an_order_is_passed_over),
        cmocka_unit_test(an_answer_that_is_cut_off_gives_what_is_whole),
    };
    return cmocka_run_group_tests_name("tenant/blocks_wire", tests, NULL, NULL);
}
