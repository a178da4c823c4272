// Runs over the end of a process: from the rows that the ledger wrote.
#include "farthing/ledger.h"
#include "farthing/store.h"
#include "runs_room.h"
#include "scene.h"
#include "../support/directory.h"

struct scene {
    char directory[64];
    struct store *store;
    struct ledger *ledger;
    struct runs *runs;
};

static const struct config_run caps = {.max_steps = 5, -1, -1, -1, -1};

// ------------------------------------------------------------------- a process

static void open_ledger(struct scene *s) {
    struct error err;
    s->ledger = ledger_open(&(struct ledger_options){NULL, s->store, 0}, &err);
    if (s->ledger == NULL)
        fail_msg("%s", err.text);
}

static void open_runs(struct scene *s) {
    struct error err;
    s->runs = runs_open(s->store, &err);
    if (s->runs == NULL)
        fail_msg("%s", err.text);
}

static void open_store(struct scene *s) {
    struct error err;
    s->store = store_open(&(struct store_options){s->directory, 1 << 20}, &err);
    if (s->store == NULL)
        fail_msg("%s", err.text);
}

static void close_all(struct scene *s) {
    runs_close(s->runs);
    if (s->ledger != NULL)
        ledger_close(s->ledger);
    store_close(s->store);
    s->runs = NULL;
    s->ledger = NULL;
}

static void restart(struct scene *s) {
    close_all(s);
    open_store(s);
    open_ledger(s);
    open_runs(s);
}

// After noon, by both clocks. The machine has just started.
static void at_ms(int64_t ms) {
    clock_freeze(NOON_MS + ms, (uint64_t)(5000 + ms) * 1000000);
}

static int set_up(void **state) {
    struct scene *s = base_calloc(1, sizeof *s);
    at_ms(0);
    snprintf(s->directory, sizeof s->directory, "/tmp/farthing-runs-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    open_store(s);
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    struct scene *s = *state;
    close_all(s);
    directory_remove(s->directory);
    free(s);
    clock_thaw();
    return 0;
}

// ---------------------------------------------------------------------- its rows

struct past {
    const char *tenant, *run;
    int64_t age_ms;
    size_t attempts;
    int64_t input, output;
    enum ledger_usage_source source;
    const char *error;
};

static void record(struct scene *s, const struct past *p) {
    static const struct cost_attempt attempts[4] = {{.status = 200, .reason = {"ok", 2}}};
    const struct cost_row row = {
        .ts_ms = NOON_MS - p->age_ms,
        .tenant_id = slice_of(p->tenant),
        .run_id = slice_of(p->run),
        .error_code = slice_of(p->error),
        .status = 200,
        .usage = {.input_tokens = p->input, .output_tokens = p->output},
        .usage_source = p->source,
        .attempts = attempts,
        .attempt_count = p->attempts,
        .ttft_ms = -1,
    };
    ledger_record(s->ledger, &row);
}

struct look {
    const char *tenant, *run;
    size_t count;
    bool found;
    struct run_view view;
};

static void look_at(void *arg, const struct run_view *v) {
    struct look *l = arg;
    l->count++;
    if (!slice_equal(v->tenant, slice_of(l->tenant)) || !slice_equal(v->run, slice_of(l->run)))
        return;
    l->found = true;
    l->view = *v;
}

static struct look look(struct scene *s, const char *tenant, const char *run) {
    struct look l = {.tenant = tenant, .run = run};
    runs_visit(s->runs, look_at, &l);
    return l;
}

static bool enter(struct scene *s, const char *run, const struct config_run *c,
                  struct run_refusal *refusal) {
    struct run_ticket t = {0};
    bool entered = run_enter(s->runs, &t, SLICE("acme"), slice_of(run), c, refusal);
    run_leave(&t);
    return entered;
}

// ------------------------------------------------------------------------- tests

static void test_no_table_yet(void **state) {
    struct scene *s = *state;
    open_runs(s);
    assert_int_equal(look(s, "acme", "r").count, 0);
    restart(s); // a table without rows
    assert_int_equal(look(s, "acme", "r").count, 0);
}

static void test_what_rows_say(void **state) {
    struct scene *s = *state;
    static const struct past rows[] = {
        {"acme", "r", 3000, 1, 100, 20, LEDGER_USAGE_PROVIDER, NULL},
        {"acme", "r", 2500, 3, 10, 5, LEDGER_USAGE_ESTIMATED, NULL},
        {"acme", "r", 2000, 0, 1000, 1000, LEDGER_USAGE_CACHE, NULL}, // a step that bought nothing
        {"acme", "r", 1500, 2, 0, 0, LEDGER_USAGE_NONE, "upstream_error"},
        {"acme", "r", 1000, 0, 0, 0, LEDGER_USAGE_NONE, "run_budget_exceeded"}, // none
        {"acme", "r", 500, 1, 0, 0, LEDGER_USAGE_NONE, "run_budget_exceeded"}, // at its second
        {"umbra", "r", 400, 1, 7, 0, LEDGER_USAGE_PROVIDER, NULL},
        {"acme", "r2", 300, 1, 8, 0, LEDGER_USAGE_PROVIDER, NULL},
        {"acme", "", 300, 1, 9, 0, LEDGER_USAGE_PROVIDER, NULL}, // no run
        {"acme", "yesterday", DAY_MS + 1, 1, 9, 0, LEDGER_USAGE_PROVIDER, NULL},
        {"acme", "r", DAY_MS + 5, 1, 9, 0, LEDGER_USAGE_PROVIDER, NULL},
    };
    open_ledger(s);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        record(s, &rows[i]);
    restart(s);
    struct look l = look(s, "acme", "r");
    assert_true(l.found);
    assert_int_equal(l.count, 3);
    assert_int_equal(l.view.steps, 5);
    assert_int_equal(l.view.attempts, 7);
    assert_int_equal(l.view.tokens, 135);
    assert_int_equal(l.view.reserved, 0);
    assert_int_equal(l.view.running, 0);
    assert_int_equal(l.view.started_ms, NOON_MS - 3000);
    assert_int_equal(l.view.last_ms, NOON_MS - 500);
    assert_int_equal(look(s, "umbra", "r").view.tokens, 7);
    assert_int_equal(look(s, "acme", "r2").view.tokens, 8);
}

static void test_a_restart_gives_nothing_back(void **state) {
    struct scene *s = *state;
    const struct past step = {"acme", "r", 4000, 1, 30, 20, LEDGER_USAGE_PROVIDER, NULL};
    struct run_refusal refusal;
    open_ledger(s);
    for (int i = 0; i < 4; i++)
        record(s, &step);
    restart(s);
    const struct config_run wall = {-1, -1, -1, .max_wall_ms = 4000, -1},
                            tries = {-1, .max_attempts = 4, -1, -1, -1},
                            tokens = {-1, -1, .max_tokens = 210, -1, -1};
    assert_true(enter(s, "r", &caps, &refusal)); // the fifth
    assert_false(enter(s, "r", &caps, &refusal));
    assert_int_equal(refusal.cap, RUN_CAP_STEPS);
    assert_int_equal(refusal.used, 5);
    assert_false(enter(s, "r", &wall, &refusal)); // longer than the process's clock runs
    assert_int_equal(refusal.cap, RUN_CAP_WALL);
    assert_int_equal(refusal.used, 4000);
    struct run_ticket t = {0};
    assert_true(run_enter(s->runs, &t, SLICE("acme"), SLICE("r"), &tries, &refusal));
    assert_false(run_attempt(&t, &tries, 1, &refusal));
    assert_int_equal(refusal.cap, RUN_CAP_ATTEMPTS);
    assert_false(run_attempt(&t, &tokens, 11, &refusal));
    assert_int_equal(refusal.cap, RUN_CAP_TOKENS);
    assert_int_equal(refusal.used, 200);
    assert_true(run_attempt(&t, &tokens, 10, &refusal));
    run_leave(&t);
}

static void test_it_is_over_a_day_after_its_last_row(void **state) {
    struct scene *s = *state;
    const struct past step = {"acme", "r", DAY_MS - 1000, 1, 30, 20, LEDGER_USAGE_PROVIDER, NULL};
    const struct config_run one = {.max_steps = 1, -1, -1, -1, -1};
    struct run_refusal refusal;
    open_ledger(s);
    record(s, &step);
    restart(s);
    at_ms(999);
    assert_false(enter(s, "r", &one, &refusal));
    at_ms(0);
    restart(s); // forgets that somebody asked
    at_ms(1000);
    assert_true(enter(s, "r", &one, &refusal)); // a new one
    assert_int_equal(look(s, "acme", "r").view.steps, 1);
}

static void test_a_row_of_tomorrow(void **state) {
    struct scene *s = *state;
    const struct past step = {"acme", "r", -DAY_MS, 1, 30, 20, LEDGER_USAGE_PROVIDER, NULL};
    const struct config_run wall = {-1, -1, -1, .max_wall_ms = 1000, -1};
    struct run_refusal refusal;
    open_ledger(s);
    record(s, &step);
    restart(s);
    assert_int_equal(look(s, "acme", "r").view.steps, 1);
    assert_true(enter(s, "r", &wall, &refusal)); // it begins now at the latest
}

static void test_names_of_clients_choice(void **state) {
    struct scene *s = *state;
    static const char *const runs[] = {"it's \"quoted\"", "'; DROP TABLE requests; --",
                                       "\xc3\xa9t\xc3\xa9", "a\\b\nc\td", "%", "{}"};
    open_ledger(s);
    for (size_t i = 0; i < FARTHING_COUNT(runs); i++)
        record(s, &(struct past){"acme", runs[i], 10, 1, 1, 1, LEDGER_USAGE_PROVIDER, NULL});
    restart(s);
    for (size_t i = 0; i < FARTHING_COUNT(runs); i++) {
        struct look l = look(s, "acme", runs[i]);
        assert_true(l.found);
        assert_int_equal(l.view.steps, 1);
    }
}

// What no ledger would write, but a hand or a damaged disk.
static void test_rows_that_make_no_sense(void **state) {
    static const char lines[] =
        "{\"ts\":\"2026-03-11T11:59:59.000Z\",\"tenant_id\":\"acme\",\"run_id\":\"r\","
        "\"attempts\":\"not JSON\",\"usage_source\":\"provider\",\"input_tokens\":-50}\n"
        "{\"ts\":\"2026-03-11T11:59:59.000Z\",\"tenant_id\":\"acme\",\"run_id\":\"r\","
        "\"attempts\":{},\"usage_source\":\"provider\",\"input_tokens\":9223372036854775807,"
        "\"output_tokens\":9223372036854775807}\n"
        "{\"ts\":\"2026-03-11T11:59:59.000Z\",\"tenant_id\":\"acme\",\"run_id\":\"r\"}\n"
        "{\"ts\":\"2026-13-77 soon\",\"tenant_id\":\"acme\",\"run_id\":\"odd\"}\n"
        "{\"ts\":null,\"tenant_id\":null,\"run_id\":\"nobody's\"}\n";
    struct scene *s = *state;
    struct error err;
    size_t count;
    const struct store_column *columns = cost_row_columns(&count);
    struct store_journal *j = store_journal_open(s->store, "requests", columns, count, &err);
    assert_non_null(j);
    store_journal_append(j, slice_of(lines));
    store_journal_flush(j);
    open_runs(s);
    struct look l = look(s, "acme", "r");
    assert_true(l.found);
    assert_int_equal(l.view.steps, 3);
    assert_int_equal(l.view.attempts, 0);
    assert_int_equal(l.view.tokens, INT64_C(1000000000000));
}

// More than one answer of the store; all of them, each once.
static void test_very_many(void **state) {
    enum { MANY = 20001 };
    struct scene *s = *state;
    char name[32];
    open_ledger(s);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "run%d", i);
        record(s, &(struct past){"acme", name, i % 100, 1, 1, 1, LEDGER_USAGE_PROVIDER, NULL});
    }
    restart(s);
    struct look l = look(s, "acme", "run20000");
    assert_true(l.found);
    assert_int_equal(l.count, MANY);
    assert_int_equal(l.view.steps, 1);
}

// The newest, where there is no room for all.
static void test_as_many_as_there_is_room_for(void **state) {
    struct scene *s = *state;
    struct error err;
    char name[32];
    open_ledger(s);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "run%d", i);
        record(s, &(struct past){"acme", name, i, 1, 1, 1, LEDGER_USAGE_PROVIDER, NULL});
    }
    ledger_flush(s->ledger);
    s->runs = runs_new(1, 10);
    assert_true(runs_recover(s->runs, s->store, 30, &err));
    assert_true(look(s, "acme", "run9").found);
    assert_false(look(s, "acme", "run10").found);
    struct run_refusal refusal;
    assert_true(enter(s, "new", &caps, &refusal));
    assert_false(look(s, "acme", "run9").found); // idle longest of them
    assert_true(look(s, "acme", "run8").found);
    assert_int_equal(look(s, "acme", "new").count, 10);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_no_table_yet),
        TEST(test_what_rows_say),
        TEST(test_a_restart_gives_nothing_back),
        TEST(test_it_is_over_a_day_after_its_last_row),
        TEST(test_a_row_of_tomorrow),
        TEST(test_names_of_clients_choice),
        TEST(test_rows_that_make_no_sense),
        TEST(test_very_many),
        TEST(test_as_many_as_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
