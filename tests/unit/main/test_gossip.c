// Instances that gossip over a real Redis: two stores in one process, each with a
// loop and rooms of its own.
#include "../store/redis_real.h"

#include "gossip.h"
#include "gossip_scene.h"

enum { PERIOD_MS = 10 };

struct instance {
    struct scene *scene;
    struct gossip_rooms rooms;
    struct gossip *gossip;
};

struct two {
    struct real *real;
    struct instance one, two;
    struct store_ear *ear; // of the test itself, on one's loop
    struct buffer heard;   // all that was said
    struct buffer news;    // and of it what was not an answer to somebody new
};

static int set_up(void **state) {
    struct two *t = base_calloc(1, sizeof *t);
    void *real;
    (void)real_set_up(&real);
    t->real = real;
    *state = t;
    return 0;
}

static void end(struct instance *i) {
    gossip_free(i->gossip);
    i->gossip = NULL;
    if (i->rooms.past != NULL)
        rooms_free(&i->rooms);
    i->rooms = (struct gossip_rooms){0};
}

static int tear_down(void **state) {
    struct two *t = *state;
    void *real = t->real;
    end(&t->one);
    end(&t->two);
    if (t->ear != NULL)
        store_unlisten(t->ear);
    buffer_free(&t->heard);
    buffer_free(&t->news);
    (void)real_tear_down(&real);
    free(t);
    return 0;
}

static void begin(struct instance *i, struct scene *scene) {
    i->scene = scene;
    i->rooms = rooms_new();
    const struct gossip_options options = {.store = scene->store,
                                           .client = scene->client,
                                           .loop = scene->loop,
                                           .rooms = i->rooms,
                                           .period_ms = PERIOD_MS};
    i->gossip = gossip_new(&options);
    assert_non_null(i->gossip);
}

static void on_heard(void *arg, struct slice message) {
    struct two *t = arg;
    buffer_append(&t->heard, message);
    if (slice_find(message, SLICE("\"news\"")) >= 0)
        buffer_append(&t->news, message);
}

static void begin_one(struct two *t) {
    begin(&t->one, open_one(t->real));
    t->ear = store_listen(t->one.scene->client, "gossip", on_heard, t);
}

static void begin_two(struct two *t) {
    begin(&t->two, open_two(t->real));
}

// Both loops turn until it is so.
#define turn_until(t, is_so) turn_both(t, is_so, #is_so)
static void turn_both(struct two *t, bool (*is_so)(struct two *t), const char *what) {
    bool it_is = false;
    for (unsigned i = 0; i < 20000 && !it_is; i++) {
        (void)event_base_loop(t->one.scene->loop, EVLOOP_NONBLOCK);
        if (t->two.scene != NULL)
            (void)event_base_loop(t->two.scene->loop, EVLOOP_NONBLOCK);
        it_is = is_so(t);
        if (!it_is)
            usleep(1000);
    }
    if (!it_is)
        fail_msg("never: %s", what);
}

static unsigned occurrences(struct slice rest, const char *word) {
    unsigned count = 0;
    for (ptrdiff_t at; (at = slice_find(rest, slice_of(word))) >= 0; count++)
        rest = slice_from(rest, (size_t)at + 1);
    return count;
}

static unsigned said(const struct two *t, const char *word) {
    return occurrences(buffer_slice(&t->heard), word);
}

static bool both_said_hello(struct two *t) {
    return said(t, "\"hello\"") >= 2;
}

static bool one_said_hello(struct two *t) {
    return said(t, "\"hello\"") >= 1;
}

static bool two_is_open(struct two *t) {
    return rooms_is_open(&t->two.rooms);
}

static bool two_knows_all(struct two *t) {
    return rooms_is_open(&t->two.rooms) && rooms_likely(&t->two.rooms) > 15000 &&
           rooms_percent(&t->two.rooms) == 75;
}

static bool one_told_all(struct two *t) {
    return said(t, "\"breakers\"") >= 1 && said(t, "\"tokens\"") >= 1 && said(t, "\"past\"") >= 1;
}

// ------------------------------------------------------------------------ news

static void news_reach_the_other(void **state) {
    struct two *t = *state;
    begin_one(t);
    begin_two(t);
    turn_until(t, both_said_hello);
    rooms_trip(&t->one.rooms);
    turn_until(t, two_is_open);
    rooms_learn(&t->one.rooms);
    rooms_earn(&t->one.rooms);
    int64_t likely = rooms_likely(&t->one.rooms);
    turn_until(t, two_knows_all);
    turn_until(t, one_told_all);
    // It heard itself, and did not learn its own words again.
    assert_int_equal(rooms_likely(&t->one.rooms), likely);
    assert_int_equal(rooms_percent(&t->one.rooms), 75);
    assert_int_equal(occurrences(buffer_slice(&t->news), "\"tokens\""), 1);
}

// The one who has been there for some rounds answers.
static bool has_settled(struct two *t) {
    rooms_earn(&t->one.rooms); // has something to say
    return said(t, "\"news\"") >= 5;
}

static void a_newcomer_is_told_all(void **state) {
    struct two *t = *state;
    begin_one(t);
    turn_until(t, one_said_hello);
    rooms_trip(&t->one.rooms);
    rooms_learn(&t->one.rooms);
    turn_until(t, one_told_all); // and nobody else was there
    turn_until(t, has_settled);
    begin_two(t);
    turn_until(t, two_knows_all);
    assert_int_equal(rooms_likely(&t->two.rooms), rooms_likely(&t->one.rooms));
    assert_in_range(said(t, "\"all\""), 1, said(t, "\"hello\"") - 1);
}

// What was not said yet is said at the end.
static void who_goes_says_what_it_knows(void **state) {
    struct two *t = *state;
    begin_one(t);
    begin_two(t);
    turn_until(t, both_said_hello);
    rooms_trip(&t->one.rooms);
    rooms_learn(&t->one.rooms);
    gossip_free(t->one.gossip);
    t->one.gossip = NULL;
    turn_until(t, two_knows_all);
}

// ---------------------------------------------------------------------- faults

static bool redis_is_away(struct two *t) {
    return !store_is_up(t->one.scene->store) && !store_is_up(t->two.scene->store);
}

static void redis_goes_and_comes_back(void **state) {
    struct two *t = *state;
    begin_one(t);
    begin_two(t);
    turn_until(t, both_said_hello);
    turn_until(t, has_settled);
    redis_server_stop(&t->real->server);
    turn_until(t, redis_is_away);
    rooms_trip(&t->one.rooms); // told when it is back, or in answer to two's hello
    redis_server_start(&t->real->server);
    turn_until(t, two_is_open);
    rooms_learn(&t->one.rooms);
    turn_until(t, two_knows_all);
}

static const char *const damaged[] = {
    "", "{}", "no message", "{\"v\":9,\"say\":\"news\",\"from\":\"x\",\"at\":5}",
    // Said long ago.
    ("{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":940000,"
     "\"breakers\":[[\"openai/gpt-4o\",\"open\",0,5000000,0,5,5]]}")};

static bool all_was_passed_over(struct two *t) {
    (void)t;
    struct buffer text = {0};
    metric_write_all(&text);
    bool found = slice_find(buffer_slice(&text),
                            SLICE("farthing_gossip_messages_total{what=\"passed_over\"} 5\n")) >= 0;
    buffer_free(&text);
    return found;
}

static void damaged_messages_change_nothing(void **state) {
    struct two *t = *state;
    begin_one(t);
    turn_until(t, one_said_hello);
    struct scene *other = open_two(t->real);
    for (size_t i = 0; i < FARTHING_COUNT(damaged); i++)
        store_say(other->store, "gossip", slice_of(damaged[i]));
    turn_until(t, all_was_passed_over);
    assert_false(rooms_is_open(&t->one.rooms));
}

static void with_the_embedded_store_there_is_none(void **state) {
    (void)state;
    const struct gossip_options options = {.store = NULL};
    assert_null(gossip_new(&options));
    gossip_free(NULL);
}

#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TWO(news_reach_the_other),
        TWO(a_newcomer_is_told_all),
        TWO(who_goes_says_what_it_knows),
        TWO(redis_goes_and_comes_back),
        TWO(damaged_messages_change_nothing),
        cmocka_unit_test(with_the_embedded_store_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
