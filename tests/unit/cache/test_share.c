// Purchases among instances: one owns, the others follow, whatever goes wrong.
#include "share_room.h"
#include "share_scene.h"

static void await_told(struct fleet *f, struct person *p, const char *expected) {
    AWAIT(f, p->told.len >= strlen(expected));
    assert_told(p, expected);
}

static bool is_claimed(struct fleet *f) {
    char answer[512];
    redis_server_ask(&f->server, "KEYS farthing:{*}:flight", answer, sizeof answer);
    return strcmp(answer, "*0\r\n") != 0;
}

// The claim's name, as Redis has it.
static void order_on_claim(struct fleet *f, const char *command, const char *more) {
    char hex[2 * DIGEST_LEN + 1], line[256];
    digest_hex(key_number(0).bytes, DIGEST_LEN, hex);
    snprintf(line, sizeof line, "%s farthing:{%s}:flight%s", command, hex, more);
    redis_server_order(&f->server, line);
}

// ------------------------------------------------------------------ results

static void one_buys_and_both_have_it(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    struct person *first = follow(f, 1, 0, false), *second = join_whole(f->at[1].world, 1);
    assert_int_equal(second->role, FLIGHT_FOLLOWER);
    AWAIT(f, has_waiter(owner));
    end_purchase(owner, FLIGHT_DONE, 200, "{\"the\": \"answer\"}");
    await_told(f, first, "done(200)");
    await_told(f, second, "done(200)");
    const struct cache_answer *had = cache_entry_answer(first->entry);
    assert_slice_equal(had->body, SLICE("{\"the\": \"answer\"}"));
    assert_slice_equal(had->model, SLICE("gpt-4o-mini"));
    assert_int_equal(had->cost_pico, 3150000);
    assert_false(is_claimed(f));
    assert_told(owner->person, "");
}

static void an_error_for_all_is_given_to_all(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    struct person *p = follow(f, 1, 0, true);
    AWAIT(f, has_waiter(owner));
    end_purchase(owner, FLIGHT_REFUSED, 422, "no");
    await_told(f, p, "refused(422)");
    assert_slice_equal(cache_entry_answer(p->entry)->body, SLICE("no"));
}

static void after_a_failure_one_other_asks_anew(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    struct person *p = follow(f, 1, 0, false), *q = join_whole(f->at[1].world, 1);
    AWAIT(f, has_waiter(owner));
    end_purchase(owner, FLIGHT_FAILED, 500, NULL);
    await_told(f, p, "promote");
    struct buyer *next = begin_ask(f, 1, p, false);
    AWAIT(f, next->words > 0);
    assert_int_equal(next->word, SHARE_OURS);
    end_purchase(next, FLIGHT_DONE, 200, "{}");
    await_told(f, q, "done(200)");
}

// It finds the result where results are kept, or buys.
static void an_owner_that_has_not_heard_of_it_leaves_no_result(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0), *other;
    struct person *p = join_key(f->at[1].world, 0, false, 0);
    other = begin_ask(f, 1, p, false);
    while (other->words == 0) // the owner's loop stands still
        event_base_loop(f->at[1].world->loop, EVLOOP_ONCE);
    share_follow(other->purchase);
    other->purchase = NULL;
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    await_told(f, p, "promote");
    assert_int_equal(number_of(f, "DBSIZE"), number_of(f, "EXISTS farthing:instances"));
}

// ------------------------------------------------------------------ streams

// Redis may have forgotten a claim that somebody followed; then it is another's.
static void a_follower_of_what_is_followed_has_no_seat(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    struct person *p = join_key(f->at[1].world, 0, true, 0);
    struct buyer *other = begin_ask(f, 1, p, true);
    const struct share_message message = {
        .kind = 'f', .streams = true, .name = SLICE("flight:elsewhere:0 who-waits-there")};
    share_relay_heard(other->purchase, &message);
    assert_int_equal(flight_followers(p->seat), 1);
    AWAIT(f, other->words > 0);
    assert_int_equal(other->word, SHARE_THEIRS);
    share_follow(other->purchase);
    other->purchase = NULL;
    p->reads = true;
    AWAIT(f, has_waiter(owner));
    begin(owner->person, "model");
    append(owner->person, "one ");
    AWAIT(f, p->read.len == 4);
    end_purchase(owner, FLIGHT_DONE, 200, "one ");
    await_told(f, p, "more done(200)");
}

static void a_stream_is_had_from_its_beginning_and_live(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append(owner->person, "one ");
    struct person *p = follow(f, 1, 0, true);
    AWAIT(f, p->read.len == 4);
    assert_slice_equal(flight_head(p->seat)->model, SLICE("model"));
    append(owner->person, "two ");
    AWAIT(f, p->read.len == 8);
    struct person *late = join_stream(f->at[1].world, 1);
    late->reads = true;
    append(owner->person, "three");
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    AWAIT(f, p->entry != NULL && late->entry != NULL);
    assert_read(p, SLICE("one two three"));
    assert_read(late, SLICE("one two three"));
}

static void a_long_stream_in_many_looks(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append(owner->person, "y");
    struct person *p = follow(f, 1, 0, true);
    AWAIT(f, p->read.len == 1);
    for (size_t n = 1; n <= 40; n++) {
        append_many(owner->person, 20000);
        AWAIT(f, p->read.len == 1 + n * 20000);
    }
    append_many(owner->person, 100000); // more than one entry
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    AWAIT(f, p->entry != NULL);
    assert_int_equal(p->read.len, 900001);
    for (size_t n = 1; n < p->read.len; n++)
        assert_int_equal(p->read.ptr[n], 'x');
}

static void a_stream_without_a_whole_answer_is_whole_to_who_reads(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append(owner->person, "all");
    struct person *p = follow(f, 1, 0, true), *whole = join_whole(f->at[1].world, 1);
    AWAIT(f, p->read.len == 3);
    end_purchase(owner, FLIGHT_DONE, 200, "");
    AWAIT(f, whole->told.len > 0);
    assert_told(p, "more done(200)");
    assert_told(whole, "promote");
}

static void a_stream_that_breaks_breaks_for_who_reads(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append(owner->person, "begun");
    struct person *p = follow(f, 1, 0, true), *whole = join_whole(f->at[1].world, 1);
    AWAIT(f, p->read.len == 5);
    end_purchase(owner, FLIGHT_FAILED, 502, NULL);
    AWAIT(f, whole->told.len > 0);
    assert_told(p, "more failed(0)");
    assert_told(whole, "promote");
}

static void too_late_for_the_stream_is_in_time_for_the_whole(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append_many(owner->person, JOIN_BYTES + 1);
    struct person *p = follow(f, 1, 0, true);
    AWAIT(f, has_waiter(owner));
    append(owner->person, "more");
    run_all(f);
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    await_told(f, p, "done(200)");
    assert_int_equal(p->read.len, 0);
    char keys[256];
    redis_server_ask(&f->server, "KEYS farthing:*:stream:*", keys, sizeof keys);
    assert_string_equal(keys, "*0\r\n");
}

// Who comes when the last has left does not get the part that was relayed.
static void a_stream_that_nobody_follows_any_more_is_gone(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append(owner->person, "begun");
    struct person *p = follow(f, 1, 0, true);
    AWAIT(f, p->read.len == 5);
    leave(p);
    AWAIT(f, !has_waiter(owner));
    append(owner->person, " and unheard");
    buffer_clear(&p->told);
    buffer_clear(&p->read);
    struct person *late = follow(f, 1, 1, true);
    AWAIT(f, has_waiter(owner));
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    await_told(f, late, "done(200)");
    assert_int_equal(late->read.len, 0);
}

static void a_gap_is_seen(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append(owner->person, "begun");
    struct person *p = follow(f, 1, 0, true), *whole = join_whole(f->at[1].world, 1);
    AWAIT(f, p->read.len == 5);
    // As if an entry had been lost: the stream goes on with another number.
    char keys[512], line[600];
    redis_server_ask(&f->server, "KEYS farthing:*:stream:*", keys, sizeof keys);
    char *name = strstr(keys, "farthing:");
    assert_non_null(name);
    name[strcspn(name, "\r")] = '\0';
    snprintf(line, sizeof line, "XADD %s 7-1 h x b x e x", name);
    char answer[64];
    redis_server_ask(&f->server, line, answer, sizeof answer);
    append(owner->person, " lost");
    AWAIT(f, whole->told.len > 0);
    assert_told(p, "more failed(0)");
    assert_read(p, SLICE("begun"));
    assert_told(whole, "promote");
    leave(whole);
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
}

// ------------------------------------------------------------------- owners

static void a_dead_owner_is_succeeded(void **state) {
    struct fleet *f = *state;
    (void)own(f, 0, 0);
    struct person *p = follow(f, 1, 0, false);
    order_on_claim(f, "PEXPIRE", " 1");
    await_told(f, p, "promote");
}

// The one that is watched is over, and another has come in its place.
static void who_waits_goes_on_with_the_successor(void **state) {
    struct fleet *f = *state;
    struct buyer *first = own(f, 0, 0);
    struct person *p = follow(f, 1, 0, false);
    AWAIT(f, has_waiter(first));
    order_on_claim(f, "DEL", "");
    struct person *again = join_key(f->at[0].world, 1, false, 1); // of whatever flight
    struct buyer *second = begin_ask(f, 0, again, false);
    AWAIT(f, second->words > 0);
    assert_int_equal(second->word, SHARE_OURS);
    end_purchase(first, FLIGHT_DONE, 200, "{\"late\":1}"); // no longer its to say
    assert_true(is_claimed(f));
    AWAIT(f, has_waiter(second));
    assert_told(p, "");
    end_purchase(second, FLIGHT_DONE, 200, "{\"new\":1}");
    await_told(f, p, "done(200)");
    assert_slice_equal(cache_entry_answer(p->entry)->body, SLICE("{\"new\":1}"));
}

static void who_waits_no_more_is_waited_for_no_more(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    struct person *p = follow(f, 1, 0, true);
    AWAIT(f, has_waiter(owner));
    leave(p);
    await_told(f, owner->person, "alone");
    assert_false(has_waiter(owner));
}

static void one_who_ends_before_it_was_told_leaves_nothing(void **state) {
    struct fleet *f = *state;
    for (size_t n = 0; n < 2; n++) { // as the first, and as one to whom it would be another's
        struct person *p = join_key(f->at[1].world, n, false, 0);
        struct buyer *b = begin_ask(f, 1, p, false);
        give_back(b);
        leave(p);
        store_flush(f->at[1].store);
        run_all(f);
        assert_int_equal(b->words, 0);
        assert_int_equal(is_claimed(f), n == 1);
        if (n == 0)
            (void)own(f, 0, 0);
    }
    AWAIT(f, !has_waiter(&f->buyers[1]));
}

// Of this instance, since a purchase that is full is led a second time.
static void an_instance_follows_itself(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    begin(owner->person, "model");
    append_many(owner->person, JOIN_BYTES + 1);
    struct person *p = follow(f, 0, 1, false);
    AWAIT(f, has_waiter(owner));
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    await_told(f, p, "done(200)");
}

static void what_is_followed_when_a_loop_ends_is_left(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    (void)follow(f, 1, 0, true);
    AWAIT(f, has_waiter(owner)); // and the rest is tear_down's
}

// -------------------------------------------------------------- no word of it

static void without_redis_nobody_is_asked(void **state) {
    struct fleet *f = *state;
    struct buyer *owner = own(f, 0, 0);
    redis_server_stop(&f->server);
    AWAIT(f, !store_is_up(f->at[1].store));
    struct person *p = join_key(f->at[1].world, 0, false, 0);
    struct buyer *other = begin_ask(f, 1, p, false);
    assert_false(other->asked);
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    end_purchase(other, FLIGHT_DONE, 200, "{}");
    run_all(f);
    assert_int_equal(other->words, 0);
}

static void what_was_begun_without_redis_is_claimed_when_it_is_back(void **state) {
    struct fleet *f = *state;
    redis_server_stop(&f->server);
    AWAIT(f, !store_is_up(f->at[0].store));
    struct person *p = join_key(f->at[0].world, 0, false, 0);
    struct buyer *owner = begin_ask(f, 0, p, false);
    assert_false(owner->asked);
    redis_server_start(&f->server);
    AWAIT(f, is_claimed(f) && all_listen(f) && store_is_up(f->at[1].store));
    struct person *q = follow(f, 1, 0, false);
    AWAIT(f, has_waiter(owner));
    end_purchase(owner, FLIGHT_DONE, 200, "{}");
    await_told(f, q, "done(200)");
}

static void an_answer_that_does_not_come_is_no_word(void **state) {
    struct fleet *f = *state;
    struct person *p = join_key(f->at[0].world, 0, false, 0);
    kill(f->server.pid, SIGSTOP);
    struct buyer *b = begin_ask(f, 0, p, false);
    assert_true(b->asked);
    redis_server_stop(&f->server);
    AWAIT(f, b->words > 0);
    assert_int_equal(b->word, SHARE_NO_WORD);
    end_purchase(b, FLIGHT_DONE, 200, "{}");
}

// What another program wrote there is nobody's purchase.
static void a_claim_that_is_none_is_no_word(void **state) {
    struct fleet *f = *state;
    char hex[2 * DIGEST_LEN + 1], line[256];
    digest_hex(key_number(0).bytes, DIGEST_LEN, hex);
    snprintf(line, sizeof line, "SET farthing:{%s}:flight nonsense", hex);
    redis_server_order(&f->server, line);
    struct buyer *b = ask(f, 0, 0, false);
    assert_int_equal(b->word, SHARE_NO_WORD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FLEET_TEST(one_buys_and_both_have_it),
        FLEET_TEST(an_error_for_all_is_given_to_all),
        FLEET_TEST(after_a_failure_one_other_asks_anew),
        FLEET_TEST(an_owner_that_has_not_heard_of_it_leaves_no_result),
        FLEET_TEST(a_follower_of_what_is_followed_has_no_seat),
        FLEET_TEST(a_stream_is_had_from_its_beginning_and_live),
        FLEET_TEST(a_long_stream_in_many_looks),
        FLEET_TEST(a_stream_without_a_whole_answer_is_whole_to_who_reads),
        FLEET_TEST(a_stream_that_breaks_breaks_for_who_reads),
        FLEET_TEST(too_late_for_the_stream_is_in_time_for_the_whole),
        FLEET_TEST(a_stream_that_nobody_follows_any_more_is_gone),
        FLEET_TEST(a_gap_is_seen),
        FLEET_TEST(a_dead_owner_is_succeeded),
        FLEET_TEST(who_waits_goes_on_with_the_successor),
        FLEET_TEST(who_waits_no_more_is_waited_for_no_more),
        FLEET_TEST(one_who_ends_before_it_was_told_leaves_nothing),
        FLEET_TEST(an_instance_follows_itself),
        FLEET_TEST(what_is_followed_when_a_loop_ends_is_left),
        FLEET_TEST(without_redis_nobody_is_asked),
        FLEET_TEST(what_was_begun_without_redis_is_claimed_when_it_is_back),
        FLEET_TEST(an_answer_that_does_not_come_is_no_word),
        FLEET_TEST(a_claim_that_is_none_is_no_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
