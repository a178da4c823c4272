// The log and errors: what reaches stderr, byte for byte.
#include "support.h"

#include <stdio.h>
#include <unistd.h>

// Standard error is a file while a test writes to it.
struct capture {
    int saved;
    FILE *file;
};

static struct capture capture_start(void) {
    struct capture c = {dup(STDERR_FILENO), tmpfile()};
    assert_non_null(c.file);
    assert_true(dup2(fileno(c.file), STDERR_FILENO) >= 0);
    return c;
}

static size_t capture_end(struct capture *c, char *out, size_t room) {
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    rewind(c->file);
    size_t n = fread(out, 1, room - 1, c->file);
    out[n] = '\0';
    fclose(c->file);
    return n;
}

static int set_up(void **state) {
    (void)state;
    clock_freeze(0, 0);
    log_set_level(LOG_DEBUG);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    clock_thaw();
    log_set_level(LOG_INFO);
    return 0;
}

static void a_line_has_time_level_and_text(void **state) {
    (void)state;
    char out[1024];
    struct capture c = capture_start();
    log_write(LOG_DEBUG, "a %d", 1);
    log_write(LOG_INFO, "b");
    log_write(LOG_WARNING, "%s", "");
    log_write(LOG_ERROR, "d");
    capture_end(&c, out, sizeof out);
    assert_string_equal(out, "ts=1970-01-01T00:00:00.000Z level=debug msg=\"a 1\"\n"
                             "ts=1970-01-01T00:00:00.000Z level=info msg=\"b\"\n"
                             "ts=1970-01-01T00:00:00.000Z level=warning msg=\"\"\n"
                             "ts=1970-01-01T00:00:00.000Z level=error msg=\"d\"\n");
}

static void what_lies_under_the_level_is_not_written(void **state) {
    (void)state;
    char out[1024];
    log_set_level(LOG_WARNING);
    struct capture c = capture_start();
    log_write(LOG_DEBUG, "no");
    log_write(LOG_INFO, "no");
    log_write(LOG_WARNING, "yes");
    capture_end(&c, out, sizeof out);
    assert_string_equal(out, "ts=1970-01-01T00:00:00.000Z level=warning msg=\"yes\"\n");
}

static void levels_have_names(void **state) {
    (void)state;
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (int i = 0; i < 4; i++) {
        enum log_level level;
        assert_true(log_level_parse(slice_of(names[i]), &level));
        assert_int_equal(level, i);
    }
    enum log_level untouched = LOG_ERROR;
    assert_false(log_level_parse(SLICE("INFO"), &untouched));
    assert_false(log_level_parse(SLICE_NONE, &untouched));
    assert_int_equal(untouched, LOG_ERROR);
}

static void no_byte_can_forge_a_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"a\nts=0 level=error msg=\"x\"", "a\\x0ats=0 level=error msg=\\\"x\\\""},
        {"\r\x1b[31m\x01\x7f\t", "\\x0d\\x1b[31m\\x01\\x7f\\x09"},
        {"back\\slash", "back\\\\slash"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        // C1 controls, raw and in UTF-8: some terminals obey them.
        {"\x9b"
         "31m",
         "\\x9b31m"},
        {"\xc2\x9b"
         "31m\xc2\xa0",
         "\\xc2\\x9b31m\xc2\xa0"},
        // Not UTF-8.
        {"\xff\xc3(\xe2\x82", "\\xff\\xc3(\\xe2\\x82"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        char out[1024], wanted[1024];
        struct capture c = capture_start();
        log_write(LOG_INFO, "%s", cases[i].text);
        capture_end(&c, out, sizeof out);
        snprintf(wanted, sizeof wanted, "ts=1970-01-01T00:00:00.000Z level=info msg=\"%s\"\n",
                 cases[i].written);
        assert_string_equal(out, wanted);
    }
}

// Whatever the length, it is one line, with its end.
static void long_texts_are_cut_within_their_line(void **state) {
    (void)state;
    static const char fills[] = {'x', '\n', '"', '\xc3'};
    for (size_t f = 0; f < sizeof fills; f++)
        for (size_t length = 400; length < 3000; length += 13) {
            char text[3001], out[8192];
            memset(text, fills[f], length);
            text[length] = '\0';
            struct capture c = capture_start();
            log_write(LOG_INFO, "%s", text);
            size_t n = capture_end(&c, out, sizeof out);
            assert_true(n > 400 && n <= 4096);
            assert_ptr_equal(strchr(out, '\n'), out + n - 1);
            assert_int_equal(out[n - 2], '"');
        }
}

static void errors_carry_words(void **state) {
    (void)state;
    struct error e;
    assert_false(error_set(&e, "line %d: %s", 3, "bad"));
    assert_string_equal(e.text, "line 3: bad");
    // A frame around what was said before.
    assert_false(error_set(&e, "%s in %s", e.text, "routing.conf"));
    assert_string_equal(e.text, "line 3: bad in routing.conf");
    assert_false(error_set(NULL, "nobody asks"));
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(error_set(&e, "%s", text));
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void) {
#define LOG_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_time_level_and_text),
        LOG_TEST(what_lies_under_the_level_is_not_written),
        LOG_TEST(levels_have_names),
        LOG_TEST(no_byte_can_forge_a_line),
        LOG_TEST(long_texts_are_cut_within_their_line),
        LOG_TEST(errors_carry_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
