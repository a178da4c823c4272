// Runs of whose requests several instances serve some: their caps hold for all
// together, of the last step there is one, and what is lost or late is put right.
#include "limits_share_scene.h"
#include "runs_room.h"

// One of an instance's requests, and its loop, which is the instance's.
struct request {
    struct instance *at;
    struct runs *runs;
    struct run_ticket ticket;
    struct run_refusal refusal;
    bool known;
};

struct fleet {
    struct servers *servers;
    struct runs *runs[INSTANCES_MAX];
};

static const struct config_run no_caps = {-1, -1, -1, -1, -1};

static struct config_run caps(int64_t steps, int64_t attempts, int64_t tokens, int64_t wall_ms) {
    struct config_run c = no_caps;
    c.max_steps = steps;
    c.max_attempts = attempts;
    c.max_tokens = tokens;
    c.max_wall_ms = wall_ms;
    return c;
}

static struct fleet open_fleet(void **state, unsigned count) {
    struct fleet f = {.servers = *state};
    open_instances(f.servers, count);
    for (unsigned i = 0; i < count; i++)
        f.runs[i] = runs_open(f.servers->instances[i].store, NULL);
    return f;
}

static void close_fleet(struct fleet *f) {
    for (unsigned i = 0; i < INSTANCES_MAX; i++)
        runs_close(f->runs[i]);
}

static void on_known(void *arg) {
    struct request *r = arg;
    assert_false(r->known);
    r->known = true;
}

static bool start(struct fleet *f, struct request *r, unsigned instance,
                  const struct config_run *c) {
    r->at = &f->servers->instances[instance];
    r->runs = f->runs[instance];
    r->known = false;
    return run_ask(r->runs, r->at->client, &r->ticket, SLICE("acme"), SLICE("r1"), c, on_known, r);
}

static bool is_known(struct servers *s, void *arg) {
    (void)s;
    return ((struct request *)arg)->known;
}

static bool enter(struct fleet *f, struct request *r, const struct config_run *c) {
    run_until(f->servers, is_known, r);
    return run_enter(r->runs, &r->ticket, SLICE("acme"), SLICE("r1"), c, &r->refusal);
}

// A whole request: false where the step or the attempt is refused.
static bool take_step(struct fleet *f, struct request *r, unsigned instance,
                      const struct config_run *c, int64_t tokens, int64_t used) {
    assert_true(start(f, r, instance, c));
    if (!enter(f, r, c))
        return false;
    bool fine = run_attempt(&r->ticket, c, tokens, &r->refusal);
    if (fine)
        run_settle(&r->ticket, used);
    run_leave(&r->ticket);
    store_flush(r->at->store); // before the client has its answer and asks elsewhere
    return fine;
}

static void test_steps_are_of_all(void **state) {
    struct fleet f = open_fleet(state, 3);
    const struct config_run c = caps(5, -1, -1, -1);
    struct request r = {0};
    for (unsigned i = 0; i < 5; i++)
        assert_true(take_step(&f, &r, i % 3, &c, 10, 10));
    for (unsigned i = 0; i < 3; i++) {
        assert_false(take_step(&f, &r, i, &c, 10, 10));
        assert_int_equal(r.refusal.cap, RUN_CAP_STEPS);
        assert_int_equal(r.refusal.used, 5);
    }
    const struct config_run more = caps(6, -1, -1, -1); // those refused were none
    assert_true(take_step(&f, &r, 0, &more, 10, 10));
    assert_false(take_step(&f, &r, 1, &more, 10, 10));
    close_fleet(&f);
}

// All ask before any of them has an answer.
static void test_of_the_last_step_there_is_one(void **state) {
    struct fleet f = open_fleet(state, 3);
    const struct config_run c = caps(2, -1, -1, -1);
    struct request first = {0}, r[6] = {0};
    assert_true(take_step(&f, &first, 0, &c, 10, 10));
    unsigned entered = 0;
    for (unsigned i = 0; i < 6; i++)
        assert_true(start(&f, &r[i], i % 3, &c));
    for (unsigned i = 0; i < 6; i++)
        entered += enter(&f, &r[i], &c);
    assert_int_equal(entered, 1);
    for (unsigned i = 0; i < 6; i++)
        run_leave(&r[i].ticket);
    close_fleet(&f);
}

// More than a call can name: none of them is forgotten while others are asked for.
static void test_more_at_once_than_a_call_names(void **state) {
    enum { MANY = 450 };
    static struct request r[MANY];
    struct fleet f = open_fleet(state, 2);
    const struct config_run c = caps(MANY, -1, -1, -1);
    struct request late = {0};
    for (unsigned i = 0; i < MANY; i++) {
        r[i] = (struct request){0};
        assert_true(start(&f, &r[i], 0, &c));
        run_until(f.servers, is_known, &r[i]);
    }
    assert_false(take_step(&f, &late, 1, &c, 1, 1));
    for (unsigned i = MANY; i > 0; i--) { // those that were named last, first
        assert_true(enter(&f, &r[i - 1], &c));
        run_leave(&r[i - 1].ticket);
        if (i % 100 != 0)
            continue;
        store_flush(r[0].at->store);
        assert_false(take_step(&f, &late, 1, &c, 1, 1));
    }
    store_flush(r[0].at->store);
    assert_false(take_step(&f, &late, 1, &c, 1, 1));
    assert_int_equal(late.refusal.used, MANY);
    close_fleet(&f);
}

static void test_attempts_and_tokens_are_of_all(void **state) {
    struct fleet f = open_fleet(state, 2);
    const struct config_run attempts = caps(-1, 3, -1, -1), tokens = caps(-1, -1, 100, -1);
    struct request r = {0};
    for (unsigned i = 0; i < 3; i++)
        assert_true(take_step(&f, &r, i % 2, &attempts, 10, 30));
    assert_false(take_step(&f, &r, 1, &attempts, 10, 10));
    assert_int_equal(r.refusal.cap, RUN_CAP_ATTEMPTS);
    assert_int_equal(r.refusal.used, 3);
    assert_false(take_step(&f, &r, 0, &tokens, 11, 10));
    assert_int_equal(r.refusal.cap, RUN_CAP_TOKENS);
    assert_int_equal(r.refusal.used, 90);
    assert_true(take_step(&f, &r, 0, &tokens, 10, 5));
    assert_true(take_step(&f, &r, 1, &tokens, 5, 5));
    close_fleet(&f);
}

// What one has reserved is not there for another that begins now.
static void test_reservations_are_known(void **state) {
    struct fleet f = open_fleet(state, 2);
    const struct config_run c = caps(-1, -1, 100, -1);
    struct request runs = {0}, r = {0};
    assert_true(start(&f, &runs, 0, &c) && enter(&f, &runs, &c));
    assert_true(run_attempt(&runs.ticket, &c, 80, &runs.refusal));
    store_flush(runs.at->store);
    assert_false(take_step(&f, &r, 1, &c, 30, 30));
    assert_int_equal(r.refusal.used, 80);
    run_leave(&runs.ticket); // it never settled
    store_flush(runs.at->store);
    assert_true(take_step(&f, &r, 1, &c, 30, 30));
    close_fleet(&f);
}

static void test_the_time_is_of_all(void **state) {
    struct fleet f = open_fleet(state, 2);
    const struct config_run c = caps(-1, -1, -1, 3600000), none = caps(-1, -1, -1, 1);
    struct request r = {0};
    assert_true(take_step(&f, &r, 0, &c, 10, 10));
    usleep(5000); // time is what is measured
    assert_true(start(&f, &r, 1, &none));
    assert_false(enter(&f, &r, &none));
    assert_int_equal(r.refusal.cap, RUN_CAP_WALL);
    assert_in_range(r.refusal.used, 2, 3600000);
    close_fleet(&f);
}

// He leaves before it is answered: no step, and he is not called.
static void test_one_who_leaves_while_it_is_asked(void **state) {
    struct fleet f = open_fleet(state, 2);
    const struct config_run c = caps(1, -1, -1, -1);
    struct request gone = {0}, r = {0};
    assert_true(start(&f, &gone, 0, &c));
    run_leave(&gone.ticket);
    store_flush(gone.at->store);
    assert_true(take_step(&f, &r, 1, &c, 1, 1));
    assert_false(gone.known);
    assert_false(take_step(&f, &r, 0, &c, 1, 1));
    close_fleet(&f);
}

static void test_nothing_is_asked_without_caps(void **state) {
    struct fleet f = open_fleet(state, 1);
    const struct config_run c = caps(1, -1, -1, -1);
    struct request r = {0};
    assert_false(start(&f, &r, 0, &no_caps));
    struct runs *alone = runs_open(NULL, NULL);
    assert_false(run_ask(alone, f.servers->instances[0].client, &r.ticket, SLICE("acme"),
                         SLICE("r1"), &c, on_known, &r));
    runs_close(alone);
    close_fleet(&f);
}

static bool is_down(struct servers *s, void *arg) {
    (void)arg;
    return !store_is_up(s->instances[0].store);
}

// Without the store by what is known; then its own sums are told again.
static void test_without_the_store_by_what_is_known(void **state) {
    struct fleet f = open_fleet(state, 2);
    const struct config_run c = caps(4, -1, -1, -1);
    struct request r = {0};
    assert_true(take_step(&f, &r, 1, &c, 1, 1));
    assert_true(take_step(&f, &r, 0, &c, 1, 1));
    redis_server_stop(&f.servers->redis);
    run_until(f.servers, is_down, NULL);
    r.known = true;
    assert_false(start(&f, &r, 0, &c));
    r.known = true;
    assert_true(enter(&f, &r, &c));
    run_leave(&r.ticket);
    redis_server_start(&f.servers->redis); // and it knows nothing
    run_until(f.servers, all_up, NULL);
    assert_true(take_step(&f, &r, 0, &c, 1, 1));
    assert_false(take_step(&f, &r, 1, &c, 1, 1)); // its own of before is the fourth
    assert_int_equal(r.refusal.used, 4);
    assert_false(take_step(&f, &r, 0, &c, 1, 1));
    assert_int_equal(r.refusal.used, 4);
    close_fleet(&f);
}

// What a process before this one took is Redis's to say, where it knows.
static void test_the_past_counts_once(void **state) {
    struct fleet f = open_fleet(state, 2);
    const struct config_run c = caps(3, -1, -1, -1);
    const struct run_view past = {.tenant = SLICE("acme"),
                                  .run = SLICE("r1"),
                                  .steps = 1,
                                  .started_ms = clock_wall_ms(),
                                  .last_ms = clock_wall_ms()};
    struct request r = {0};
    assert_true(take_step(&f, &r, 0, &c, 1, 1));
    runs_restore(f.runs[1], &past, clock_wall_ms()); // as if that had been its own
    assert_true(take_step(&f, &r, 1, &c, 1, 1));
    assert_true(take_step(&f, &r, 1, &c, 1, 1));
    assert_false(take_step(&f, &r, 1, &c, 1, 1));
    close_fleet(&f);
}

static void test_the_past_is_told_to_who_knows_nothing(void **state) {
    struct fleet f = open_fleet(state, 2);
    const struct config_run c = caps(3, -1, -1, -1);
    const struct run_view past = {.tenant = SLICE("acme"),
                                  .run = SLICE("r1"),
                                  .steps = 2,
                                  .started_ms = clock_wall_ms(),
                                  .last_ms = clock_wall_ms()};
    struct request r = {0};
    runs_restore(f.runs[1], &past, clock_wall_ms());
    assert_true(take_step(&f, &r, 1, &c, 1, 1));
    assert_false(take_step(&f, &r, 0, &c, 1, 1));
    assert_int_equal(r.refusal.used, 3);
    close_fleet(&f);
}

// ----------------------------------------------------------------------- threads

enum { LOOPS = 2, THREADS = INSTANCES_MAX * LOOPS, AT_ONCE = 3, STEPS = 100 };

struct worker {
    pthread_t thread;
    struct store *store;
    struct runs *runs;
    unsigned entered;
    bool refused;
};

static void end_request(struct worker *w, struct request *r, const struct config_run *c) {
    if (run_enter(w->runs, &r->ticket, SLICE("acme"), SLICE("r1"), c, &r->refusal)) {
        w->entered++;
        if (run_attempt(&r->ticket, c, 5, &r->refusal))
            run_settle(&r->ticket, 5);
    } else {
        w->refused = true;
    }
    run_leave(&r->ticket);
}

// Some at once, until there are no more steps.
static void *work(void *arg) {
    struct worker *w = arg;
    const struct config_run c = caps(STEPS, -1, -1, -1);
    struct event_base *loop = event_base_new();
    struct store_client *client = store_client_new(w->store, loop);
    while (!w->refused) {
        struct request r[AT_ONCE] = {0};
        for (unsigned i = 0; i < AT_ONCE; i++)
            if (!run_ask(w->runs, client, &r[i].ticket, SLICE("acme"), SLICE("r1"), &c, on_known,
                         &r[i]))
                abort();
        for (unsigned i = 0; i < AT_ONCE; i++) {
            while (!r[i].known)
                event_base_loop(loop, EVLOOP_ONCE);
            end_request(w, &r[i], &c);
        }
    }
    store_client_free(client);
    event_base_free(loop);
    return NULL;
}

static void test_as_many_steps_as_there_are(void **state) {
    struct fleet f = open_fleet(state, INSTANCES_MAX);
    struct worker w[THREADS] = {0};
    unsigned entered = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        w[i].store = f.servers->instances[i % INSTANCES_MAX].store;
        w[i].runs = f.runs[i % INSTANCES_MAX];
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        entered += w[i].entered;
    }
    assert_int_equal(entered, STEPS);
    close_fleet(&f);
}

static void test_what_is_no_answer(void **state) {
    (void)state;
    static const char *const rows[] = {"",             "1 2 3 4 1",     "1 2 3 4 1 6 7",
                                       "1 2 3 -4 1 6", "1 2 3 4 1 6 ",  "1  2 3 4 1 6",
                                       "a 2 3 4 1 6",  "1 2 3 4 2 6",   " 1 2 3 4 1 6",
                                       "1 2 3 4 1 9007199254740993"};
    struct run_others others;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_false(run_others_parse(slice_of(rows[i]), &others));
    assert_true(run_others_parse(SLICE("1 2 3 4 1 6"), &others));
    assert_int_equal(others.tokens, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVERS(test_steps_are_of_all),
        SERVERS(test_of_the_last_step_there_is_one),
        SERVERS(test_more_at_once_than_a_call_names),
        SERVERS(test_attempts_and_tokens_are_of_all),
        SERVERS(test_reservations_are_known),
        SERVERS(test_the_time_is_of_all),
        SERVERS(test_one_who_leaves_while_it_is_asked),
        SERVERS(test_nothing_is_asked_without_caps),
        SERVERS(test_without_the_store_by_what_is_known),
        SERVERS(test_the_past_counts_once),
        SERVERS(test_the_past_is_told_to_who_knows_nothing),
        SERVERS(test_as_many_steps_as_there_are),
        cmocka_unit_test(test_what_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
