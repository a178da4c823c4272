// Seats that keep: their purchase's stream can be had from its beginning for
// longer, is never bought twice beside itself, and its result is given to others
// that keep until those who were served have been told.
#include "flight_scene.h"

static struct person *keep_stream(struct world *w, size_t i) {
    return join_as(w, i, true, FLIGHT_SHARE, true);
}

static struct person *keep_whole(struct world *w, size_t i) {
    return join_as(w, i, false, FLIGHT_SHARE, true);
}

static void assert_reads(struct person *p, size_t bytes) {
    read_all(p);
    assert_int_equal(p->read.len, bytes);
}

// --------------------------------------------------------------- the bound

static void a_kept_stream_is_joined_far_beyond_the_bound(void **state) {
    struct world *w = *state;
    struct person *leader = keep_stream(w, 0);
    begin(leader, "m");
    append_many(leader, KEEP_BYTES);
    struct person *keeper = keep_stream(w, 1), *any = join_stream(w, 2);
    assert_int_equal(keeper->role, FLIGHT_FOLLOWER);
    assert_int_equal(any->role, FLIGHT_FOLLOWER);
    append(leader, "y");
    assert_int_equal(keep_stream(w, 3)->role, FLIGHT_FULL);
    assert_reads(keeper, KEEP_BYTES + 1);
    assert_reads(any, KEEP_BYTES + 1);
    append(leader, "z");
    assert_reads(keeper, KEEP_BYTES + 2);
    assert_reads(any, KEEP_BYTES + 2);
    assert_int_equal(figures(w).behind, 0);
}

// A follower's wish counts as the leader's does.
static void a_keeping_follower_keeps_it(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    join_as(w, 1, false, FLIGHT_SHARE, true);
    begin(leader, "m");
    append_many(leader, JOIN_BYTES + 1);
    struct person *late = join_stream(w, 2);
    assert_int_equal(late->role, FLIGHT_FOLLOWER);
    assert_reads(late, JOIN_BYTES + 1);
}

static void without_keepers_the_usual_bound_is_back(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *keeper = keep_stream(w, 1);
    begin(leader, "m");
    append_many(leader, JOIN_BYTES + 1);
    leave(keeper);
    struct person *late = join_stream(w, 2); // just yet
    assert_int_equal(late->role, FLIGHT_FOLLOWER);
    append(leader, "y");
    assert_int_equal(join_stream(w, 3)->role, FLIGHT_LEADER);
    assert_reads(late, JOIN_BYTES + 2);
}

static void a_promoted_seat_brings_its_own_wish(void **state) {
    static const bool keeps[] = {false, true};
    struct world *w = *state;
    for (size_t i = 0; i < FARTHING_COUNT(keeps); i++) {
        struct person *leader = join_as(w, 0, true, FLIGHT_SHARE, !keeps[i]);
        struct person *next = join_as(w, 1, true, FLIGHT_SHARE, keeps[i]);
        leave(leader);
        run_mail(w);
        assert_told(next, "promote");
        begin(next, "m");
        append_many(next, JOIN_BYTES + 1);
        assert_int_equal(join_stream(w, 2)->role, keeps[i] ? FLIGHT_FOLLOWER : FLIGHT_LEADER);
        leave(&w->people[2]);
        leave(next);
        run_mail(w);
    }
}

// Who keeps is told FULL though another purchase of the key could be joined:
// that would be another result.
static void a_keeper_does_not_join_the_purchase_beside(void **state) {
    struct world *w = *state;
    struct person *leader = keep_stream(w, 0);
    begin(leader, "m");
    append_many(leader, KEEP_BYTES + 1);
    assert_int_equal(join_stream(w, 1)->role, FLIGHT_LEADER);
    assert_int_equal(join_stream(w, 2)->role, FLIGHT_FOLLOWER);
    assert_int_equal(keep_stream(w, 3)->role, FLIGHT_FULL);
    assert_int_equal(keep_whole(w, 3)->role, FLIGHT_FULL);
    assert_int_equal(figures(w).turned_away, 2);
    finish(leader, FLIGHT_DONE, 200, "{}");
    assert_int_equal(keep_stream(w, 3)->role, FLIGHT_FOLLOWER); // of the one that is left
}

static void a_deaf_purchase_is_full_too(void **state) {
    struct world *w = *state;
    struct person *leader = keep_stream(w, 0);
    begin(leader, "m");
    append_many(leader, KEEP_BYTES + 1);
    append_many(leader, 200000);
    int64_t held = figures(w).held_bytes;
    append_many(leader, 200000);
    assert_int_equal(figures(w).held_bytes, held); // nobody reads: it is not kept
    assert_int_equal(keep_stream(w, 1)->role, FLIGHT_FULL);
}

static void a_laggard_of_a_kept_stream_may_lag_as_far(void **state) {
    struct world *w = *state;
    struct person *leader = keep_stream(w, 0), *slow = join_stream(w, 1);
    begin(leader, "m");
    append_many(leader, KEEP_BYTES);
    run_mail(w);
    append(leader, "y"); // full
    run_mail(w);
    assert_told(slow, "more"); // just yet
    append(leader, "z");
    run_mail(w);
    assert_told(slow, "behind(0)");
    assert_int_equal(figures(w).behind, 1);
}

// ------------------------------------------------------------ after the end

static void a_result_is_given_until_who_keeps_was_told(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *keeper = keep_stream(w, 1);
    begin(leader, "model-a");
    append(leader, "all of it");
    finish(leader, FLIGHT_DONE, 200, "{\"id\":1}");
    leave(leader);
    assert_int_equal(figures(w).purchases, 0);
    struct person *late = keep_stream(w, 2), *whole = keep_whole(w, 3);
    assert_int_equal(late->role, FLIGHT_FOLLOWER);
    assert_int_equal(whole->role, FLIGHT_FOLLOWER);
    assert_int_equal(join_stream(w, 4)->role, FLIGHT_LEADER); // who does not keep buys
    late->reads = true;
    run_mail(w);
    assert_told(keeper, "more done(200)");
    assert_told(late, "more done(200)");
    assert_told(whole, "done(200)");
    assert_read(late, SLICE("all of it"));
    assert_slice_equal(flight_head(late->seat)->model, SLICE("model-a"));
    assert_slice_equal(cache_entry_answer(whole->entry)->body, SLICE("{\"id\":1}"));
    assert_int_equal(keep_stream(w, 5)->role, FLIGHT_FOLLOWER); // of person 4 now
    assert_reads(keeper, strlen("all of it")); // what it has not read yet is still its own
}

static void join_within(struct person *p) {
    struct person *late = keep_whole(p->world, 5);
    assert_int_equal(late->role, FLIGHT_FOLLOWER);
}

static void within_on_finish_it_is_still_given(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *keeper = keep_whole(w, 1);
    keeper->act_in = IN_FINISH;
    keeper->act = join_within;
    finish(leader, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    run_mail(w);
    assert_told(&w->people[5], "done(200)");
    assert_int_equal(keep_whole(w, 6)->role, FLIGHT_LEADER); // and then no longer
}

static void a_refusal_is_given_too(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    keep_stream(w, 1);
    finish(leader, FLIGHT_REFUSED, 400, "{\"error\":{}}");
    struct person *late = keep_stream(w, 2);
    run_mail(w);
    assert_told(late, "refused(400)");
    assert_slice_equal(cache_entry_answer(late->entry)->body, SLICE("{\"error\":{}}"));
}

static void a_failure_leaves_nothing_to_give(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *keeper = keep_stream(w, 1);
    begin(leader, "m");
    append(leader, "x");
    read_all(keeper);
    finish(leader, FLIGHT_FAILED, 502, NULL);
    assert_int_equal(keep_stream(w, 2)->role, FLIGHT_LEADER);
    run_mail(w);
    assert_told(keeper, "more failed(502)");
}

static void who_leaves_before_it_was_told_ends_it(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = keep_stream(w, 1), *b = keep_stream(w, 2);
    begin(leader, "m");
    append(leader, "x");
    finish(leader, FLIGHT_DONE, 200, "{}");
    leave(a);
    assert_int_equal(keep_stream(w, 3)->role, FLIGHT_FOLLOWER);
    leave(&w->people[3]);
    leave(b);
    assert_int_equal(keep_stream(w, 3)->role, FLIGHT_LEADER);
}

// The stream's beginning has gone, and only the whole answer is left.
static void a_cut_stream_gives_its_answer_or_nothing(void **state) {
    static const struct {
        const char *body;
        enum flight_role role;
    } rows[] = {{"{}", FLIGHT_FOLLOWER}, {"", FLIGHT_FULL}};
    struct world *w = *state;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct person *leader = join_leader(w, 0), *keeper = keep_stream(w, 1);
        begin(leader, "m");
        append_many(leader, KEEP_BYTES + 1);
        finish(leader, FLIGHT_DONE, 200, rows[i].body);
        struct person *late = keep_stream(w, 2);
        assert_int_equal(late->role, rows[i].role);
        run_mail(w);
        if (late->seat != NULL) {
            assert_told(late, "done(200)");
            assert_false(flight_read(late->seat, &(struct slice){0}));
        }
        assert_told(keeper, "more done(200)");
        for (size_t n = 0; n < 3; n++) {
            leave(&w->people[n]);
            if (w->people[n].entry != NULL)
                cache_entry_release(w->people[n].entry);
            w->people[n].entry = NULL;
        }
    }
}

// Somebody could not be served and buys on: that purchase is the one to join.
static void who_was_not_served_goes_before_the_result(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *keeper = keep_stream(w, 1);
    struct person *whole = join_whole(w, 2);
    begin(leader, "m");
    append(leader, "x");
    finish(leader, FLIGHT_DONE, 200, ""); // no whole answer came of it
    struct person *late = keep_whole(w, 3);
    assert_int_equal(late->role, FLIGHT_FOLLOWER);
    run_mail(w);
    assert_told(keeper, "more done(200)");
    assert_told(whole, "promote");
    assert_told(late, "");
    finish(whole, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(late, "done(200)");
}

// A first try must not be given another one's result, over or not.
static void a_first_try_leads_beside_a_result(void **state) {
    struct world *w = *state;
    struct person *first = join_as(w, 0, true, FLIGHT_LEAD_ONLY, true);
    join_as(w, 1, false, FLIGHT_FIND, true);
    finish(first, FLIGHT_DONE, 200, "{}");
    assert_int_equal(join_as(w, 2, false, FLIGHT_FIND, true)->role, FLIGHT_FOLLOWER);
    assert_int_equal(join_as(w, 3, true, FLIGHT_LEAD_ONLY, true)->role, FLIGHT_LEADER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_kept_stream_is_joined_far_beyond_the_bound),
        WORLD_TEST(a_keeping_follower_keeps_it),
        WORLD_TEST(without_keepers_the_usual_bound_is_back),
        WORLD_TEST(a_promoted_seat_brings_its_own_wish),
        WORLD_TEST(a_keeper_does_not_join_the_purchase_beside),
        WORLD_TEST(a_deaf_purchase_is_full_too),
        WORLD_TEST(a_laggard_of_a_kept_stream_may_lag_as_far),
        WORLD_TEST(a_result_is_given_until_who_keeps_was_told),
        WORLD_TEST(within_on_finish_it_is_still_given),
        WORLD_TEST(a_refusal_is_given_too),
        WORLD_TEST(a_failure_leaves_nothing_to_give),
        WORLD_TEST(who_leaves_before_it_was_told_ends_it),
        WORLD_TEST(a_cut_stream_gives_its_answer_or_nothing),
        WORLD_TEST(who_was_not_served_goes_before_the_result),
        WORLD_TEST(a_first_try_leads_beside_a_result),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    libevent_global_shutdown();
    return failed;
}
