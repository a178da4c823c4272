// What instances tell each other of past success: that all know the outcomes of all,
// once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "farthing/config.h"
#include "farthing/past.h"

enum { START_MS = 1000000, HOUR_MS = 60 * 60 * 1000, ROOM = 32 * 1024 };

static const struct slice acme = {"acme", 4}, faq = {"faq", 3}, small = {"small", 5};

struct pair {
    struct past *here, *there;
};

static void at_ms(uint64_t ms) {
    clock_freeze(1700000000000, (START_MS + ms) * 1000000);
}

static int set_up(void **state) {
    struct pair *p = calloc(1, sizeof *p);
    at_ms(0);
    p->here = past_new();
    p->there = past_new();
    *state = p;
    return 0;
}

static int tear_down(void **state) {
    struct pair *p = *state;
    past_free(p->here);
    past_free(p->there);
    clock_thaw();
    free(p);
    return 0;
}

static void note(struct past *p, unsigned good, unsigned bad) {
    for (unsigned i = 0; i < good + bad; i++)
        past_note(p, acme, faq, small, i < good);
}

static int64_t percent(struct past *p) {
    return past_percent(p, acme, faq, small);
}

static void hear_text(struct past *p, struct slice text, bool all) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(256);
    struct error err;
    assert_true(json_parse(doc, text, NULL, &err));
    past_hear(p, doc, JSON_ROOT, arena, all);
    arena_free(arena);
    json_doc_free(doc);
}

static bool tell(struct past *from, struct past *to, bool all) {
    struct buffer text = {0};
    bool said = past_tell(from, &text, ROOM, all);
    assert_int_equal(said, text.len > 0);
    if (said)
        hear_text(to, buffer_slice(&text), all);
    buffer_free(&text);
    return said;
}

// --------------------------------------------------------------------- adding

static void outcomes_are_added(void **state) {
    struct pair *p = *state;
    note(p->here, 4, 2);
    note(p->there, 2, 4);
    assert_int_equal(percent(p->here), CONFIG_UNSET);
    assert_true(tell(p->here, p->there, false));
    assert_true(tell(p->there, p->here, false));
    assert_int_equal(percent(p->here), 50);
    assert_int_equal(percent(p->there), 50);
}

static void they_are_told_once(void **state) {
    struct pair *p = *state;
    assert_false(tell(p->here, p->there, false));
    note(p->here, 6, 0);
    assert_true(tell(p->here, p->there, false));
    assert_false(tell(p->here, p->there, false));
    assert_false(tell(p->there, p->here, false));      // what was heard is no news
    assert_int_equal(percent(p->there), CONFIG_UNSET); // still six
    note(p->here, 0, 4);
    assert_true(tell(p->here, p->there, false));
    assert_int_equal(percent(p->there), 60);
}

static void they_fade_before_they_are_told(void **state) {
    struct pair *p = *state;
    note(p->here, 0, 40);
    at_ms(PAST_HALF_LIFE_MS);
    assert_true(tell(p->here, p->there, false)); // 20 of them
    note(p->there, 20, 0);
    assert_int_equal(percent(p->there), 50);
}

static void what_faded_away_is_not_told(void **state) {
    struct pair *p = *state;
    note(p->here, 1, 0);
    at_ms(2 * (uint64_t)PAST_HALF_LIFE_MS);
    assert_false(tell(p->here, p->there, false));
}

static void many_push_out_what_is_old(void **state) {
    struct pair *p = *state;
    note(p->there, 1000, 0);
    note(p->here, 0, 1000);
    assert_true(tell(p->here, p->there, false));
    assert_int_equal(percent(p->there), 0);
    assert_int_equal(percent(p->here), 0);
}

static void names_are_told_as_they_are(void **state) {
    static const struct slice names[][3] = {
        {{"a", 1}, {"b", 1}, {"c", 1}},
        {{"ab", 2}, {"", 0}, {"c", 1}},
        {{"a", 1}, {"bc", 2}, {"", 0}},
        {{"", 0}, {"", 0}, {"", 0}},
        {{"a\0b", 3}, {"", 0}, {"c", 1}},
        {{"a", 1}, {"\0b", 2}, {"c", 1}},
        {{"\"q\\", 3}, {"\n\x01", 2}, {"\xc3\xa4", 2}},
    };
    struct pair *p = *state;
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        for (size_t k = 0; k < 20; k++)
            past_note(p->here, names[i][0], names[i][1], names[i][2], k < i);
    assert_true(tell(p->here, p->there, false));
    assert_int_equal(past_count(p->there), FARTHING_COUNT(names));
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        assert_int_equal(past_percent(p->there, names[i][0], names[i][1], names[i][2]), 5 * i);
}

// ------------------------------------------------------------------ a newcomer

static void a_newcomer_hears_all(void **state) {
    struct pair *p = *state;
    struct buffer told = {0};
    note(p->here, 30, 10);
    past_note(p->here, acme, SLICE("rare"), small, true); // says nothing yet
    assert_true(past_tell(p->here, &told, ROOM, false));  // nobody heard it
    buffer_free(&told);
    at_ms(HOUR_MS);
    note(p->there, 0, 2);
    assert_true(tell(p->here, p->there, true));
    assert_int_equal(percent(p->there), 75);
    assert_int_equal(past_count(p->there), 1);
    assert_true(tell(p->here, p->there, true)); // and again: nothing is added
    note(p->there, 0, 39);
    assert_in_range(percent(p->there), 36, 38);
}

static void who_knows_more_keeps_his(void **state) {
    struct pair *p = *state;
    note(p->here, 20, 0);
    note(p->there, 0, 21);
    assert_true(tell(p->here, p->there, true));
    assert_int_equal(percent(p->there), 0);
}

// ---------------------------------------------------------------------- bounds

static struct slice name_of(char out[32], const char *kind, unsigned number) {
    return slice_make(out, (size_t)snprintf(out, 32, "%s-%u", kind, number));
}

static void what_does_not_fit_waits(void **state) {
    enum { FEATURES = 500, LITTLE = 8192 };
    struct pair *p = *state;
    char name[32];
    for (unsigned i = 0; i < FEATURES; i++)
        past_note(p->here, acme, name_of(name, "feature", i), small, true);
    size_t told = 0, messages = 0;
    struct buffer text = {0};
    struct json_doc *doc = json_doc_new();
    while (past_tell(p->here, &text, LITTLE, false)) {
        struct error err;
        assert_true(text.len <= LITTLE && json_parse(doc, buffer_slice(&text), NULL, &err));
        told += json_count(doc, JSON_ROOT);
        messages++;
        buffer_clear(&text);
    }
    assert_int_equal(told, FEATURES);
    assert_in_range(messages, 3, 10);
    assert_false(past_tell(p->here, &text, 100, true));
    json_doc_free(doc);
    buffer_free(&text);
}

// What comes after what is always new is told, too.
static void nobody_waits_for_ever(void **state) {
    enum { FEATURES = 500, LITTLE = 8192, MESSAGES = 20 };
    struct pair *p = *state;
    char name[32];
    struct buffer text = {0};
    for (unsigned n = 0; n < MESSAGES; n++) {
        for (unsigned i = 0; i < FEATURES; i++)
            past_note(p->here, acme, name_of(name, "feature", i), small, true);
        assert_true(past_tell(p->here, &text, LITTLE, false));
        hear_text(p->there, buffer_slice(&text), false);
        buffer_clear(&text);
    }
    assert_int_equal(past_count(p->there), FEATURES);
    buffer_free(&text);
}

static void all_bounds_hold(void **state) {
    struct pair *p = *state;
    char row[128];
    for (unsigned i = 0; i < 2 * PAST_MAX; i++) {
        snprintf(row, sizeof row, "[[\"tenant-%u\",\"f\",\"small\",20000,20000]]", i);
        hear_text(p->there, slice_of(row), false);
    }
    assert_true(past_count(p->there) <= PAST_MAX);
    for (unsigned i = 0; i < 2 * PAST_TENANT_MAX; i++) {
        snprintf(row, sizeof row, "[[\"one\",\"f-%u\",\"small\",20000,20000]]", i);
        hear_text(p->here, slice_of(row), false);
    }
    assert_true(past_count(p->here) <= PAST_TENANT_MAX);
}

static void what_cannot_be_is_passed_over(void **state) {
    static const char *const texts[] = {
        "null",
        "{}",
        "[]",
        "[1,null,[],[[]]]",
        "[[\"acme\",\"faq\",\"small\"]]",
        "[[\"acme\",\"faq\",\"small\",50000]]",
        "[[\"acme\",\"faq\",\"small\",0,0]]",
        "[[\"acme\",\"faq\",\"small\",-50000,-50000]]",
        "[[\"acme\",\"faq\",\"small\",50000,50001]]",
        "[[\"acme\",\"faq\",\"small\",50000,-1]]",
        "[[\"acme\",\"faq\",\"small\",100001,100001]]",
        "[[\"acme\",\"faq\",\"small\",9223372036854775807,5]]",
        "[[\"acme\",\"faq\",\"small\",1.5,1]]",
        "[[\"acme\",\"faq\",5,50000,50000]]",
        "[[\"acme\",null,\"small\",50000,50000]]",
        "[[{},\"faq\",\"small\",50000,50000]]",
    };
    struct pair *p = *state;
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++)
        for (int all = 0; all < 2; all++) {
            hear_text(p->there, slice_of(texts[i]), all);
            if (past_count(p->there) != 0)
                fail_msg("%s", texts[i]);
        }
    struct buffer text = {0};
    buffer_append(&text, SLICE("[[\"acme\",\""));
    for (int i = 0; i < PAST_KEY_MAX; i++)
        buffer_append_char(&text, 'x');
    buffer_append(&text, SLICE("\",\"small\",50000,50000]]"));
    hear_text(p->there, buffer_slice(&text), false); // too long a name
    buffer_free(&text);
    assert_int_equal(past_count(p->there), 0);
    hear_text(p->there, SLICE("[[],[\"acme\",\"faq\",\"small\",50000,25000,\"more\"]]"), false);
    assert_int_equal(percent(p->there), 50);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PAIR(outcomes_are_added),
        PAIR(they_are_told_once),
        PAIR(they_fade_before_they_are_told),
        PAIR(what_faded_away_is_not_told),
        PAIR(many_push_out_what_is_old),
        PAIR(names_are_told_as_they_are),
        PAIR(a_newcomer_hears_all),
        PAIR(who_knows_more_keeps_his),
        PAIR(what_does_not_fit_waits),
        PAIR(nobody_waits_for_ever),
        PAIR(all_bounds_hold),
        PAIR(what_cannot_be_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
