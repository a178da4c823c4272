// Breakers of two instances: what one tells, and what the other makes of it.
#include "breaker_scene.h"

#include <stdio.h>

enum { ROOM = 32 * 1024 };

struct pair {
    struct scene *here, *there; // one clock
};

static int open_pair(void **state) {
    struct pair *p = calloc(1, sizeof *p);
    void *one, *two;
    (void)open_scene(&one);
    (void)open_scene(&two);
    p->here = one;
    p->there = two;
    breakers_set_figures(p->here->breakers, NAME, &usual, p->here->now_ms);
    breakers_set_figures(p->there->breakers, NAME, &usual, p->there->now_ms);
    *state = p;
    return 0;
}

static int close_pair(void **state) {
    struct pair *p = *state;
    void *one = p->here, *two = p->there;
    (void)close_scene(&one);
    (void)close_scene(&two);
    free(p);
    return 0;
}

static void pass(struct pair *p, int64_t ms) {
    p->here->now_ms += ms;
    p->there->now_ms += ms;
}

static void hear_text(struct scene *s, const char *text, int64_t late_ms) {
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(256);
    struct error err;
    assert_true(json_parse(doc, slice_of(text), NULL, &err));
    breakers_hear(s->breakers, doc, JSON_ROOT, arena, s->now_ms - late_ms, s->now_ms);
    arena_free(arena);
    json_doc_free(doc);
}

// What one has to say, said to the other; false: nothing.
static bool tell(struct scene *from, struct scene *to, bool all) {
    struct buffer text = {0};
    bool said = breakers_tell(from->breakers, &text, ROOM, all, from->now_ms);
    assert_int_equal(said, text.len > 0);
    if (said) {
        buffer_append_char(&text, '\0');
        hear_text(to, text.ptr, 0);
    }
    buffer_free(&text);
    return said;
}

static struct breaker_view view(struct scene *s) {
    return view_of(s, NAME);
}

static void trip_here(struct pair *p) {
    trip(p->here);
    assert_true(tell(p->here, p->there, false));
}

static void good_probe(struct scene *s) {
    struct breaker_ticket t = probe(s);
    report(s, &t, BREAKER_GOOD);
}

static void bad_probe(struct scene *s) {
    struct breaker_ticket t = probe(s);
    report(s, &t, BREAKER_BAD);
}

// -------------------------------------------------------------------- opening

static void test_it_opens_there_too(void **state) {
    struct pair *p = *state;
    clock_freeze(1700000000000, 5);
    trip_here(p);
    assert_state(p->there, BREAKER_STATE_OPEN);
    struct breaker_view here = view(p->here), there = view(p->there);
    assert_true(there.hearsay && !here.hearsay);
    assert_true(there.retry_in_ms > 0 && there.retry_in_ms <= here.retry_in_ms);
    assert_int_equal(there.opened_at_ms, 1700000000000);
    assert_int_equal(call(p->there, 1, BREAKER_GOOD), 0);
    assert_int_equal(there.opened, 1);
}

static void test_news_are_told_once(void **state) {
    struct pair *p = *state;
    assert_false(tell(p->here, p->there, false));
    assert_false(tell(p->here, p->there, true));
    trip_here(p);
    assert_false(tell(p->here, p->there, false));
    assert_false(tell(p->there, p->here, false)); // hearsay is no news
    assert_true(tell(p->here, p->there, true));
    assert_int_equal(view(p->there).opened, 1);
}

// Never longer than its own configuration says, whatever another's says.
static void test_for_how_long(void **state) {
    static const struct {
        int64_t said_ms, least, most;
    } rows[] = {{1, 1, 1},
                {1000, 900, 1000},
                {OPEN_FOR, OPEN_FOR * 9 / 10, OPEN_FOR},
                {100 * OPEN_FOR, OPEN_FOR * 9 / 10, OPEN_FOR}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = ((struct pair *)*state)->there;
        char text[128];
        snprintf(text, sizeof text, "[[\"openai/gpt-4o\",\"open\",0,%lld,0,5,5]]",
                 (long long)rows[i].said_ms);
        hear_text(s, text, 0);
        assert_in_range(view_of(s, NAME).retry_in_ms, rows[i].least, rows[i].most);
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
        s->now_ms += WINDOW;
    }
}

static void test_a_message_that_is_late(void **state) {
    struct scene *s = ((struct pair *)*state)->there;
    hear_text(s, "[[\"openai/gpt-4o\",\"open\",0,1000,0,5,5]]", 1000);
    assert_state(s, BREAKER_STATE_CLOSED);
    hear_text(s, "[[\"openai/gpt-4o\",\"open\",0,1000,0,5,5]]", 600);
    assert_in_range(view_of(s, NAME).retry_in_ms, 360, 400);
}

// What its own calls would not have opened is not opened by others'.
static void test_how_many_failures_persuade(void **state) {
    static const struct {
        int64_t calls, failures;
        bool opens;
    } rows[] = {{4, 4, false},
                {5, 5, true},
                {10, 5, true},
                {11, 5, false},
                {1000000, 499999, false},
                {1000000, 500000, true}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = ((struct pair *)*state)->there;
        char text[128];
        snprintf(text, sizeof text, "[[\"openai/gpt-4o\",\"open\",0,5000,0,%lld,%lld]]",
                 (long long)rows[i].calls, (long long)rows[i].failures);
        hear_text(s, text, 0);
        if ((view_of(s, NAME).state == BREAKER_STATE_OPEN) != rows[i].opens)
            fail_msg("row %zu", i);
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    }
}

static void test_own_good_calls_contradict(void **state) {
    static const struct {
        int64_t good_ago_ms, outage_ms;
        bool opens;
    } rows[] = {{0, 0, false},      {4999, 0, false},       {5000, 0, true},
                {6000, 5999, true}, {6000, 6000, false},    {6000, 60000, false},
                {60000, 1, true},   {60000, 3600000, false}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct scene *s = ((struct pair *)*state)->there;
        s->now_ms += 100 * WINDOW;
        assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
        s->now_ms += rows[i].good_ago_ms;
        char text[128];
        snprintf(text, sizeof text, "[[\"openai/gpt-4o\",\"open\",0,5000,%lld,5,5]]",
                 (long long)rows[i].outage_ms);
        hear_text(s, text, 0);
        if ((view_of(s, NAME).state == BREAKER_STATE_OPEN) != rows[i].opens)
            fail_msg("row %zu", i);
        assert_true(breakers_reset(s->breakers, NAME, s->now_ms));
    }
}

// Its network is broken, and the provider is well: it does not shut it for others,
// however often it says so.
static void test_one_that_is_cut_off(void **state) {
    struct pair *p = *state;
    trip_here(p);
    assert_state(p->there, BREAKER_STATE_OPEN); // nothing speaks against it
    pass(p, OPEN_FOR);
    good_probe(p->there);
    for (int i = 0; i < 10; i++) {
        wait_for_probe(p->here);
        p->there->now_ms = p->here->now_ms;
        bad_probe(p->here);
        assert_true(tell(p->here, p->there, false));
        assert_state(p->there, BREAKER_STATE_CLOSED); // no call there for minutes, but a good one
    }
}

static void test_where_there_is_no_breaker(void **state) {
    static const struct breaker_figures none = {0};
    struct scene *s = ((struct pair *)*state)->there;
    breakers_set_figures(s->breakers, NAME, &none, s->now_ms);
    breakers_declare(s->breakers, SLICE("openai/declared")); // and nothing known of it
    hear_text(s,
              "[[\"openai/gpt-4o\",\"open\",0,5000,0,50,50],"
              "[\"openai/declared\",\"open\",0,5000,0,50,50],"
              "[\"openai/unknown\",\"open\",0,5000,0,50,50]]",
              0);
    assert_state(s, BREAKER_STATE_CLOSED);
    assert_int_equal(view_of(s, SLICE("openai/declared")).state, BREAKER_STATE_CLOSED);
    struct found f = {.name = SLICE("openai/unknown")};
    breakers_visit(s->breakers, s->now_ms, look, &f);
    assert_int_equal(f.count, 2);
}

// Turned off by a reload: the next call lets it go, and hearsay does not come back.
static void test_turned_off(void **state) {
    struct pair *p = *state;
    trip_here(p);
    p->there->figures.failures = 0;
    breakers_set_figures(p->there->breakers, NAME, &p->there->figures, p->there->now_ms);
    struct breaker_ticket t;
    assert_int_equal(admit(p->there, &t), BREAKER_CLOSED);
    assert_state(p->there, BREAKER_STATE_CLOSED);
    assert_true(tell(p->here, p->there, true));
    assert_state(p->there, BREAKER_STATE_CLOSED);
}

static void test_nobody_makes_an_outage_longer(void **state) {
    struct pair *p = *state;
    trip(p->there);
    int64_t retry_in_ms = view(p->there).retry_in_ms;
    trip_here(p);
    assert_int_equal(view(p->there).retry_in_ms, retry_in_ms);
    assert_false(view(p->there).hearsay);
    wait_for_probe(p->there);
    struct breaker_ticket t = probe(p->there);
    assert_true(tell(p->here, p->there, true));
    assert_state(p->there, BREAKER_STATE_HALF_OPEN);
    report(p->there, &t, BREAKER_GOOD);
    assert_state(p->there, BREAKER_STATE_CLOSED);
}

// It probes by itself, and what it then finds out is its own.
static void test_its_own_probe_decides(void **state) {
    struct pair *p = *state;
    trip_here(p);
    wait_for_probe(p->there);
    bad_probe(p->there);
    assert_state(p->there, BREAKER_STATE_OPEN);
    assert_false(view(p->there).hearsay);
    assert_true(tell(p->there, p->here, false));
    wait_for_probe(p->there);
    good_probe(p->there);
    p->here->now_ms = p->there->now_ms;
    assert_true(tell(p->there, p->here, false));
    assert_state(p->here, BREAKER_STATE_CLOSED);
}

// -------------------------------------------------------------------- closing

static void test_a_good_probe_closes_all(void **state) {
    struct pair *p = *state;
    trip_here(p);
    pass(p, OPEN_FOR);
    good_probe(p->here);
    assert_true(tell(p->here, p->there, false));
    assert_state(p->there, BREAKER_STATE_CLOSED);
    assert_false(tell(p->there, p->here, false));
    assert_int_equal(call(p->there, 4, BREAKER_BAD), 4); // counts from nothing
    assert_state(p->there, BREAKER_STATE_CLOSED);
}

static void test_what_failed_here_later_counts_more(void **state) {
    struct pair *p = *state;
    trip_here(p);
    pass(p, OPEN_FOR);
    good_probe(p->here);
    pass(p, 10);
    bad_probe(p->there);
    assert_true(tell(p->here, p->there, false));
    assert_state(p->there, BREAKER_STATE_OPEN);
}

static void test_it_closes_what_failed_here_before(void **state) {
    struct pair *p = *state;
    trip(p->here);
    trip(p->there);
    pass(p, OPEN_FOR);
    good_probe(p->here);
    assert_true(tell(p->here, p->there, false));
    assert_state(p->there, BREAKER_STATE_CLOSED);
}

// Reached from there, not from here: after the first time another's word lets a probe
// pass, and no more.
static void test_one_that_cannot_reach_it(void **state) {
    struct pair *p = *state;
    const char *closed = "[[\"openai/gpt-4o\",\"closed\",0]]";
    trip(p->here);
    pass(p, 10);
    hear_text(p->here, closed, 0);
    assert_state(p->here, BREAKER_STATE_CLOSED);
    trip(p->here);
    for (int i = 0; i < 5; i++) {
        pass(p, 10);
        hear_text(p->here, closed, 0);
        assert_state(p->here, BREAKER_STATE_OPEN);
        bad_probe(p->here); // at once
        assert_int_equal(call(p->here, 1, BREAKER_BAD), 0);
    }
    pass(p, 10);
    hear_text(p->here, closed, 0);
    good_probe(p->here); // a good one of its own: trusting again
    trip(p->here);
    pass(p, 10);
    hear_text(p->here, closed, 0);
    assert_state(p->here, BREAKER_STATE_CLOSED);
}

// A good call in between is enough, too.
static void test_trust_comes_back(void **state) {
    struct scene *s = ((struct pair *)*state)->here;
    for (int i = 0; i < 3; i++) {
        trip(s);
        s->now_ms += 10;
        hear_text(s, "[[\"openai/gpt-4o\",\"closed\",0]]", 0);
        assert_state(s, BREAKER_STATE_CLOSED);
        assert_int_equal(call(s, 1, BREAKER_GOOD), 1);
    }
}

// What opened before another's probe was good is told after it.
static void test_words_out_of_order(void **state) {
    struct scene *s = ((struct pair *)*state)->there;
    hear_text(s, "[[\"openai/gpt-4o\",\"closed\",1000]]", 0);
    hear_text(s, "[[\"openai/gpt-4o\",\"open\",1500,9000,20000,5,5]]", 0);
    assert_state(s, BREAKER_STATE_CLOSED);
    hear_text(s, "[[\"openai/gpt-4o\",\"open\",500,9000,20000,5,5]]", 0);
    assert_state(s, BREAKER_STATE_OPEN);
}

static void test_a_probe_under_way_when_it_closes(void **state) {
    struct pair *p = *state;
    trip_here(p);
    wait_for_probe(p->there);
    struct breaker_ticket t = probe(p->there);
    hear_text(p->there, "[[\"openai/gpt-4o\",\"closed\",0]]", 0);
    assert_state(p->there, BREAKER_STATE_CLOSED);
    report(p->there, &t, BREAKER_BAD);
    assert_state(p->there, BREAKER_STATE_CLOSED);
}

static void test_a_reset_is_for_all(void **state) {
    struct pair *p = *state;
    trip(p->here);
    trip(p->there);
    assert_true(breakers_reset(p->here->breakers, NAME, p->here->now_ms));
    assert_true(tell(p->here, p->there, false));
    assert_state(p->there, BREAKER_STATE_CLOSED);
    assert_false(tell(p->there, p->here, false));
    trip(p->there);
    assert_true(breakers_reset(p->here->breakers, NAME, p->here->now_ms)); // closed there
    assert_true(tell(p->here, p->there, false));
    assert_state(p->there, BREAKER_STATE_CLOSED);
}

// Others tell of it until they have heard of the reset: that does not undo it.
static void test_a_reset_is_not_undone_by_old_words(void **state) {
    struct pair *p = *state;
    trip_here(p);
    pass(p, 1000);
    assert_true(breakers_reset(p->here->breakers, NAME, p->here->now_ms));
    assert_true(tell(p->there, p->here, true)); // hearsay, by now
    assert_state(p->here, BREAKER_STATE_CLOSED);
    assert_true(tell(p->here, p->there, false));
    assert_state(p->there, BREAKER_STATE_CLOSED);
    hear_text(p->there, "[[\"openai/gpt-4o\",\"open\",1000,5000,1000,5,5]]", 0);
    assert_state(p->there, BREAKER_STATE_CLOSED);
    pass(p, 10);
    trip_here(p); // a new outage is one
    assert_state(p->there, BREAKER_STATE_OPEN);
}

// ---------------------------------------------------------------- a newcomer

static void test_a_newcomer_hears_all(void **state) {
    struct pair *p = *state;
    trip(p->here);
    struct buffer text = {0};
    assert_true(breakers_tell(p->here->breakers, &text, ROOM, false, p->here->now_ms));
    buffer_free(&text); // nobody heard it
    pass(p, 5000);
    assert_true(tell(p->here, p->there, true));
    assert_state(p->there, BREAKER_STATE_OPEN);
    assert_in_range(view(p->there).retry_in_ms, 1, OPEN_FOR - 5000);
}

// One that has it on hearsay knows enough to answer, and what speaks against it
// there still does.
static void test_hearsay_is_handed_on_to_a_newcomer(void **state) {
    struct pair *p = *state;
    void *third;
    (void)open_scene(&third);
    struct scene *newcomer = third;
    breakers_set_figures(newcomer->breakers, NAME, &usual, newcomer->now_ms);
    trip_here(p);
    pass(p, 1000);
    newcomer->now_ms = p->there->now_ms;
    assert_true(tell(p->there, newcomer, true));
    assert_state(newcomer, BREAKER_STATE_OPEN);
    assert_true(breakers_reset(newcomer->breakers, NAME, newcomer->now_ms));
    assert_int_equal(call(newcomer, 1, BREAKER_GOOD), 1);
    newcomer->now_ms = p->there->now_ms += 6000;
    assert_true(tell(p->there, newcomer, true));
    assert_state(newcomer, BREAKER_STATE_CLOSED);
    (void)close_scene(&third);
}

// Its probe is under way: for others it is open until that one may be given up.
static void test_half_open_is_open_to_others(void **state) {
    struct pair *p = *state;
    trip(p->here);
    wait_for_probe(p->here);
    p->there->now_ms = p->here->now_ms;
    (void)probe(p->here);
    assert_true(tell(p->here, p->there, true));
    assert_state(p->there, BREAKER_STATE_OPEN);
}

// --------------------------------------------------------------------- bounds

static void test_what_does_not_fit_waits(void **state) {
    enum { NAMES = 100, SMALL = 4096 };
    struct pair *p = *state;
    p->here->figures.failures = 1;
    for (int i = 0; i < NAMES; i++) {
        char name[32];
        struct breaker_ticket t;
        snprintf(name, sizeof name, "openai/invented-%d", i);
        assert_int_equal(
            breaker_admit(p->here->loop, slice_of(name), &p->here->figures, p->here->now_ms, &t),
            BREAKER_CLOSED);
        report(p->here, &t, BREAKER_BAD);
    }
    size_t told = 0, messages = 0;
    struct buffer text = {0};
    struct json_doc *doc = json_doc_new();
    while (breakers_tell(p->here->breakers, &text, SMALL, false, p->here->now_ms)) {
        struct error err;
        assert_true(text.len <= SMALL && json_parse(doc, buffer_slice(&text), NULL, &err));
        told += json_count(doc, JSON_ROOT);
        messages++;
        buffer_clear(&text);
    }
    assert_int_equal(told, NAMES);
    assert_in_range(messages, 2, 10);
    assert_false(breakers_tell(p->here->breakers, &text, 10, true, p->here->now_ms));
    json_doc_free(doc);
    buffer_free(&text);
}

static void test_what_cannot_be_is_passed_over(void **state) {
    static const char *const texts[] = {
        "null",
        "{}",
        "\"openai/gpt-4o\"",
        "[]",
        "[1,null,{},[],[[]]]",
        "[[\"openai/gpt-4o\"]]",
        "[[\"openai/gpt-4o\",\"open\"]]",
        "[[\"openai/gpt-4o\",\"open\",0,5000,0,5]]",
        "[[\"openai/gpt-4o\",\"open\",-1,5000,0,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",0,-5000,0,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",0,5000,-1,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",0,5000,0,-5,-5]]",
        "[[\"openai/gpt-4o\",\"open\",0,5000,0,5,6]]",
        "[[\"openai/gpt-4o\",\"open\",0,5000,0,5,9223372036854775807]]",
        "[[\"openai/gpt-4o\",\"open\",0,9223372036854775807,0,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",0,5000,9223372036854775807,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",9223372036854775807,5000,0,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",0,0,0,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",0,0.5,0,5,5]]",
        "[[\"openai/gpt-4o\",\"open\",0,\"5000\",0,5,5]]",
        "[[\"openai/gpt-4o\",\"opened\",0,5000,0,5,5]]",
        "[[\"openai/gpt-4o\",5,0,5000,0,5,5]]",
        "[[7,\"open\",0,5000,0,5,5]]",
        "[[\"\",\"open\",0,5000,0,5,5]]",
    };
    struct pair *p = *state;
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        hear_text(p->there, texts[i], 0);
        if (view(p->there).state != BREAKER_STATE_CLOSED)
            fail_msg("%s", texts[i]);
    }
    trip(p->here);
    static const char *const closing[] = {
        "[[\"openai/gpt-4o\",\"closed\"]]", "[[\"openai/gpt-4o\",\"closed\",-5]]",
        "[[\"openai/gpt-4o\",\"reset\",null]]",
        "[[\"openai/gpt-4o\",\"closed\",1000]]"}; // it failed later
    for (size_t i = 0; i < FARTHING_COUNT(closing); i++) {
        hear_text(p->here, closing[i], 0);
        assert_state(p->here, BREAKER_STATE_OPEN);
    }
    // Later words in a row, and rows after a bad one, do no harm.
    hear_text(p->there, "[[1],[\"openai\\/gpt-4o\",\"open\",0,5000,0,5,5,\"more\",{}]]", 0);
    assert_state(p->there, BREAKER_STATE_OPEN);
}

#define PAIR(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void) {
    const struct CMUnitTest tests[] = {
        PAIR(test_it_opens_there_too),
        PAIR(test_news_are_told_once),
        PAIR(test_for_how_long),
        PAIR(test_a_message_that_is_late),
        PAIR(test_how_many_failures_persuade),
        PAIR(test_own_good_calls_contradict),
        PAIR(test_one_that_is_cut_off),
        PAIR(test_where_there_is_no_breaker),
        PAIR(test_turned_off),
        PAIR(test_nobody_makes_an_outage_longer),
        PAIR(test_its_own_probe_decides),
        PAIR(test_a_good_probe_closes_all),
        PAIR(test_what_failed_here_later_counts_more),
        PAIR(test_it_closes_what_failed_here_before),
        PAIR(test_one_that_cannot_reach_it),
        PAIR(test_trust_comes_back),
        PAIR(test_words_out_of_order),
        PAIR(test_a_probe_under_way_when_it_closes),
        PAIR(test_a_reset_is_for_all),
        PAIR(test_a_reset_is_not_undone_by_old_words),
        PAIR(test_a_newcomer_hears_all),
        PAIR(test_hearsay_is_handed_on_to_a_newcomer),
        PAIR(test_half_open_is_open_to_others),
        PAIR(test_what_does_not_fit_waits),
        PAIR(test_what_cannot_be_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
