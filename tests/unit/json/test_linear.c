// The work grows as the input does. The room is compiled with a counter in
// every basic block; an input of twice the size may take little more than
// twice the blocks, whatever it is made of. Counts, unlike times, do not
// depend on the machine.
#include "support.h"

static uint64_t blocks;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) {
    blocks++;
}

typedef void generator(struct buffer *out, size_t n);

static void repeated(struct buffer *out, const char *before, const char *item, const char *after,
                     size_t n) {
    buffer_append(out, slice_of(before));
    for (size_t i = 0; i < n; i++)
        buffer_append(out, slice_of(item));
    buffer_append(out, slice_of(after));
}

static void one_string(struct buffer *out, size_t n) {
    repeated(out, "\"", "plain text, \\n and \\u00e9 \\ud83d\\ude00 \xc3\xa9 \xe4\xb8\xad", "\"",
             n);
}

static void many_numbers(struct buffer *out, size_t n) {
    repeated(out, "[0", ",1.50e-3,17", "]", n);
}

static void one_number(struct buffer *out, size_t n) {
    repeated(out, "0.", "00000000", "1e-5", n);
}

static void many_objects(struct buffer *out, size_t n) {
    repeated(out, "[0", ",{\"role\":\"user\",\"content\":[{\"b\":null,\"a\":true}]}", "]", n);
}

static void nested(struct buffer *out, size_t n) {
    n /= 4; // the depth is bounded
    repeated(out, "", "[{\"k\":", "0", n);
    repeated(out, "", "}]", "", n);
}

static void white_space(struct buffer *out, size_t n) {
    repeated(out, "[", " \n\t\r", "]", n);
}

static void quotes_cut_short(struct buffer *out, size_t n) {
    repeated(out, "[", "\"\\\\\",", "", n);
}

// Spread, so that the keys do not stand in order.
static void keys_of_one_object(struct buffer *out, size_t n, const char *prefix) {
    for (size_t i = 0; i < n; i++)
        buffer_printf(out, "%c\"%s%u\":%zu", i > 0 ? ',' : '{', prefix, (unsigned)(i * 2654435761u),
                      i);
    buffer_append_char(out, '}');
}

static void plain_keys(struct buffer *out, size_t n) {
    keys_of_one_object(out, n, "key");
}

static void escaped_keys(struct buffer *out, size_t n) {
    keys_of_one_object(out, n, "\\u006b\\u0065y\\/");
}

static void sorted_keys(struct buffer *out, size_t n) {
    for (size_t i = 0; i < n; i++)
        buffer_printf(out, "%c\"%08zu\":{}", i > 0 ? ',' : '{', i);
    buffer_append_char(out, '}');
}

static void count_bytes(void *arg, struct slice piece) {
    *(size_t *)arg += piece.len;
}

// Everything that is done to a request: index, duplicates, canonical form.
static uint64_t work_for(struct bench *b, generator *make, size_t n) {
    struct buffer text = {0};
    make(&text, n);
    blocks = 0;
    if (json_parse(b->doc, buffer_slice(&text), NULL, &b->err)) {
        size_t bytes = 0;
        assert_int_equal(json_duplicate_key(b->doc, JSON_ROOT), JSON_NONE);
        assert_true(json_canonical(b->doc, JSON_ROOT, NULL, NULL, count_bytes, &bytes, &b->err));
        assert_true(bytes <= text.len);
    }
    buffer_free(&text);
    return blocks;
}

static void twice_the_input_is_twice_the_work(void **state) {
    struct bench *b = *state;
    static const struct {
        const char *name;
        generator *make;
    } kinds[] = {
        {"one string", one_string},
        {"many numbers", many_numbers},
        {"one number", one_number},
        {"many objects", many_objects},
        {"nested", nested},
        {"white space", white_space},
        {"quotes cut short", quotes_cut_short},
        {"plain keys", plain_keys},
        {"escaped keys", escaped_keys},
        {"sorted keys", sorted_keys},
    };
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        uint64_t once = work_for(b, kinds[i].make, 1000);
        uint64_t twice = work_for(b, kinds[i].make, 2000);
        assert_true(once > 1000);
        // A sort adds its logarithm: 2 * log(2000) / log(1000) is 2.2.
        if (twice > once * 23 / 10)
            fail_msg("%s: %lu blocks, then %lu", kinds[i].name, (unsigned long)once,
                     (unsigned long)twice);
    }
}

// Edits: as many as one likes on one object.
static void edits_are_linear_in_their_number(void **state) {
    struct bench *b = *state;
    uint64_t work[2];
    for (size_t round = 0; round < 2; round++) {
        struct buffer text = {0};
        sorted_keys(&text, (size_t)1000 << round);
        assert_true(json_parse(b->doc, buffer_slice(&text), NULL, &b->err));
        blocks = 0;
        struct json_edits *e = json_edits_new(b->doc, b->arena);
        for (json_ref key = json_first(b->doc, JSON_ROOT); key != JSON_NONE;
             key = json_next(b->doc, JSON_ROOT, key)) {
            if (key % 4 == 1)
                json_edit_remove_key(e, JSON_ROOT, key);
            else
                json_edit_replace(e, json_value_of(key), SLICE("0"));
        }
        assert_true(json_edits_apply(e).len > 0);
        work[round] = blocks;
        buffer_free(&text);
    }
    assert_true(work[0] > 1000);
    assert_true(work[1] <= work[0] * 23 / 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BENCH_TEST(twice_the_input_is_twice_the_work),
        BENCH_TEST(edits_are_linear_in_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
