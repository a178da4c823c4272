// The 318 cases of the JSON parsing test suite, whole and cut at every byte.
// Each text lies in a block of exactly its size, so that the address sanitizer
// sees every byte read beyond it.
#include "support.h"

#include <dirent.h>
#include <regex.h>
#include <stdio.h>

enum { CASES = 318, SKIPPED = 77, CUTS_MAX = 4000 };

struct sample {
    char *name;
    struct buffer text;
};

static struct sample samples[CASES + 1];
static size_t sample_count;

static void read_sample(const char *folder, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_true(sample_count < CASES + 1);
    struct sample *s = &samples[sample_count++];
    s->name = slice_dup(slice_of(name));
    char bytes[4096];
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file)) > 0;)
        buffer_append(&s->text, slice_make(bytes, n));
    fclose(file);
}

static bool read_samples(void) {
    const char *material = getenv("FARTHING_MATERIAL");
    char folder[512];
    snprintf(folder, sizeof folder, "%s/json",
             material != NULL ? material : SOURCE_ROOT "/../shared/material");
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        printf("no test material in %s: skipped\n", folder);
        return false;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (slice_ends_with(slice_of(e->d_name), SLICE(".json")))
            read_sample(folder, e->d_name);
    closedir(dir);
    return true;
}

static void free_samples(void) {
    for (size_t i = 0; i < sample_count; i++) {
        free(samples[i].name);
        buffer_free(&samples[i].text);
    }
}

// A parsed copy in a block of its own.
struct exact {
    char *bytes;
    bool accepted;
};

static struct exact parse_exact(struct bench *b, struct slice text) {
    struct exact e = {.bytes = malloc(text.len > 0 ? text.len : 1)};
    // An empty text gets the end of its block, which must not be read either.
    char *start = text.len > 0 ? e.bytes : e.bytes + 1;
    if (text.len > 0)
        memcpy(start, text.ptr, text.len);
    b->err.text[0] = '\0';
    e.accepted = json_parse(b->doc, slice_make(start, text.len), NULL, &b->err);
    // A refusal says why, and where.
    assert_true(e.accepted || slice_find(slice_of(b->err.text), SLICE("byte")) >= 0);
    return e;
}

static void check_span(const struct json_doc *doc, json_ref ref, struct slice outer) {
    struct slice raw = json_raw(doc, ref);
    assert_true(raw.len > 0);
    assert_true(raw.ptr >= outer.ptr && raw.ptr + raw.len <= outer.ptr + outer.len);
    static const char *const starts[] = {"n", "f", "t", "-0123456789", "\"", "[", "{"};
    assert_non_null(strchr(starts[json_type_of(doc, ref)], raw.ptr[0]));
}

// Everything in the index lies in what contains it, in order, and the walk
// over siblings counts what json_count counts.
static void check_index(const struct json_doc *doc) {
    check_span(doc, JSON_ROOT, json_text(doc));
    json_ref stack[1024];
    size_t depth = 0;
    stack[depth++] = JSON_ROOT;
    while (depth > 0) {
        json_ref container = stack[--depth];
        bool object = json_type_of(doc, container) == JSON_OBJECT;
        struct slice rest = json_raw(doc, container);
        size_t children = 0;
        for (json_ref r = json_first(doc, container); r != JSON_NONE;
             r = json_next(doc, container, r), children++) {
            check_span(doc, r, rest);
            assert_true(!object || json_type_of(doc, r) == JSON_STRING);
            json_ref value = object ? json_value_of(r) : r;
            check_span(doc, value, rest);
            size_t end = (size_t)(json_raw(doc, value).ptr - rest.ptr) + json_raw(doc, value).len;
            rest = slice_from(rest, end);
            if (json_first(doc, value) != JSON_NONE && depth < FARTHING_COUNT(stack))
                stack[depth++] = value;
        }
        assert_int_equal(children, json_count(doc, container));
    }
}

// The canonical form is JSON, and its own canonical form.
static void check_canonical(struct bench *b) {
    struct buffer once = {0};
    if (!json_canonical(b->doc, JSON_ROOT, NULL, NULL, append_piece, &once, &b->err)) {
        assert_true(slice_find(slice_of(b->err.text), SLICE("twice")) >= 0);
    } else {
        struct buffer twice = canonical_of(b, buffer_slice(&once));
        assert_bytes(buffer_slice(&twice), buffer_slice(&once));
        buffer_free(&twice);
    }
    buffer_free(&once);
}

// What the standard leaves open (i_): numbers of any size are kept as they
// are, texts that are not Unicode are refused, 500 levels are not too many.
static bool to_be_accepted(const char *name) {
    if (name[0] != 'i')
        return name[0] == 'y';
    struct slice s = slice_of(name);
    return slice_starts_with(s, SLICE("i_number_")) ||
           slice_equal(s, SLICE("i_structure_500_nested_arrays.json"));
}

static void every_case_behaves_as_its_name_says(void **state) {
    struct bench *b = *state;
    assert_int_equal(sample_count, CASES);
    for (size_t i = 0; i < sample_count; i++) {
        struct exact e = parse_exact(b, buffer_slice(&samples[i].text));
        if (e.accepted != to_be_accepted(samples[i].name))
            fail_msg("%s: %s", samples[i].name, e.accepted ? "accepted" : b->err.text);
        if (e.accepted) {
            check_index(b->doc);
            check_canonical(b);
        }
        free(e.bytes);
    }
}

// A prefix is complete JSON when it holds the whole root value; a number may
// also be complete when it is cut.
static bool is_complete(const struct sample *s, size_t root_end, size_t cut,
                        const regex_t *number) {
    if (cut >= root_end)
        return true;
    char text[512] = "";
    if (cut >= sizeof text)
        return false;
    memcpy(text, s->text.ptr, cut);
    return strlen(text) == cut && regexec(number, text, 0, NULL, 0) == 0;
}

static size_t root_end_of(struct bench *b, const struct sample *s) {
    if (!json_parse(b->doc, buffer_slice(&s->text), NULL, NULL))
        return SIZE_MAX;
    struct slice root = json_raw(b->doc, JSON_ROOT);
    return (size_t)(root.ptr - s->text.ptr) + root.len;
}

static void no_cut_case_is_accepted_unless_it_is_complete(void **state) {
    struct bench *b = *state;
    regex_t number;
    assert_int_equal(
        regcomp(&number, "^[ \t\r\n]*-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?[ \t\r\n]*$",
                REG_EXTENDED | REG_NOSUB),
        0);
    for (size_t i = 0; i < sample_count; i++) {
        const struct sample *s = &samples[i];
        size_t root_end = root_end_of(b, s);
        // The two files of 100 KB and more repeat themselves.
        size_t step = s->text.len / CUTS_MAX + 1;
        for (size_t cut = 0; cut < s->text.len; cut += step) {
            struct exact e = parse_exact(b, slice_make(s->text.ptr, cut));
            if (root_end != SIZE_MAX && e.accepted != is_complete(s, root_end, cut, &number))
                fail_msg("%s cut at %zu: %s", s->name, cut, e.accepted ? "accepted" : "refused");
            if (e.accepted)
                check_index(b->doc);
            free(e.bytes);
        }
    }
    regfree(&number);
}

// One document after another in the same memory: nothing of the last is left.
static void a_reused_document_gives_the_verdict_of_a_new_one(void **state) {
    struct bench *b = *state;
    for (size_t i = 0; i < sample_count; i++) {
        struct slice text = buffer_slice(&samples[i].text);
        struct json_doc *fresh = json_doc_new();
        bool first = json_parse(fresh, text, NULL, NULL);
        assert_int_equal(json_parse(b->doc, text, NULL, NULL), first);
        assert_int_equal(json_count(b->doc, JSON_ROOT), json_count(fresh, JSON_ROOT));
        json_doc_free(fresh);
    }
}

int main(void) {
    if (!read_samples())
        return SKIPPED;
    const struct CMUnitTest tests[] = {
        BENCH_TEST(every_case_behaves_as_its_name_says),
        BENCH_TEST(no_cut_case_is_accepted_unless_it_is_complete),
        BENCH_TEST(a_reused_document_gives_the_verdict_of_a_new_one),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free_samples();
    return failed;
}
