// Leading that is handed over, and seats that are taken at a certain purchase:
// what purchases across instances need of those within one.
#include "flight_scene.h"

enum { HEIR = SEATS - 1 };

static struct person *hand_over(struct world *w, struct person *from, bool keep_all) {
    struct person *heir = &w->people[HEIR];
    const struct flight_member member = {
        .box = w->box, .on = &person_callbacks, .arg = heir, .keep_all = keep_all};
    heir->seat = flight_hand_over(from->seat, &member);
    return heir;
}

static struct person *attend(struct world *w, size_t i, struct person *leader, bool streams) {
    struct person *p = &w->people[i];
    const struct flight_member member = {
        .box = w->box, .on = &person_callbacks, .arg = p, .streams = streams};
    p->seat = flight_attend(leader->seat, &member);
    return p;
}

// ------------------------------------------------------------- handing over

static void all_follow_the_heir(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *whole = join_whole(w, 1);
    struct person *heir = hand_over(w, leader, false), *late = join_stream(w, 2);
    leader->reads = late->reads = true;
    assert_int_equal(late->role, FLIGHT_FOLLOWER);
    assert_int_equal(flight_followers(heir->seat), 3);
    assert_int_equal(flight_followers(leader->seat), 0);
    assert_true(flight_has_readers(heir->seat));
    begin(heir, "elsewhere");
    append(heir, "one two");
    run_mail(w);
    assert_slice_equal(flight_head(leader->seat)->model, SLICE("elsewhere"));
    finish(heir, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(leader, "more done(200)");
    assert_told(late, "more done(200)");
    assert_told(whole, "done(200)");
    assert_told(heir, "");
    assert_read(leader, SLICE("one two"));
    assert_read(late, SLICE("one two"));
    assert_int_equal(figures(w).led, 1);
}

static void who_handed_over_is_the_first_to_be_promoted(void **state) {
    struct world *w = *state;
    struct person *leader = join_whole(w, 0), *follower = join_whole(w, 1);
    struct person *heir = hand_over(w, leader, false);
    finish(heir, FLIGHT_FAILED, 0, NULL);
    leave(heir);
    run_mail(w);
    assert_told(leader, "promote");
    assert_told(follower, "");
    heir = hand_over(w, leader, false); // and again
    leave(leader);
    leave(heir);
    run_mail(w);
    assert_told(follower, "promote");
}

static void the_heir_hears_that_it_is_alone(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *heir = hand_over(w, leader, false);
    assert_true(flight_has_readers(heir->seat));
    leave(leader);
    assert_false(flight_has_readers(heir->seat));
    run_mail(w);
    assert_told(heir, "alone");
    assert_int_equal(figures(w).purchases, 1);
    leave(heir);
    assert_int_equal(figures(w).purchases, 0);
}

// Its last follower left it a moment before.
static void news_of_a_leader_are_none_of_a_follower(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    leave(join_stream(w, 1));
    struct person *heir = hand_over(w, leader, false);
    run_mail(w);
    assert_told(leader, "");
    assert_told(heir, "");
    finish(heir, FLIGHT_REFUSED, 400, "no");
    run_mail(w);
    assert_told(leader, "refused(400)");
}

static void keepers_stay_keepers(void **state) {
    struct world *w = *state;
    struct person *leader = join_as(w, 0, true, FLIGHT_SHARE, true);
    struct person *heir = hand_over(w, leader, true);
    begin(heir, "m");
    append_many(heir, JOIN_BYTES + 1);
    assert_int_equal(join_as(w, 1, true, FLIGHT_SHARE, true)->role, FLIGHT_FOLLOWER);
    finish(heir, FLIGHT_DONE, 200, "{}");
    leave(heir);
    // Until those who keep were told, others that keep are given the result.
    assert_int_equal(join_as(w, 2, false, FLIGHT_SHARE, true)->role, FLIGHT_FOLLOWER);
    run_mail(w);
    assert_told(&w->people[2], "done(200)");
    assert_int_equal(join_as(w, 3, false, FLIGHT_SHARE, true)->role, FLIGHT_LEADER);
}

static void an_heir_that_does_not_keep_leaves_it_to_the_keeper(void **state) {
    struct world *w = *state;
    struct person *leader = join_as(w, 0, false, FLIGHT_SHARE, true);
    struct person *heir = hand_over(w, leader, false);
    begin(heir, "m");
    append_many(heir, JOIN_BYTES + 1);
    assert_int_equal(join_stream(w, 1)->role, FLIGHT_FOLLOWER); // it is kept
    leave(leader);
    append(heir, "y");
    assert_int_equal(join_stream(w, 2)->role, FLIGHT_LEADER);
}

// ---------------------------------------------------------------- attending

static void who_attends_gets_what_followers_get(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    begin(leader, "m");
    append(leader, "first ");
    struct person *early = attend(w, 1, leader, true), *whole = attend(w, 2, leader, false);
    early->reads = true;
    append(leader, "second");
    run_mail(w);
    assert_told(early, "more");
    assert_read(early, SLICE("first second"));
    leave(early);
    leave(whole);
    run_mail(w);
    assert_told(leader, "alone");
}

// The other purchase of the same key is not meant.
static void too_late_for_the_stream_is_in_time_for_the_whole(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    begin(leader, "m");
    append_many(leader, JOIN_BYTES + 1);
    assert_int_equal(join_stream(w, 1)->role, FLIGHT_LEADER);
    assert_null(attend(w, 2, leader, true)->seat);
    struct person *whole = attend(w, 2, leader, false);
    assert_non_null(whole->seat);
    assert_int_equal(flight_followers(leader->seat), 1);
    assert_int_equal(flight_followers(w->people[1].seat), 0);
    finish(leader, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(whole, "done(200)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(all_follow_the_heir),
        WORLD_TEST(who_handed_over_is_the_first_to_be_promoted),
        WORLD_TEST(the_heir_hears_that_it_is_alone),
        WORLD_TEST(news_of_a_leader_are_none_of_a_follower),
        WORLD_TEST(keepers_stay_keepers),
        WORLD_TEST(an_heir_that_does_not_keep_leaves_it_to_the_keeper),
        WORLD_TEST(who_attends_gets_what_followers_get),
        WORLD_TEST(too_late_for_the_stream_is_in_time_for_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
