// Degenerate repetition, and all that repeats for good reason.
#include "gate_fixture.h"

// The unit `times` times between two texts.
static struct buffer repeated(const char *before, const char *unit, int times,
                              const char *after) {
    struct buffer text = {0};
    buffer_append(&text, slice_of(before));
    for (int i = 0; i < times; i++)
        buffer_append(&text, slice_of(unit));
    buffer_append(&text, slice_of(after));
    return text;
}

static const char paragraph[] =
    "The system is designed to be robust, and it handles each request in order, with care for "
    "every detail that might matter to the user in the end. ";

static const struct {
    const char *before, *unit, *after;
    int times;
    const char *finish;
    bool repeats;
} rows[] = {
    // Loops that were cut off.
    {"The answer is: ", "I don't know. ", "", 60, "length", true},
    {"The answer is: ", "I don't know. ", "I don't", 60, "length", true},
    {"", "la ", "", 400, "length", true},
    {"Intro. ", paragraph, "The sys", 5, "length", true},
    {"", "\n", "", 2000, "length", true},
    {"{\"a\":\"", "0", "", 2000, "length", true},
    {"", "我不知道。", "", 60, "length", true},
    // Loops that ended by themselves.
    {"The answer is: ", "I don't know. ", "", 100, "stop", true},
    {"The answer is: ", "I don't know. ", "\n\n", 100, "stop", true},
    {"Intro. ", paragraph, "", 8, "stop", true},
    // Too little, or over before the end.
    {"", "la ", "", 40, "length", false},
    {"", "na ", "hey Jude", 60, "stop", false},
    {"The answer is: ", "I don't know. ", "", 20, "stop", false},
    {"Intro. ", paragraph, "", 3, "length", false},
    {"Intro. ", paragraph, "", 4, "stop", false},
    {"The answer is: ", "I don't know. ", "But then it goes on and finds an answer.", 100, "length",
     false},
    {"int zeros[] = {", "0, ", "};\nAnd that is the array.", 2000, "stop", false},
    {"Title\n", "=", "\n", 80, "stop", false},
    {"", "-", "", 200, "length", false},
    {"| a | b |\n|---|---|\n", "| - | - |\n", "", 30, "stop", false},
    {"", "    \n", "", 100, "stop", false},
};

static void loops_are_told_from_what_repeats(void **state) {
    (void)state;
    struct config_route route = every_reason();
    route.escalate_on = ONLY(REPETITION);
    struct bench b;
    bench_begin(&b, route);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer text =
            repeated(rows[i].before, rows[i].unit, rows[i].times, rows[i].after);
        const char *reason = judged_text(&b, "{}", buffer_slice(&text), rows[i].finish);
        if (strcmp(reason, rows[i].repeats ? "repetition" : "none") != 0)
            fail_msg("row %zu: %s: %s", i, rows[i].unit, reason);
        buffer_free(&text);
    }
    bench_end(&b);
}

static void pass(struct bench *b, struct buffer *text) {
    assert_true(text->len > 4096);
    assert_string_equal(judged_text(b, "{}", buffer_slice(text), "length"), "none");
    buffer_free(text);
}

// Long ones, cut off in their middle: alike from row to row, but not the same.
static void tables_code_and_poems_pass(void **state) {
    (void)state;
    struct config_route route = every_reason();
    route.escalate_on = ONLY(REPETITION);
    struct bench b;
    bench_begin(&b, route);
    struct buffer table = {0}, code = {0}, poem = {0}, list = {0}, csv = {0};
    for (int i = 0; i < 300; i++)
        buffer_printf(&table, "| %d | yes | no | yes |\n", i);
    pass(&b, &table);
    for (int i = 0; i < 200; i++)
        buffer_printf(&code, "        case %d:\n            return handle(a, b);\n", i);
    pass(&b, &code);
    for (int i = 0; i < 100; i++)
        buffer_printf(&poem, "And %d little birds sang on\nSing, sing, sing, sing,\nall day long\n",
                      i);
    pass(&b, &poem);
    for (int i = 0; i < 400; i++)
        buffer_printf(&list, "- item %d: to be done\n", i);
    pass(&b, &list);
    for (int i = 0; i < 2000; i++)
        buffer_printf(&csv, "%d,0,0,0\n", i * 7919 % 1000);
    pass(&b, &csv);
    bench_end(&b);
}

static void the_words_quote_one_turn(void **state) {
    (void)state;
    struct bench b;
    bench_begin(&b, every_reason());
    struct buffer text = repeated("", "один два ", 200, "");
    assert_string_equal(judged_text(&b, "{}", buffer_slice(&text), "length"), "repetition");
    for (size_t at = 0, n; at < b.violation.len; at += n) {
        n = slice_utf8(slice_from(b.violation, at)); // cut at a character's end
        assert_true(n > 0);
    }
    assert_true(b.violation.len < 200);
    buffer_free(&text);
    bench_end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_are_told_from_what_repeats),
        cmocka_unit_test(tables_code_and_poems_pass),
        cmocka_unit_test(the_words_quote_one_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
