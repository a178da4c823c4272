// Budgets over the end of a process, orderly and by SIGKILL, and over a store
// that does not answer.
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "farthing/budget.h"
#include "farthing/store.h"
#include "scene.h"

#define BUDGETS                                                                                    \
    "budget \"d\" { amount = \"1 usd\" window = \"1d\" }\n"                                        \
    "budget \"t\" { amount = \"10 usd\" }\n"                                                       \
    "budget \"f\" { amount = \"2 usd\" feature = \"f*\" }"
#define STEP (USD / BUDGET_STEPS + 1)

struct scene {
    char directory[64];
    struct event_base *loop;
    struct store *store;
    struct store_client *client;
    struct budgets *budgets;
    struct budgets_loop *own;
    unsigned ready;
};

static void at(int64_t wall_ms) {
    clock_freeze(wall_ms, UINT64_C(1000000000));
}

static void open_all(struct scene *s, const char *body) {
    struct error err;
    s->loop = event_base_new();
    s->store = store_open(&(struct store_options){s->directory, 1 << 20}, &err);
    if (s->store == NULL)
        fail_msg("%s", err.text);
    s->client = store_client_new(s->store, s->loop);
    s->budgets = budgets_open(s->store, &err);
    if (s->budgets == NULL)
        fail_msg("%s", err.text);
    s->own = budgets_loop_new(s->budgets, s->loop, s->client);
    const struct config *c = scene_config(body, "");
    budgets_configure(s->budgets, c);
    config_unref(c);
}

static void close_all(struct scene *s) {
    budgets_loop_free(s->own);
    store_client_free(s->client);
    budgets_close(s->budgets);
    store_close(s->store);
    event_base_free(s->loop);
}

static int set_up(void **state) {
    struct scene *s = base_calloc(1, sizeof *s);
    at(NOON_MS);
    snprintf(s->directory, sizeof s->directory, "/tmp/farthing-budget-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    struct scene *s = *state;
    char path[400];
    DIR *d = opendir(s->directory);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", s->directory, e->d_name);
        unlink(path);
    }
    closedir(d);
    rmdir(s->directory);
    free(s);
    clock_thaw();
    return 0;
}

static void on_ready(void *arg) {
    struct scene *s = arg;
    s->ready++;
}

static enum budget_verdict reserve(struct scene *s, struct budget_reservation *r,
                                   const char *feature, config_pico worst) {
    const struct budget_ask ask = {
        .scope = {.tenant = SLICE("acme"), .feature = slice_of(feature), .run_amount = CONFIG_UNSET},
        .worst = worst,
    };
    struct budget_refusal refusal;
    return budget_reserve(s->own, r, &ask, on_ready, s, &refusal);
}

static void wait_until_held(struct scene *s, struct budget_reservation *r) {
    while (r->state == BUDGET_WAITING)
        event_base_loop(s->loop, EVLOOP_ONCE);
    assert_int_equal(r->state, BUDGET_HELD);
}

static void reserve_and_wait(struct scene *s, struct budget_reservation *r, const char *feature,
                             config_pico worst) {
    assert_int_not_equal(reserve(s, r, feature, worst), BUDGET_REFUSED);
    wait_until_held(s, r);
}

static void spend(struct scene *s, const char *feature, config_pico cost) {
    struct budget_reservation r = {0};
    reserve_and_wait(s, &r, feature, cost);
    assert_true(budget_settle(s->own, &r, cost, NULL));
}

struct search {
    struct slice name;
    struct budget_view view;
};

static void on_view(void *arg, const struct budget_view *view) {
    struct search *search = arg;
    if (slice_equal(view->budget, search->name))
        search->view = *view;
}

static struct budget_view view(struct scene *s, const char *name) {
    struct search search = {.name = slice_of(name)};
    budgets_visit(s->budgets, on_view, &search);
    return search.view;
}

// What a process does before it is killed; by name, since it is a new process
// (a fork of one that had threads may not start any).
struct deed {
    const char *name;
    void (*work)(struct scene *s);
};
static const struct deed deeds[5];

// Does the deed on an open scene in another process that is killed at its end.
static void crash_after(struct scene *s, const char *deed) {
    char now[24];
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "crash", deed, s->directory, now, (char *)NULL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

// As that process: a check that fails ends it in another way.
static int crash(const char *deed, const char *directory, const char *now) {
    struct scene s = {0};
    snprintf(s.directory, sizeof s.directory, "%s", directory);
    at(strtoll(now, NULL, 10));
    open_all(&s, BUDGETS);
    for (const struct deed *d = deeds; d->name != NULL; d++)
        if (strcmp(d->name, deed) == 0) {
            d->work(&s);
            raise(SIGKILL);
        }
    return 1;
}

// ------------------------------------------------------------------ orderly ends

static void test_figures_outlive_an_orderly_end_exactly(void **state) {
    struct scene *s = *state;
    open_all(s, BUDGETS);
    spend(s, "f1", 123456789);
    spend(s, "", USD / 3);
    close_all(s);
    open_all(s, BUDGETS);
    assert_int_equal(view(s, "d").spent, 123456789 + USD / 3);
    assert_int_equal(view(s, "t").spent, 123456789 + USD / 3);
    assert_int_equal(view(s, "f").spent, 123456789);
    assert_int_equal(view(s, "d").recovered, 0);
    assert_int_equal(view(s, "d").reserved, 0);
    close_all(s);
    at(NOON_MS + DAY_MS);
    open_all(s, BUDGETS);
    assert_int_equal(view(s, "d").spent, 0);
    assert_int_equal(view(s, "t").spent, 123456789 + USD / 3);
    at(NOON_MS); // the clock is set back: the day before is remembered
    assert_int_equal(view(s, "d").spent, 123456789 + USD / 3);
    close_all(s);
}

static void test_a_changed_window_over_a_restart(void **state) {
    struct scene *s = *state;
    open_all(s, "budget \"d\" { amount = \"1 usd\" window = \"1d\" }");
    spend(s, "", USD / 4);
    close_all(s);
    open_all(s, "budget \"d\" { amount = \"1 usd\" window = \"1w\" }");
    assert_int_equal(view(s, "d").spent, USD / 4);
    spend(s, "", USD / 4);
    close_all(s);
    for (int i = 0; i < 2; i++) { // rows of both windows are there
        open_all(s, "budget \"d\" { amount = \"1 usd\" window = \"1w\" }");
        assert_int_equal(view(s, "d").spent, USD / 2);
        close_all(s);
    }
}

static void test_hours_do_not_push_a_total_out(void **state) {
    struct scene *s = *state;
    open_all(s, "budget \"t\" { amount = \"1 usd\" }");
    spend(s, "", USD / 4);
    close_all(s);
    for (int hour = 0; hour < 12; hour++) {
        at(NOON_MS + hour * HOUR_MS);
        open_all(s, "budget \"t\" { amount = \"1 usd\" window = \"1h\" }");
        spend(s, "", 1000);
        close_all(s);
    }
    open_all(s, "budget \"t\" { amount = \"1 usd\" }");
    assert_true(view(s, "t").spent >= USD / 4);
    close_all(s);
}

// ------------------------------------------------------------------------ crashes

static void hold_one(struct scene *s) {
    struct budget_reservation r = {0};
    spend(s, "f1", USD / 10);
    reserve_and_wait(s, &r, "f1", USD / 2);
}

static void test_reservations_of_a_dead_process_count_at_their_worst(void **state) {
    struct scene *s = *state;
    crash_after(s, "hold_one");
    open_all(s, BUDGETS);
    static const struct {
        const char *name;
        config_pico amount;
    } rows[] = {{"d", USD}, {"t", 10 * USD}, {"f", 2 * USD}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct budget_view v = view(s, rows[i].name);
        config_pico step = rows[i].amount / BUDGET_STEPS + 1;
        assert_true(v.spent >= 6 * USD / 10);
        assert_true(v.spent <= 6 * USD / 10 + 2 * step);
        assert_true(v.spent <= v.amount);
        assert_true(v.recovered >= USD / 2 && v.recovered <= v.spent);
        assert_int_equal(v.reserved, 0);
    }
    config_pico before = view(s, "d").spent;
    close_all(s);
    open_all(s, BUDGETS); // once only
    assert_int_equal(view(s, "d").spent, before);
    close_all(s);
}

static void hold_another(struct scene *s) {
    struct budget_reservation r = {0};
    spend(s, "", USD / 10);
    reserve_and_wait(s, &r, "", USD / 2);
}

static void spend_much(struct scene *s) {
    for (int i = 0; i < 500; i++) {
        struct budget_reservation r = {0};
        reserve_and_wait(s, &r, "", USD / 100);
        assert_true(budget_settle(s->own, &r, USD / 1000, NULL));
    }
}

static void test_little_is_lost_when_nothing_was_reserved(void **state) {
    struct scene *s = *state;
    crash_after(s, "spend_much");
    open_all(s, BUDGETS);
    config_pico spent = view(s, "d").spent;
    assert_true(spent >= USD / 2);
    // What the last reservation held, at most, and the steps.
    assert_true(spent <= USD / 2 + USD / 100 + 2 * STEP);
    close_all(s);
}

static void test_many_crashes_never_forget(void **state) {
    struct scene *s = *state;
    config_pico last = 0;
    for (int i = 0; i < 5; i++) {
        crash_after(s, "hold_another");
        open_all(s, "budget \"t\" { amount = \"10 usd\" }");
        config_pico spent = view(s, "t").spent;
        assert_true(spent >= last + 6 * USD / 10);
        last = spent;
        close_all(s);
        at(NOON_MS + (i + 1) * DAY_MS);
    }
}

static void hold_in_the_past(struct scene *s) {
    struct budget_reservation r = {0};
    reserve_and_wait(s, &r, "", USD / 2);
    at(NOON_MS + DAY_MS);
    spend(s, "", USD / 10);
}

static void test_a_crash_in_the_next_window(void **state) {
    struct scene *s = *state;
    crash_after(s, "hold_in_the_past");
    at(NOON_MS + DAY_MS);
    open_all(s, BUDGETS);
    config_pico spent = view(s, "d").spent;
    assert_true(spent >= USD / 10 && spent <= USD / 10 + 2 * STEP);
    assert_true(view(s, "t").spent >= 6 * USD / 10);
    close_all(s);
}

// ------------------------------------------------------------------------ waiting

static void test_what_is_above_the_ceiling_waits_for_the_disk(void **state) {
    struct scene *s = *state;
    struct budget_reservation r = {0}, small = {0};
    open_all(s, BUDGETS);
    assert_int_equal(reserve(s, &r, "", USD / 2), BUDGET_WAIT);
    assert_int_equal(s->ready, 0);
    wait_until_held(s, &r);
    assert_int_equal(s->ready, 1);
    assert_int_equal(reserve(s, &small, "", STEP / 4), BUDGET_GRANTED); // below it
    assert_true(budget_release(s->own, &small));
    assert_true(budget_settle(s->own, &r, 0, NULL));
    assert_true(view(s, "d").ceiling <= 2 * STEP);
    close_all(s);
}

static void test_who_leaves_while_he_waits_is_not_called(void **state) {
    struct scene *s = *state;
    struct budget_reservation a = {0}, b = {0}, c = {0};
    open_all(s, BUDGETS);
    assert_int_equal(reserve(s, &a, "", USD / 4), BUDGET_WAIT);
    assert_int_equal(reserve(s, &b, "", USD / 4), BUDGET_WAIT);
    assert_int_equal(reserve(s, &c, "", USD / 4), BUDGET_WAIT);
    assert_true(budget_release(s->own, &b));
    assert_true(budget_settle(s->own, &c, 5, NULL)); // spent before it was told to
    wait_until_held(s, &a);
    assert_int_equal(s->ready, 1);
    assert_int_equal(view(s, "d").spent, 5);
    assert_int_equal(view(s, "d").reserved, USD / 4);
    assert_true(budget_release(s->own, &a));
    close_all(s);
}

static void test_a_loop_may_close_while_the_store_is_asked(void **state) {
    struct scene *s = *state;
    struct budget_reservation a = {0};
    open_all(s, BUDGETS);
    assert_int_equal(reserve(s, &a, "", USD / 4), BUDGET_WAIT);
    assert_true(budget_release(s->own, &a));
    close_all(s);
    assert_int_equal(s->ready, 0);
}

static void test_nobody_waits_for_a_store_that_is_slow(void **state) {
    struct scene *s = *state;
    struct budget_reservation a = {0}, b = {0}, c = {0};
    open_all(s, BUDGETS);
    assert_int_equal(reserve(s, &a, "", USD / 4), BUDGET_WAIT);
    budgets_loop_run_due(s->own, clock_mono_ms() + BUDGET_CONFIRM_MS - 1);
    assert_int_equal(s->ready, 0);
    budgets_loop_run_due(s->own, clock_mono_ms() + BUDGET_CONFIRM_MS);
    assert_int_equal(s->ready, 1);
    assert_int_equal(a.state, BUDGET_HELD);
    assert_int_equal(reserve(s, &b, "", USD / 4), BUDGET_GRANTED);
    assert_int_equal(reserve(s, &c, "", USD), BUDGET_REFUSED); // never overspent all the same
    assert_true(budget_release(s->own, &a));
    assert_true(budget_release(s->own, &b));
    store_flush(s->store);
    event_base_loop(s->loop, EVLOOP_NONBLOCK); // it answers again
    assert_int_equal(reserve(s, &c, "", USD / 2), BUDGET_WAIT);
    wait_until_held(s, &c);
    assert_true(budget_release(s->own, &c));
    close_all(s);
}

static const struct deed deeds[] = {
    {"hold_one", hold_one},
    {"hold_another", hold_another},
    {"spend_much", spend_much},
    {"hold_in_the_past", hold_in_the_past},
    {NULL, NULL},
};

static void ignore_rows(void *arg, enum store_status status, struct slice value,
                        int64_t expires_ms) {
    (void)arg, (void)status, (void)value, (void)expires_ms;
}

// A failure of the store between writing and asking: it may have been this row.
static void test_a_store_in_trouble_confirms_nothing(void **state) {
    struct scene *s = *state;
    struct budget_reservation a = {0}, b = {0};
    open_all(s, BUDGETS);
    assert_int_equal(reserve(s, &a, "", USD / 4), BUDGET_WAIT);
    assert_non_null(
        store_query(s->client, "SELECT nonsense FROM nowhere", NULL, 0, ignore_rows, s));
    store_flush(s->store);
    wait_until_held(s, &a); // without it
    assert_int_equal(s->ready, 1);
    assert_int_equal(reserve(s, &b, "", USD / 4), BUDGET_GRANTED); // and asks again
    store_flush(s->store);
    event_base_loop(s->loop, EVLOOP_NONBLOCK);
    assert_true(budget_release(s->own, &b));
    assert_int_equal(reserve(s, &b, "", USD / 2), BUDGET_WAIT);
    assert_true(budget_release(s->own, &b));
    assert_true(budget_release(s->own, &a));
    close_all(s);
}

int main(int argc, char **argv) {
    if (argc == 4)
        return crash(argv[1], argv[2], argv[3]);
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_figures_outlive_an_orderly_end_exactly),
        TEST(test_a_changed_window_over_a_restart),
        TEST(test_hours_do_not_push_a_total_out),
        TEST(test_reservations_of_a_dead_process_count_at_their_worst),
        TEST(test_little_is_lost_when_nothing_was_reserved),
        TEST(test_many_crashes_never_forget),
        TEST(test_a_crash_in_the_next_window),
        TEST(test_what_is_above_the_ceiling_waits_for_the_disk),
        TEST(test_who_leaves_while_he_waits_is_not_called),
        TEST(test_a_loop_may_close_while_the_store_is_asked),
        TEST(test_nobody_waits_for_a_store_that_is_slow),
        TEST(test_a_store_in_trouble_confirms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
