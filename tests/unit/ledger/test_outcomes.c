// The file of outcomes: what a line says, whose file it is, that no line is lost to a
// rename, and that without room lines are dropped and counted.
#include "scene.h"

#include <fcntl.h>
#include <pthread.h>

#include "farthing/outcomes.h"

static struct outcomes *open_at(const char *path) {
    struct error err;
    struct outcomes *o = outcomes_open(path, &err);
    if (o == NULL)
        fail_msg("%s", err.text);
    return o;
}

static struct buffer read_all(const char *path) {
    struct buffer out = {0};
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    int c;
    while ((c = fgetc(f)) != EOF)
        buffer_append_char(&out, (char)c);
    fclose(f);
    return out;
}

static void expect_file(const char *path, const char *text) {
    struct buffer got = read_all(path);
    assert_slice_equal(buffer_slice(&got), slice_of(text));
    buffer_free(&got);
}

// ---------------------------------------------------------------------- lines

static const struct slice one[] = {{"Say \"hi\"\n", 9}}, several[] = {{"a", 1}, {"", 0}, {"b", 1}};
static const struct outcome failed_and_good[] = {
    {{"small", 5}, 0, 2, false, {"json_schema", 11}},
    {{"large", 5}, 1, 2, true, {NULL, 0}},
};
static const struct outcome foreign[] = {{{"new", 3}, 0, 0, true, {"none", 4}}};

static void each_line_says_what_is_known(void **state) {
    struct scene *s = *state;
    static const struct {
        struct outcome_line line;
        const char *text;
    } cases[] = {
        {{1700000000123, {"R1", 2}, {0}, {"support", 7}, {"faq", 3}, one, 1, failed_and_good, 2},
         "{\"request_id\":\"R1\",\"ts\":\"2023-11-14T22:13:20.123Z\",\"route\":\"support\","
         "\"feature\":\"faq\",\"prompt\":\"Say \\\"hi\\\"\\n\",\"outcomes\":["
         "{\"tier\":\"small\",\"place\":0,\"places\":2,\"ok\":false,\"reason\":\"json_schema\"},"
         "{\"tier\":\"large\",\"place\":1,\"places\":2,\"ok\":true}]}\n"},
        {{0, {"S1", 2}, {"R1", 2}, {0}, {0}, NULL, 0, failed_and_good + 1, 1},
         "{\"request_id\":\"S1\",\"shadow_of\":\"R1\",\"outcomes\":["
         "{\"tier\":\"large\",\"place\":1,\"places\":2,\"ok\":true}]}\n"},
        {{0, {"R2", 2}, {0}, {0}, {0}, several, 3, foreign, 1},
         "{\"request_id\":\"R2\",\"prompt\":[\"a\",\"\",\"b\"],\"outcomes\":["
         "{\"tier\":\"new\",\"ok\":true}]}\n"},
        {{0, {"R3", 2}, {0}, {0}, {0}, several + 1, 1, NULL, 0},
         "{\"request_id\":\"R3\",\"prompt\":\"\",\"outcomes\":[]}\n"},
    };
    struct buffer want = {0};
    struct outcomes *o = open_at(s->log);
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        outcomes_record(o, &cases[i].line);
        buffer_append(&want, slice_of(cases[i].text));
    }
    clock_freeze(1700000000000, 0);
    outcomes_feedback(o, SLICE("R1"), false, SLICE_NONE, SLICE_NONE);
    outcomes_feedback(o, SLICE("R2"), true, SLICE("ann"), SLICE("it\tis"));
    clock_thaw();
    BUFFER_LITERAL(&want, "{\"request_id\":\"R1\",\"ts\":\"2023-11-14T22:13:20.000Z\",\"feedback\":"
                          "false}\n"
                          "{\"request_id\":\"R2\",\"ts\":\"2023-11-14T22:13:20.000Z\",\"feedback\":"
                          "true,\"who\":\"ann\",\"reason\":\"it\\tis\"}\n");
    outcomes_close(o); // writes what is left
    buffer_append_char(&want, '\0');
    expect_file(s->log, want.ptr);
    buffer_free(&want);
}

// Bytes of all texts of the prompt of the file's one line, and how many there are.
static size_t prompt_bytes(const char *path, size_t *count) {
    struct buffer text = read_all(path);
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(4096);
    struct error err;
    size_t sum = 0;
    assert_true(json_parse(doc, slice_make(text.ptr, text.len - 1), NULL, &err));
    json_ref prompt = json_get(doc, JSON_ROOT, SLICE("prompt"));
    *count = json_count(doc, prompt);
    if (json_type_of(doc, prompt) == JSON_STRING)
        sum = json_string(doc, prompt, arena).len;
    else
        for (json_ref at = json_first(doc, prompt); at != JSON_NONE;
             at = json_next(doc, prompt, at))
            sum += json_string(doc, at, arena).len;
    arena_free(arena);
    json_doc_free(doc);
    buffer_free(&text);
    return sum;
}

static void long_prompts_are_cut(void **state) {
    struct scene *s = *state;
    enum { MOST = OUTCOMES_PROMPT_MAX, MANY = 50000 };
    static char text[MOST + 10], odd[MOST + 3];
    memset(text, 'x', sizeof text);
    memset(odd, 'x', sizeof odd);
    memcpy(odd + MOST - 1, "\xC3\xA9", 2); // a character of two bytes across the end
    struct slice *tiny = base_calloc(MANY, sizeof *tiny);
    const struct slice two[] = {{text, MOST - 100}, {text, 200}};
    const struct {
        const struct slice *prompt;
        size_t count, least, most, texts;
    } cases[] = {
        {(struct slice[]){{text, MOST}}, 1, MOST, MOST, 0},
        {(struct slice[]){{text, MOST + 1}}, 1, MOST, MOST, 0},
        {(struct slice[]){{odd, sizeof odd}}, 1, MOST - 1, MOST - 1, 0},
        {two, 2, MOST - 3, MOST, 2},
        {tiny, MANY, 0, 0, MOST / 3}, // nothing but commas and quotes
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct outcomes *o = open_at(s->log);
        size_t texts;
        outcomes_record(o, &(struct outcome_line){.prompt = cases[i].prompt,
                                                  .prompt_count = cases[i].count});
        outcomes_close(o);
        assert_in_range(prompt_bytes(s->log, &texts), cases[i].least, cases[i].most);
        assert_in_range(texts, cases[i].texts, cases[i].texts + 1);
        scene_remove_files(s);
    }
    free(tiny);
}

static void what_is_not_text_does_not_break_a_line(void **state) {
    struct scene *s = *state;
    const struct slice prompt[] = {{"a\xFF\0b\n", 5}};
    struct outcomes *o = open_at(s->log);
    outcomes_record(o, &(struct outcome_line){.prompt = prompt, .prompt_count = 1});
    outcomes_close(o);
    expect_file(s->log, "{\"prompt\":\"a\xEF\xBF\xBD\\u0000b\\n\",\"outcomes\":[]}\n");
}

// ------------------------------------------------------------------- the file

static void only_its_owner_may_read_it(void **state) {
    struct scene *s = *state;
    struct stat st;
    mode_t before = umask(0);
    struct outcomes *o = open_at(s->log);
    umask(before);
    assert_int_equal(stat(s->log, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    outcomes_close(o);
}

static void what_cannot_be_opened_is_said(void **state) {
    (void)state;
    static const char *const paths[] = {"/nonexistent/deeper/outcomes.jsonl", "/", "-"};
    for (size_t i = 0; i < FARTHING_COUNT(paths); i++) {
        struct error err;
        assert_null(outcomes_open(paths[i], &err));
        assert_non_null(strstr(err.text, paths[i]));
    }
}

static void a_renamed_file_is_left(void **state) {
    struct scene *s = *state;
    char moved[160];
    snprintf(moved, sizeof moved, "%s.1", s->log);
    struct outcomes *o = open_at(s->log);
    outcomes_record(o, &(struct outcome_line){.request_id = SLICE("A")});
    outcomes_flush(o);
    assert_int_equal(rename(s->log, moved), 0);
    outcomes_reopen(o);
    outcomes_flush(o);
    expect_file(s->log, ""); // made at once
    outcomes_record(o, &(struct outcome_line){.request_id = SLICE("B")});
    outcomes_close(o);
    expect_file(moved, "{\"request_id\":\"A\",\"outcomes\":[]}\n");
    expect_file(s->log, "{\"request_id\":\"B\",\"outcomes\":[]}\n");
}

static void nothing_is_kept_where_nothing_is_opened(void **state) {
    (void)state;
    outcomes_record(NULL, &(struct outcome_line){.request_id = SLICE("A")});
    outcomes_feedback(NULL, SLICE("A"), true, SLICE_NONE, SLICE_NONE);
    outcomes_close(NULL);
}

// Of the disk that has no room; the complaint goes to nobody.
static void without_room_lines_are_dropped_and_counted(void **state) {
    (void)state;
    enum { LINES = 1000, BYTES = 100 * 1024 };
    static char text[BYTES];
    memset(text, 'x', sizeof text);
    const struct slice prompt[] = {{text, sizeof text}};
    struct buffer metrics = {0};
    long long dropped;
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC), real = dup(STDERR_FILENO);
    dup2(quiet, STDERR_FILENO);
    metric_reset_for_test();
    struct outcomes *o = open_at("/dev/full");
    for (unsigned i = 0; i < LINES; i++)
        outcomes_record(o, &(struct outcome_line){.prompt = prompt, .prompt_count = 1});
    outcomes_flush(o); // returns, though nothing can be written
    outcomes_close(o);
    dup2(real, STDERR_FILENO);
    close(real);
    close(quiet);
    metric_write_all(&metrics);
    buffer_append_char(&metrics, '\0');
    const char *at = strstr(metrics.ptr, "\nfarthing_outcomes_dropped_total ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "%*s %lld", &dropped), 1);
    assert_int_equal(dropped, LINES); // some at once, those that waited at the end
    buffer_free(&metrics);
}

// -------------------------------------------------------------------- threads

enum { THREADS = 4, EACH = 500 };

static void *record_many(void *arg) {
    char id[16];
    for (unsigned i = 0; i < EACH; i++) {
        int n = snprintf(id, sizeof id, "row-%06u", i);
        outcomes_record(arg, &(struct outcome_line){.request_id = slice_make(id, (size_t)n)});
        if (i % 100 == 0)
            outcomes_reopen(arg);
    }
    return NULL;
}

static void many_threads_write_whole_lines(void **state) {
    struct scene *s = *state;
    static unsigned char seen[EACH];
    unsigned torn = 0;
    pthread_t threads[THREADS];
    struct outcomes *o = open_at(s->log);
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, o), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    outcomes_close(o);
    scene_count_rows(s->log, seen, EACH, &torn);
    assert_int_equal(torn, 0);
    for (unsigned i = 0; i < EACH; i++)
        assert_int_equal(seen[i], THREADS);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_set_up, scene_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(each_line_says_what_is_known),
        SCENE(long_prompts_are_cut),
        SCENE(what_is_not_text_does_not_break_a_line),
        SCENE(only_its_owner_may_read_it),
        SCENE(what_cannot_be_opened_is_said),
        SCENE(a_renamed_file_is_left),
        SCENE(nothing_is_kept_where_nothing_is_opened),
        SCENE(without_room_lines_are_dropped_and_counted),
        SCENE(many_threads_write_whole_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
