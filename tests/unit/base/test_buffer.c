// Buffers, the arena, and memory in lines.
#include "support.h"

#include <stdalign.h>

static void a_buffer_grows(void **state) {
    (void)state;
    struct buffer b = {0};
    assert_int_equal(buffer_slice(&b).len, 0);
    buffer_append(&b, SLICE_NONE);
    assert_null(b.ptr); // nothing allocated for nothing
    for (int i = 0; i < 10000; i++)
        buffer_append_char(&b, (char)('a' + i % 26));
    assert_int_equal(b.len, 10000);
    assert_true(b.cap >= b.len);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(b.ptr[i], 'a' + i % 26);
    size_t cap = b.cap;
    buffer_clear(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, cap);
    buffer_reserve(&b, 1000000);
    assert_true(b.cap >= 1000000);
    assert_int_equal(b.len, 0);
    buffer_free(&b);
    assert_null(b.ptr);
    buffer_free(&b); // again is fine
}

static void lines_are_whole_and_empty(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 65, 1000};
    for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
        uint8_t *bytes = base_calloc_lines(sizes[i]);
        assert_int_equal((uintptr_t)bytes % CACHE_LINE, 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(bytes[k], 0);
        free(bytes);
    }
}

static void numbers_are_appended(void **state) {
    (void)state;
    struct buffer b = {0};
    buffer_append_u64(&b, 0);
    buffer_append_char(&b, ' ');
    buffer_append_u64(&b, UINT64_MAX);
    buffer_append_char(&b, ' ');
    buffer_append_i64(&b, INT64_MIN);
    buffer_append_char(&b, ' ');
    buffer_append_i64(&b, INT64_MAX);
    buffer_append_char(&b, ' ');
    buffer_append_i64(&b, -1);
    assert_text(buffer_slice(&b), "0 18446744073709551615 -9223372036854775808 "
                                  "9223372036854775807 -1");
    buffer_free(&b);
}

// Texts around the sizes where the first attempt does not fit.
static void printing_fits_any_length(void **state) {
    (void)state;
    char text[700];
    memset(text, 'x', sizeof text);
    for (int length = 0; length < 700; length++) {
        struct buffer b = {0};
        BUFFER_LITERAL(&b, "<");
        buffer_printf(&b, "%.*s%d", length, text, 7);
        BUFFER_LITERAL(&b, ">");
        assert_int_equal(b.len, (size_t)length + 3);
        assert_true(slice_ends_with(buffer_slice(&b), SLICE("7>")));
        assert_int_equal(slice_find_char(buffer_slice(&b), '\0'), -1);
        buffer_free(&b);
    }
    struct buffer b = {0};
    buffer_printf(&b, "%s", "");
    assert_int_equal(b.len, 0);
    buffer_free(&b);
}

static void bytes_are_consumed_at_the_front(void **state) {
    (void)state;
    struct buffer b = {0};
    BUFFER_LITERAL(&b, "abcdef");
    buffer_consume(&b, 0);
    buffer_consume(&b, 2);
    assert_text(buffer_slice(&b), "cdef");
    buffer_append_char(&b, 'g');
    assert_text(buffer_slice(&b), "cdefg");
    buffer_consume(&b, 5);
    assert_int_equal(b.len, 0);
    BUFFER_LITERAL(&b, "x");
    buffer_consume(&b, 100);
    assert_int_equal(b.len, 0);
    buffer_free(&b);
    buffer_consume(&b, 1); // also of an empty one
}

// Sizes of all kinds: every piece is aligned, and none overlaps another.
static void arena_pieces_are_apart_and_aligned(void **state) {
    (void)state;
    enum { PIECES = 600 };
    struct arena *a = arena_new(100);
    unsigned char *pieces[PIECES];
    size_t sizes[PIECES];
    random_seed(3);
    for (size_t i = 0; i < PIECES; i++) {
        sizes[i] = random_below(i % 50 == 0 ? 100000 : 300);
        pieces[i] = arena_alloc(a, sizes[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(pieces[i][j], i % 251);
    arena_free(a);
    arena_free(NULL);
}

static void an_arena_says_what_it_holds(void **state) {
    (void)state;
    struct arena *a = arena_new(1000);
    size_t first = arena_bytes(a);
    assert_true(first >= 1000);
    (void)arena_alloc(a, 900);
    assert_int_equal(arena_bytes(a), first);
    (void)arena_alloc(a, 1 << 20);
    assert_true(arena_bytes(a) >= first + (1 << 20));
    // The large piece did not waste the room that was left.
    size_t with_large = arena_bytes(a);
    (void)arena_alloc(a, 16);
    assert_int_equal(arena_bytes(a), with_large);
    arena_free(a);
}

static void an_arena_without_a_first_block_works(void **state) {
    (void)state;
    struct arena *a = arena_new(0);
    assert_non_null(arena_alloc(a, 0));
    memset(arena_alloc(a, 5000), 1, 5000);
    const char *zeros = arena_calloc(a, 3000);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(zeros[i], 0);
    assert_non_null(arena_calloc(a, 0));
    arena_free(a);
}

static void arena_strings_end_with_nul(void **state) {
    (void)state;
    struct arena *a = arena_new(64);
    assert_string_equal(arena_string(a, slice_make("abcdef", 4)), "abcd");
    assert_string_equal(arena_string(a, SLICE_NONE), "");
    struct slice copy = arena_copy(a, SLICE("a\0b"));
    assert_bytes(copy, SLICE("a\0b"));
    assert_int_equal(copy.ptr[3], '\0');
    struct slice joined = ARENA_JOIN(a, SLICE("ab"), SLICE_NONE, SLICE("c"));
    assert_bytes(joined, SLICE("abc"));
    assert_int_equal(joined.ptr[3], '\0');
    assert_string_equal(arena_join(a, NULL, 0).ptr, "");
    arena_free(a);
}

// Every length against every fill of the block: printed in place or elsewhere.
static void an_arena_prints_any_length(void **state) {
    (void)state;
    char text[400];
    memset(text, 'y', sizeof text);
    for (size_t filled = 0; filled <= 256; filled += 16)
        for (int length = 0; length < 400; length += 3) {
            struct arena *a = arena_new(256);
            (void)arena_alloc(a, filled);
            struct slice printed = arena_printf(a, "%.*s%c", length, text, '!');
            char *next = arena_alloc(a, 8);
            memset(next, 'z', 8); // what comes after does not touch it
            assert_int_equal(printed.len, (size_t)length + 1);
            assert_int_equal(strlen(printed.ptr), printed.len);
            assert_int_equal(slice_find_char(printed, '!'), length);
            arena_free(a);
        }
    struct arena *a = arena_new(16);
    assert_string_equal(arena_printf(a, "%s", "").ptr, "");
    arena_free(a);
}

static void zeroed_and_grown_memory(void **state) {
    (void)state;
    char *p = base_calloc(10, 10);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    memset(p, 5, 100);
    p = base_realloc(p, 1000);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 5);
    free(p);
    free(base_alloc(0)); // may be NULL
    free(base_calloc(0, 8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_grows),
        cmocka_unit_test(lines_are_whole_and_empty),
        cmocka_unit_test(numbers_are_appended),
        cmocka_unit_test(printing_fits_any_length),
        cmocka_unit_test(bytes_are_consumed_at_the_front),
        cmocka_unit_test(arena_pieces_are_apart_and_aligned),
        cmocka_unit_test(an_arena_says_what_it_holds),
        cmocka_unit_test(an_arena_without_a_first_block_works),
        cmocka_unit_test(arena_strings_end_with_nul),
        cmocka_unit_test(an_arena_prints_any_length),
        cmocka_unit_test(zeroed_and_grown_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
