// Runs in memory: their caps, what is reserved and given back, how many are
// kept, and four loops on one run.
#include <pthread.h>
#include <stdatomic.h>

#include "runs_room.h"
#include "scene.h"

#define START_MS UINT64_C(1000000)

static const struct config_run no_caps = {-1, -1, -1, -1, -1};

static void at(uint64_t mono_ms) {
    clock_freeze(NOON_MS + (int64_t)mono_ms, mono_ms * 1000000);
}

static int set_up(void **state) {
    at(START_MS);
    *state = runs_open(NULL, NULL);
    return *state == NULL;
}

static int tear_down(void **state) {
    runs_close(*state);
    clock_thaw();
    return 0;
}

static struct config_run caps(int64_t steps, int64_t attempts, int64_t tokens, int64_t wall_ms) {
    struct config_run c = no_caps;
    c.max_steps = steps;
    c.max_attempts = attempts;
    c.max_tokens = tokens;
    c.max_wall_ms = wall_ms;
    return c;
}

static bool enter_as(struct runs *r, struct run_ticket *t, const char *tenant, const char *run,
                     const struct config_run *c) {
    struct run_refusal refusal = {0};
    bool entered = run_enter(r, t, slice_of(tenant), slice_of(run), c, &refusal);
    assert_int_equal(entered, refusal.cap == RUN_CAP_NONE);
    assert_true(entered || t->state == NULL);
    return entered;
}

static bool enter(struct runs *r, struct run_ticket *t, const char *run,
                  const struct config_run *c) {
    return enter_as(r, t, "acme", run, c);
}

static bool attempt(struct run_ticket *t, const struct config_run *c, int64_t tokens) {
    struct run_refusal refusal = {0};
    return run_attempt(t, c, tokens, &refusal);
}

static void check_refusal(const struct run_refusal *r, enum run_cap cap, int64_t limit,
                          int64_t used, int64_t asked) {
    assert_int_equal(r->cap, cap);
    assert_int_equal(r->limit, limit);
    assert_int_equal(r->used, used);
    assert_int_equal(r->asked, asked);
}

// One request from beginning to end.
static bool visit_once(struct runs *r, const char *tenant, const char *run,
                       const struct config_run *c) {
    struct run_ticket t = {0};
    bool entered = enter_as(r, &t, tenant, run, c);
    run_leave(&t);
    return entered;
}

// ----------------------------------------------------------------------- looking

struct look {
    const char *tenant, *run;
    size_t count, of_tenant;
    bool found;
    struct run_view view;
};

static void look_at(void *arg, const struct run_view *v) {
    struct look *l = arg;
    l->count++;
    l->of_tenant += slice_equal(v->tenant, slice_of(l->tenant));
    if (!slice_equal(v->tenant, slice_of(l->tenant)) || !slice_equal(v->run, slice_of(l->run)))
        return;
    assert_false(l->found);
    l->found = true;
    l->view = *v;
}

static struct look look(struct runs *r, const char *tenant, const char *run) {
    struct look l = {.tenant = tenant, .run = run};
    runs_visit(r, look_at, &l);
    return l;
}

// -------------------------------------------------------------------------- caps

static void test_without_caps_nothing_is_followed(void **state) {
    struct run_ticket t = {0};
    struct run_refusal refusal;
    const struct config_run money = {-1, -1, -1, -1, 1}, one = caps(1, -1, -1, -1);
    assert_true(enter(*state, &t, "r", &no_caps));
    assert_true(attempt(&t, &no_caps, INT64_MAX));
    run_settle(&t, INT64_MAX);
    run_leave(&t);
    assert_true(enter(*state, &t, "r", &money)); // the budgets'
    for (int i = 0; i < 3; i++) // no run at all
        assert_true(run_enter(*state, &t, SLICE("acme"), SLICE_NONE, &one, &refusal));
    run_leave(&t);
    assert_int_equal(look(*state, "acme", "r").count, 0);
}

static void test_steps(void **state) {
    const struct config_run c = caps(3, -1, -1, -1);
    struct run_ticket t = {0};
    struct run_refusal refusal;
    for (int i = 0; i < 3; i++)
        assert_true(visit_once(*state, "acme", "r", &c));
    for (int i = 0; i < 2; i++) {
        assert_false(run_enter(*state, &t, SLICE("acme"), SLICE("r"), &c, &refusal));
        check_refusal(&refusal, RUN_CAP_STEPS, 3, 3, 1);
        run_leave(&t);
    }
    assert_int_equal(look(*state, "acme", "r").view.steps, 3);
    assert_true(visit_once(*state, "acme", "r2", &c));
    assert_true(visit_once(*state, "umbra", "r", &c));
    const struct config_run more = caps(4, -1, -1, -1); // of a reload
    assert_true(visit_once(*state, "acme", "r", &more));
    assert_false(visit_once(*state, "acme", "r", &more));
    const struct config_run none = caps(0, -1, -1, -1);
    assert_false(visit_once(*state, "acme", "r3", &none));
}

static void test_steps_that_run_at_once_count(void **state) {
    const struct config_run c = caps(2, -1, -1, -1);
    struct run_ticket a = {0}, b = {0}, d = {0};
    assert_true(enter(*state, &a, "r", &c));
    assert_true(enter(*state, &b, "r", &c));
    assert_false(enter(*state, &d, "r", &c));
    assert_int_equal(look(*state, "acme", "r").view.running, 2);
    run_leave(&a);
    run_leave(&a); // idempotent
    assert_int_equal(look(*state, "acme", "r").view.running, 1);
    assert_false(enter(*state, &d, "r", &c)); // a step that ended is still one
    run_leave(&b);
    assert_int_equal(look(*state, "acme", "r").view.running, 0);
}

static void test_attempts(void **state) {
    const struct config_run c = caps(-1, 3, -1, -1);
    struct run_ticket a = {0}, b = {0};
    struct run_refusal refusal;
    assert_true(enter(*state, &a, "r", &c));
    assert_true(enter(*state, &b, "r", &c));
    assert_true(attempt(&a, &c, 0));
    assert_true(attempt(&b, &c, 0));
    assert_true(attempt(&a, &c, 0));
    assert_false(run_attempt(&b, &c, 0, &refusal));
    check_refusal(&refusal, RUN_CAP_ATTEMPTS, 3, 3, 1);
    run_leave(&a);
    run_leave(&b);
    assert_true(enter(*state, &a, "r", &c)); // what the cache answers needs no attempt
    assert_false(attempt(&a, &c, 0));
    run_leave(&a);
    assert_int_equal(look(*state, "acme", "r").view.attempts, 3);
}

static void test_wall(void **state) {
    const struct config_run c = caps(-1, -1, -1, 5000);
    struct run_ticket a = {0}, b = {0};
    struct run_refusal refusal;
    assert_true(enter(*state, &a, "r", &c));
    at(START_MS + 4999);
    assert_true(enter(*state, &b, "r", &c));
    assert_true(attempt(&b, &c, 1));
    clock_freeze(NOON_MS - 7 * DAY_MS, (START_MS + 4999) * 1000000); // somebody sets the clock
    assert_true(attempt(&b, &c, 1));
    clock_freeze(NOON_MS + 7 * DAY_MS, (START_MS + 4999) * 1000000);
    assert_true(attempt(&b, &c, 1));
    at(START_MS + 5000);
    assert_false(run_attempt(&b, &c, 1, &refusal));
    check_refusal(&refusal, RUN_CAP_WALL, 5000, 5000, 0);
    run_leave(&a);
    run_leave(&b);
    at(START_MS + 6000);
    assert_false(run_enter(*state, &a, SLICE("acme"), SLICE("r"), &c, &refusal));
    check_refusal(&refusal, RUN_CAP_WALL, 5000, 6000, 0);
    assert_int_equal(look(*state, "acme", "r").view.steps, 2);
    assert_int_equal(look(*state, "acme", "r").view.attempts, 3);
}

// ------------------------------------------------------------------------ tokens

static void check_tokens(struct runs *r, int64_t tokens, int64_t reserved) {
    struct run_view v = look(r, "acme", "r").view;
    assert_int_equal(v.tokens, tokens);
    assert_int_equal(v.reserved, reserved);
}

static void test_tokens_are_reserved_and_settled(void **state) {
    const struct config_run c = caps(-1, -1, 1000, -1);
    struct run_ticket a = {0}, b = {0};
    struct run_refusal refusal;
    assert_true(enter(*state, &a, "r", &c));
    assert_true(enter(*state, &b, "r", &c));
    assert_true(attempt(&a, &c, 700));
    assert_false(run_attempt(&b, &c, 301, &refusal));
    check_refusal(&refusal, RUN_CAP_TOKENS, 1000, 700, 301);
    check_tokens(*state, 0, 700);
    assert_true(attempt(&b, &c, 300));
    assert_true(attempt(&a, &c, 600)); // its second: in place of the first
    check_tokens(*state, 0, 900);
    assert_false(attempt(&a, &c, 701));
    check_tokens(*state, 0, 900); // as before
    run_settle(&a, 150);
    check_tokens(*state, 150, 300);
    assert_true(attempt(&a, &c, 550)); // a third, after an answer that was not good enough
    run_settle(&a, 600);               // more than it said
    check_tokens(*state, 750, 300);
    run_leave(&b); // it took nothing
    check_tokens(*state, 750, 0);
    assert_false(attempt(&a, &c, 251));
    run_leave(&a);
    check_tokens(*state, 750, 0);
    assert_int_equal(look(*state, "acme", "r").view.attempts, 4);
}

static void test_tokens_over_the_cap_are_booked(void **state) {
    const struct config_run c = caps(-1, -1, 100, -1);
    struct run_ticket t = {0};
    struct run_refusal refusal;
    assert_true(enter(*state, &t, "r", &c));
    assert_true(attempt(&t, &c, 100));
    run_settle(&t, 130);
    check_tokens(*state, 130, 0);
    assert_false(run_attempt(&t, &c, 0, &refusal)); // not even for nothing
    check_refusal(&refusal, RUN_CAP_TOKENS, 100, 130, 0);
    run_leave(&t);
}

static void test_tokens_never_run_over(void **state) {
    const struct config_run capped = caps(-1, -1, 100, -1), open = caps(1000, -1, -1, -1),
                            vast = caps(-1, -1, INT64_MAX, -1);
    struct run_ticket a = {0}, b = {0};
    assert_true(enter(*state, &a, "r", &open));
    assert_true(enter(*state, &b, "r", &open));
    assert_false(attempt(&a, &capped, INT64_MAX));
    assert_true(attempt(&a, &open, INT64_MAX));
    assert_true(attempt(&b, &vast, INT64_MAX));
    assert_true(look(*state, "acme", "r").view.reserved > 0);
    run_settle(&a, INT64_MAX);
    run_settle(&b, INT64_MAX);
    check_tokens(*state, INT64_MAX, 0);
    assert_false(attempt(&b, &capped, 1));
    assert_true(attempt(&b, &vast, 5));
    run_leave(&a);
    run_leave(&b);
    check_tokens(*state, INT64_MAX, 0);
}

static void test_less_than_nothing_is_nothing(void **state) {
    const struct config_run c = caps(-1, -1, 100, -1);
    struct run_ticket t = {0};
    assert_true(enter(*state, &t, "r", &c));
    assert_true(attempt(&t, &c, -50));
    check_tokens(*state, 0, 0);
    run_settle(&t, -50);
    check_tokens(*state, 0, 0);
    run_settle(&t, 10); // what nobody reserved
    check_tokens(*state, 10, 0);
    run_leave(&t);
    run_settle(&t, 10); // too late
    check_tokens(*state, 10, 0);
}

// -------------------------------------------------------------------------- room

static void test_after_a_day_a_name_is_a_new_run(void **state) {
    const struct config_run c = caps(1, -1, -1, -1);
    struct run_ticket t = {0};
    assert_true(visit_once(*state, "acme", "r", &c));
    at(START_MS + RUN_IDLE_MS - 1);
    assert_false(visit_once(*state, "acme", "r", &c)); // asking is not idling
    at(START_MS + 2 * (uint64_t)RUN_IDLE_MS - 2);
    assert_false(visit_once(*state, "acme", "r", &c));
    at(START_MS + 3 * (uint64_t)RUN_IDLE_MS);
    assert_true(enter(*state, &t, "r", &c));
    at(START_MS + 9 * (uint64_t)RUN_IDLE_MS);
    assert_false(visit_once(*state, "acme", "r", &c)); // what runs is never over
    run_leave(&t);
    assert_int_equal(look(*state, "acme", "r").view.last_ms,
                     NOON_MS + (int64_t)START_MS + 9 * (int64_t)RUN_IDLE_MS);
}

static void test_those_over_are_forgotten(void **state) {
    struct runs *r = runs_new(1, 1000);
    const struct config_run c = caps(40, -1, -1, -1);
    char name[16];
    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_true(visit_once(r, "acme", name, &c));
    }
    at(START_MS + RUN_IDLE_MS);
    assert_true(visit_once(r, "acme", "r99", &c)); // before it is forgotten
    assert_int_equal(look(r, "acme", "r99").view.steps, 1);
    for (int i = 0; i < 40; i++)
        assert_true(visit_once(r, "acme", "now", &c));
    assert_int_equal(look(r, "acme", "now").count, 2);
    runs_close(r);
}

// Ten at most: "r0" is idle longest, but for those that run.
static void test_the_one_idle_longest_makes_room(void **state) {
    struct runs *r = runs_new(1, 10);
    const struct config_run c = caps(9, -1, -1, -1);
    struct run_ticket running = {0};
    char name[16];
    (void)state;
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "r%d", i);
        at(START_MS + (uint64_t)i);
        assert_true(visit_once(r, "acme", name, &c));
    }
    assert_true(visit_once(r, "acme", "r0", &c)); // no longer the oldest
    assert_true(enter(r, &running, "r1", &c));
    assert_true(visit_once(r, "acme", "new", &c));
    assert_false(look(r, "acme", "r2").found);
    assert_true(look(r, "acme", "r0").found);
    assert_true(look(r, "acme", "r1").found);
    assert_int_equal(look(r, "acme", "new").count, 10);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "invented%d", i);
        assert_true(visit_once(r, "acme", name, &c));
    }
    assert_int_equal(look(r, "acme", "r1").view.steps, 2); // still there
    assert_int_equal(look(r, "acme", "r1").count, 10);
    run_leave(&running);
    runs_close(r);
}

static void test_those_that_run_all_stay(void **state) {
    struct runs *r = runs_new(1, 10);
    const struct config_run c = caps(1, -1, -1, -1);
    struct run_ticket t[30] = {0};
    char name[16];
    (void)state;
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_true(enter(r, &t[i], name, &c));
    }
    assert_int_equal(look(r, "acme", "r0").count, 30);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "r%d", i);
        assert_false(visit_once(r, "acme", name, &c));
        run_leave(&t[i]);
    }
    assert_int_equal(look(r, "acme", "r0").count, 10);
    runs_close(r);
}

static void test_who_invents_runs_pushes_out_his_own(void **state) {
    struct runs *r = runs_new(1, 100);
    const struct config_run c = caps(9, -1, -1, -1);
    char name[16];
    (void)state;
    for (int i = 0; i < 500; i++) { // all the room
        snprintf(name, sizeof name, "r%d", i);
        assert_true(visit_once(r, "umbra", name, &c));
    }
    for (int i = 0; i < 40; i++) { // of which others get their share
        snprintf(name, sizeof name, "a%d", i);
        at(START_MS + (uint64_t)i);
        assert_true(visit_once(r, "acme", name, &c));
    }
    assert_int_equal(look(r, "acme", "").of_tenant, 40);
    assert_int_equal(look(r, "acme", "").count, 100);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "s%d", i);
        at(START_MS + 1000 + (uint64_t)i);
        assert_true(visit_once(r, "umbra", name, &c));
    }
    assert_int_equal(look(r, "acme", "").of_tenant, 40); // idle longest, and there
    assert_int_equal(look(r, "acme", "").count, 100);
    runs_close(r);
}

// Once a tenant has its share, even one that has more is left alone.
static void test_who_has_his_share_gives_his_own(void **state) {
    struct runs *r = runs_new(1, 90);
    const struct config_run c = caps(9, -1, -1, -1);
    static const struct {
        const char *tenant;
        int runs;
    } tenants[] = {{"a", 50}, {"b", 39}, {"c", 1}};
    char name[16];
    (void)state;
    for (size_t t = 0; t < FARTHING_COUNT(tenants); t++)
        for (int i = 0; i < tenants[t].runs; i++) {
            snprintf(name, sizeof name, "r%d", i);
            assert_true(visit_once(r, tenants[t].tenant, name, &c));
        }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "new%d", i);
        assert_true(visit_once(r, "b", name, &c));
    }
    assert_int_equal(look(r, "a", "").of_tenant, 50);
    assert_int_equal(look(r, "b", "").of_tenant, 39);
    assert_true(visit_once(r, "c", "new", &c));
    assert_int_equal(look(r, "a", "").of_tenant, 49);
    runs_close(r);
}

static void test_long_names_are_cut(void **state) {
    const struct config_run c = caps(2, -1, -1, -1);
    struct run_ticket t = {0};
    struct run_refusal refusal;
    char name[5000];
    memset(name, 'x', sizeof name);
    for (size_t len = 256; len <= sizeof name; len += sizeof name - 256) {
        assert_true(run_enter(*state, &t, SLICE("acme"), slice_make(name, len), &c, &refusal));
        run_leave(&t);
    }
    assert_false(run_enter(*state, &t, SLICE("acme"), slice_make(name, 300), &c, &refusal));
    name[255] = '\0';
    assert_true(visit_once(*state, "acme", name, &c)); // one shorter: another
    assert_int_equal(look(*state, "acme", name).count, 2);
}

static void test_what_is_shown(void **state) {
    const struct config_run c = caps(9, 9, 900, -1);
    struct run_ticket t = {0};
    assert_true(enter_as(*state, &t, "umbra", "other", &c));
    assert_true(enter(*state, &t, "r", &c));
    at(START_MS + 250);
    assert_true(attempt(&t, &c, 40));
    struct look l = look(*state, "acme", "r");
    assert_int_equal(l.count, 2);
    assert_true(l.found);
    assert_int_equal(l.view.steps, 1);
    assert_int_equal(l.view.attempts, 1);
    assert_int_equal(l.view.reserved, 40);
    assert_int_equal(l.view.running, 1);
    assert_int_equal(l.view.started_ms, NOON_MS + (int64_t)START_MS);
    run_leave(&t);
    assert_int_equal(look(*state, "acme", "r").view.last_ms, NOON_MS + (int64_t)START_MS + 250);
}

// ----------------------------------------------------------------------- threads

enum { THREADS = 4, ROUNDS = 4000, STEPS = 6000, ATTEMPTS = 7000, TOKENS = 100000 };

struct worker {
    pthread_t thread;
    struct runs *runs;
    unsigned number;
    int64_t steps, attempts, tokens;
};

static atomic_int working;
static atomic_bool over;

static void check_never_over(void *arg, const struct run_view *v) {
    (void)arg;
    if (slice_equal(v->run, SLICE("shared")) &&
        (v->steps > STEPS || v->attempts > ATTEMPTS || v->tokens + v->reserved > TOKENS ||
         v->reserved < 0 || v->running < 1 || v->running > THREADS + 1)) // with the pinned one
        atomic_store(&over, true);
}

static void *sample(void *arg) {
    while (atomic_load(&working) > 0)
        runs_visit(arg, check_never_over, NULL);
    return NULL;
}

static void work_on_the_shared(struct worker *w) {
    const struct config_run c = caps(STEPS, ATTEMPTS, TOKENS, -1);
    struct run_ticket t = {0};
    if (!enter(w->runs, &t, "shared", &c))
        return;
    w->steps++;
    for (uint64_t tries = random_below(3); tries > 0; tries--) {
        int64_t worst = 1 + (int64_t)random_below(60);
        if (!attempt(&t, &c, worst))
            break;
        w->attempts++;
        if (random_below(2) == 0) {
            int64_t tokens = (int64_t)random_below((uint64_t)worst + 1);
            run_settle(&t, tokens);
            w->tokens += tokens;
        }
    }
    run_leave(&t);
}

static void *work(void *arg) {
    struct worker *w = arg;
    const struct config_run c = caps(10, -1, -1, -1);
    char name[32];
    random_seed(300 + w->number);
    for (int i = 0; i < ROUNDS; i++) {
        work_on_the_shared(w);
        snprintf(name, sizeof name, "own%u", (unsigned)random_below(300)); // over the bound
        (void)visit_once(w->runs, random_below(2) == 0 ? "acme" : "umbra", name, &c);
    }
    atomic_fetch_sub(&working, 1);
    return NULL;
}

static void test_many_loops_on_one_run(void **state) {
    (void)state;
    struct runs *r = runs_new(2, 50);
    const struct config_run c = caps(STEPS, ATTEMPTS, TOKENS, -1);
    struct worker w[THREADS] = {0};
    struct run_ticket pinned = {0};
    pthread_t sampler;
    assert_true(enter(r, &pinned, "shared", &c)); // so that nobody pushes it out
    atomic_store(&working, THREADS);
    pthread_create(&sampler, NULL, sample, r);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.runs = r, .number = i};
        pthread_create(&w[i].thread, NULL, work, &w[i]);
    }
    struct worker sum = {.steps = 1};
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(w[i].thread, NULL);
        sum.steps += w[i].steps;
        sum.attempts += w[i].attempts;
        sum.tokens += w[i].tokens;
    }
    pthread_join(sampler, NULL);
    struct run_view v = look(r, "acme", "shared").view;
    assert_false(atomic_load(&over));
    assert_int_equal(sum.steps, STEPS); // all that there were, and not one more
    assert_int_equal(v.steps, sum.steps);
    assert_int_equal(v.attempts, sum.attempts);
    assert_int_equal(v.tokens, sum.tokens);
    assert_int_equal(v.reserved, 0);
    assert_int_equal(v.running, 1);
    run_leave(&pinned);
    assert_true(look(r, "acme", "shared").count <= 100);
    runs_close(r);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_caps_nothing_is_followed),
        TEST(test_steps),
        TEST(test_steps_that_run_at_once_count),
        TEST(test_attempts),
        TEST(test_wall),
        TEST(test_tokens_are_reserved_and_settled),
        TEST(test_tokens_over_the_cap_are_booked),
        TEST(test_tokens_never_run_over),
        TEST(test_less_than_nothing_is_nothing),
        TEST(test_after_a_day_a_name_is_a_new_run),
        TEST(test_those_over_are_forgotten),
        TEST(test_the_one_idle_longest_makes_room),
        TEST(test_those_that_run_all_stay),
        TEST(test_who_invents_runs_pushes_out_his_own),
        TEST(test_who_has_his_share_gives_his_own),
        TEST(test_long_names_are_cut),
        TEST(test_what_is_shown),
        TEST(test_many_loops_on_one_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
