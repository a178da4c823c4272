// Splice edits: what they change, and that everything else stays.
#include "support.h"

// One edit in a case's script.
struct step {
    enum { STEP_END, SET, SET_STRING, REMOVE, REMOVE_AT, REPLACE, INSERT } what;
    const char *in;   // the member of the root that is edited; NULL: the root
    const char *name; // REPLACE: the member whose value is replaced
    const char *raw;
    size_t index;
};

static struct slice applied(struct bench *b, const char *text, const struct step *steps) {
    struct json_doc *doc = parsed(b, text);
    struct json_edits *e = json_edits_new(doc, b->arena);
    assert_true(json_edits_empty(e));
    for (const struct step *s = steps; s->what != STEP_END; s++) {
        json_ref in = s->in == NULL ? JSON_ROOT : json_get(doc, JSON_ROOT, slice_of(s->in));
        assert_int_not_equal(in, JSON_NONE);
        struct slice name = slice_of(s->name), raw = slice_of(s->raw);
        switch (s->what) {
        case SET:
            json_edit_set(e, in, name, raw);
            break;
        case SET_STRING:
            json_edit_set_string(e, in, name, raw);
            break;
        case REMOVE:
            json_edit_remove(e, in, name);
            break;
        case REMOVE_AT:
            json_edit_remove_element(e, in, json_at(doc, in, s->index));
            break;
        case REPLACE:
            json_edit_replace(
                e, s->name == NULL ? json_at(doc, in, s->index) : json_get(doc, in, name), raw);
            break;
        case INSERT:
            json_edit_insert(e, in, s->index, raw);
            break;
        case STEP_END:
            break;
        }
    }
    return json_edits_apply(e);
}

static const struct {
    const char *text, *result;
    struct step steps[6];
} cases[] = {
    // Set: in place, with the white space around it kept.
    {"{ \"a\" : 1 , \"b\":2 }", "{ \"a\" : 9 , \"b\":2 }", {{SET, NULL, "a", "9", 0}}},
    {"{\"a\":{\"deep\":[1,2]},\"b\":2}", "{\"a\":0,\"b\":2}", {{SET, NULL, "a", "0", 0}}},
    {"{\"m\\u006fdel\":1}", "{\"m\\u006fdel\":2}", {{SET, NULL, "model", "2", 0}}},
    {"{\"a\":1}", "{\"a\":\"x\\\"y\\n\"}", {{SET_STRING, NULL, "a", "x\"y\n", 0}}},
    // Set: added at the end.
    {"{}", "{\"a\":1}", {{SET, NULL, "a", "1", 0}}},
    {"{ }", "{\"a\":1 }", {{SET, NULL, "a", "1", 0}}},
    {"{}", "{\"a\":1,\"b\":2}", {{SET, NULL, "a", "1", 0}, {SET, NULL, "b", "2", 0}}},
    {" {\"x\":0 } ", " {\"x\":0,\"a\\\"\":1 } ", {{SET, NULL, "a\"", "1", 0}}},
    {"{\"x\":0}",
     "{\"x\":0,\"a\":1,\"b\":2}",
     {{SET, NULL, "a", "1", 0}, {SET, NULL, "b", "2", 0}}},
    {"{\"o\":{}}", "{\"o\":{\"a\":1}}", {{SET, "o", "a", "1", 0}}},
    {"{\"o\":{\"x\":{}},\"p\":{}}",
     "{\"o\":{\"x\":{},\"a\":1},\"p\":{\"b\":2},\"c\":3}",
     {{SET, NULL, "c", "3", 0}, {SET, "p", "b", "2", 0}, {SET, "o", "a", "1", 0}}},
    // Remove: the comma goes along.
    {"{\"a\":1}", "{}", {{REMOVE, NULL, "a", NULL, 0}}},
    {"{ \"a\":1 }", "{  }", {{REMOVE, NULL, "a", NULL, 0}}},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"b\":2,\"c\":3}", {{REMOVE, NULL, "a", NULL, 0}}},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"c\":3}", {{REMOVE, NULL, "b", NULL, 0}}},
    {"{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"b\":2}", {{REMOVE, NULL, "c", NULL, 0}}},
    {"{ \"a\" : 1 ,\n \"b\" : 2 }", "{ \"b\" : 2 }", {{REMOVE, NULL, "a", NULL, 0}}},
    {"{ \"a\" : 1 ,\n \"b\" : 2 }", "{ \"a\" : 1 }", {{REMOVE, NULL, "b", NULL, 0}}},
    {"{\"a\":1,\"b\":2,\"c\":3}",
     "{\"b\":2}",
     {{REMOVE, NULL, "c", NULL, 0}, {REMOVE, NULL, "a", NULL, 0}}},
    {"{\"a\":1,\"b\":2,\"c\":3}",
     "{\"a\":1}",
     {{REMOVE, NULL, "b", NULL, 0}, {REMOVE, NULL, "c", NULL, 0}}},
    {"{\"a\":1,\"b\":2,\"c\":3}",
     "{\"c\":3}",
     {{REMOVE, NULL, "b", NULL, 0}, {REMOVE, NULL, "a", NULL, 0}}},
    {"{\"a\":1,\"b\":2,\"c\":3}",
     "{}",
     {{REMOVE, NULL, "b", NULL, 0}, {REMOVE, NULL, "a", NULL, 0}, {REMOVE, NULL, "c", NULL, 0}}},
    {"{\"a\":1}", "{\"a\":1}", {{REMOVE, NULL, "zz", NULL, 0}}},
    {"{\"a\":1,\"b\":2}",
     "{\"b\":2}",
     {{REMOVE, NULL, "a", NULL, 0}, {REMOVE, NULL, "a", NULL, 0}}},
    {"{\"o\":{\"a\":1,\"b\":2}}", "{\"o\":{\"a\":1}}", {{REMOVE, "o", "b", NULL, 0}}},
    // Removed and added in one object.
    {"{\"a\":1}", "{\"n\":2}", {{REMOVE, NULL, "a", NULL, 0}, {SET, NULL, "n", "2", 0}}},
    {"{\"a\":1,\"b\":2}",
     "{\"a\":1,\"n\":2}",
     {{SET, NULL, "n", "2", 0}, {REMOVE, NULL, "b", NULL, 0}}},
    {"{\"a\":1,\"b\":2}",
     "{\"b\":3,\"n\":2}",
     {{SET, NULL, "n", "2", 0}, {REMOVE, NULL, "a", NULL, 0}, {SET, NULL, "b", "3", 0}}},
    // Elements.
    {"{\"l\":[]}", "{\"l\":[1]}", {{INSERT, "l", NULL, "1", 0}}},
    {"{\"l\":[ ]}", "{\"l\":[ 1]}", {{INSERT, "l", NULL, "1", 7}}},
    {"{\"l\":[1, 2]}", "{\"l\":[0,1, 2]}", {{INSERT, "l", NULL, "0", 0}}},
    {"{\"l\":[1, 2]}", "{\"l\":[1, 0,2]}", {{INSERT, "l", NULL, "0", 1}}},
    {"{\"l\":[1, 2]}", "{\"l\":[1, 2,0]}", {{INSERT, "l", NULL, "0", 2}}},
    {"{\"l\":[1]}", "{\"l\":[1,8,9]}", {{INSERT, "l", NULL, "8", 1}, {INSERT, "l", NULL, "9", 1}}},
    {"{\"l\":[1]}", "{\"l\":[8,9,1]}", {{INSERT, "l", NULL, "8", 0}, {INSERT, "l", NULL, "9", 0}}},
    {"{\"l\":[]}", "{\"l\":[8,9]}", {{INSERT, "l", NULL, "8", 0}, {INSERT, "l", NULL, "9", 0}}},
    {"{\"l\":[1,2]}", "{\"l\":[1,{}]}", {{REPLACE, "l", NULL, "{}", 1}}},
    {"{\"l\":[1]}", "{\"l\":[9,5]}", {{REPLACE, "l", NULL, "5", 0}, {INSERT, "l", NULL, "9", 0}}},
    {"{\"l\":[1]}", "{\"l\":[9,5]}", {{INSERT, "l", NULL, "9", 0}, {REPLACE, "l", NULL, "5", 0}}},
    {"{\"l\":[1]}", "{\"l\":[5,9]}", {{INSERT, "l", NULL, "9", 1}, {REPLACE, "l", NULL, "5", 0}}},
    // Elements that go: the comma goes along.
    {"{\"l\":[1]}", "{\"l\":[]}", {{REMOVE_AT, "l", NULL, NULL, 0}}},
    {"{\"l\":[ 1 ]}", "{\"l\":[  ]}", {{REMOVE_AT, "l", NULL, NULL, 0}}},
    {"{\"l\":[1, 2 ,3]}", "{\"l\":[2 ,3]}", {{REMOVE_AT, "l", NULL, NULL, 0}}},
    {"{\"l\":[1, 2 ,3]}", "{\"l\":[1, 3]}", {{REMOVE_AT, "l", NULL, NULL, 1}}},
    {"{\"l\":[1, 2 ,3 ]}", "{\"l\":[1, 2 ]}", {{REMOVE_AT, "l", NULL, NULL, 2}}},
    {"{\"l\":[1,2,3,4]}",
     "{\"l\":[1]}",
     {{REMOVE_AT, "l", NULL, NULL, 3},
      {REMOVE_AT, "l", NULL, NULL, 1},
      {REMOVE_AT, "l", NULL, NULL, 2}}},
    {"{\"l\":[1,2,3,4]}",
     "{\"l\":[2,4]}",
     {{REMOVE_AT, "l", NULL, NULL, 2}, {REMOVE_AT, "l", NULL, NULL, 0}}},
    {"{\"l\":[1,2]}",
     "{\"l\":[]}",
     {{REMOVE_AT, "l", NULL, NULL, 0},
      {REMOVE_AT, "l", NULL, NULL, 1},
      {REMOVE_AT, "l", NULL, NULL, 0}}},
    {"{\"l\":[[1],{\"a\":[]},3]}", "{\"l\":[[1],3]}", {{REMOVE_AT, "l", NULL, NULL, 1}}},
    // What is put before an element that goes stays.
    {"{\"l\":[1,2,3]}",
     "{\"l\":[1,9,3]}",
     {{REMOVE_AT, "l", NULL, NULL, 1}, {INSERT, "l", NULL, "9", 1}}},
    {"{\"l\":[1,2,3,4]}",
     "{\"l\":[8,9,4]}",
     {{REMOVE_AT, "l", NULL, NULL, 0},
      {REMOVE_AT, "l", NULL, NULL, 1},
      {REMOVE_AT, "l", NULL, NULL, 2},
      {INSERT, "l", NULL, "9", 2},
      {INSERT, "l", NULL, "8", 1}}},
    {"{\"l\":[1,2]}",
     "{\"l\":[1,8,9]}",
     {{INSERT, "l", NULL, "9", 5}, {REMOVE_AT, "l", NULL, NULL, 1}, {INSERT, "l", NULL, "8", 1}}},
    {"{\"l\":[1]}",
     "{\"l\":[8,9]}",
     {{REMOVE_AT, "l", NULL, NULL, 0}, {INSERT, "l", NULL, "8", 0}, {INSERT, "l", NULL, "9", 1}}},
    // What goes cannot be replaced, whichever was said first.
    {"{\"l\":[1]}",
     "{\"l\":[]}",
     {{REMOVE_AT, "l", NULL, NULL, 0}, {REPLACE, "l", NULL, "9", 0}}},
    {"{\"l\":[1,2]}",
     "{\"l\":[1]}",
     {{REPLACE, "l", NULL, "9", 1}, {REMOVE_AT, "l", NULL, NULL, 1}}},
    // The same thing twice: the last word counts, and it stays JSON.
    {"{\"a\":1}", "{\"a\":33}", {{SET, NULL, "a", "2", 0}, {SET, NULL, "a", "33", 0}}},
    {"{}", "{\"a\":33}", {{SET, NULL, "a", "2", 0}, {SET, NULL, "a", "33", 0}}},
    {"{\"x\":0}",
     "{\"x\":0,\"a\":33,\"b\":1}",
     {{SET, NULL, "a", "2", 0}, {SET, NULL, "b", "1", 0}, {SET, NULL, "a", "33", 0}}},
    // What lies in something that goes away goes with it.
    {"{\"a\":{\"b\":1},\"c\":2}",
     "{\"c\":2}",
     {{SET, "a", "b", "5", 0}, {SET, "a", "n", "6", 0}, {REMOVE, NULL, "a", NULL, 0}}},
    {"{\"a\":{\"b\":1},\"c\":2}",
     "{\"a\":7,\"c\":2}",
     {{SET, NULL, "a", "7", 0}, {SET, "a", "b", "5", 0}, {SET, "a", "n", "6", 0}}},
    {"{\"l\":[1],\"c\":2}",
     "{\"c\":2}",
     {{INSERT, "l", NULL, "0", 0}, {INSERT, "l", NULL, "2", 9}, {REMOVE, NULL, "l", NULL, 0}}},
    // Everything at once.
    {"{ \"model\":\"m\", \"o\":{\"x\":1}, \"l\":[1], \"drop\":0 }",
     "{ \"model\":\"n\", \"o\":{\"x\":1,\"y\":2}, \"l\":[0,1],\"new\":true }",
     {{SET_STRING, NULL, "model", "n", 0},
      {SET, "o", "y", "2", 0},
      {INSERT, "l", NULL, "0", 0},
      {REMOVE, NULL, "drop", NULL, 0},
      {SET, NULL, "new", "true", 0}}},
};

static void edits_change_what_they_name_and_nothing_else(void **state) {
    struct bench *b = *state;
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct slice got = applied(b, cases[i].text, cases[i].steps);
        if (!slice_equal(got, slice_of(cases[i].result)))
            fail_msg("%s: got [%.*s], wanted [%s]", cases[i].text, SLICE_ARG(got), cases[i].result);
        assert_true(json_parse(b->doc, got, NULL, &b->err));
    }
}

static void no_edit_gives_the_original_bytes(void **state) {
    struct bench *b = *state;
    const char *text = " {\"a\" : 1} ";
    struct json_doc *doc = parsed(b, text);
    struct json_edits *e = json_edits_new(doc, b->arena);
    json_edit_remove(e, JSON_ROOT, SLICE("absent"));
    assert_true(json_edits_empty(e));
    assert_ptr_equal(json_edits_apply(e).ptr, text);
    json_edit_set(e, JSON_ROOT, SLICE("a"), SLICE("2"));
    assert_false(json_edits_empty(e));
    assert_text(json_edits_apply(e), " {\"a\" : 2} ");
}

// Both keys of a pair of duplicates can be removed, each by its place.
static void keys_are_removed_by_their_place(void **state) {
    struct bench *b = *state;
    struct json_doc *doc = parsed(b, "{\"a\":1,\"a\":2,\"b\":3}");
    struct json_edits *e = json_edits_new(doc, b->arena);
    json_edit_remove_key(e, JSON_ROOT, json_next(doc, JSON_ROOT, json_first(doc, JSON_ROOT)));
    assert_text(json_edits_apply(e), "{\"a\":1,\"b\":3}");
}

// Every subset of members removed from an object, with and without one added:
// the commas are right each time.
static void any_subset_of_members_can_go(void **state) {
    struct bench *b = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    for (unsigned subset = 0; subset < 1u << 6; subset++) {
        struct json_doc *doc =
            parsed(b, "{ \"a\":0, \"b\":[1] , \"c\":2,\"d\":{} ,\"e\":4 , \"f\":5 }");
        struct json_edits *e = json_edits_new(doc, b->arena);
        for (size_t i = 0; i < 6; i++)
            if ((subset & 1u << i) != 0)
                json_edit_remove(e, JSON_ROOT, slice_of(names[i]));
        if (subset % 3 == 0)
            json_edit_set(e, JSON_ROOT, SLICE("new"), SLICE("6"));
        struct slice got = json_edits_apply(e);
        assert_true(json_parse(b->doc, got, NULL, &b->err));
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(json_get(b->doc, JSON_ROOT, slice_of(names[i])) == JSON_NONE,
                             (subset & 1u << i) != 0);
        assert_int_equal(json_get(b->doc, JSON_ROOT, SLICE("new")) != JSON_NONE, subset % 3 == 0);
    }
}

static void any_subset_of_elements_can_go(void **state) {
    enum { COUNT = 6 };
    struct bench *b = *state;
    struct json_doc *doc = parsed(b, "[ 0 ,[1],2 , {\"3\":3},4, 5 ]");
    for (unsigned set = 0; set < 1u << COUNT; set++) {
        struct json_edits *e = json_edits_new(doc, b->arena);
        size_t left = 0;
        for (unsigned i = COUNT; i-- > 0;)
            if (set >> i & 1)
                json_edit_remove_element(e, JSON_ROOT, json_at(doc, JSON_ROOT, i));
        struct json_doc *result = json_doc_new();
        assert_true(json_parse(result, json_edits_apply(e), NULL, &b->err));
        for (unsigned i = 0; i < COUNT; i++)
            if ((set >> i & 1) == 0)
                assert_true(slice_equal(json_raw(result, json_at(result, JSON_ROOT, left++)),
                                        json_raw(doc, json_at(doc, JSON_ROOT, i))));
        assert_int_equal(json_count(result, JSON_ROOT), left);
        json_doc_free(result);
    }
}

// More edits than the list first has room for, given in reverse.
static void many_edits_are_applied_in_one_pass(void **state) {
    struct bench *b = *state;
    struct buffer text = {0}, wanted = {0};
    for (int i = 0; i < 500; i++) {
        buffer_printf(&text, "%c\"k%d\":%d", i > 0 ? ',' : '{', i, i);
        if (i % 2 == 0)
            buffer_printf(&wanted, "%c\"k%d\":\"%d\"", i > 0 ? ',' : '{', i, i * 1000);
    }
    buffer_append_char(&text, '}');
    buffer_append_char(&wanted, '}');
    assert_true(json_parse(b->doc, buffer_slice(&text), NULL, &b->err));
    struct json_edits *e = json_edits_new(b->doc, b->arena);
    for (int i = 499; i >= 0; i--) {
        struct slice name = arena_printf(b->arena, "k%d", i);
        if (i % 2 == 0)
            json_edit_set_string(e, JSON_ROOT, name, arena_printf(b->arena, "%d", i * 1000));
        else
            json_edit_remove(e, JSON_ROOT, name);
    }
    assert_bytes(json_edits_apply(e), buffer_slice(&wanted));
    buffer_free(&text);
    buffer_free(&wanted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BENCH_TEST(edits_change_what_they_name_and_nothing_else),
        BENCH_TEST(no_edit_gives_the_original_bytes),
        BENCH_TEST(keys_are_removed_by_their_place),
        BENCH_TEST(any_subset_of_members_can_go),
        BENCH_TEST(any_subset_of_elements_can_go),
        BENCH_TEST(many_edits_are_applied_in_one_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
