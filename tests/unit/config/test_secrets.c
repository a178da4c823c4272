// Secrets: from the environment and from files, and never in a message.
#include <unistd.h>

#include "config_fixture.h"

static char path[] = "/tmp/farthing-secret-XXXXXX";

static int make_file(void **state) {
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void write_secret(struct slice bytes) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.len > 0 ? bytes.ptr : "", 1, bytes.len, f), bytes.len);
    fclose(f);
}

// A provider at line 1, its key at line 2.
static char *with_key(const char *value) {
    struct buffer text = {0};
    buffer_printf(&text, "provider \"p\" { base_url = \"http://h\"\n api_key = %s }\n%c", value,
                  '\0');
    return text.ptr;
}

static const struct config *valid_with_key(const char *value) {
    char *text = with_key(value);
    const struct config *c = load_valid(text);
    free(text);
    return c;
}

static void assert_key(const char *value, const char *wanted) {
    const struct config *c = valid_with_key(value);
    assert_slice(c->providers[0].api_key, wanted);
    config_unref(c);
}

static void the_environment_is_put_in(void **state) {
    (void)state;
    setenv("FARTHING_TEST_A", "alpha", 1);
    setenv("FARTHING_TEST_QUOTES", "a\"b\\c}${FARTHING_TEST_A}#'", 1);
    setenv("FARTHING_TEST_EMPTY", "", 1);
    assert_key("\"${FARTHING_TEST_A}\"", "alpha");
    assert_key("${FARTHING_TEST_A}", "alpha");
    assert_key("\"x-${FARTHING_TEST_A}-y-${FARTHING_TEST_A}\"", "x-alpha-y-alpha");
    assert_key("\"${FARTHING_TEST_QUOTES}\"", "a\"b\\c}${FARTHING_TEST_A}#'");
    assert_key("'${FARTHING_TEST_A}'", "${FARTHING_TEST_A}"); // as in a shell
    assert_key("\"\\${FARTHING_TEST_NOT_SET}\"", "${FARTHING_TEST_NOT_SET}");
    assert_key("\"${FARTHING_TEST_NOT_SET:-beta}\"", "beta");
    assert_key("\"${FARTHING_TEST_A:-beta}\"", "alpha");
    assert_key("\"$FARTHING_TEST_A\"", "$FARTHING_TEST_A");
    assert_key("\"k\" # ${FARTHING_TEST_NOT_SET}\n// ${FARTHING_TEST_NOT_SET}\n/* ${} */", "k");
}

static void an_unset_variable_is_an_error_at_its_line(void **state) {
    (void)state;
    unsetenv("FARTHING_TEST_NOT_SET");
    static const char *const values[] = {
        "\"${FARTHING_TEST_NOT_SET}\"", "${FARTHING_TEST_NOT_SET}",
        "\"a${FARTHING_TEST_NOT_SET}b\"",
        "'x' # \"\n/* \" */ idle_timeout = \"${FARTHING_TEST_NOT_SET}\""};
    for (size_t i = 0; i < FARTHING_COUNT(values); i++) {
        char *text = with_key(values[i]);
        refused_at(text, i == 3 ? 3 : 2, "\"FARTHING_TEST_NOT_SET\" is not set",
                   "${FARTHING_TEST_NOT_SET}");
        free(text);
    }
}

static void what_is_no_variable_is_refused(void **state) {
    (void)state;
    static const char *const values[] = {"\"${}\"",    "\"${A B}\"", "\"${9}\"", "\"${A\"",
                                         "\"${A\n}\"", "\"${:-x}\"", "${-}",     "\"${A:-x\ny}\""};
    for (size_t i = 0; i < FARTHING_COUNT(values); i++) {
        char *text = with_key(values[i]);
        refused_at(text, 2, "does not begin an environment variable", "${NAME}");
        free(text);
    }
}

static void an_empty_key_is_warned_about(void **state) {
    (void)state;
    setenv("FARTHING_TEST_EMPTY", "", 1);
    const struct config *c = valid_with_key("\"${FARTHING_TEST_EMPTY}\"");
    assert_int_equal(c->providers[0].api_key.len, 0);
    assert_true(warns(c, "t.conf:2: warning: api_key is empty"));
    config_unref(c);
}

static void passthrough_holds_no_key(void **state) {
    (void)state;
    const struct config *c = valid_with_key("\"passthrough\"");
    assert_true(c->providers[0].passthrough_key);
    assert_int_equal(c->providers[0].api_key.len, 0);
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void a_secret_file_is_read_without_its_line_end(void **state) {
    (void)state;
    static const char *const contents[] = {"sk-1", "sk-1\n", "sk-1\r\n", "sk-1\n\n\n"};
    char value[64];
    snprintf(value, sizeof value, "\"file:%s\"", path);
    for (size_t i = 0; i < FARTHING_COUNT(contents); i++) {
        write_secret(slice_of(contents[i]));
        assert_key(value, "sk-1");
    }
}

static void a_secret_file_stands_beside_the_configuration(void **state) {
    (void)state;
    write_secret(SLICE("sk-2\n"));
    static const char text[] = "provider \"p\" { base_url = \"http://h\" api_key = \"file:%s\" }";
    struct buffer conf = {0}, messages = {0};
    buffer_printf(&conf, text, strrchr(path, '/') + 1);
    const struct config *c = config_load_text(buffer_slice(&conf), "/tmp/x.conf", &messages);
    assert_non_null(c);
    assert_slice(c->providers[0].api_key, "sk-2");
    config_unref(c);
    assert_null(config_load_text(buffer_slice(&conf), "/nowhere/x.conf", &messages));
    buffer_free(&conf);
    buffer_free(&messages);
}

static void a_secret_file_that_is_not_one_secret_is_refused(void **state) {
    (void)state;
    static char large[5000];
    memset(large, 'x', sizeof large);
    const struct {
        struct slice contents;
        const char *says;
    } cases[] = {
        {SLICE(""), "is empty"},
        {SLICE("\n\r\n"), "is empty"},
        {slice_make(large, sizeof large), "too large"},
        {SLICE("hush-1\nx-forged: hush-2\n"), "a blank or a control character"},
        {SLICE("hush 1"), "a blank or a control character"},
        {SLICE("hush\0x"), "a blank or a control character"},
        {SLICE("\thush"), "a blank or a control character"},
        {SLICE("hush\x7F"), "a blank or a control character"},
    };
    char value[64];
    snprintf(value, sizeof value, "\"file:%s\"", path);
    char *text = with_key(value);
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        write_secret(cases[i].contents);
        refused_at(text, 2, "api_key: ", cases[i].says);
        char *messages = load_refused(text);
        assert_silent(messages, "hush");
        free(messages);
    }
    free(text);
}

static void a_secret_file_that_is_missing_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"\"file:/nowhere/key\"", "\"file:\"", "\"file:/tmp\""};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        char *text = with_key(names[i]);
        refused_at(text, 2, "api_key: cannot read the file", "expected a readable file");
        free(text);
    }
}

// Wherever a slip of the pen leads to, the word "hush" in it stays unsaid.
static void no_message_shows_a_secret(void **state) {
    (void)state;
    static const char *const texts[] = {
        PROVIDER "provider \"q\" { api_key = \"hush }",
        PROVIDER "provider \"q\" { api_key = \"hush\" \"hush2\" }",
        PROVIDER "provider \"q\" { api_key = sk+hush=x= }",
        PROVIDER "provider \"q\" { api_key = sk,hush }",
        PROVIDER "provider \"q\" { api_key = {\"hush\"} }",
        PROVIDER "provider \"q\" { api_key \"hush\" }",
        PROVIDER "provider \"q\" { api_key == \"hush\" }",
        PROVIDER "provider \"q\" { api_key = \"a hush\" base_url = \"http://h\" }",
        PROVIDER "provider \"q\" { api_key = \"${hush-hush\" }",
        PROVIDER "provider \"q\" { api_key = \"\\8hush\" }",
        PROVIDER "provider \"q\" { api_key = \"hush\" base_url = \"\" }",
        PROVIDER "provider \"q\" { api_key = \"hush\" base_url = \"http://me:hush@h\" }",
        PROVIDER "store { url = \"redis://:hush@h\" \"hush\" }",
        PROVIDER "store { kind = \"redis\" url = \"redis://:hush@h:x\" }",
        PROVIDER "store { kind = \"redis\" url = \"redis+cluster://:hush@h/1\" }",
        PROVIDER "store { kind = \"redis\" url = \"redis+sentinel://:hush@h\" }",
        PROVIDER "store { kind = \"redis\" url = \"redis+else://:hush@h\" }",
        PROVIDER "store { kind = \"redis\" url = \"redis://:hush@h\" password = \"hush\" }",
        PROVIDER "store { kind = \"redis\" url = \"redis://h\" password = \"hush hush\" }",
        PROVIDER "tenant \"t\" { keys = {\"hush\"} }",
        PROVIDER "tenant \"t\" { keys = {\"sha256:hush\"} }",
        PROVIDER "tenant \"t\" { keys = {\"hush\" \"hush\"} }",
        PROVIDER "tenant \"t\" { keys = \"a\" \"hush\" }",
    };
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        char *messages = load_refused(texts[i]);
        assert_silent(messages, "hush");
        assert_says(messages, "t.conf:2: ");
        free(messages);
    }
}

static void a_slip_behind_a_secret_still_gets_the_nearest_word(void **state) {
    (void)state;
    refused_at(PROVIDER "provider \"q\" { api_key = \"k\" base_ulr = \"http://h\" }", 2,
               "what follows the value of api_key", "did you mean \"base_url\"?");
    refused_at(PROVIDER "provider \"q\" { api_key = \"k\"\n base_ulr = \"http://h\" }", 3,
               "\"base_ulr\" is not a key of provider", "did you mean \"base_url\"?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_is_put_in),
        cmocka_unit_test(an_unset_variable_is_an_error_at_its_line),
        cmocka_unit_test(what_is_no_variable_is_refused),
        cmocka_unit_test(an_empty_key_is_warned_about),
        cmocka_unit_test(passthrough_holds_no_key),
        cmocka_unit_test(a_secret_file_is_read_without_its_line_end),
        cmocka_unit_test(a_secret_file_stands_beside_the_configuration),
        cmocka_unit_test(a_secret_file_that_is_not_one_secret_is_refused),
        cmocka_unit_test(a_secret_file_that_is_missing_is_refused),
        cmocka_unit_test(no_message_shows_a_secret),
        cmocka_unit_test(a_slip_behind_a_secret_still_gets_the_nearest_word),
    };
    return cmocka_run_group_tests_name("config/secrets", tests, make_file, remove_file);
}
