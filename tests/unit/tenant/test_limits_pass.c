// One request under several limits, and the names under which they stand: all or
// nothing, one bound on waiting, one end; and what a reload of the file does.
#include "limits_scene.h"

#define HEX_A "bf3cb3f1e1d5b4ed3ad32f7b4e9c1ed2d4fb0a4b4ae4d3f0d8d7ee4b06a0c1f2"
#define HEX_B "aaacb3f1e1d5b4ed3ad32f7b4e9c1ed2d4fb0a4b4ae4d3f0d8d7ee4b06a0c1f2"

struct passer {
    struct limits_pass pass;
    enum limits_verdict told;
    unsigned calls, turn;
};

static void on_pass(void *arg, enum limits_verdict verdict) {
    struct passer *p = arg;
    p->calls++;
    p->told = verdict;
    p->turn = ++turns;
    assert_false(limits_pass_waiting(&p->pass));
}

static const char *const names[LIMITS_PASS_MAX] = {"acme", "key:1", "route:r"};

static enum limits_verdict ask_for(struct scene *s, struct passer *p, unsigned count,
                                   int64_t tokens, int64_t max_wait_ms) {
    struct limits_ask asks[LIMITS_PASS_MAX];
    for (unsigned i = 0; i < count; i++)
        asks[i] = (struct limits_ask){.tenant = slice_of(names[i]),
                                      .tokens = tokens,
                                      .max_wait_ms = i == 1 ? max_wait_ms : 0,
                                      .flow = SLICE("acme")};
    p->calls = 0;
    return limits_pass_admit(s->own, &p->pass, asks, count, on_pass, p);
}

static enum limits_verdict ask(struct scene *s, struct passer *p) {
    return ask_for(s, p, LIMITS_PASS_MAX, 10, 0);
}

static void limit(struct scene *s, unsigned which, int64_t concurrency, int64_t requests,
                  int64_t tokens) {
    limits_set(s->limits, slice_of(names[which]),
               &(struct config_limits){.concurrency = concurrency,
                                       .queue = 10,
                                       .queue_timeout_ms = 1000,
                                       .requests_per_minute = requests,
                                       .tokens_per_minute = tokens});
}

static void leave(struct passer *p) {
    assert_true(limits_pass_release(&p->pass));
    assert_false(limits_pass_release(&p->pass));
    assert_false(limits_pass_settle(&p->pass, 1));
}

// ---------------------------------------------------------------------- figures

struct figures {
    struct limits_view views[LIMITS_PASS_MAX];
};

static void keep_view(void *arg, const struct limits_view *v) {
    struct figures *f = arg;
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++)
        if (slice_equal(v->name, slice_of(names[i])))
            f->views[i] = *v;
}

static struct figures figures(struct scene *s) {
    struct figures f = {0};
    limits_visit(s->limits, keep_view, &f);
    return f;
}

static void check_same(struct scene *s, const struct figures *before) {
    struct figures now = figures(s);
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++) {
        const struct limits_view *a = &before->views[i], *b = &now.views[i];
        assert_int_equal(a->running, b->running);
        assert_int_equal(a->queued, b->queued);
        assert_int_equal(a->requests.remaining, b->requests.remaining);
        assert_int_equal(a->requests.reset_ms, b->requests.reset_ms);
        assert_int_equal(a->tokens.remaining, b->tokens.remaining);
        assert_int_equal(a->tokens.reset_ms, b->tokens.reset_ms);
    }
}

// --------------------------------------------------------------- all or nothing

static void test_without_limits(void **state) {
    struct scene *s = *state;
    struct passer p = {0};
    assert_false(limits_pass_waiting(&p.pass));
    assert_false(limits_pass_release(&p.pass));
    assert_int_equal(ask_for(s, &p, 1, INT64_MAX, 0), LIMITS_GRANTED);
    assert_int_equal(p.pass.state, LIMITS_HELD);
    assert_int_equal(p.pass.queue_ms, 0);
    assert_int_equal(p.pass.refusal.reason, LIMITS_REASON_NONE);
    assert_true(limits_pass_settle(&p.pass, 3));
    assert_false(limits_pass_settle(&p.pass, 3));
    leave(&p);
    assert_int_equal(ask(s, &p), LIMITS_GRANTED);
    leave(&p);
}

static void test_all_three_are_held_settled_and_given_back(void **state) {
    struct scene *s = *state;
    struct passer p = {0};
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++)
        limit(s, i, 2, 10, 100);
    assert_int_equal(ask(s, &p), LIMITS_GRANTED);
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++) {
        struct limits_view v = figures(s).views[i];
        assert_int_equal(v.running, 1);
        assert_int_equal(v.requests.remaining, 9);
        assert_int_equal(v.tokens.remaining, 90);
    }
    assert_true(limits_pass_settle(&p.pass, 25));
    leave(&p);
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++) {
        struct limits_view v = figures(s).views[i];
        assert_int_equal(v.running, 0);
        assert_int_equal(v.requests.remaining, 9); // it ran
        assert_int_equal(v.tokens.remaining, 75);
    }
}

static const struct refusal_case {
    unsigned at;
    enum limits_reason reason;
    int64_t requests, tokens; // of the one that refuses; -1: its places
    int64_t limit;
} refusal_cases[] = {
    {0, LIMITS_REASON_REQUESTS, 1, 1000, 1},   {1, LIMITS_REASON_REQUESTS, 1, 1000, 1},
    {2, LIMITS_REASON_REQUESTS, 1, 1000, 1},   {0, LIMITS_REASON_TOKENS, 100, 15, 15},
    {1, LIMITS_REASON_TOKENS, 100, 15, 15},    {2, LIMITS_REASON_TOKENS, 100, 15, 15},
    {0, LIMITS_REASON_CONCURRENCY, -1, -1, 1}, {1, LIMITS_REASON_CONCURRENCY, -1, -1, 1},
    {2, LIMITS_REASON_CONCURRENCY, -1, -1, 1},
};

static void run_refusal_case(struct scene *s, const struct refusal_case *c) {
    struct passer first = {0}, p = {0};
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++)
        limit(s, i, 50, 100, 1000);
    limits_set(s->limits, slice_of(names[c->at]),
               &(struct config_limits){.concurrency = 1 + 49 * (c->requests > 0),
                                       .requests_per_minute = c->requests,
                                       .tokens_per_minute = c->tokens});
    assert_int_equal(ask(s, &first), LIMITS_GRANTED);
    struct figures before = figures(s);
    assert_int_equal(ask(s, &p), LIMITS_REFUSED);
    assert_int_equal(p.pass.state, LIMITS_DONE);
    assert_int_equal(p.pass.refused_at, c->at);
    assert_int_equal(p.pass.refusal.reason, c->reason);
    assert_int_equal(p.pass.refusal.limit, c->limit);
    assert_int_equal(p.calls, 0);
    check_same(s, &before);
    assert_false(limits_pass_release(&p.pass));
    assert_false(limits_pass_settle(&p.pass, 1));
    check_same(s, &before);
    leave(&first);
}

static void test_a_refusal_gives_everything_back(void **state) {
    for (size_t i = 0; i < FARTHING_COUNT(refusal_cases); i++) {
        set_up(state);
        run_refusal_case(*state, &refusal_cases[i]);
        tear_down(state);
    }
    set_up(state);
}

static void test_the_last_refusal_is_forgotten(void **state) {
    struct scene *s = *state;
    struct passer a = {0}, b = {0};
    limit(s, 1, 1, 0, 0);
    limits_set(s->limits, slice_of(names[1]), &(struct config_limits){.concurrency = 1});
    assert_int_equal(ask(s, &a), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b), LIMITS_REFUSED);
    leave(&a);
    assert_int_equal(ask(s, &b), LIMITS_GRANTED);
    assert_int_equal(b.pass.refusal.reason, LIMITS_REASON_NONE);
    leave(&b);
}

// ---------------------------------------------------------------------- waiting

static void test_it_waits_for_one_while_it_holds_another(void **state) {
    struct scene *s = *state;
    struct passer a = {0}, b = {0};
    limit(s, 0, 5, 100, 1000);
    limit(s, 1, 1, 100, 1000);
    limit(s, 2, 5, 100, 1000);
    assert_int_equal(ask(s, &a), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b), LIMITS_QUEUED);
    assert_true(limits_pass_waiting(&b.pass));
    struct figures f = figures(s);
    assert_int_equal(f.views[0].running, 2);
    assert_int_equal(f.views[1].queued, 1);
    assert_int_equal(f.views[2].running, 1);
    assert_int_equal(f.views[2].requests.remaining, 99); // not asked yet
    assert_false(limits_pass_settle(&b.pass, 1));
    at(s, s->now_ms + 400);
    leave(&a);
    assert_int_equal(b.calls, 0); // never from within a call
    run_mail(s);
    assert_int_equal(b.calls, 1);
    assert_int_equal(b.told, LIMITS_GRANTED);
    assert_int_equal(b.pass.queue_ms, 400);
    assert_int_equal(figures(s).views[2].running, 1);
    leave(&b);
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++)
        assert_int_equal(figures(s).views[i].running, 0);
}

static void test_it_waits_for_each_in_turn(void **state) {
    struct scene *s = *state;
    struct passer holders[LIMITS_PASS_MAX] = {0}, p = {0};
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++) {
        const struct limits_ask one = {.tenant = slice_of(names[i])};
        limit(s, i, 1, 0, 0);
        assert_int_equal(limits_pass_admit(s->own, &holders[i].pass, &one, 1, on_pass, &holders[i]),
                         LIMITS_GRANTED);
    }
    assert_int_equal(ask(s, &p), LIMITS_QUEUED);
    for (unsigned i = 0; i < LIMITS_PASS_MAX; i++) {
        assert_int_equal(figures(s).views[i].queued, 1);
        assert_int_equal(p.calls, 0);
        at(s, s->now_ms + 100);
        leave(&holders[i]);
        run_mail(s);
    }
    assert_int_equal(p.calls, 1);
    assert_int_equal(p.told, LIMITS_GRANTED);
    assert_int_equal(p.pass.queue_ms, 300);
    leave(&p);
}

// What the first was waited for is given on when a later one refuses.
static void test_a_refusal_after_waiting(void **state) {
    struct scene *s = *state;
    struct passer a = {0}, b = {0}, c = {0};
    limit(s, 0, 1, 100, 1000);
    limits_set(s->limits, slice_of(names[1]), &(struct config_limits){.requests_per_minute = 1});
    assert_int_equal(ask(s, &a), LIMITS_GRANTED);
    struct figures before = figures(s);
    assert_int_equal(ask(s, &b), LIMITS_QUEUED);
    assert_int_equal(ask_for(s, &c, 1, 10, 0), LIMITS_QUEUED);
    at(s, s->now_ms + 10);
    leave(&a);
    run_mail(s);
    assert_int_equal(b.told, LIMITS_REFUSED);
    assert_int_equal(b.pass.refused_at, 1);
    assert_int_equal(b.pass.refusal.reason, LIMITS_REASON_REQUESTS);
    assert_int_equal(b.pass.queue_ms, 10);
    assert_int_equal(b.calls, 1);
    run_mail(s);
    assert_int_equal(c.told, LIMITS_GRANTED);
    assert_true(c.turn > b.turn);
    assert_int_equal(figures(s).views[0].running, 1);
    // a ran, c runs, b never came.
    assert_int_equal(figures(s).views[0].requests.remaining,
                     before.views[0].requests.remaining - 1);
    leave(&c);
}

static void test_who_leaves_while_it_waits_gives_everything_back(void **state) {
    struct scene *s = *state;
    for (unsigned busy = 0; busy < LIMITS_PASS_MAX; busy++) {
        struct passer a = {0}, b = {0};
        for (unsigned i = 0; i < LIMITS_PASS_MAX; i++)
            limit(s, i, i == busy ? 1 : 5, 100, 1000);
        assert_int_equal(ask(s, &a), LIMITS_GRANTED);
        struct figures before = figures(s);
        assert_int_equal(ask(s, &b), LIMITS_QUEUED);
        leave(&b);
        check_same(s, &before);
        assert_int_equal(ask(s, &b), LIMITS_QUEUED);
        leave(&a); // and again with the mail under way
        leave(&b);
        run_mail(s);
        assert_int_equal(b.calls, 0);
        for (unsigned i = 0; i < LIMITS_PASS_MAX; i++)
            assert_int_equal(figures(s).views[i].running, 0);
    }
}

// --------------------------------------------------------------------- patience

static void test_one_patience_for_all_queues(void **state) {
    struct scene *s = *state;
    struct passer a = {0}, b = {0}, p = {0};
    const struct limits_ask last = {.tenant = slice_of(names[2])};
    limit(s, 0, 1, 100, 0);
    limit(s, 2, 1, 100, 0);
    assert_int_equal(ask_for(s, &a, 1, 0, 0), LIMITS_GRANTED);
    assert_int_equal(limits_pass_admit(s->own, &b.pass, &last, 1, on_pass, &b), LIMITS_GRANTED);
    assert_int_equal(ask_for(s, &p, 3, 0, 300), LIMITS_QUEUED);
    at(s, s->now_ms + 200);
    leave(&a);
    run_mail(s); // in the second queue now
    struct figures waiting = figures(s);
    assert_int_equal(waiting.views[2].queued, 1);
    limits_loop_run_due(s->own, s->now_ms + 99);
    assert_int_equal(p.calls, 0);
    at(s, s->now_ms + 100);
    limits_loop_run_due(s->own, s->now_ms);
    assert_int_equal(p.calls, 1);
    assert_int_equal(p.told, LIMITS_REFUSED);
    assert_int_equal(p.pass.refused_at, 2);
    assert_int_equal(p.pass.refusal.reason, LIMITS_REASON_QUEUE_TIMEOUT);
    assert_int_equal(p.pass.queue_ms, 300);
    assert_int_equal(figures(s).views[0].running, 0);
    assert_int_equal(figures(s).views[0].requests.remaining, 99); // a's
    assert_int_equal(figures(s).views[2].requests.remaining, 99); // b's
    leave(&b);
}

// Granted the first as its time ran out: the rest only if it is there.
static void test_patience_that_ended_takes_what_is_there(void **state) {
    struct scene *s = *state;
    for (int free_place = 0; free_place < 2; free_place++) {
        struct passer a = {0}, b = {0}, p = {0};
        const struct limits_ask last = {.tenant = slice_of(names[2])};
        limit(s, 0, 1, 0, 0);
        limit(s, 2, 1 + free_place, 0, 0);
        assert_int_equal(ask_for(s, &a, 1, 0, 0), LIMITS_GRANTED);
        assert_int_equal(limits_pass_admit(s->own, &b.pass, &last, 1, on_pass, &b), LIMITS_GRANTED);
        assert_int_equal(ask_for(s, &p, 3, 0, 300), LIMITS_QUEUED);
        leave(&a);
        at(s, s->now_ms + 300);
        run_mail(s);
        assert_int_equal(p.calls, 1);
        assert_int_equal(p.told, free_place ? LIMITS_GRANTED : LIMITS_REFUSED);
        if (free_place)
            leave(&p);
        else
            assert_int_equal(p.pass.refusal.reason, LIMITS_REASON_QUEUE_TIMEOUT);
        leave(&b);
    }
}

static void test_who_cannot_wait_is_refused_at_once(void **state) {
    struct scene *s = *state;
    struct passer a = {0}, p = {0};
    limit(s, 0, 5, 0, 0);
    limit(s, 2, 1, 0, 0);
    assert_int_equal(ask_for(s, &a, 3, 0, -5), LIMITS_GRANTED);
    assert_int_equal(ask_for(s, &p, 3, 0, -5), LIMITS_REFUSED);
    assert_int_equal(p.pass.refused_at, 2);
    assert_int_equal(p.pass.refusal.reason, LIMITS_REASON_QUEUE_TIMEOUT);
    assert_int_equal(figures(s).views[0].running, 1);
    leave(&a);
}

// ------------------------------------------------------------- names and reloads

static const struct config *load(const char *route, const char *tenant) {
    struct buffer text = {0};
    buffer_printf(&text,
                  "provider \"p\" { dialect = \"openai\" base_url = \"http://127.0.0.1:1/v1\" }\n"
                  "model \"p/m\" { }\n"
                  "tier \"t\" { models = {\"p/m\"} }\n"
                  "%s\ntenant \"acme\" { keys = {\"%s\", \"%s\"}\n%s }\n",
                  route, SCENE_KEY, SCENE_KEY_B, tenant);
    return scene_load(&text);
}

static void reload(struct scene *s, const char *route, const char *tenant) {
    const struct config *c = load(route, tenant);
    limits_configure(s->limits, c);
    config_unref(c);
}

struct wanted {
    const char *name;
    int64_t concurrency;
    bool seen;
};

static void find_wanted(void *arg, const struct limits_view *v) {
    struct wanted *w = arg;
    if (slice_equal(v->name, slice_of(w->name))) {
        assert_false(w->seen);
        w->seen = true;
        w->concurrency = v->concurrency;
    }
}

static void check_name(struct scene *s, const char *name, bool seen, int64_t concurrency) {
    struct wanted w = {.name = name, .concurrency = CONFIG_UNSET};
    limits_visit(s->limits, find_wanted, &w);
    if (w.seen != seen || w.concurrency != concurrency)
        fail_msg("%s: %d places", name, (int)w.concurrency);
}

static void test_names(void **state) {
    (void)state;
    struct arena *a = arena_new(100);
    uint8_t digest[DIGEST_LEN];
    assert_true(digest_unhex(slice_of(HEX_A), digest, DIGEST_LEN));
    assert_true(slice_equal(limits_name_of_route(a, SLICE("support")), SLICE("route:support")));
    assert_true(slice_equal(limits_name_of_route(a, SLICE_NONE), SLICE("route:")));
    assert_true(slice_equal(limits_name_of_key(a, digest), SLICE("key:" HEX_A)));
    arena_free(a);
}

static void test_what_limits(void **state) {
    (void)state;
    static const struct {
        struct config_limits figures;
        bool any;
    } cases[] = {
        {{-1, -1, -1, -1, -1}, false}, {{0, 0, 0, 0, 0}, false},    {{1, -1, -1, -1, -1}, true},
        {{-1, -1, -1, 1, -1}, true},   {{-1, -1, -1, -1, 1}, true}, {{-1, 50, 1000, -1, -1}, false},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        assert_int_equal(limits_any(&cases[i].figures), cases[i].any);
}

static void test_routes_and_keys_of_the_file(void **state) {
    struct scene *s = *state;
    reload(s, "route \"r\" { concurrency = 4 } route \"free\" { }",
           "concurrency = 2 each_key { concurrency = 3 }");
    check_name(s, "acme", true, 2);
    check_name(s, "route:r", true, 4);
    check_name(s, "route:free", false, CONFIG_UNSET);
    check_name(s, "key:" HEX_A, true, 3);
    check_name(s, "key:" HEX_B, true, 3);
    reload(s, "route \"free\" { concurrency = 1 }", "each_key { concurrency = 5 }");
    check_name(s, "acme", true, CONFIG_UNSET);
    check_name(s, "route:r", true, CONFIG_UNSET);
    check_name(s, "route:free", true, 1);
    check_name(s, "key:" HEX_A, true, 5);
    reload(s, "route \"r\" { concurrency = 7 }", "");
    check_name(s, "route:r", true, 7); // back again
    check_name(s, "route:free", true, CONFIG_UNSET);
    check_name(s, "key:" HEX_A, true, CONFIG_UNSET);
}

static void test_names_of_others_are_left_alone(void **state) {
    struct scene *s = *state;
    limits_set(s->limits, SLICE("provider:p"), &(struct config_limits){.concurrency = 9});
    reload(s, "", "concurrency = 2");
    reload(s, "", "concurrency = 2");
    check_name(s, "provider:p", true, 9);
}

static void test_a_reload_without_its_name_lets_them_in(void **state) {
    struct scene *s = *state;
    struct passer a = {0}, b[3] = {0}, late = {0};
    reload(s, "route \"r\" { concurrency = 1 queue = 10 requests = \"100/min\" }",
           "concurrency = 9");
    assert_int_equal(ask(s, &a), LIMITS_GRANTED);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ask(s, &b[i]), LIMITS_QUEUED);
    reload(s, "", "concurrency = 9");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(b[i].calls, 0);
    run_mail(s);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(b[i].told, LIMITS_GRANTED);
    assert_int_equal(ask(s, &late), LIMITS_GRANTED);
    leave(&a);
    leave(&late);
    for (size_t i = 0; i < 3; i++)
        leave(&b[i]);
    assert_int_equal(figures(s).views[0].running, 0);
    assert_int_equal(figures(s).views[2].running, 0);
    reload(s, "route \"r\" { concurrency = 1 }", "");
    assert_int_equal(ask(s, &a), LIMITS_GRANTED); // nobody is counted who is gone
    assert_int_equal(ask(s, &late), LIMITS_REFUSED);
    assert_int_equal(late.pass.refused_at, 2);
    leave(&a);
}

static void test_a_reload_with_more_places_moves_a_pass_on(void **state) {
    struct scene *s = *state;
    struct passer a = {0}, b = {0};
    reload(s, "route \"r\" { concurrency = 1 queue = 10 }", "concurrency = 1 queue = 5");
    assert_int_equal(ask(s, &a), LIMITS_GRANTED);
    assert_int_equal(ask(s, &b), LIMITS_QUEUED);
    reload(s, "route \"r\" { concurrency = 1 queue = 10 }", "");
    run_mail(s); // past the tenant's, now the route's
    assert_int_equal(b.calls, 0);
    assert_int_equal(figures(s).views[2].queued, 1);
    reload(s, "", "");
    run_mail(s);
    assert_int_equal(b.told, LIMITS_GRANTED);
    leave(&a);
    leave(&b);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_limits),
        TEST(test_all_three_are_held_settled_and_given_back),
        cmocka_unit_test_setup_teardown(test_a_refusal_gives_everything_back, NULL, tear_down),
        TEST(test_the_last_refusal_is_forgotten),
        TEST(test_it_waits_for_one_while_it_holds_another),
        TEST(test_it_waits_for_each_in_turn),
        TEST(test_a_refusal_after_waiting),
        TEST(test_who_leaves_while_it_waits_gives_everything_back),
        TEST(test_one_patience_for_all_queues),
        TEST(test_patience_that_ended_takes_what_is_there),
        TEST(test_who_cannot_wait_is_refused_at_once),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_what_limits),
        TEST(test_routes_and_keys_of_the_file),
        TEST(test_names_of_others_are_left_alone),
        TEST(test_a_reload_without_its_name_lets_them_in),
        TEST(test_a_reload_with_more_places_moves_a_pass_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
