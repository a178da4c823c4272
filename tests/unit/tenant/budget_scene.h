// Budgets of tenant "acme" on one loop, in memory or with a store in a directory
// of their own, and another process that is killed in the middle.
#ifndef FARTHING_TEST_TENANT_BUDGET_SCENE_H
#define FARTHING_TEST_TENANT_BUDGET_SCENE_H

#include "scene.h"
// After it: cmocka's.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "farthing/budget.h"
#include "farthing/store.h"
#include "../support/directory.h"

struct budget_scene {
    char directory[64]; // empty: in memory
    struct event_base *loop;
    struct store *store;
    struct store_client *client;
    struct budgets *budgets;
    struct budgets_loop *own;
    struct budget_refusal refusal; // the last
    unsigned ready;                // how often one who waited was told
};

static inline void at(int64_t wall_ms) {
    clock_freeze(wall_ms, UINT64_C(1000000000));
}

static inline void configure(struct budget_scene *s, const char *body) {
    const struct config *c = scene_config(body, "");
    budgets_configure(s->budgets, c);
    config_unref(c); // names and figures are the budgets' own
}

static inline void open_scene(struct budget_scene *s, const char *body) {
    struct error err;
    s->loop = event_base_new();
    if (s->directory[0] != '\0') {
        s->store = store_open(&(struct store_options){s->directory, 1 << 20}, &err);
        assert_non_null(s->store);
        s->client = store_client_new(s->store, s->loop);
    }
    s->budgets = budgets_open(s->store, &err);
    if (s->budgets == NULL)
        fail_msg("%s", err.text);
    s->own = budgets_loop_new(s->budgets, s->loop, s->client);
    configure(s, body);
}

static inline void close_scene(struct budget_scene *s) {
    budgets_loop_free(s->own);
    if (s->store != NULL)
        store_client_free(s->client);
    budgets_close(s->budgets);
    if (s->store != NULL)
        store_close(s->store);
    event_base_free(s->loop);
    s->store = NULL;
    s->client = NULL;
}

static inline void reopen_scene(struct budget_scene *s, const char *body) {
    close_scene(s);
    open_scene(s, body);
}

static inline int set_up_memory(void **state) {
    struct budget_scene *s = base_calloc(1, sizeof *s);
    at(NOON_MS);
    metric_reset_for_test();
    open_scene(s, "");
    *state = s;
    return 0;
}

static inline int tear_down_memory(void **state) {
    close_scene(*state);
    free(*state);
    clock_thaw();
    return 0;
}

// The test opens and closes it.
static inline int set_up_directory(void **state) {
    struct budget_scene *s = base_calloc(1, sizeof *s);
    at(NOON_MS);
    metric_reset_for_test();
    snprintf(s->directory, sizeof s->directory, "/tmp/farthing-budget-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    *state = s;
    return 0;
}

static inline int tear_down_directory(void **state) {
    struct budget_scene *s = *state;
    directory_remove(s->directory);
    free(s);
    clock_thaw();
    return 0;
}

// ------------------------------------------------------------------- reservations

#define SCOPE(...) ((struct budget_scope){.run_amount = CONFIG_UNSET, __VA_ARGS__})

#define NOBODY ((struct budget_scope){.run_amount = CONFIG_UNSET})

static inline void scene_ready(void *arg, enum budget_verdict verdict,
                               const struct budget_refusal *refusal) {
    struct budget_scene *s = arg;
    s->ready++;
    if (verdict == BUDGET_REFUSED)
        s->refusal = *refusal;
}

static inline enum budget_verdict ask_for(struct budget_scene *s, struct budget_reservation *r,
                                          struct budget_scope scope, config_pico worst) {
    scope.tenant = SLICE("acme");
    const struct budget_ask ask = {.scope = scope, .worst = worst};
    return budget_reserve(s->own, r, &ask, scene_ready, s, &s->refusal);
}

static inline void wait_until_held(struct budget_scene *s, struct budget_reservation *r) {
    while (r->state == BUDGET_WAITING)
        event_base_loop(s->loop, EVLOOP_ONCE);
    assert_int_equal(r->state, BUDGET_HELD);
}

// Also waits for the disk. True: the money is held.
static inline bool reserve(struct budget_scene *s, struct budget_reservation *r,
                           struct budget_scope scope, config_pico worst) {
    if (ask_for(s, r, scope, worst) == BUDGET_REFUSED)
        return false;
    wait_until_held(s, r);
    return true;
}

static inline void spend(struct budget_scene *s, struct budget_scope scope, config_pico cost) {
    struct budget_reservation r = {0};
    assert_true(reserve(s, &r, scope, cost));
    assert_true(budget_settle(s->own, &r, cost, NULL));
}

static inline bool is_refused(struct budget_scene *s, struct budget_scope scope,
                              config_pico worst) {
    struct budget_reservation r = {0};
    bool held = reserve(s, &r, scope, worst);
    if (held)
        assert_true(budget_release(s->own, &r));
    return !held;
}

static inline config_pico left(struct budget_scene *s, struct budget_scope scope) {
    scope.tenant = SLICE("acme");
    return budget_remaining(s->own, &scope);
}

// ------------------------------------------------------------------------ figures

struct view_search {
    struct slice budget, value;
    bool any_value;
    struct budget_view view; // the last found; its value is no longer there
    unsigned found;
};

static inline void on_searched(void *arg, const struct budget_view *view) {
    struct view_search *search = arg;
    if (!slice_equal(view->budget, search->budget) ||
        (!search->any_value && !slice_equal(view->value, search->value)))
        return;
    search->view = *view;
    search->view.value = SLICE_NONE;
    search->found++;
}

static inline struct budget_view view_of(struct budget_scene *s, const char *budget,
                                         const char *value) {
    struct view_search search = {.budget = slice_of(budget), .value = slice_of(value)};
    budgets_visit(s->budgets, on_searched, &search);
    if (search.found != 1)
        fail_msg("%u views of %s %s", search.found, budget, value);
    return search.view;
}

static inline unsigned count_views(struct budget_scene *s, const char *budget) {
    struct view_search search = {.budget = slice_of(budget), .any_value = true};
    budgets_visit(s->budgets, on_searched, &search);
    return search.found;
}

static inline bool shows(struct budget_scene *s, const char *line) {
    budgets_publish(s->budgets);
    return scene_shows(line);
}

// ---------------------------------------------------------------- by an operator

static inline void top_up(struct budget_scene *s, const struct budget_name *name,
                          config_pico amount) {
    struct error err;
    if (!budget_top_up(s->budgets, name, amount, &err))
        fail_msg("%s", err.text);
}

static inline void reset(struct budget_scene *s, const struct budget_name *name) {
    struct error err;
    if (!budget_reset(s->budgets, name, &err))
        fail_msg("%s", err.text);
}

static inline void freeze(struct budget_scene *s, const struct budget_name *name, bool frozen) {
    struct error err;
    if (!budget_freeze(s->budgets, name, frozen, &err))
        fail_msg("%s", err.text);
}

static inline int64_t warnings(struct budget_scene *s, const char *budget, const char *percent) {
    char line[128];
    struct buffer text = {0};
    snprintf(line, sizeof line,
             "farthing_budget_warnings_total{tenant=\"acme\",budget=\"%s\",percent=\"%s\"} ",
             budget, percent);
    budgets_publish(s->budgets);
    metric_write_all(&text);
    ptrdiff_t found = slice_find(buffer_slice(&text), slice_of(line));
    int64_t count = found < 0 ? 0 : strtoll(text.ptr + found + strlen(line), NULL, 10);
    buffer_free(&text);
    return count;
}

// ------------------------------------------------------------------------ crashes

// What a process does before it is killed; by name, since it is a new process
// (a fork of one that had threads may not start any).
struct deed {
    const char *name;
    const char *budgets;
    void (*work)(struct budget_scene *s);
};

static inline void crash_after(struct budget_scene *s, const char *deed) {
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
static inline int crash(const struct deed *deeds, char **argv) {
    struct budget_scene s = {0};
    snprintf(s.directory, sizeof s.directory, "%s", argv[2]);
    at(strtoll(argv[3], NULL, 10));
    for (const struct deed *d = deeds; d->name != NULL; d++)
        if (strcmp(d->name, argv[1]) == 0) {
            open_scene(&s, d->budgets);
            d->work(&s);
            raise(SIGKILL);
        }
    return 1;
}

#endif
