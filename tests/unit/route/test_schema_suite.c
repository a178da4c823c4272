// Every case of the JSON Schema test suite, draft 2020-12. What is out of scope
// is listed with its reason, and the list is exact: a listed group must have a
// case whose verdict is "not known" and none with a wrong one; all others must be
// told rightly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>

#include "farthing/schema.h"

enum { SKIPPED = 77, FILES_MIN = 46, CASES_MIN = 1299 };

static const char remote[] = "refers to a document elsewhere";
static const char dialect[] = "a $schema of somebody's own";

static const struct {
    const char *file, *group, *reason;
} out_of_scope[] = {
    {"defs.json", "validate definition against metaschema", remote},
    {"dynamicRef.json", "strict-tree schema, guards against misspelled properties", remote},
    {"dynamicRef.json", "tests for implementation dynamic anchor and reference link", remote},
    {"dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $defs first", remote},
    {"dynamicRef.json", "$ref and $dynamicAnchor are independent of order - $ref first", remote},
    {"dynamicRef.json", "$ref to $dynamicRef finds detached $dynamicAnchor", remote},
    {"ref.json", "remote ref, containing refs itself", remote},
    {"refRemote.json", "remote ref", remote},
    {"refRemote.json", "fragment within remote ref", remote},
    {"refRemote.json", "anchor within remote ref", remote},
    {"refRemote.json", "ref within remote ref", remote},
    {"refRemote.json", "base URI change", remote},
    {"refRemote.json", "base URI change - change folder", remote},
    {"refRemote.json", "base URI change - change folder in subschema", remote},
    {"refRemote.json", "root ref in remote ref", remote},
    {"refRemote.json", "remote ref with ref to defs", remote},
    {"refRemote.json", "Location-independent identifier in remote ref", remote},
    {"refRemote.json", "retrieved nested refs resolve relative to their URI not $id", remote},
    {"refRemote.json", "remote HTTP ref with different $id", remote},
    {"refRemote.json", "remote HTTP ref with different URN $id", remote},
    {"refRemote.json", "remote HTTP ref with nested absolute ref", remote},
    {"refRemote.json", "$ref to $ref finds detached $anchor", remote},
    {"vocabulary.json",
     "schema that uses custom metaschema with with no validation vocabulary", dialect},
    {"vocabulary.json", "ignore unrecognized optional vocabulary", dialect},
};

struct tally {
    struct json_doc *doc;
    const char *file;
    int files, cases, known, wrong;
    bool listed_seen[FARTHING_COUNT(out_of_scope)];
};

static struct slice text_of(const struct tally *t, json_ref object, const char *name,
                            struct arena *arena) {
    return json_string(t->doc, json_get(t->doc, object, slice_of(name)), arena);
}

// The place of a group in the list, or -1.
static int listed(const struct tally *t, struct slice group) {
    for (size_t i = 0; i < FARTHING_COUNT(out_of_scope); i++)
        if (strcmp(out_of_scope[i].file, t->file) == 0 &&
            slice_equal(slice_of(out_of_scope[i].group), group))
            return (int)i;
    return -1;
}

static void check_group(struct tally *t, json_ref group, struct arena *arena) {
    struct slice name = text_of(t, group, "description", arena);
    int place = listed(t, name);
    struct schema *s = schema_compile(t->doc, json_get(t->doc, group, SLICE("schema")));
    json_ref tests = json_get(t->doc, group, SLICE("tests"));
    int unknown = 0;
    for (json_ref c = json_first(t->doc, tests); c != JSON_NONE;
         c = json_next(t->doc, tests, c)) {
        struct buffer words = {0};
        enum schema_verdict v =
            schema_validate(s, t->doc, json_get(t->doc, c, SLICE("data")), &words);
        bool valid = json_is_true(t->doc, json_get(t->doc, c, SLICE("valid")));
        struct slice about = text_of(t, c, "description", arena);
        t->cases++;
        t->known += v != SCHEMA_UNKNOWN;
        unknown += v == SCHEMA_UNKNOWN;
        bool right = v == (valid ? SCHEMA_VALID : SCHEMA_INVALID);
        if (!right && (place < 0 || v != SCHEMA_UNKNOWN)) {
            t->wrong++;
            print_error("%s: %.*s: %.*s: verdict %d, %.*s\n", t->file, SLICE_ARG(name),
                        SLICE_ARG(about), (int)v, SLICE_ARG(buffer_slice(&words)));
        }
        assert_int_equal(words.len > 0, v == SCHEMA_INVALID);
        buffer_free(&words);
    }
    schema_free(s);
    if (place >= 0) {
        t->listed_seen[place] = true;
        if (unknown == 0) {
            t->wrong++;
            print_error("%s: %.*s is listed (%s), but all of it passes\n", t->file, SLICE_ARG(name),
                        out_of_scope[place].reason);
        }
    }
}

static void check_file(struct tally *t, const char *path, const char *name) {
    struct buffer text = {0};
    char bytes[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file)) > 0;)
        buffer_append(&text, slice_make(bytes, n));
    fclose(file);
    struct error err;
    if (!json_parse(t->doc, buffer_slice(&text), NULL, &err))
        fail_msg("%s: %s", name, err.text);
    struct arena *arena = arena_new(1024);
    t->file = name;
    int cases = t->cases, known = t->known;
    for (json_ref g = json_first(t->doc, JSON_ROOT); g != JSON_NONE;
         g = json_next(t->doc, JSON_ROOT, g))
        check_group(t, g, arena);
    printf("%-28s %3d of %3d\n", name, t->known - known, t->cases - cases);
    t->files++;
    arena_free(arena);
    buffer_free(&text);
}

static char folder[512];

static void every_case(void **state) {
    (void)state;
    struct tally t = {.doc = json_doc_new()};
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (slice_ends_with(slice_of(entries[i]->d_name), SLICE(".json")))
            check_file(&t, path, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    json_doc_free(t.doc);
    for (size_t i = 0; i < FARTHING_COUNT(out_of_scope); i++)
        if (!t.listed_seen[i])
            fail_msg("%s: %s: no such group", out_of_scope[i].file, out_of_scope[i].group);
    assert_int_equal(t.wrong, 0);
    assert_true(t.files >= FILES_MIN);
    assert_true(t.cases >= CASES_MIN);
    printf("%d of %d cases told; the rest is out of scope and rejects nothing\n", t.known,
           t.cases);
}

int main(void) {
    const char *material = getenv("FARTHING_MATERIAL");
    snprintf(folder, sizeof folder, "%s/json-schema",
             material != NULL ? material : SOURCE_ROOT "/../shared/material");
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        printf("no test material in %s: skipped\n", folder);
        return SKIPPED;
    }
    closedir(dir);
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
