// Single flight when it goes wrong: leaders that fail, streams over the limit,
// followers that read too slowly.
#include "flight_scene.h"

// ------------------------------------------------------------------ failing

static void one_follower_takes_over(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1), *b = join_whole(w, 2);
    finish(leader, FLIGHT_FAILED, 502, NULL);
    leave(leader);
    assert_int_equal(join_stream(w, 3)->role, FLIGHT_FOLLOWER); // there is no gap
    run_mail(w);
    assert_told(a, "promote"); // who has waited longest
    assert_told(b, "");
    assert_int_equal(flight_followers(a->seat), 2);
    finish(a, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(b, "done(200)");
    assert_told(&w->people[3], "done(200)");
    assert_told(a, "");
    assert_int_equal(figures(w).promoted, 1);
}

static void leaving_is_failing(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1), *b = join_stream(w, 2);
    leave(leader);
    leave(a); // promoted, but was never told
    run_mail(w);
    assert_told(a, "");
    assert_told(b, "promote");
    leave(b);
    assert_int_equal(figures(w).purchases, 0);
    assert_int_equal(figures(w).promoted, 2);
}

static void one_that_cannot_lead_passes_it_on(void **state) {
    struct world *w = *state;
    for (size_t i = 0; i < SEATS; i++)
        join_stream(w, i)->leave_in = IN_PROMOTE;
    leave(&w->people[0]);
    run_mail(w);
    for (size_t i = 1; i < SEATS; i++)
        assert_told(&w->people[i], "promote");
    assert_int_equal(figures(w).purchases, 0);
}

static void after_bytes_only_the_ungiven_go_on(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *given = join_stream(w, 1);
    struct person *told = join_stream(w, 2), *whole = join_whole(w, 3), *late = join_stream(w, 4);
    struct slice bytes;
    begin(leader, "first");
    append(leader, "old ");
    run_mail(w);
    assert_true(flight_read(given->seat, &bytes));
    append(leader, "unread");
    finish(leader, FLIGHT_FAILED, 502, NULL);
    leave(leader);
    run_mail(w);
    assert_told(given, "more failed(502)");
    assert_true(flight_read(given->seat, &bytes)); // as far as it came
    assert_slice_equal(bytes, SLICE("unread"));
    assert_false(flight_read(given->seat, &bytes));
    assert_told(told, "more promote");
    assert_told(whole, "");
    assert_told(late, "more");
    assert_false(flight_read(late->seat, &bytes)); // it has gone again
    late->reads = true;
    begin(told, "second");
    append(told, "new");
    run_mail(w);
    assert_told(late, "more");
    assert_read(late, SLICE("new"));
    assert_slice_equal(flight_head(late->seat)->model, SLICE("second"));
    assert_slice_equal(flight_head(given->seat)->model, SLICE("first"));
}

static void news_of_a_failed_stream_is_not_told(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1), *b = join_stream(w, 2);
    begin(leader, "m");
    append(leader, "x");
    leave(leader);
    run_mail(w);
    assert_told(a, "promote");
    assert_told(b, "");
}

// ------------------------------------------------------------- full streams

static void a_full_purchase_is_not_joined(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1), *whole = join_whole(w, 2);
    a->reads = true;
    begin(leader, "m");
    append_many(leader, JOIN_BYTES);
    assert_int_equal(join_stream(w, 3)->role, FLIGHT_FOLLOWER); // just yet
    append(leader, "y");
    assert_int_equal(join_stream(w, 4)->role, FLIGHT_LEADER);
    struct person *unread = &w->people[3];
    finish(leader, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    read_all(unread);
    assert_int_equal(a->read.len, JOIN_BYTES + 1);
    assert_int_equal(unread->read.len, JOIN_BYTES + 1);
    assert_told(whole, "done(200)");
    assert_int_equal(flight_followers(w->people[4].seat), 0);
}

static void a_full_stream_keeps_only_what_is_unread(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1);
    join_whole(w, 2); // holds nothing
    a->reads = true;
    begin(leader, "m");
    for (size_t i = 0; i < 1000; i++) {
        append_many(leader, 5000);
        run_mail(w);
        assert_true(figures(w).held_bytes < JOIN_BYTES + 3 * 65536);
    }
    assert_int_equal(a->read.len, 5000 * 1000);
    assert_int_equal(figures(w).behind, 0);
}

static void a_stream_that_nobody_can_read_is_not_kept(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *whole = join_whole(w, 1), *a = join_stream(w, 2);
    begin(leader, "m");
    append_many(leader, JOIN_BYTES + 1);
    leave(a);
    append_many(leader, 100001); // shows that nobody listens
    int64_t held = figures(w).held_bytes;
    for (size_t i = 0; i < 100; i++)
        append_many(leader, 100000);
    assert_int_equal(figures(w).held_bytes, held);
    assert_true(held < 200000);
    finish(leader, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(whole, "done(200)");
}

static void a_laggard_is_let_go(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *eager = join_stream(w, 1),
                  *slow = join_stream(w, 2);
    eager->reads = true;
    struct slice bytes, rest;
    begin(leader, "m");
    append(leader, "abc");
    run_mail(w);
    assert_true(flight_read(slow->seat, &bytes));
    append_many(leader, HOLD_BYTES);
    run_mail(w);
    append(leader, "y");
    run_mail(w);
    assert_told(slow, "more"); // just yet
    append(leader, "z");
    assert_slice_equal(bytes, SLICE("abc")); // lent until it is told
    run_mail(w);
    assert_told(slow, "behind(0)");
    assert_false(flight_read(slow->seat, &rest));
    assert_non_null(flight_head(slow->seat));
    assert_int_equal(figures(w).behind, 1);
    append_many(leader, 70000);
    run_mail(w);
    append(leader, "w");
    run_mail(w);
    assert_true(figures(w).held_bytes < 2 * 70000); // though slow has not left
    finish(leader, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(eager, "more more more more more more done(200)");
    assert_int_equal(eager->read.len, 3 + HOLD_BYTES + 2 + 70000 + 1);
}

static void the_last_laggard_leaves_the_leader_alone(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *slow = join_stream(w, 1);
    begin(leader, "m");
    append_many(leader, HOLD_BYTES + 1);
    append(leader, "z");
    run_mail(w);
    assert_told(slow, "behind(0)");
    assert_told(leader, "alone");
}

// Its key may have been taken by another purchase since.
static void a_full_purchase_that_fails_is_open_again(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *whole = join_whole(w, 1), *a = join_stream(w, 2);
    begin(leader, "m");
    append_many(leader, JOIN_BYTES + 1);
    finish(leader, FLIGHT_FAILED, 502, NULL);
    run_mail(w);
    assert_told(whole, "promote");
    struct person *b = join_stream(w, 3);
    assert_int_equal(b->role, FLIGHT_FOLLOWER);
    a->reads = b->reads = true;
    begin(whole, "again");
    append(whole, "new");
    run_mail(w);
    assert_read(a, SLICE("new"));
    assert_read(b, SLICE("new"));
}

static void followers_move_to_the_other_purchase(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *whole = join_whole(w, 1), *a = join_stream(w, 2);
    begin(leader, "m");
    append_many(leader, JOIN_BYTES + 1);
    struct person *other = join_leader(w, 3);
    begin(other, "other");
    append(other, "other's");
    a->reads = true;
    finish(leader, FLIGHT_FAILED, 502, NULL);
    assert_int_equal(flight_followers(other->seat), 2);
    assert_int_equal(figures(w).purchases, 1);
    assert_int_equal(figures(w).promoted, 0);
    run_mail(w);
    assert_read(a, SLICE("other's"));
    finish(other, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(whole, "done(200)");
    assert_told(a, "more done(200)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(one_follower_takes_over),
        WORLD_TEST(leaving_is_failing),
        WORLD_TEST(one_that_cannot_lead_passes_it_on),
        WORLD_TEST(after_bytes_only_the_ungiven_go_on),
        WORLD_TEST(news_of_a_failed_stream_is_not_told),
        WORLD_TEST(a_full_purchase_is_not_joined),
        WORLD_TEST(a_full_stream_keeps_only_what_is_unread),
        WORLD_TEST(a_stream_that_nobody_can_read_is_not_kept),
        WORLD_TEST(a_laggard_is_let_go),
        WORLD_TEST(the_last_laggard_leaves_the_leader_alone),
        WORLD_TEST(a_full_purchase_that_fails_is_open_again),
        WORLD_TEST(followers_move_to_the_other_purchase),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    libevent_global_shutdown();
    return failed;
}
