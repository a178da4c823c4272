// Instances that share a limit: rates and places hold for all of them together,
// what one does not need the others have, and nobody starves.
#include "limits_share_scene.h"

static const struct config_limits *figures_of(int64_t requests, int64_t tokens,
                                              int64_t concurrency, int64_t queue) {
    static struct config_limits f;
    f = unlimited;
    f.requests_per_minute = requests;
    f.tokens_per_minute = tokens;
    f.concurrency = concurrency;
    f.queue = queue;
    return &f;
}

// ------------------------------------------------------------------------- rates

static void test_requests_a_minute_are_of_all(void **state) {
    struct servers *s = *state;
    open_instances(s, 3);
    set_figures(s, *figures_of(12, CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET));
    struct guest g[20] = {0};
    unsigned granted = 0;
    uint64_t start = clock_mono_ms();
    for (unsigned i = 0; i < FARTHING_COUNT(g); i++)
        granted += ask(s, &g[i], i % 3, 0) == LIMITS_GRANTED;
    uint64_t earned = (clock_mono_ms() - start) * 12 / 60000;
    assert_in_range(granted, 12 - 3, 12 + earned);
    const struct limits_refusal *r = &g[19].ticket.refusal;
    assert_int_equal(g[19].verdict, LIMITS_REFUSED);
    assert_int_equal(r->reason, LIMITS_REASON_REQUESTS);
    assert_int_equal(r->limit, 12);
    assert_in_range(r->retry_after_ms, 1, 60000);
    for (unsigned i = 0; i < FARTHING_COUNT(g); i++)
        (void)limits_release(&g[i].ticket);
}


static void test_a_single_one_loses_nothing_by_it(void **state) {
    struct servers *s = *state;
    open_instances(s, 1);
    set_figures(s, *figures_of(30, 1000, CONFIG_UNSET, CONFIG_UNSET));
    struct guest g[30] = {0};
    for (unsigned i = 0; i < FARTHING_COUNT(g); i++)
        assert_int_equal(ask(s, &g[i], 0, 30), LIMITS_GRANTED);
    struct limits_view view;
    limits_view_ticket(&g[0].ticket, &view);
    assert_int_equal(view.requests.limit, 30);
    assert_in_range(view.requests.remaining, 0, 5);
    assert_in_range(view.tokens.remaining, 100, 400);
}

// Comes again until it is let in.
struct stubborn {
    struct guest guest;
    unsigned instance;
    int64_t tokens;
};

static bool is_let_in(struct servers *s, void *arg) {
    struct stubborn *g = arg;
    if (g->guest.verdict == LIMITS_QUEUED || g->guest.verdict == LIMITS_GRANTED)
        return g->guest.verdict == LIMITS_GRANTED;
    come(s, &g->guest, g->instance, g->tokens);
    return g->guest.verdict == LIMITS_GRANTED;
}

static void insist(struct servers *s, unsigned instance, int64_t tokens) {
    struct stubborn g = {.instance = instance, .tokens = tokens};
    come(s, &g.guest, instance, tokens);
    run_until(s, is_let_in, &g);
    assert_true(limits_release(&g.guest.ticket));
}

static void test_tokens_that_were_not_used_are_everybody_s(void **state) {
    struct servers *s = *state;
    open_instances(s, 2);
    set_figures(s, *figures_of(CONFIG_UNSET, 100000, CONFIG_UNSET, CONFIG_UNSET));
    struct guest big = {0}, refused = {0};
    assert_int_equal(ask(s, &big, 0, 90000), LIMITS_GRANTED);
    assert_int_equal(ask(s, &refused, 1, 90000), LIMITS_REFUSED);
    assert_int_equal(refused.ticket.refusal.reason, LIMITS_REASON_TOKENS);
    assert_in_range(refused.ticket.refusal.remaining, 9000, 60000);
    assert_true(limits_settle(&big.ticket, 100));
    insist(s, 1, 90000);
    assert_true(limits_release(&big.ticket));
}

static void test_tokens_used_beyond_are_owed_by_all(void **state) {
    struct servers *s = *state;
    open_instances(s, 2);
    set_figures(s, *figures_of(CONFIG_UNSET, 60, CONFIG_UNSET, CONFIG_UNSET));
    struct guest big = {0}, refused = {0};
    assert_int_equal(ask(s, &big, 0, 10), LIMITS_GRANTED);
    assert_true(limits_settle(&big.ticket, 600));
    // Told with the next call, whoever makes it; the other sees it in the end.
    for (unsigned i = 0; i < PATIENCE && refused.verdict != LIMITS_REFUSED; i++) {
        come(s, &refused, 1, 1);
        run_until(s, is_told, &refused);
        if (refused.verdict == LIMITS_GRANTED)
            assert_true(limits_cancel(&refused.ticket));
        run_once(s);
    }
    assert_in_range(refused.ticket.refusal.retry_after_ms, 300000, 600000);
    assert_true(limits_release(&big.ticket));
}

static void test_more_than_ever_fits_is_said_at_once(void **state) {
    struct servers *s = *state;
    open_instances(s, 1);
    set_figures(s, *figures_of(CONFIG_UNSET, 100, CONFIG_UNSET, CONFIG_UNSET));
    struct guest g = {0};
    come(s, &g, 0, 101);
    assert_int_equal(g.verdict, LIMITS_REFUSED);
    assert_int_equal(g.ticket.refusal.retry_after_ms, -1);
    come(s, &g, 0, INT64_MAX);
    assert_int_equal(g.verdict, LIMITS_REFUSED);
}

// Both are asked for with one call.
static void test_what_is_too_little_for_one_is_enough_for_the_next(void **state) {
    struct servers *s = *state;
    open_instances(s, 1);
    set_figures(s, *figures_of(CONFIG_UNSET, 1000, CONFIG_UNSET, CONFIG_UNSET));
    struct guest holds = {0}, first = {0}, large = {0}, small = {0};
    assert_int_equal(ask(s, &holds, 0, 800), LIMITS_GRANTED);
    come(s, &first, 0, 10); // its call is under way
    come(s, &large, 0, 900);
    come(s, &small, 0, 20);
    run_until(s, is_told, &small);
    assert_int_equal(first.verdict, LIMITS_GRANTED);
    assert_int_equal(large.verdict, LIMITS_REFUSED);
    assert_true(large.ticket.refusal.retry_after_ms > 0);
    assert_int_equal(small.verdict, LIMITS_GRANTED);
}

static void test_one_who_leaves_while_he_is_asked_for(void **state) {
    struct servers *s = *state;
    open_instances(s, 1);
    set_figures(s, *figures_of(2, CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET));
    struct guest gone = {0}, next[3] = {0};
    come(s, &gone, 0, 0);
    assert_int_equal(gone.verdict, LIMITS_QUEUED);
    assert_true(limits_release(&gone.ticket));
    for (unsigned i = 0; i < 3; i++)
        (void)ask(s, &next[i], 0, 0);
    assert_int_equal(next[0].verdict, LIMITS_GRANTED);
    assert_int_equal(next[1].verdict, LIMITS_GRANTED); // what was granted for him
    assert_int_equal(next[2].verdict, LIMITS_REFUSED);
    assert_int_equal(gone.calls, 0);
}

// ------------------------------------------------------------------------ places

static void test_without_a_queue_the_others_places_are_asked_for(void **state) {
    struct servers *s = *state;
    open_instances(s, 2);
    set_figures(s, *figures_of(CONFIG_UNSET, CONFIG_UNSET, 2, CONFIG_UNSET));
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 0, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 1, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &c, 1, 0), LIMITS_REFUSED);
    assert_int_equal(c.ticket.refusal.reason, LIMITS_REASON_CONCURRENCY);
    assert_int_equal(c.ticket.refusal.limit, 2);
    assert_true(limits_release(&a.ticket));
    insist(s, 1, 0);
    assert_true(limits_release(&b.ticket));
}

static void test_who_waits_here_has_what_comes_free_there(void **state) {
    struct servers *s = *state;
    open_instances(s, 2);
    set_figures(s, *figures_of(CONFIG_UNSET, CONFIG_UNSET, 1, 5));
    struct guest a = {0}, b = {0};
    assert_int_equal(ask(s, &a, 0, 0), LIMITS_GRANTED);
    come(s, &b, 1, 0);
    assert_int_equal(b.verdict, LIMITS_QUEUED);
    for (unsigned i = 0; i < 50; i++)
        run_once(s);
    assert_int_equal(b.verdict, LIMITS_QUEUED);
    assert_true(limits_release(&a.ticket));
    run_until(s, is_told, &b);
    assert_int_equal(b.verdict, LIMITS_GRANTED);
    assert_true(limits_release(&b.ticket));
}

struct heard {
    unsigned knocks, names;
};

static void on_heard(void *arg, struct slice message) {
    struct heard *h = arg;
    h->knocks += slice_equal(message, SLICE("knock"));
    h->names += slice_ends_with(message, SLICE(" acme"));
}

static bool has_heard(struct servers *s, void *arg) {
    const struct heard *h = arg;
    if (h->knocks == 0) // it is connected sometime
        store_say(s->instances[0].store, "limits", SLICE("knock"));
    return h->knocks > 0;
}

static bool has_heard_a_name(struct servers *s, void *arg) {
    (void)s;
    return ((const struct heard *)arg)->names > 0;
}

// Who waits says so; else the other would find out later.
static void test_the_others_are_told(void **state) {
    struct servers *s = *state;
    open_instances(s, 2);
    set_figures(s, *figures_of(CONFIG_UNSET, CONFIG_UNSET, 1, 5));
    struct guest a = {0}, b = {0};
    struct heard heard = {0};
    struct store_ear *ear = store_listen(s->instances[0].client, "limits", on_heard, &heard);
    run_until(s, has_heard, &heard);
    assert_int_equal(ask(s, &a, 0, 0), LIMITS_GRANTED);
    assert_int_equal(heard.names, 0);
    come(s, &b, 1, 0);
    run_until(s, has_heard_a_name, &heard);
    store_unlisten(ear);
    assert_true(limits_release(&a.ticket));
    run_until(s, is_told, &b);
    assert_true(limits_release(&b.ticket));
}

// Its loop does not run any more, and it says nothing at its end.
static void test_places_of_the_dead(void **state) {
    struct servers *s = *state;
    s->sharing.term_ms = 1000;
    open_instances(s, 2);
    set_figures(s, *figures_of(CONFIG_UNSET, CONFIG_UNSET, 2, 5));
    struct guest a = {0}, b = {0}, waits = {0};
    assert_int_equal(ask(s, &a, 1, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 1, 0), LIMITS_GRANTED);
    s->count = 1;
    come(s, &waits, 0, 0);
    run_until(s, is_told, &waits);
    assert_int_equal(waits.verdict, LIMITS_GRANTED);
    s->count = 2;
    assert_true(limits_release(&a.ticket) && limits_release(&b.ticket) &&
                limits_release(&waits.ticket));
}

static bool has_none(struct servers *s, void *arg) {
    (void)s;
    return name_at(arg)->share->have == 0 && name_at(arg)->share->steward == NULL;
}

static void test_what_lies_idle_goes_back(void **state) {
    struct servers *s = *state;
    open_instances(s, 1);
    set_figures(s, *figures_of(1000, 100000, 50, 5));
    struct guest g[20] = {0};
    for (unsigned i = 0; i < FARTHING_COUNT(g); i++)
        assert_int_equal(ask(s, &g[i], 0, 10), LIMITS_GRANTED);
    assert_true(name_at(&s->instances[0])->share->have >= 20);
    for (unsigned i = 0; i < FARTHING_COUNT(g); i++)
        assert_true(limits_release(&g[i].ticket));
    run_until(s, has_none, &s->instances[0]);
    assert_true(limits_share_is_idle(name_at(&s->instances[0])));
}

static void test_an_end_gives_all_back(void **state) {
    struct servers *s = *state;
    open_instances(s, 2);
    set_figures(s, *figures_of(CONFIG_UNSET, CONFIG_UNSET, 2, CONFIG_UNSET));
    struct guest a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(s, &a, 1, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 1, 0), LIMITS_GRANTED);
    assert_true(limits_release(&a.ticket) && limits_release(&b.ticket));
    close_instance(&s->instances[1]); // waits until it is said
    s->count = 1;
    assert_int_equal(ask(s, &a, 0, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b, 0, 0), LIMITS_GRANTED);
    assert_int_equal(ask(s, &c, 0, 0), LIMITS_REFUSED);
    assert_true(limits_release(&a.ticket) && limits_release(&b.ticket));
}

// Each keeps three waiting; who holds a place leaves it at the next look.
struct crowd {
    struct guest guests[INSTANCES_MAX][3];
    unsigned turns[INSTANCES_MAX], inside, places, least;
};

static void come_in(struct crowd *c, unsigned i, struct guest *g) {
    g->calls = 2; // counted
    c->turns[i]++;
    c->inside++;
    assert_true(c->inside <= c->places);
}

static void move(struct servers *s, struct crowd *c, unsigned i, struct guest *g) {
    if (g->ticket.state == LIMITS_HELD && g->calls < 2) {
        come_in(c, i, g);
    } else if (g->ticket.state == LIMITS_HELD && random_below(3) == 0) {
        c->inside--;
        assert_true(limits_release(&g->ticket));
    } else if (g->ticket.state == LIMITS_IDLE || g->ticket.state == LIMITS_DONE) {
        come(s, g, i, 0);
    }
}

static bool all_had_turns(struct servers *s, void *arg) {
    struct crowd *c = arg;
    unsigned least = UINT32_MAX;
    for (unsigned i = 0; i < s->count; i++) {
        for (unsigned k = 0; k < 3; k++)
            move(s, c, i, &c->guests[i][k]);
        least = c->turns[i] < least ? c->turns[i] : least;
    }
    return least >= c->least;
}

static void run_crowd(struct servers *s, unsigned places, unsigned least) {
    struct crowd c = {.places = places, .least = least};
    open_instances(s, 3);
    set_figures(s, *figures_of(CONFIG_UNSET, CONFIG_UNSET, places, 10));
    random_seed(71);
    run_until(s, all_had_turns, &c);
    for (unsigned i = 0; i < s->count; i++)
        for (unsigned k = 0; k < 3; k++)
            (void)limits_release(&c.guests[i][k].ticket);
}

static void test_nobody_starves(void **state) {
    run_crowd(*state, 4, 30);
}

static void test_nobody_starves_where_places_are_fewer_than_instances(void **state) {
    run_crowd(*state, 1, 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVERS(test_requests_a_minute_are_of_all),
        SERVERS(test_a_single_one_loses_nothing_by_it),
        SERVERS(test_tokens_that_were_not_used_are_everybody_s),
        SERVERS(test_tokens_used_beyond_are_owed_by_all),
        SERVERS(test_more_than_ever_fits_is_said_at_once),
        SERVERS(test_what_is_too_little_for_one_is_enough_for_the_next),
        SERVERS(test_one_who_leaves_while_he_is_asked_for),
        SERVERS(test_without_a_queue_the_others_places_are_asked_for),
        SERVERS(test_who_waits_here_has_what_comes_free_there),
        SERVERS(test_the_others_are_told),
        SERVERS(test_places_of_the_dead),
        SERVERS(test_what_lies_idle_goes_back),
        SERVERS(test_an_end_gives_all_back),
        SERVERS(test_nobody_starves),
        SERVERS(test_nobody_starves_where_places_are_fewer_than_instances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
