// libconfuse's syntax as this room reads it: words that are not known, strings,
// comments, includes, and above all that lines are counted right.
#include <sys/stat.h>
#include <unistd.h>

#include "config_fixture.h"

struct refusal {
    const char *text;
    int line;
    const char *says, *also;
};

static const struct refusal refusals[] = {
    // Words that are not known, here or at all.
    {PROVIDER "servr { }", 2, "\"servr\" is not a key of the file", "did you mean \"server\"?"},
    {PROVIDER "zzzzzzzz { }", 2, "\"zzzzzzzz\" is not a key of the file", "docs/configuration.md"},
    {PROVIDER "server {\n listne = 1 }", 3, "\"listne\" is not a key of server", "\"listen\"?"},
    {PROVIDER "cache {\n tll = \"1s\" }", 3, "\"tll\" is not a key of cache", "\"ttl\"?"},
    {PROVIDER "cache {\n scope = \"user\" }", 3, "\"scope\" is not a key of cache", NULL},
    {PROVIDER "route \"r\" { cache {\n tll = 1 } }", 3, "\"tll\" is not a key of cache",
     "\"ttl\"?"},
    {PROVIDER "route \"r\" {\n mtach { } }", 3, "\"mtach\" is not a key of route", "\"match\"?"},
    {PROVIDER "provider \"q\" { retri { } }", 2, "is not a key of provider", "\"retry\"?"},
    {PROVIDER "server { server { } }", 2, "\"server\" is not a key of server", NULL},
    {PROVIDER "model = \"x\"", 2, "model", "in quotes"},
    {PROVIDER "server|workers = 3", 2, "\"server|workers\" is not a key", NULL},
    {PROVIDER "\"server|workers\" = 3", 2, "a key stands without quotes", NULL},
    {PROVIDER "\"server\" { }", 2, "a section's name stands without quotes", NULL},
    // Signs that are missing or too many.
    {PROVIDER "server { workers 3 }", 2, "workers: expected \"=\"", NULL},
    {PROVIDER "server { workers += 3 }", 2, "workers: \"+=\" adds to lists", "\"=\""},
    {PROVIDER "server { workers = {3} }", 2, "\"{\" is out of place", NULL},
    {PROVIDER "server { workers = }", 2, "\"}\" is out of place", NULL},
    {PROVIDER "server { = 3 }", 2, "\"=\" is out of place", NULL},
    {PROVIDER "server workers", 2, "server: expected \"{\"", NULL},
    {PROVIDER "provider { }", 2, "provider: expected a name in quotes", "provider \"NAME\" {"},
    {PROVIDER "tier \"t\" { models = {\"p/a\" \"p/b\"} }", 2, "\"p/b\" is out of place", "\",\""},
    {PROVIDER "}", 2, "closing brace", NULL},
    {"\n" PROVIDER "server {\n listen = {\"127.0.0.1:1\" }\n\n", 3, "what begins here has no end",
     "\"}\""},
    {PROVIDER "tier \"t\" {\n models = {\"p/a\",", 3, "what begins here has no end", NULL},
    {PROVIDER "server", 2, "end of file", NULL},
    {"\n{ z {", 2, "what begins here has no end", NULL},
    // Strings and comments without an end are told where they begin.
    {PROVIDER "server {\n workers = \"3\n }\n\n", 3, "this string has no end", "expected \""},
    {PROVIDER "server {\n workers = '3\n }\n\n", 3, "this string has no end", "expected '"},
    {PROVIDER "server {\n workers = \"3\\", 3, "this string has no end", NULL},
    {PROVIDER "server {\n workers = '3\\", 3, "this string has no end", NULL},
    {PROVIDER "\n/* so\n far", 3, "this comment has no end", "*/"},
    {PROVIDER "server { workers = \"\\8\" }", 2, "\"\\8\" begins no valid escape", NULL},
    {PROVIDER "server { workers = \"\\777\" }", 2, "begins no valid escape", NULL},
    {PROVIDER "server { workers = \"\\1234\" }", 2, "begins no valid escape", NULL},
    {PROVIDER "server { workers = \"\\0\" }", 2, "no zero byte", NULL},
    {PROVIDER "server { workers = \"\\x00\" }", 2, "no zero byte", NULL},
    {PROVIDER "server { workers = \"\\x0\" }", 2, "no zero byte", NULL},
    // The lines of what follows all that libconfuse counts wrongly.
    {"# a\n# b\n" PROVIDER "server { # c\n workers = 99 # d\n}", 5, "\"99\"", NULL},
    {"// a\n/* b\n * c\n */\n\n" PROVIDER "server { /* d */ workers = 99 }", 7, "\"99\"", NULL},
    {PROVIDER "tier \"t\" { models = { # one\n \"p/a\", // two\n /* three */ \"q/b\" } }", 4, "q/b",
     NULL},
    {PROVIDER "server { listen = {\n\n \"127.0.0.1:1\",\n\n \"x\"\n\n} }", 6, "listen: \"x\"",
     NULL},
    {PROVIDER "route \"a\\\nb\" {\n max_output_tokens = 0 }", 4, "\"0\"", NULL},
    {PROVIDER
     "route \"r\" { match { features = {\"a\nb\", 'c\nd', 'e\\\nf'} }\n concise = perhaps }",
     6, "perhaps", NULL},
    {"\r\n" PROVIDER "server {\r\n workers = 99\r\n}", 4, "\"99\"", NULL},
    {PROVIDER "server { workers\n=\n99 }", 4, "\"99\"", NULL},
};

static void what_is_not_the_syntax_is_told_at_its_line(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(refusals); i++)
        refused_at(refusals[i].text, refusals[i].line, refusals[i].says, refusals[i].also);
}

static void a_broken_text_leaves_nothing_behind_for_the_next(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(refusals); i++) {
        free(load_refused(refusals[i].text));
        const struct config *c = load_valid("# x\n" PROVIDER "server { workers = 2 }");
        assert_int_equal(c->server.workers, 2);
        config_unref(c);
    }
}

static void values_in_all_spellings(void **state) {
    (void)state;
    const struct config *c = load_valid(
        "\xEF\xBB\xBF"
        "provider p { base_url = http://host/v1 } // not a comment inside the URL\n"
        "/**/server /* a */ { workers = 2 /* \" */ listen = '127.0.0.1:1' listen += "
        "{\"127.0.0.1:2\"} }\n"
        "log { cost_log = \"a\\\"b\\\\c\\x41\\101 # // /* {}\" prices = 'a\\'b\\\\c\\d${X}\"' }\n"
        "tier t { models = p/m }\n"
        "route \"long \\\nname\" { match { features = {'x', # }\n 'y' } } }\n");
    assert_slice(c->providers[0].base_url, "http://host/v1");
    assert_int_equal(c->server.workers, 2);
    assert_int_equal(c->server.listen.count, 2);
    assert_slice(c->server.listen.items[1], "127.0.0.1:2");
    assert_slice(c->log.cost_log, "a\"b\\cAA # // /* {}");
    assert_slice(c->log.prices, "a'b\\c\\d${X}\"");
    assert_int_equal(c->tiers[0].model_count, 1);
    assert_slice(c->routes[0].name, "long name");
    assert_int_equal(c->routes[0].match_features.count, 2);
    config_unref(c);
}

// ---------------------------------------------------------------- hostile

static void a_nul_byte_is_refused_at_its_line(void **state) {
    (void)state;
    char *messages =
        load_refused_bytes(slice_make(PROVIDER "\nserver { \0 }", sizeof(PROVIDER) + 12));
    assert_says(messages, "t.conf:3: the file contains a NUL byte");
    free(messages);
}

static char *repeated(const char *before, const char *what, size_t times, const char *after) {
    struct buffer text = {0};
    buffer_append(&text, slice_of(before));
    for (size_t i = 0; i < times; i++)
        buffer_append(&text, slice_of(what));
    buffer_append(&text, slice_of(after));
    buffer_append_char(&text, '\0');
    return text.ptr;
}

static void long_and_deep_texts_end_in_a_clear_error_or_none(void **state) {
    (void)state;
    static const struct {
        const char *before, *what;
        size_t times;
        const char *after, *says; // NULL: valid
    } cases[] = {
        {PROVIDER, "{", 100000, "", "nested too deeply"},
        {PROVIDER, "server {", 100000, "", "nested too deeply"},
        {PROVIDER, "provider \"x\" {", 100000, "", "nested too deeply"},
        {PROVIDER, "}", 100000, "", "closing brace"},
        {PROVIDER "server { workers = \"", "x", 50000, "\" }", "workers: \"xxx"},
        {PROVIDER, "x", 50000, " = 1", "is not a key of the file"},
        {PROVIDER "route \"", "x", 50000, "\" { }", "1 to 128 bytes"},
        {PROVIDER "route \"r\" { match { features = {\"a\"", ",\n\"b\"", 5000, "} } }", NULL},
        {PROVIDER, "# a comment line that says nothing\n", 100000, "", NULL},
        {PROVIDER, "\n", 1000000, "server { workers = 99 }", "t.conf:1000002: workers"},
        {PROVIDER "tier \"t\" { models = {\"q/a\"", ", \"q/a\"", 1000, "} }", "known: p"},
        {PROVIDER "# ", "x", (16 << 20) + 1, "\n", NULL},
        {PROVIDER, " ", (16 << 20) + 1, "\n", "at most 16 MiB"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        char *text = repeated(cases[i].before, cases[i].what, cases[i].times, cases[i].after);
        if (cases[i].says == NULL) {
            config_unref(load_valid(text));
        } else {
            char *messages = load_refused(text);
            assert_says(messages, cases[i].says);
            const char *end = strchr(messages, '\n');
            assert_true(end != NULL && end - messages < 600);
            free(messages);
        }
        free(text);
    }
}

static void a_value_stays_within_its_message(void **state) {
    (void)state;
    char *messages = load_refused(PROVIDER "server { workers = \"a\\nt.conf:9: forged\\e[31m\" }");
    assert_says(messages, "\"a\\x0at.conf:9: forged\\x1b[31m\"");
    assert_ptr_equal(strchr(messages, '\n'), messages + strlen(messages) - 1);
    free(messages);
}

// Every prefix of a valid file, and the file with each byte taken out: no crash,
// and a message for whatever is refused.
static void no_part_of_a_file_crashes(void **state) {
    (void)state;
    static const char whole[] =
        "server { listen = {\"127.0.0.1:1\", '[::1]:2'} # c\n workers = 2 /* d */ }\n" PROVIDER
        "tier \"t\" { models = {\"p/\\x41\", \"p/b\"} }\nroute \"r\" { tiers = {t} cache { ttl = "
        "\"1s\" } }\n"
        "tenant \"a\" { keys = {\"" DIGEST_A "\"} budget \"b\" { amount = \"1 usd\" } }\n";
    char text[sizeof whole];
    for (size_t i = 0; i < 2 * (sizeof whole - 1); i++) {
        size_t at = i % (sizeof whole - 1), length = i < sizeof whole - 1 ? at : sizeof whole - 2;
        memcpy(text, whole, sizeof whole);
        if (i >= sizeof whole - 1)
            memmove(text + at, text + at + 1, sizeof whole - at - 1);
        struct buffer messages = {0};
        const struct config *c = config_load_text(slice_make(text, length), "t.conf", &messages);
        assert_true((c != NULL) == (messages.len == 0));
        config_unref(c);
        buffer_free(&messages);
    }
}

// ---------------------------------------------------------------- includes

struct files {
    char directory[32];
};

static void write_file(const struct files *f, const char *name, const char *text) {
    char path[96];
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static int make_directory(void **state) {
    static struct files f;
    strcpy(f.directory, "/tmp/farthing-conf-XXXXXX");
    *state = &f;
    return mkdtemp(f.directory) == NULL;
}

static int remove_directory(void **state) {
    static const char *const names[] = {"main.conf", "a.conf", "sub/b.conf", "self.conf", "sub"};
    const struct files *f = *state;
    char path[96];
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", f->directory, names[i]);
        remove(path);
    }
    return rmdir(f->directory);
}

static const struct config *load_main(const struct files *f, struct buffer *messages) {
    char path[96];
    snprintf(path, sizeof path, "%s/main.conf", f->directory);
    const struct config *c = config_load(path, messages);
    buffer_append_char(messages, '\0');
    return c;
}

static void includes_are_read_beside_the_file_that_names_them(void **state) {
    const struct files *f = *state;
    char sub[96];
    snprintf(sub, sizeof sub, "%s/sub", f->directory);
    mkdir(sub, 0700);
    write_file(
        f, "main.conf",
        "include(\"a.conf\")\ntier \"t\" { models = {\"p/m\"}\n include ( 'sub/b.conf' ) }\n");
    write_file(f, "a.conf", PROVIDER);
    write_file(f, "sub/b.conf", "balance = order");
    struct buffer messages = {0};
    const struct config *c = load_main(f, &messages);
    if (c == NULL)
        fail_msg("%s", messages.ptr);
    assert_int_equal(c->tier_count, 1);
    config_unref(c);
    buffer_free(&messages);
}

static void lines_are_those_of_the_file_that_they_stand_in(void **state) {
    const struct files *f = *state;
    write_file(f, "main.conf",
               "# one\ninclude(\"a.conf\") server { workers = 98\n max_headers = 1 }\n"
               "tier \"t\" {\n models = {\"z/z\"} }\n");
    write_file(f, "a.conf",
               PROVIDER "\nlog {\n # c\n level = loud\n}\ncache { ttl = \"1s\"\n ttl = \"2s\" }\n");
    struct buffer messages = {0};
    assert_null(load_main(f, &messages));
    assert_says(messages.ptr, "/a.conf:5: level: \"loud\"");
    assert_says(messages.ptr, "/main.conf:2: workers: \"98\"");
    assert_says(messages.ptr, "/main.conf:3: max_headers: \"1\"");
    assert_says(messages.ptr, "/main.conf:5: models: the provider of \"z/z\"");
    buffer_free(&messages);
}

static void includes_that_fail_are_told(void **state) {
    const struct files *f = *state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {PROVIDER "\ninclude(\"missing.conf\")", "/main.conf:3: include: cannot read \""},
        {PROVIDER "include(missing.conf)", "/main.conf:2: include is not valid here"},
        {PROVIDER "include \"a.conf\"", "/main.conf:2: include is not valid here"},
        {PROVIDER "include(\"a.conf\"", "/main.conf:2: include is not valid here"},
        {PROVIDER "include(\"a.conf\n\")", "/main.conf:2: include is not valid here"},
        {PROVIDER "include = 3", "/main.conf:2: include is not valid here"},
        {PROVIDER "include(\"self.conf\")", "by themselves"},
        {PROVIDER "include(\"/\")", "/main.conf:2: include: cannot read \"/\""},
        {PROVIDER "include(\"a.conf\")", "/a.conf:2: this string has no end"},
    };
    write_file(f, "self.conf", "include(\"self.conf\")");
    write_file(f, "a.conf", "\nlog { level = \"info");
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        write_file(f, "main.conf", cases[i].text);
        struct buffer messages = {0};
        assert_null(load_main(f, &messages));
        assert_says(messages.ptr, cases[i].says);
        buffer_free(&messages);
    }
}

static void a_file_that_cannot_be_read_is_told(void **state) {
    (void)state;
    static const char *const paths[] = {"/nowhere/at-all.conf", "/"};
    for (size_t i = 0; i < FARTHING_COUNT(paths); i++) {
        struct buffer messages = {0};
        assert_null(config_load(paths[i], &messages));
        buffer_append_char(&messages, '\0');
        assert_says(messages.ptr, ":1: cannot read the file: ");
        buffer_free(&messages);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_the_syntax_is_told_at_its_line),
        cmocka_unit_test(a_broken_text_leaves_nothing_behind_for_the_next),
        cmocka_unit_test(values_in_all_spellings),
        cmocka_unit_test(a_nul_byte_is_refused_at_its_line),
        cmocka_unit_test(long_and_deep_texts_end_in_a_clear_error_or_none),
        cmocka_unit_test(a_value_stays_within_its_message),
        cmocka_unit_test(no_part_of_a_file_crashes),
        cmocka_unit_test_setup_teardown(includes_are_read_beside_the_file_that_names_them,
                                        make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(lines_are_those_of_the_file_that_they_stand_in,
                                        make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(includes_that_fail_are_told, make_directory,
                                        remove_directory),
        cmocka_unit_test(a_file_that_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests_name("config/syntax", tests, NULL, NULL);
}
