// Single flight, one step after the other: who leads, what followers are given
// and told and in which order, and seats that are left at awkward moments.
#include "flight_scene.h"

// ----------------------------------------------------------------- joining

static void the_first_leads_and_the_others_follow(void **state) {
    struct world *w = *state;
    assert_int_equal(join_stream(w, 0)->role, FLIGHT_LEADER);
    assert_int_equal(join_stream(w, 1)->role, FLIGHT_FOLLOWER);
    assert_int_equal(join_whole(w, 2)->role, FLIGHT_FOLLOWER);
    assert_int_equal(join_key(w, 3, true, 1)->role, FLIGHT_LEADER);
    assert_int_equal(flight_followers(w->people[0].seat), 2);
    assert_true(flight_has_followers(w->people[0].seat));
    assert_false(flight_has_followers(w->people[3].seat));
    struct flights_stats s = figures(w);
    assert_int_equal(s.purchases, 2);
    assert_int_equal(s.followers, 2);
    assert_int_equal(s.led, 2);
    assert_int_equal(s.joined, 2);
}

static void keys_that_share_a_bucket_are_apart(void **state) {
    struct world *w = *state;
    enum flight_role role;
    struct flight *seats[3];
    struct cache_key keys[3] = {{{1, 2}}, {{1, 2, 3}}, {{1, 2, 4}}};
    for (size_t i = 0; i < 3; i++) {
        const struct flight_member member = {
            .box = w->box, .streams = true, .on = &person_callbacks, .arg = &w->people[i]};
        seats[i] = flight_join(w->all, &keys[i], &member, &role);
        assert_int_equal(role, FLIGHT_LEADER);
    }
    static const size_t order[] = {1, 0, 2};
    for (size_t i = 0; i < 3; i++)
        flight_leave(seats[order[i]]);
}

static void after_the_end_the_next_leads(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    finish(leader, FLIGHT_DONE, 200, "{}");
    join_leader(w, 1);
    run_mail(w);
    assert_told(leader, "");
    assert_int_equal(flight_followers(leader->seat), 0);
}

// ------------------------------------------------------------------ answers

static void followers_get_the_whole_answer(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_whole(w, 1), *b = join_stream(w, 2);
    a->reads = b->reads = true;
    finish(leader, FLIGHT_DONE, 200, "{\"id\":1}");
    leave(leader);
    assert_told(a, ""); // never before the mail is read
    run_mail(w);
    assert_told(a, "done(200)");
    assert_told(b, "done(200)");
    assert_slice_equal(cache_entry_answer(a->entry)->body, SLICE("{\"id\":1}"));
    assert_int_equal(cache_entry_answer(b->entry)->cost_pico, 3150000);
    assert_read(b, SLICE_NONE);
    assert_null(flight_head(b->seat));
}

static void an_error_for_everybody_ends_all(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_whole(w, 1), *b = join_stream(w, 2);
    finish(leader, FLIGHT_REFUSED, 400, "{\"error\":{}}");
    run_mail(w);
    assert_told(a, "refused(400)");
    assert_told(b, "refused(400)");
    assert_slice_equal(cache_entry_answer(b->entry)->body, SLICE("{\"error\":{}}"));
    assert_int_equal(figures(w).promoted, 0);
}

static void an_error_after_bytes_is_a_failure(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1);
    a->reads = true;
    begin(leader, "m");
    append(leader, "x");
    run_mail(w);
    finish(leader, FLIGHT_REFUSED, 400, "{}");
    run_mail(w);
    assert_told(a, "more failed(400)");
    assert_null(a->entry);
}

// ------------------------------------------------------------------ streams

static void a_stream_reaches_early_and_late_followers(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *early = join_stream(w, 1);
    early->reads = true;
    begin(leader, "model-a");
    run_mail(w);
    assert_told(early, ""); // no bytes yet
    append(leader, "one ");
    assert_null(flight_head(early->seat));
    run_mail(w);
    assert_told(early, "more");
    assert_slice_equal(flight_head(early->seat)->model, SLICE("model-a"));
    append(leader, "two ");
    struct person *late = join_stream(w, 2);
    late->reads = true;
    append(leader, "");
    run_mail(w);
    assert_read(late, SLICE("one two "));
    append(leader, "three");
    finish(leader, FLIGHT_DONE, 200, "{}");
    leave(leader);
    run_mail(w);
    assert_told(early, "more more done(200)");
    assert_told(late, "more more done(200)");
    assert_read(early, SLICE("one two three"));
    assert_read(late, SLICE("one two three"));
    assert_slice_equal(flight_head(late->seat)->model, SLICE("model-a"));
}

// Chunks are cut at 4 KiB and more: whatever the sizes, nothing is lost.
static void pieces_of_any_size_arrive_in_order(void **state) {
    struct world *w = *state;
    static const size_t sizes[] = {1, 4095, 1, 1, 4096, 4097, 8191, 3, 65536, 65537, 1 << 20, 5};
    flights_free(w->all);
    w->all = flights_new(&(struct flights_options){.join_bytes = 4 << 20});
    struct person *leader = join_leader(w, 0), *eager = join_stream(w, 1);
    struct buffer sent = {0};
    eager->reads = true;
    begin(leader, "m");
    for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
        size_t from = sent.len;
        for (size_t n = 0; n < sizes[i]; n++)
            buffer_append_char(&sent, (char)(sent.len * 31 % 251));
        flight_append(leader->seat, slice_make(sent.ptr + from, sizes[i]));
        run_mail(w);
        assert_int_equal(eager->read.len, sent.len);
    }
    struct person *late = join_stream(w, 2);
    late->reads = true;
    finish(leader, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_read(eager, buffer_slice(&sent));
    assert_read(late, buffer_slice(&sent));
    buffer_free(&sent);
}

static void whole_and_streamed_mix(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *whole = join_whole(w, 1), *late = join_stream(w, 2);
    begin(leader, "m");
    append(leader, "data");
    whole->reads = late->reads = true;
    finish(leader, FLIGHT_DONE, 200, "{\"all\":1}");
    run_mail(w);
    assert_told(whole, "done(200)");
    assert_read(whole, SLICE_NONE);
    assert_slice_equal(cache_entry_answer(whole->entry)->body, SLICE("{\"all\":1}"));
    assert_told(late, "more done(200)");
    assert_read(late, SLICE("data"));
}

static void a_stream_without_an_answer_leaves_those_who_wait_for_one(void **state) {
    static const char *const bodies[] = {NULL, ""};
    for (size_t i = 0; i < 2; i++) {
        struct world *w = *state;
        struct person *leader = join_leader(w, 0);
        struct person *whole = join_whole(w, 1), *stream = join_stream(w, 2);
        begin(leader, "m");
        append(leader, "data");
        finish(leader, FLIGHT_DONE, 200, bodies[i]);
        run_mail(w);
        assert_told(whole, "promote");
        assert_told(stream, "more done(200)");
        assert_int_equal(stream->entry != NULL, bodies[i] != NULL); // what it cost
        if (stream->entry != NULL)
            assert_int_equal(cache_entry_answer(stream->entry)->cost_pico, 3150000);
        assert_int_equal(join_stream(w, 3)->role, FLIGHT_FOLLOWER); // of whole
        for (size_t n = 0; n < 4; n++)
            leave(&w->people[n]);
    }
}

static void a_reader_is_told_again_only_when_it_has_read_all(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *slow = join_stream(w, 1);
    struct slice bytes;
    begin(leader, "m");
    for (size_t i = 0; i < 3; i++) {
        append(leader, "ab");
        run_mail(w);
    }
    assert_told(slow, "more");
    assert_true(flight_read(slow->seat, &bytes));
    append(leader, "c");
    run_mail(w);
    assert_told(slow, "");
    assert_slice_equal(bytes, SLICE("ababab")); // stays, though more was appended
    assert_true(flight_read(slow->seat, &bytes));
    assert_slice_equal(bytes, SLICE("c"));
    assert_false(flight_read(slow->seat, &bytes));
    append(leader, "d");
    run_mail(w);
    assert_told(slow, "more");
}

static void what_is_unread_at_the_end_is_read_at_leisure(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *slow = join_stream(w, 1);
    begin(leader, "m");
    append_many(leader, 5000);
    append_many(leader, 5000);
    finish(leader, FLIGHT_DONE, 200, "{}");
    leave(leader);
    run_mail(w);
    join_leader(w, 2); // others' purchases do not matter to it
    read_all(slow);
    assert_int_equal(slow->read.len, 10000);
    assert_int_equal(flight_head(slow->seat)->endpoint, API_CHAT_COMPLETIONS);
}

// ------------------------------------------------------------------ leaving

static void nothing_is_told_after_leaving(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    begin(leader, "m");
    append(leader, "x");
    for (size_t i = 1; i < SEATS; i++)
        join_stream(w, i);
    leave(&w->people[1]); // mail of more is under way
    finish(leader, FLIGHT_DONE, 200, "{}");
    leave(&w->people[2]); // and mail of an answer
    run_mail(w);
    assert_told(&w->people[1], "");
    assert_told(&w->people[2], "");
    assert_told(&w->people[3], "more done(200)");
}

static void seats_are_left_in_callbacks(void **state) {
    static const struct {
        enum within in;
        const char *told;
    } cases[] = {{IN_MORE, "more"}, {IN_FINISH, "more done(200)"}};
    struct world *w = *state;
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct person *leader = join_leader(w, 0), *a = join_stream(w, 1), *b = join_stream(w, 2);
        a->leave_in = cases[i].in;
        b->reads = true;
        buffer_clear(&b->read);
        begin(leader, "m");
        append(leader, "x");
        finish(leader, FLIGHT_DONE, 200, "{}"); // both in one mail
        run_mail(w);
        assert_told(a, cases[i].told);
        assert_null(a->seat);
        assert_told(b, "more done(200)");
        assert_read(b, SLICE("x"));
        leave(b);
        leave(leader);
        for (size_t n = 1; n < 3; n++)
            if (w->people[n].entry != NULL) {
                cache_entry_release(w->people[n].entry);
                w->people[n].entry = NULL;
            }
    }
}

static void a_leader_may_leave_when_it_is_told_so(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    leader->leave_in = IN_ALONE;
    leave(join_stream(w, 1));
    run_mail(w);
    assert_told(leader, "alone");
    assert_null(leader->seat);
    assert_int_equal(figures(w).purchases, 0);
}

static void the_leader_is_told_when_it_is_alone(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1), *b = join_whole(w, 2);
    leave(a);
    run_mail(w);
    assert_told(leader, "");
    leave(b);
    run_mail(w);
    assert_told(leader, "alone");
    leave(join_stream(w, 1));
    struct person *back = join_stream(w, 1); // before the mail is read
    run_mail(w);
    assert_told(leader, "");
    leave(back);
    run_mail(w);
    assert_told(leader, "alone");
}

static void a_promoted_leader_is_told_too(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1), *b = join_stream(w, 2);
    leave(leader);
    leave(b);
    run_mail(w);
    assert_told(a, "promote alone");
    finish(a, FLIGHT_DONE, 200, "{}");
}

// ---------------------------------------------- news that callbacks make

static void append_and_finish(struct person *p) {
    struct person *leader = &p->world->people[0];
    read_all(p);
    append(leader, "more");
    finish(leader, FLIGHT_DONE, 200, "{}");
}

// Its mail is being read: what happens then is told by the next.
static void news_within_news_is_told(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1);
    a->reads = true;
    a->act_in = IN_MORE;
    a->act = append_and_finish;
    begin(leader, "m");
    append(leader, "some ");
    run_mail(w);
    run_mail(w);
    assert_told(a, "more more done(200)");
    assert_read(a, SLICE("some more"));
}

static void come_and_go(struct person *p) {
    leave(join_stream(p->world, 5));
}

static void alone_within_promote_is_told(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0), *a = join_stream(w, 1);
    a->act_in = IN_PROMOTE;
    a->act = come_and_go;
    leave(leader);
    run_mail(w);
    run_mail(w);
    assert_told(a, "promote alone");
}

static void finish_at_once(struct person *p) {
    finish(p, FLIGHT_DONE, 200, "{}");
}

static void who_has_finished_is_told_nothing(void **state) {
    struct world *w = *state;
    struct person *leader = join_leader(w, 0);
    leave(join_stream(w, 1)); // alone is under way
    finish(leader, FLIGHT_DONE, 200, "{}");
    run_mail(w);
    assert_told(leader, "");
    leave(leader);

    leader = join_leader(w, 0);
    struct person *a = join_stream(w, 1);
    a->act_in = IN_PROMOTE;
    a->act = finish_at_once;
    join_stream(w, 2);
    leave(leader);
    leave(&w->people[2]); // promote and alone are under way
    run_mail(w);
    run_mail(w);
    assert_told(a, "promote");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(the_first_leads_and_the_others_follow),
        WORLD_TEST(keys_that_share_a_bucket_are_apart),
        WORLD_TEST(after_the_end_the_next_leads),
        WORLD_TEST(followers_get_the_whole_answer),
        WORLD_TEST(an_error_for_everybody_ends_all),
        WORLD_TEST(an_error_after_bytes_is_a_failure),
        WORLD_TEST(a_stream_reaches_early_and_late_followers),
        WORLD_TEST(pieces_of_any_size_arrive_in_order),
        WORLD_TEST(whole_and_streamed_mix),
        WORLD_TEST(a_stream_without_an_answer_leaves_those_who_wait_for_one),
        WORLD_TEST(a_reader_is_told_again_only_when_it_has_read_all),
        WORLD_TEST(what_is_unread_at_the_end_is_read_at_leisure),
        WORLD_TEST(nothing_is_told_after_leaving),
        WORLD_TEST(seats_are_left_in_callbacks),
        WORLD_TEST(a_leader_may_leave_when_it_is_told_so),
        WORLD_TEST(the_leader_is_told_when_it_is_alone),
        WORLD_TEST(a_promoted_leader_is_told_too),
        WORLD_TEST(news_within_news_is_told),
        WORLD_TEST(alone_within_promote_is_told),
        WORLD_TEST(who_has_finished_is_told_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    libevent_global_shutdown();
    return failed;
}
