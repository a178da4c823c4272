// Single flight by what a seat wishes: who leads, who follows, and who gets no
// seat, for each wish against each kind of purchase that may run.
#include "flight_scene.h"

enum running { NOTHING, OPEN, FULL, FULL_KEPT, RUNNING_COUNT };

// What runs before the newcomer comes; begun by person 0.
static void start(struct world *w, enum running running, bool unshared) {
    if (running == NOTHING)
        return;
    enum flight_wish wish = unshared ? FLIGHT_LEAD_ONLY : FLIGHT_SHARE;
    struct person *leader = join_as(w, 0, true, wish, running == FULL_KEPT);
    assert_int_equal(leader->role, FLIGHT_LEADER);
    begin(leader, "m");
    static const size_t bytes[RUNNING_COUNT] = {0, 1, JOIN_BYTES + 1, KEEP_BYTES + 1};
    append_many(leader, bytes[running]);
}

static void every_wish_meets_every_purchase(void **state) {
    static const struct {
        enum flight_wish wish;
        bool keeps;
        enum flight_role roles[RUNNING_COUNT];
    } rows[] = {
        {FLIGHT_SHARE, false, {FLIGHT_LEADER, FLIGHT_FOLLOWER, FLIGHT_LEADER, FLIGHT_LEADER}},
        {FLIGHT_SHARE, true, {FLIGHT_LEADER, FLIGHT_FOLLOWER, FLIGHT_LEADER, FLIGHT_FULL}},
        {FLIGHT_LEAD_ONLY, false, {FLIGHT_LEADER, FLIGHT_ALONE, FLIGHT_LEADER, FLIGHT_LEADER}},
        {FLIGHT_LEAD_ONLY, true, {FLIGHT_LEADER, FLIGHT_ALONE, FLIGHT_LEADER, FLIGHT_ALONE}},
        {FLIGHT_FIND, false, {FLIGHT_LEADER, FLIGHT_FOLLOWER, FLIGHT_LEADER, FLIGHT_LEADER}},
        {FLIGHT_FIND, true, {FLIGHT_LEADER, FLIGHT_FOLLOWER, FLIGHT_LEADER, FLIGHT_FULL}},
    };
    struct world *w = *state;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        for (enum running running = NOTHING; running < RUNNING_COUNT; running++) {
            start(w, running, rows[i].wish != FLIGHT_SHARE);
            int64_t turned_away = figures(w).turned_away;
            struct person *p = join_as(w, 1, true, rows[i].wish, rows[i].keeps);
            if (p->role != rows[i].roles[running])
                fail_msg("row %zu, running %d: role %d", i, (int)running, (int)p->role);
            assert_int_equal(figures(w).turned_away - turned_away, p->role == FLIGHT_FULL);
            leave(p);
            leave(&w->people[0]);
            run_mail(w);
            buffer_clear(&w->people[0].told);
        }
}

static void shared_and_unshared_do_not_meet(void **state) {
    static const enum flight_wish wishes[] = {FLIGHT_LEAD_ONLY, FLIGHT_FIND};
    struct world *w = *state;
    for (size_t i = 0; i < FARTHING_COUNT(wishes); i++) {
        struct person *unshared = join_as(w, 0, true, wishes[i], false);
        struct person *shared = join_stream(w, 1), *follower = join_stream(w, 2);
        assert_int_equal(unshared->role, FLIGHT_LEADER);
        assert_int_equal(shared->role, FLIGHT_LEADER);
        assert_int_equal(follower->role, FLIGHT_FOLLOWER);
        struct person *retry = join_as(w, 3, false, FLIGHT_FIND, false);
        assert_int_equal(retry->role, FLIGHT_FOLLOWER);
        finish(unshared, FLIGHT_DONE, 200, "{\"by\":\"unshared\"}");
        run_mail(w);
        assert_told(retry, "done(200)");
        assert_slice_equal(cache_entry_answer(retry->entry)->body,
                           SLICE("{\"by\":\"unshared\"}"));
        assert_told(follower, "");
        finish(shared, FLIGHT_DONE, 200, "{}");
        run_mail(w);
        assert_told(follower, "done(200)");
        for (size_t n = 0; n < 4; n++) {
            leave(&w->people[n]);
            if (w->people[n].entry != NULL)
                cache_entry_release(w->people[n].entry);
            w->people[n].entry = NULL;
        }
    }
}

static void retries_get_the_stream_from_its_beginning(void **state) {
    struct world *w = *state;
    struct person *first = join_as(w, 0, true, FLIGHT_LEAD_ONLY, false);
    begin(first, "m");
    append(first, "one ");
    struct person *retry = join_as(w, 1, true, FLIGHT_FIND, false);
    retry->reads = true;
    append(first, "two");
    finish(first, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(retry, "more done(200)");
    assert_read(retry, SLICE("one two"));
}

static void a_retry_is_promoted_like_any(void **state) {
    struct world *w = *state;
    struct person *first = join_as(w, 0, true, FLIGHT_LEAD_ONLY, false);
    struct person *a = join_as(w, 1, true, FLIGHT_FIND, false);
    struct person *b = join_as(w, 2, false, FLIGHT_FIND, false);
    leave(first);
    assert_int_equal(join_as(w, 3, true, FLIGHT_LEAD_ONLY, false)->role, FLIGHT_ALONE);
    assert_int_equal(join_stream(w, 4)->role, FLIGHT_LEADER); // it is unshared still
    run_mail(w);
    assert_told(a, "promote");
    assert_told(b, "");
    finish(a, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(b, "done(200)");
}

// Its client has left, and the retry that it waited for leaves too.
static void a_first_try_is_told_that_its_retries_have_left(void **state) {
    struct world *w = *state;
    struct person *first = join_as(w, 0, true, FLIGHT_LEAD_ONLY, false);
    struct person *retry = join_as(w, 1, true, FLIGHT_FIND, false);
    assert_true(flight_has_followers(first->seat));
    join_as(w, 2, true, FLIGHT_LEAD_ONLY, false);
    leave(retry);
    run_mail(w);
    assert_told(first, "alone"); // who was told ALONE is nobody's follower
}

// A full one fails: those who wait for its whole answer move to the other
// purchase of their own kind, not to a shared one.
static void followers_move_within_their_kind(void **state) {
    struct world *w = *state;
    struct person *first = join_as(w, 0, true, FLIGHT_LEAD_ONLY, false);
    struct person *whole = join_as(w, 1, false, FLIGHT_FIND, false);
    begin(first, "m");
    append_many(first, JOIN_BYTES + 1);
    struct person *shared = join_stream(w, 2);
    struct person *other = join_as(w, 3, true, FLIGHT_LEAD_ONLY, false);
    assert_int_equal(other->role, FLIGHT_LEADER);
    finish(first, FLIGHT_FAILED, 502, NULL);
    assert_int_equal(flight_followers(other->seat), 1);
    assert_int_equal(flight_followers(shared->seat), 0);
    finish(other, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(whole, "done(200)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(every_wish_meets_every_purchase),
        WORLD_TEST(shared_and_unshared_do_not_meet),
        WORLD_TEST(retries_get_the_stream_from_its_beginning),
        WORLD_TEST(a_retry_is_promoted_like_any),
        WORLD_TEST(a_first_try_is_told_that_its_retries_have_left),
        WORLD_TEST(followers_move_within_their_kind),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    libevent_global_shutdown();
    return failed;
}
