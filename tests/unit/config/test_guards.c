// Budgets, caps, limits, contexts, tasks and runs: what is inherited, in which
// order things stand in the snapshot, what goes together, and what holds where
// a file says nothing.
#include <sys/stat.h>
#include <unistd.h>

#include "config_fixture.h"

#define TENANT(inside) "tenant \"a\" { keys = {\"" DIGEST_A "\"}\n" inside "\n}\n"
#define BUDGET(inside) PROVIDER TENANT("budget \"b\" { amount = 1\n" inside " }")
#define ROUTE(inside)  PROVIDER "route \"r\" {\n" inside "\n}\n"
#define USD            INT64_C(1000000000000)

static void assert_caps_unset(const struct config_caps *caps) {
    assert_int_equal(caps->max_output_tokens, CONFIG_UNSET);
    assert_int_equal(caps->max_input_tokens, CONFIG_UNSET);
    assert_int_equal(caps->max_cost, CONFIG_UNSET);
    assert_int_equal(caps->max_n, CONFIG_UNSET);
    assert_int_equal(caps->max_tools, CONFIG_UNSET);
}

static void assert_limits_unset(const struct config_limits *limits) {
    assert_int_equal(limits->concurrency, CONFIG_UNSET);
    assert_int_equal(limits->queue, CONFIG_UNSET);
    assert_int_equal(limits->queue_timeout_ms, CONFIG_UNSET);
    assert_int_equal(limits->requests_per_minute, CONFIG_UNSET);
    assert_int_equal(limits->tokens_per_minute, CONFIG_UNSET);
}

static void assert_run(const struct config_run *run, const struct config_run *expected) {
    assert_int_equal(run->max_steps, expected->max_steps);
    assert_int_equal(run->max_attempts, expected->max_attempts);
    assert_int_equal(run->max_tokens, expected->max_tokens);
    assert_int_equal(run->max_wall_ms, expected->max_wall_ms);
    assert_int_equal(run->max_cost, expected->max_cost);
}

// ----------------------------------------------------------------- defaults

static void check_tenant_defaults(const struct config_tenant *t) {
    static const struct config_run unset = {CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET,
                                            CONFIG_UNSET};
    assert_caps_unset(&t->caps);
    assert_limits_unset(&t->limits);
    assert_limits_unset(&t->each_key);
    assert_run(&t->run, &unset);
    assert_int_equal(t->priority, 10);
    assert_int_equal(t->unpriced, CONFIG_UNPRICED_REFUSE);
    assert_true(t->may_override_route);
}

static void check_route_defaults(const struct config_route *r) {
    assert_caps_unset(&r->caps);
    assert_limits_unset(&r->limits);
    assert_false(r->concise);
    assert_slice(r->concise_text,
                 "Answer directly and concisely; no preamble, no repetition of the question.");
    assert_int_equal(r->max_reasoning_effort, CONFIG_EFFORT_UNSET);
    assert_false(r->budget_may_lower_cap);
    assert_int_equal(r->context_count, 0);
    assert_int_equal(r->idempotency_ttl_ms, CONFIG_UNSET);
    assert_int_equal(r->retry_window_ms, CONFIG_UNSET);
}

static void what_is_left_out_guards_nothing(void **state) {
    (void)state;
    const struct config *c =
        load_valid(PROVIDER "model \"p/m\" { }\ntier \"t\" { models = {\"p/n\"} }\n"
                            "route \"r\" { }\ntask \"*\" { }\n");
    assert_int_equal(c->cache.idempotency_ttl_ms, 86400000);
    assert_int_equal(c->cache.retry_window_ms, 60000);
    assert_int_equal(c->providers[0].max_inflight, 256);
    assert_false(c->providers[0].adaptive_inflight);
    assert_int_equal(c->providers[0].output_cap_field, CONFIG_OUTPUT_AUTO);
    for (size_t i = 0; i < 2; i++) { // with a section, and only named by a tier
        assert_int_equal(c->models[i].reasoning, CONFIG_UNSET);
        assert_int_equal(c->models[i].context_window, CONFIG_UNSET);
    }
    check_route_defaults(&c->routes[0]);
    assert_caps_unset(&c->tasks[0].caps);
    assert_false(c->has_tenant_sections);
    check_tenant_defaults(&c->tenants[0]);
    assert_int_equal(c->tenants[0].budget_count, 0);
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void a_bare_tenant_and_budget_have_the_defaults(void **state) {
    (void)state;
    const struct config *c = load_valid(BUDGET(""));
    check_tenant_defaults(&c->tenants[0]);
    const struct config_budget *b = &c->tenants[0].budgets[0];
    assert_int_equal(b->amount, USD);
    assert_int_equal(b->window_ms, 0);
    assert_false(b->sliding);
    assert_int_equal(b->timezone.len + b->feature.len + b->user.len, 0);
    assert_int_equal(b->per, CONFIG_PER_ALL);
    assert_int_equal(b->warn_at_count, 0);
    config_unref(c);
}

// ------------------------------------------------------------------- values

static const struct config_caps caps_given = {1, 2, 3 * USD, 4, 0};
static const struct config_limits limits_given = {1, 2, 3000, 4, 300};
#define CAPS_GIVEN                                                                                 \
    "max_output_tokens = 1 max_input_tokens = 2 max_cost = 3 max_n = 4 max_tools = 0 "
#define LIMITS_GIVEN                                                                               \
    "concurrency = 1 queue = 2 queue_timeout = \"3s\" requests = \"4/min\" tokens = \"5/s\" "

static void every_value_reaches_its_own_field(void **state) {
    (void)state;
    const struct config *c = load_valid(
        "cache { idempotency_ttl = \"2h\" retry_window = 0 }\n"
        "provider \"p\" { base_url = \"http://h\" output_cap_field = max_completion_tokens }\n"
        "model \"p/m\" { reasoning = true }\nmodel \"p/n\" { reasoning = false }\n"
        "route \"r\" { " CAPS_GIVEN LIMITS_GIVEN "concise = true concise_text = \"Kurz.\"\n"
        "  budget_fit = lower_cap idempotency_ttl = \"3h\" retry_window = \"5s\" }\n"
        "task \"t\" { " CAPS_GIVEN "}\n" TENANT(
            CAPS_GIVEN LIMITS_GIVEN "each_key { concurrency = 9 }\npriority = 77 unpriced = allow\n"
                                    "budget \"b\" { amount = 0 window = 1d user = \"u*\" "
                                    "feature = \"f*\" per = key }"));
    const struct config_route *r = &c->routes[0];
    const struct config_tenant *t = &c->tenants[0];
    assert_int_equal(c->cache.idempotency_ttl_ms, 7200000);
    assert_int_equal(c->cache.retry_window_ms, 0);
    assert_int_equal(c->providers[0].output_cap_field, CONFIG_OUTPUT_MAX_COMPLETION_TOKENS);
    assert_int_equal(c->models[0].reasoning, 1);
    assert_int_equal(c->models[1].reasoning, 0);
    assert_memory_equal(&r->caps, &caps_given, sizeof caps_given);
    assert_memory_equal(&r->limits, &limits_given, sizeof limits_given);
    assert_true(r->concise && r->budget_may_lower_cap);
    assert_slice(r->concise_text, "Kurz.");
    assert_int_equal(r->idempotency_ttl_ms, 10800000);
    assert_int_equal(r->retry_window_ms, 5000);
    assert_memory_equal(&c->tasks[0].caps, &caps_given, sizeof caps_given);
    assert_memory_equal(&t->caps, &caps_given, sizeof caps_given);
    assert_memory_equal(&t->limits, &limits_given, sizeof limits_given);
    assert_int_equal(t->each_key.concurrency, 9);
    assert_int_equal(t->each_key.queue, CONFIG_UNSET);
    assert_int_equal(t->priority, 77);
    assert_int_equal(t->unpriced, CONFIG_UNPRICED_ALLOW);
    assert_int_equal(t->budgets[0].amount, 0);
    assert_slice(t->budgets[0].user, "u*");
    assert_slice(t->budgets[0].feature, "f*");
    assert_int_equal(t->budgets[0].per, CONFIG_PER_KEY);
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void max_inflight_is_a_number_or_adaptive(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t most;
        bool adaptive;
    } rows[] = {
        {"7", 7, false},
        {"0", 0, false},
        {"adaptive", 1024, true},
        {"\"adaptive 200\"", 200, true},
        {"\"adaptive   1\"", 1, true},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char text[128];
        snprintf(text, sizeof text, "provider \"p\" { base_url = \"http://h\" max_inflight = %s }",
                 rows[i].text);
        const struct config *c = load_valid(text);
        assert_int_equal(c->providers[0].max_inflight, rows[i].most);
        assert_int_equal(c->providers[0].adaptive_inflight, rows[i].adaptive);
        config_unref(c);
    }
}

static void words_are_the_values_of_their_enum(void **state) {
    (void)state;
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
    static const char *const each[] = {"feature", "user", "run", "key"};
    char text[256];
    for (size_t i = 0; i < FARTHING_COUNT(efforts); i++) {
        snprintf(text, sizeof text, ROUTE("max_reasoning_effort = \"%s\""), efforts[i]);
        const struct config *c = load_valid(text);
        assert_int_equal(c->routes[0].max_reasoning_effort, CONFIG_EFFORT_NONE + i);
        config_unref(c);
    }
    for (size_t i = 0; i < FARTHING_COUNT(each); i++) {
        snprintf(text, sizeof text, BUDGET("per = %s"), each[i]);
        const struct config *c = load_valid(text);
        assert_int_equal(c->tenants[0].budgets[0].per, CONFIG_PER_FEATURE + i);
        config_unref(c);
    }
}

// ----------------------------------------------------------------- contexts

static void contexts_stand_in_the_order_of_the_parts(void **state) {
    (void)state;
    const struct config *c = load_valid(
        ROUTE("context \"total\" { max_tokens = 6 action = trim_oldest }\n"
              "context \"retrieved\" { max_tokens = 4 markers = {\"<doc>\", \"Context:\"} }\n"
              "context \"system\" { max_tokens = 1 action = reject }\n"
              "context \"tool_results\" { max_tokens = 5 action = warn }\n"
              "context \"history\" { max_tokens = 3 action = trim_oldest keep_turns = 7 }\n"
              "context \"developer\" { max_tokens = 2 }") "route \"s\" { }\n");
    static const enum config_context_action actions[] = {
        CONFIG_CONTEXT_REJECT, CONFIG_CONTEXT_REJECT, CONFIG_CONTEXT_TRIM_OLDEST,
        CONFIG_CONTEXT_REJECT, CONFIG_CONTEXT_WARN,   CONFIG_CONTEXT_TRIM_OLDEST};
    const struct config_context *all = c->routes[0].contexts;
    assert_int_equal(c->routes[0].context_count, CONFIG_CONTEXT_PART_COUNT);
    for (int i = 0; i < CONFIG_CONTEXT_PART_COUNT; i++) {
        assert_int_equal(all[i].part, i);
        assert_int_equal(all[i].max_tokens, i + 1);
        assert_int_equal(all[i].action, actions[i]);
        assert_int_equal(all[i].keep_turns, i == CONFIG_CONTEXT_HISTORY ? 7 : 2);
        assert_int_equal(all[i].markers.count, i == CONFIG_CONTEXT_RETRIEVED ? 2 : 0);
    }
    assert_slice(all[CONFIG_CONTEXT_RETRIEVED].markers.items[1], "Context:");
    assert_int_equal(c->routes[1].context_count, 0);
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void contexts_that_are_left_out_leave_no_gap(void **state) {
    (void)state;
    const struct config *c = load_valid(ROUTE("context \"total\" { max_tokens = 9 }\n"
                                              "context \"developer\" { max_tokens = 8 }"));
    assert_int_equal(c->routes[0].context_count, 2);
    assert_int_equal(c->routes[0].contexts[0].part, CONFIG_CONTEXT_DEVELOPER);
    assert_int_equal(c->routes[0].contexts[1].part, CONFIG_CONTEXT_TOTAL);
    config_unref(c);
}

static const struct refusal {
    const char *text;
    int line;
    const char *says, *also;
} refusals[] = {
    {ROUTE("context \"sytem\" { max_tokens = 1 }"), 3, "\"sytem\" is no part of the input",
     "did you mean \"system\"?"},
    {ROUTE("context \"tool_result\" { max_tokens = 1 }"), 3, "expected system, developer, history",
     "did you mean \"tool_results\"?"},
    {ROUTE("context \"everything\" { max_tokens = 1 }"), 3, "\"everything\"", "or total\n"},
    {ROUTE("context \"\" { max_tokens = 1 }"), 3, "\"\" is no part", "or total\n"},
    {ROUTE("context \"System\" { max_tokens = 1 }"), 3, "\"System\"", "did you mean \"system\"?"},
    {ROUTE("\ncontext \"system\" { action = warn }"), 4, "context \"system\" has no max_tokens",
     "max_tokens = 2000"},
    {ROUTE("context \"system\" { max_tokens = 1 }\ncontext \"system\" { max_tokens = 2 }"), 4,
     "is taken by an earlier section", "a name of its own"},
    {ROUTE("context { max_tokens = 1 }"), 3, "expected a name in quotes", "context"},
    {ROUTE("context \"system\" { max_tokens = 1\naction = trim_oldest }"), 4,
     "\"trim_oldest\" is for history and total only", "reject or warn for system"},
    {ROUTE("context \"developer\" { max_tokens = 1\naction = trim_oldest }"), 4,
     "history and total only", "for developer"},
    {ROUTE("context \"retrieved\" { max_tokens = 1\naction = trim_oldest }"), 4,
     "history and total only", "for retrieved"},
    {ROUTE("context \"tool_results\" { max_tokens = 1\naction = trim_oldest }"), 4,
     "history and total only", "for tool_results"},
    {ROUTE("context \"system\" { max_tokens = 1\nmarkers = {\"<doc>\"} }"), 4,
     "markers: \"<doc>\" marks nothing in system", "\"retrieved\" only"},
    {ROUTE("context \"total\" { max_tokens = 1\nmarkers = {\"<doc>\"} }"), 4, "in total",
     "\"retrieved\" only"},
    {ROUTE("context \"retrieved\" { max_tokens = 1 markers = {\"a\",\n\"\"} }"), 4, "every text",
     NULL},
    {ROUTE("context \"system\" { max_token = 1 }"), 3, "\"max_token\" is not a key of context",
     "did you mean \"max_tokens\"?"},
    {ROUTE("contexts \"system\" { max_tokens = 1 }"), 3, "\"contexts\" is not a key of route",
     "did you mean \"context\"?"},
    {PROVIDER "task \"\" { }", 2, "task \"\" has no valid name", NULL},
    {PROVIDER "task \"a\" { }\ntask \"a\" { }", 3, "is taken by an earlier section", NULL},
    {PROVIDER "task \"a\" { concurrency = 1 }", 2, "\"concurrency\" is not a key of task", NULL},
    {PROVIDER "run \"a\" { }", 2, "a section's name stands without quotes", NULL},
    {PROVIDER "run { max_step = 1 }", 2, "\"max_step\" is not a key of run",
     "did you mean \"max_steps\"?"},
    {PROVIDER TENANT("each_keys { }"), 3, "\"each_keys\" is not a key of tenant",
     "did you mean \"each_key\"?"},
    {PROVIDER TENANT("run {\nmax_cost = \"0 usd\" }"), 4, "max_cost: \"0 usd\" is out of range",
     "more than 0 usd to 9000000 usd"},
    {BUDGET("sliding = true"), 4, "sliding: a total has no window", "1h, 1d, 1w or 1mo"},
    {BUDGET("window = total sliding = true"), 4, "sliding: a total has no window", NULL},
    {BUDGET("window = 1d sliding = true\ntimezone = \"UTC\""), 5, "timezone: \"UTC\"",
     "one of sliding and timezone"},
    {BUDGET("warn_at = {\"80%\",\n\"-5%\",\n\"95 %\"}"), 5, "warn_at: \"-5%\"", "\"95 %\""},
};

static void what_does_not_go_together_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(refusals); i++)
        refused_at(refusals[i].text, refusals[i].line, refusals[i].says, refusals[i].also);
}

static void what_has_no_effect_is_warned_about(void **state) {
    (void)state;
    const struct config *c = load_valid(
        ROUTE("context \"total\" { max_tokens = 1\nkeep_turns = 3 }\nconcise_text = \"Kurz.\"")
            TENANT("budget \"b\" { amount = 1\ntimezone = \"UTC\" }"));
    assert_true(warns(c, "t.conf:4: warning: keep_turns has no effect without action"));
    assert_true(warns(c, "t.conf:5: warning: concise_text has no effect without concise"));
    assert_true(warns(c, "t.conf:9: warning: timezone has no effect on a budget without a window"));
    assert_int_equal(c->warnings.count, 3);
    config_unref(c);
}

// ----------------------------------------------------------- tasks and runs

static void the_first_task_in_the_file_that_fits_counts(void **state) {
    (void)state;
    const struct config *c =
        load_valid(PROVIDER "task \"support_vip\" { max_n = 1 }\ntask \"support_*\" { max_n = 2 }\n"
                            "task \"?\" { max_n = 3 }\ntask \"support_late\" { max_n = 4 }\n");
    static const struct {
        const char *feature;
        int64_t max_n; // 0: no task
    } rows[] = {
        {"support_vip", 1}, {"support_", 2}, {"support_late", 2}, {"x", 3}, {"Support_vip", 0},
        {"xy", 0},          {"", 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct config_task *task = config_task_for(c, slice_of(rows[i].feature));
        if ((task == NULL ? 0 : task->caps.max_n) != rows[i].max_n)
            fail_msg("\"%s\" has another task", rows[i].feature);
    }
    config_unref(c);
    c = load_valid(PROVIDER "task \"*\" { }\n");
    assert_null(config_task_for(c, SLICE_NONE)); // no feature is no feature, also for "*"
    assert_non_null(config_task_for(c, SLICE("a")));
    config_unref(c);
    c = load_valid(PROVIDER);
    assert_null(config_task_for(c, SLICE("a")));
    config_unref(c);
}

#define RUN                                                                                        \
    "run { max_steps = 1 max_attempts = 2 max_tokens = 3 max_wall = \"4ms\" max_cost = 5 }\n"

static void a_tenant_s_run_is_its_own_key_by_key(void **state) {
    (void)state;
    // Also where the tenants stand before the section that they inherit from.
    static const char *const texts[] = {
        PROVIDER RUN "tenant \"x\" { keys = {\"" DIGEST_B
                     "\"} }\n" TENANT("run { max_steps = 10 max_cost = \"0.5 usd\" }"),
        PROVIDER "tenant \"x\" { keys = {\"" DIGEST_B
                 "\"} }\n" TENANT("run { max_steps = 10 max_cost = \"0.5 usd\" }") RUN};
    static const struct config_run outer = {1, 2, 3, 4, 5 * USD};
    static const struct config_run own = {10, 2, 3, 4, USD / 2};
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++) {
        const struct config *c = load_valid(texts[i]);
        assert_run(&config_tenant_find(c, SLICE("x"))->run, &outer);
        assert_run(&config_tenant_find(c, SLICE("a"))->run, &own);
        config_unref(c);
    }
    const struct config *c = load_valid(PROVIDER RUN);
    assert_run(&c->tenants[0].run, &outer); // of the tenant that no section describes
    config_unref(c);
    c = load_valid(PROVIDER TENANT("run { max_wall = \"1h\" }"));
    static const struct config_run wall = {CONFIG_UNSET, CONFIG_UNSET, CONFIG_UNSET, 3600000,
                                           CONFIG_UNSET};
    assert_run(&c->tenants[0].run, &wall);
    config_unref(c);
}

// ------------------------------------------------------------------ budgets

static void shares_are_sorted_and_each_is_there_once(void **state) {
    (void)state;
    const struct config *c =
        load_valid(BUDGET("warn_at = {\"95%\", 80, \"100%\", \"80%\", \"095%\", 1}"));
    static const int64_t expected[] = {1, 80, 95, 100};
    const struct config_budget *b = &c->tenants[0].budgets[0];
    assert_int_equal(b->warn_at_count, FARTHING_COUNT(expected));
    assert_memory_equal(b->warn_at_percent, expected, sizeof expected);
    config_unref(c);
}

static void windows_slide_unless_they_are_a_total(void **state) {
    (void)state;
    static const struct {
        const char *window;
        int64_t hours;
    } rows[] = {{"1h", 1}, {"1d", 24}, {"1w", 168}, {"1mo", 720}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char text[256];
        snprintf(text, sizeof text, BUDGET("sliding = true window = %s"), rows[i].window);
        const struct config *c = load_valid(text);
        assert_true(c->tenants[0].budgets[0].sliding);
        assert_int_equal(c->tenants[0].budgets[0].window_ms, rows[i].hours * 3600000);
        config_unref(c);
    }
}

// A directory of zones that is this test's own: one zone, one list, a stranger
// outside.
static void write_file(const char *directory, const char *name, const char *text) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char outside[] = "/tmp/farthing-zones-XXXXXX";
static char zones[64];

static int make_zones(void **state) {
    (void)state;
    char path[96];
    if (mkdtemp(outside) == NULL)
        return 1;
    snprintf(zones, sizeof zones, "%s/zones", outside);
    snprintf(path, sizeof path, "%s/Area", zones);
    if (mkdir(zones, 0700) != 0 || mkdir(path, 0700) != 0)
        return 1;
    write_file(zones, "Area/Some-City_1+2", "TZif2...");
    write_file(zones, "a.b", "TZif2...");
    write_file(zones, "leapseconds", "# no zone");
    write_file(zones, "short", "TZ");
    write_file(outside, "stranger", "TZif2...");
    return setenv("TZDIR", zones, 1);
}

static int remove_zones(void **state) {
    (void)state;
    static const char *const names[] = {"zones/Area/Some-City_1+2",
                                        "zones/Area",
                                        "zones/a.b",
                                        "zones/leapseconds",
                                        "zones/short",
                                        "zones",
                                        "stranger"};
    char path[160];
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", outside, names[i]);
        remove(path);
    }
    unsetenv("TZDIR");
    return rmdir(outside);
}

static void check_zone(const char *name, const char *kept, const char *says) {
    char text[512];
    snprintf(text, sizeof text, BUDGET("window = 1d\ntimezone = \"%s\""), name);
    if (kept == NULL) {
        refused_at(text, 5, "timezone: ", says);
        return;
    }
    const struct config *c = load_valid(text);
    assert_slice(c->tenants[0].budgets[0].timezone, kept);
    config_unref(c);
}

static void a_zone_is_a_zone_s_file_below_the_directory(void **state) {
    (void)state;
    static const char *const refused[] = {
        "",       "Area",  "Area/",    "Area/Other",  "area/some-city_1+2",  "../stranger",
        "a.b",    "short", "/UTC",     "leapseconds", "Area/../../stranger", "Area\\nCity",
        "Area C", "utc",   "\xC3\xA9",
    };
    check_zone("Area/Some-City_1+2", "Area/Some-City_1+2", NULL);
    check_zone("UTC", "", NULL); // needs no file
    for (size_t i = 0; i < FARTHING_COUNT(refused); i++)
        check_zone(refused[i], NULL, "expected the name of a zone below");
}

static void without_zones_there_is_utc_only(void **state) {
    (void)state;
    setenv("TZDIR", "/nowhere/zoneinfo", 1);
    check_zone("UTC", "", NULL);
    check_zone("Area/Some-City_1+2", NULL, "there is no directory /nowhere/zoneinfo");
    setenv("TZDIR", "", 1); // as if it were not set
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0)
        check_zone("Europe/Berlin", "Europe/Berlin", NULL);
    check_zone("Nowhere/Atall", NULL, "/usr/share/zoneinfo");
    setenv("TZDIR", zones, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_guards_nothing),
        cmocka_unit_test(a_bare_tenant_and_budget_have_the_defaults),
        cmocka_unit_test(every_value_reaches_its_own_field),
        cmocka_unit_test(max_inflight_is_a_number_or_adaptive),
        cmocka_unit_test(words_are_the_values_of_their_enum),
        cmocka_unit_test(contexts_stand_in_the_order_of_the_parts),
        cmocka_unit_test(contexts_that_are_left_out_leave_no_gap),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(what_has_no_effect_is_warned_about),
        cmocka_unit_test(the_first_task_in_the_file_that_fits_counts),
        cmocka_unit_test(a_tenant_s_run_is_its_own_key_by_key),
        cmocka_unit_test(shares_are_sorted_and_each_is_there_once),
        cmocka_unit_test(windows_slide_unless_they_are_a_total),
        cmocka_unit_test(a_zone_is_a_zone_s_file_below_the_directory),
        cmocka_unit_test(without_zones_there_is_utc_only),
    };
    return cmocka_run_group_tests_name("config/guards", tests, make_zones, remove_zones);
}
