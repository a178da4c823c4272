// The queue where several wait for the same places: whose turn it is, and whose
// seat. Places of one name, asked for on behalf of several flows.
#include "limits_scene.h"

enum { GUESTS = 1000, FLOWS_MAX = 4 };

static struct guest guests[GUESTS];
static size_t guest_count;

static int set_up_guests(void **state) {
    memset(guests, 0, sizeof guests);
    guest_count = 0;
    return set_up(state);
}

static void set_places(struct scene *s, int64_t concurrency, int64_t queue) {
    limits_set(s->limits, SLICE("places"),
               &(struct config_limits){.concurrency = concurrency,
                                       .queue = queue,
                                       .queue_timeout_ms = 100000,
                                       .requests_per_minute = 10000,
                                       .tokens_per_minute = 1000000});
}

static enum limits_verdict come(struct scene *s, struct guest *g, const char *flow,
                                unsigned weight) {
    const struct limits_ask ask = {.tenant = SLICE("places"),
                                   .tokens = 10,
                                   .flow = slice_of(flow),
                                   .weight = weight};
    struct limits_loop *l = (g - guests) % 2 == 0 ? s->own : s->other;
    g->verdict = limits_admit(l, &g->ticket, &ask, on_done, g);
    return g->verdict;
}

static struct guest *queue_up(struct scene *s, const char *flow, unsigned weight) {
    struct guest *g = &guests[guest_count++];
    assert_int_equal(come(s, g, flow, weight), LIMITS_QUEUED);
    return g;
}

// Takes the only place, so that everybody else waits.
static struct guest *open_with_one_inside(struct scene *s, int64_t queue) {
    set_places(s, 1, queue);
    struct guest *g = &guests[guest_count++];
    assert_int_equal(come(s, g, "doorkeeper", 1), LIMITS_GRANTED);
    return g;
}

// The place goes on; who has it now.
static struct guest *pass_on(struct scene *s, struct guest *inside) {
    unsigned turn = turns;
    release(inside);
    run_mail(s);
    assert_int_equal(turns, turn + 1);
    for (size_t i = 0; i < guest_count; i++)
        if (guests[i].turn == turns)
            return &guests[i];
    fail_msg("nobody was told");
    return NULL;
}

static void end_with(struct scene *s, struct guest *inside) {
    for (size_t i = 0; i < guest_count; i++)
        if (guests[i].ticket.state == LIMITS_WAITING)
            release(&guests[i]);
    run_mail(s);
    assert_int_equal(view(inside).queued, 0);
    release(inside);
    struct limits_view v = view(inside);
    assert_int_equal(v.running, 0);
    assert_int_equal(v.tokens.remaining, v.tokens.limit);
}

// ----------------------------------------------------------------------- turns

// At every moment any two have had places in proportion to their weights, give or
// take one of each.
static const struct share_case {
    const char *name;
    size_t flows;
    unsigned weights[FLOWS_MAX], means[FLOWS_MAX]; // as said; as it counts
    unsigned each;                                 // waiting of each flow
    unsigned grants;
} share_cases[] = {
    {"three to one", 2, {30, 10}, {3, 1}, 320, 400},
    {"as many of the same", 3, {7, 7, 7}, {1, 1, 1}, 100, 300},
    {"one against a hundred", 2, {1, 100}, {1, 100}, 450, 404},
    {"no weight is weight one", 2, {0, 2}, {1, 2}, 200, 200},
    {"more than the most is the most", 2, {5000, 50}, {2, 1}, 300, 400},
    {"four", 4, {1, 2, 3, 4}, {1, 2, 3, 4}, 120, 250},
};

static void check_shares(const struct share_case *c, const unsigned *had) {
    for (size_t f = 0; f < c->flows; f++)
        for (size_t g = 0; g < f; g++)
            if (abs((int)(had[f] * c->means[g]) - (int)(had[g] * c->means[f])) >
                (int)(c->means[f] + c->means[g]))
                fail_msg("%s: flow %zu had %u places, flow %zu %u", c->name, f, had[f], g, had[g]);
}

static void run_share_case(struct scene *s, const struct share_case *c) {
    static const char *const names[FLOWS_MAX] = {"a", "b", "c", "d"};
    size_t flow_of[GUESTS] = {0};
    unsigned had[FLOWS_MAX] = {0};
    struct guest *inside = open_with_one_inside(s, GUESTS);
    for (unsigned i = 0; i < c->each; i++)
        for (size_t f = 0; f < c->flows; f++)
            flow_of[queue_up(s, names[f], c->weights[f]) - guests] = f;
    for (unsigned i = 0; i < c->grants; i++) {
        inside = pass_on(s, inside);
        had[flow_of[inside - guests]]++;
        check_shares(c, had);
    }
    end_with(s, inside);
}

static void test_places_go_by_weight(void **state) {
    for (size_t i = 0; i < FARTHING_COUNT(share_cases); i++) {
        set_up_guests(state);
        run_share_case(*state, &share_cases[i]);
        tear_down(state);
    }
    set_up_guests(state);
}

static void test_weight_one_is_not_starved_by_a_crowd(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, GUESTS);
    for (unsigned i = 0; i < 350; i++)
        queue_up(s, "crowd", 100);
    struct guest *last = queue_up(s, "one", 1);
    unsigned before = 0;
    for (; inside != last; before++)
        inside = pass_on(s, inside);
    assert_true(before <= 102);
    end_with(s, inside);
}

static void test_first_come_first_served_within_a_flow(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, GUESTS), *g[2][20];
    for (size_t i = 0; i < 20; i++) {
        g[0][i] = queue_up(s, "a", 3);
        g[1][i] = queue_up(s, "b", 1);
    }
    for (size_t i = 0; i < 40; i++)
        inside = pass_on(s, inside);
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 1; i < 20; i++)
            assert_true(g[f][i - 1]->turn < g[f][i]->turn);
    end_with(s, inside);
}

static void test_absence_saves_up_no_turns(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, GUESTS);
    for (unsigned i = 0; i < 100; i++)
        queue_up(s, "a", 1);
    for (unsigned i = 0; i < 50; i++)
        inside = pass_on(s, inside);
    struct guest *late[10];
    for (size_t i = 0; i < 10; i++)
        late[i] = queue_up(s, "b", 1);
    unsigned from = turns;
    for (size_t i = 0; i < 20; i++)
        inside = pass_on(s, inside);
    for (size_t i = 0; i < 10; i++) { // in turn with a, from the first or second place on
        assert_true(late[i]->turn - from >= 2 * i + 1);
        assert_true(late[i]->turn - from <= 2 * i + 2);
    }
    end_with(s, inside);
}

// Who has only ever one waiting leaves the queue each time; his turns count.
static void test_one_at_a_time_is_no_way_around_the_weight(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, GUESTS);
    for (unsigned i = 0; i < 500; i++)
        queue_up(s, "heavy", 50);
    struct guest *single = queue_up(s, "light", 1);
    unsigned had = 0;
    for (unsigned i = 0; i < 400; i++) {
        inside = pass_on(s, inside);
        if (inside == single) {
            had++;
            single = queue_up(s, "light", 1);
        }
    }
    assert_in_range(had, 7, 9); // 400 / 51
    end_with(s, inside);
}

static void test_a_quiet_moment_begins_anew(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, GUESTS);
    for (unsigned i = 0; i < 100; i++)
        queue_up(s, "a", 1);
    for (unsigned i = 0; i < 100; i++)
        inside = pass_on(s, inside);
    assert_int_equal(view(inside).queued, 0);
    struct guest *a = queue_up(s, "a", 1), *b = queue_up(s, "b", 1);
    assert_ptr_equal(inside = pass_on(s, inside), a); // not made to pay for the past
    assert_ptr_equal(inside = pass_on(s, inside), b);
    end_with(s, inside);
}

// ----------------------------------------------------------------------- seats

static const struct seat_case {
    const char *name;
    unsigned seats_a, weight_a, seats_b, weight_b; // seats taken, all there are
    unsigned newcomer_weight;                      // of c, who has none; 0: one of b's comes
    char expected;                                 // who stands up; '-': the newcomer is refused
} seat_cases[] = {
    {"a crowd makes room for one who has none", 4, 1, 0, 1, 1, 'a'},
    {"whatever it weighs", 4, 100, 0, 1, 1, 'a'},
    {"the fuller of two", 3, 1, 2, 1, 1, 'a'},
    {"the fuller for its weight", 4, 10, 3, 1, 1, 'b'},
    {"everybody's only seat is his", 1, 1, 1, 1, 1, '-'},
    {"even the lightest's", 1, 100, 1, 1, 100, '-'},
    {"of equals the last who came", 2, 1, 2, 1, 1, 'b'},
    {"up to the same share", 4, 1, 1, 1, 0, 'a'},
    {"not beyond it", 3, 1, 2, 1, 0, '-'},
    {"not for as much", 3, 1, 3, 1, 0, '-'},
    {"heavy ones have more", 7, 1, 2, 3, 0, 'a'},
    {"nobody his own", 0, 1, 5, 1, 0, '-'},
};

static struct guest *fill(struct scene *s, const char *flow, unsigned seats, unsigned weight) {
    struct guest *last = NULL;
    for (unsigned i = 0; i < seats; i++)
        last = queue_up(s, flow, weight);
    return last;
}

static void run_seat_case(struct scene *s, const struct seat_case *c) {
    struct guest *inside = open_with_one_inside(s, c->seats_a + c->seats_b);
    struct guest *a = fill(s, "a", c->seats_a, c->weight_a);
    struct guest *b = fill(s, "b", c->seats_b, c->weight_b);
    struct guest *newcomer = &guests[guest_count++];
    struct guest *loser = c->expected == 'a' ? a : c->expected == 'b' ? b : NULL;
    enum limits_verdict verdict = c->newcomer_weight == 0
                                      ? come(s, newcomer, "b", c->weight_b)
                                      : come(s, newcomer, "c", c->newcomer_weight);
    if (verdict != (loser != NULL ? LIMITS_QUEUED : LIMITS_REFUSED))
        fail_msg("%s: verdict %d", c->name, verdict);
    struct limits_view v = view(inside);
    assert_int_equal(v.queued, c->seats_a + c->seats_b);
    assert_int_equal(v.requests.remaining, v.requests.limit - v.queued - 1); // those who got in
    assert_int_equal(v.tokens.remaining, v.tokens.limit - 10 * (v.queued + 1));
    run_mail(s);
    for (size_t i = 0; i < guest_count; i++)
        if (guests[i].calls != (&guests[i] == loser))
            fail_msg("%s: guest %zu was called %u times", c->name, i, guests[i].calls);
    const struct guest *refused = loser != NULL ? loser : newcomer;
    assert_int_equal(refused->ticket.state, LIMITS_DONE);
    assert_int_equal(refused->ticket.refusal.reason, LIMITS_REASON_CONCURRENCY);
    assert_int_equal(refused->ticket.refusal.limit, 1);
    assert_true(refused->ticket.refusal.retry_after_ms >= 1000);
    end_with(s, inside);
}

static void test_seats_go_by_weight(void **state) {
    for (size_t i = 0; i < FARTHING_COUNT(seat_cases); i++) {
        set_up_guests(state);
        run_seat_case(*state, &seat_cases[i]);
        tear_down(state);
    }
    set_up_guests(state);
}

// Two crowds at a full queue do not throw each other out for ever.
static void test_seats_come_to_rest(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, 40);
    fill(s, "a", 40, 3);
    unsigned moved = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct guest *g = &guests[guest_count++];
        moved += come(s, g, i % 2 == 0 ? "a" : "b", i % 2 == 0 ? 3 : 1) == LIMITS_QUEUED;
        run_mail(s);
    }
    assert_int_equal(moved, 10); // one's own and a quarter of the rest
    end_with(s, inside);
}

static void test_who_is_displaced_may_leave_first(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, 2);
    struct guest *loser = fill(s, "a", 2, 1);
    queue_up(s, "b", 1);
    release(loser); // the mail is under way
    run_mail(s);
    assert_int_equal(loser->calls, 0);
    assert_int_equal(view(inside).queued, 2);
    assert_int_equal(view(inside).running, 1);
    end_with(s, inside);
}

static void test_who_is_displaced_as_his_time_ends_is_told_once(void **state) {
    struct scene *s = *state;
    struct guest *inside = open_with_one_inside(s, 2);
    struct guest *loser = fill(s, "a", 2, 1), *winner = queue_up(s, "b", 1);
    limits_loop_run_due(s->own, s->now_ms + 200000);
    limits_loop_run_due(s->other, s->now_ms + 200000);
    assert_int_equal(winner->told, LIMITS_REFUSED);
    assert_int_equal(loser->calls, 0);
    run_mail(s);
    assert_int_equal(loser->calls, 1);
    assert_int_equal(loser->ticket.refusal.reason, LIMITS_REASON_CONCURRENCY);
    end_with(s, inside);
}

// ----------------------------------------------------------------- comings and goings

// Many flows, guests who leave from anywhere: nobody is lost, nobody told twice,
// and the figures come out even.
static void test_comings_and_goings(void **state) {
    struct scene *s = *state;
    char names[30][8];
    random_seed(11);
    for (size_t f = 0; f < FARTHING_COUNT(names); f++)
        snprintf(names[f], sizeof names[f], "flow%zu", f);
    set_places(s, 3, 60);
    for (unsigned round = 0; round < 20000; round++) {
        struct guest *g = &guests[random_below(150)];
        if (g->ticket.state == LIMITS_WAITING || g->ticket.state == LIMITS_HELD) {
            release(g);
        } else {
            g->calls = 0;
            size_t f = random_below(FARTHING_COUNT(names));
            (void)come(s, g, names[f], (unsigned)(f * f % 101));
        }
        if (random_below(3) == 0)
            run_mail(s);
    }
    run_mail(s);
    int64_t held = 0, waiting = 0;
    for (size_t i = 0; i < 150; i++) {
        assert_true(guests[i].calls <= 1);
        held += guests[i].ticket.state == LIMITS_HELD;
        waiting += guests[i].ticket.state == LIMITS_WAITING;
    }
    assert_int_equal(view(&guests[0]).running, held);
    assert_int_equal(view(&guests[0]).queued, waiting);
    assert_int_equal(held, 3);
    for (size_t i = 0; i < 150; i++)
        (void)limits_cancel(&guests[i].ticket);
    run_mail(s);
    assert_int_equal(view(&guests[0]).running, 0);
    assert_int_equal(view(&guests[0]).queued, 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_guests, tear_down)
#define TABLE(f) cmocka_unit_test_setup_teardown(f, NULL, tear_down)
    const struct CMUnitTest tests[] = {
        TABLE(test_places_go_by_weight),
        TEST(test_weight_one_is_not_starved_by_a_crowd),
        TEST(test_first_come_first_served_within_a_flow),
        TEST(test_absence_saves_up_no_turns),
        TEST(test_one_at_a_time_is_no_way_around_the_weight),
        TEST(test_a_quiet_moment_begins_anew),
        TABLE(test_seats_go_by_weight),
        TEST(test_seats_come_to_rest),
        TEST(test_who_is_displaced_may_leave_first),
        TEST(test_who_is_displaced_as_his_time_ends_is_told_once),
        TEST(test_comings_and_goings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
