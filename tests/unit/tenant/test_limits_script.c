// The script of the shared limits, as a real server runs it, at times that the
// test says: against the rates of one process (rate.h) to the last millionth, and
// whatever becomes of calls: lost, late, twice, or their answers lost.
#include <stdio.h>

#include "limits_share_scene.h"

static const char text[] =
#include "numbers.lua.h"
#include "limits_share.lua.h"
    ;
static char timed_text[sizeof text + 64];
static struct store_script script = {"limits-timed", timed_text};

enum { ARGUMENTS = 26, TERM_MS = 10000, CALLERS = 3 };
#define START_US UINT64_C(1770000000000000)

static struct servers *servers;
static uint64_t now_us;
static const char *name; // of the limit

// The same, but that the time is given.
static void put_time_in(void) {
    static const char asked[] = "redis.call('TIME')", given[] = "{ARGV[25], ARGV[26]}";
    const char *at = strstr(text, asked);
    assert_non_null(at);
    snprintf(timed_text, sizeof timed_text, "%.*s%s%s", (int)(at - text), text, given,
             at + strlen(asked));
}

// An instance as the script sees it.
struct caller {
    const char *id;
    struct limits_request r;
    struct limits_answer a;
    int64_t granted; // as it knows
};

struct heard {
    unsigned calls;
    struct buffer value;
};

static void on_answer(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct heard *h = arg;
    assert_int_equal(status, STORE_OK);
    buffer_append(&h->value, value);
    h->calls++;
}

static size_t put(struct buffer *b, size_t at[], size_t n, int64_t number) {
    at[n] = b->len;
    buffer_append_i64(b, number);
    return n + 1;
}

// What is said, in the order of the script.
static void put_arguments(struct buffer *b, size_t at[ARGUMENTS + 1], const struct caller *c) {
    size_t n = 0;
    at[n++] = 0;
    buffer_append(b, slice_of(c->id));
    n = put(b, at, n, (int64_t)c->r.number);
    n = put(b, at, n, TERM_MS);
    n = put(b, at, n, c->r.instances);
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++) {
        const int64_t figures[] = {c->r.rates[k].limit, c->r.rates[k].granted,
                                   c->r.rates[k].charged_known, c->r.rates[k].debt,
                                   c->r.rates[k].need, c->r.rates[k].least,
                                   c->r.rates[k].more, c->r.rates[k].charged};
        for (size_t i = 0; i < FARTHING_COUNT(figures); i++)
            n = put(b, at, n, figures[i]);
    }
    const int64_t figures[] = {c->r.concurrency, c->r.have, c->r.need, c->r.more,
                               (int64_t)(now_us / 1000000), (int64_t)(now_us % 1000000)};
    for (size_t i = 0; i < FARTHING_COUNT(figures); i++)
        n = put(b, at, n, figures[i]);
    assert_int_equal(n, ARGUMENTS);
    at[n] = b->len;
}

// False: a newer call came before.
static bool run(struct caller *c, struct limits_answer *out) {
    struct buffer b = {0};
    size_t at[ARGUMENTS + 1];
    put_arguments(&b, at, c);
    struct slice args[ARGUMENTS];
    for (size_t i = 0; i < ARGUMENTS; i++)
        args[i] = slice_make(b.ptr + at[i], at[i + 1] - at[i]);
    const struct slice key = slice_of(name);
    struct heard heard = {0};
    assert_non_null(store_run(servers->instances[0].client,
                              &(struct store_call){.script = &script,
                                                   .keys = &key,
                                                   .key_count = 1,
                                                   .args = args,
                                                   .arg_count = ARGUMENTS},
                              on_answer, &heard));
    while (heard.calls == 0)
        event_base_loop(servers->instances[0].loop, EVLOOP_ONCE);
    bool answered = heard.value.len > 0;
    if (answered)
        assert_true(limits_share_answer_parse(buffer_slice(&heard.value), out));
    buffer_free(&heard.value);
    buffer_free(&b);
    return answered;
}

static void call(struct caller *c) {
    c->r.number++;
    c->r.instances = CALLERS;
    assert_true(run(c, &c->a));
    for (enum limits_kind k = 0; k < LIMITS_KINDS; k++) {
        c->r.rates[k].granted = c->a.rates[k].granted;
        c->r.rates[k].charged_known = c->r.rates[k].charged;
        c->r.rates[k].need = c->r.rates[k].least = c->r.rates[k].more = 0;
    }
}

// ------------------------------------------------------------------------- rates

// Debt and what of the next unit is paid, as of one process.
static void check_debt(struct rate *model, int64_t limit, const struct limits_answer *a) {
    rate_take(model, limit, 0, now_us);
    int64_t units = (int64_t)((model->debt + RATE_UNIT - 1) / RATE_UNIT);
    assert_int_equal(a->rates[LIMITS_REQUESTS].debt, units);
    assert_int_equal(a->rates[LIMITS_REQUESTS].paid, (int64_t)(units * RATE_UNIT - model->debt));
}

static void ask_for(struct caller *c, int64_t need, int64_t more, int64_t charge) {
    c->r.rates[LIMITS_REQUESTS].need = need;
    c->r.rates[LIMITS_REQUESTS].least = need > 0 ? 1 + (int64_t)random_below((uint64_t)need) : 0;
    c->r.rates[LIMITS_REQUESTS].more = more;
    c->r.rates[LIMITS_REQUESTS].charged += charge;
}

// What became of a call: as the model has it, and never more than there was.
static void check_grant(struct rate *model, struct caller *c, int64_t known, int64_t charge,
                        int64_t limit) {
    int64_t got = c->a.rates[LIMITS_REQUESTS].granted - known;
    rate_take(model, limit, charge, now_us);
    assert_true(got >= 0);
    if (got > 0)
        assert_true(rate_fits(model, limit, got, now_us));
    rate_take(model, limit, got, now_us);
    check_debt(model, limit, &c->a);
}

static void run_rate(int64_t limit, uint64_t pause_us) {
    struct caller callers[CALLERS] = {{.id = "A"}, {.id = "B"}, {.id = "C"}};
    struct rate model = {0};
    for (int step = 0; step < 150; step++) {
        struct caller *c = &callers[random_below(CALLERS)];
        int64_t known = c->r.rates[LIMITS_REQUESTS].granted;
        int64_t need = (int64_t)random_below((uint64_t)limit / 2 + 2), more = need / 2;
        int64_t charge = (int64_t)random_below(5) - 2;
        now_us += random_below(pause_us);
        c->r.rates[LIMITS_REQUESTS].limit = limit;
        ask_for(c, need, more, charge);
        struct caller same = *c;
        call(c);
        assert_true(c->a.rates[LIMITS_REQUESTS].granted - known <= need + more);
        check_grant(&model, c, known, charge, limit);
        same.r.number = c->r.number; // once more, or late: nothing happens
        assert_false(run(&same, &same.a));
    }
}

static void test_debts_are_those_of_one_process(void **state) {
    servers = *state;
    open_instances(servers, 1);
    static const struct {
        int64_t limit;
        const char *name;
        uint64_t pause_us;
    } rows[] = {{1, "{l:1}:limit", 20000000},      {7, "{l:7}:limit", 20000000},
                {600, "{l:600}:limit", 1000000},   {12345, "{l:12345}:limit", 1000000},
                {1000003, "{l:m}:limit", 1000000}, {INT64_C(90000000), "{l:90m}:limit", 30000000}};
    random_seed(61);
    now_us = START_US;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        name = rows[i].name;
        run_rate(rows[i].limit, rows[i].pause_us);
    }
}

// Granted and not heard of: the next call takes what lies there.
static void test_a_lost_answer_costs_nothing(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:lost}:limit";
    now_us = START_US;
    struct caller c = {.id = "A"};
    c.r.rates[LIMITS_REQUESTS].limit = 100;
    ask_for(&c, 30, 0, 0);
    c.r.number = 1;
    struct limits_answer lost;
    assert_true(run(&c, &lost));
    assert_int_equal(lost.rates[LIMITS_REQUESTS].granted, 30);
    ask_for(&c, 40, 0, 0);
    call(&c);
    assert_int_equal(c.a.rates[LIMITS_REQUESTS].granted, 40);
    assert_int_equal(c.a.rates[LIMITS_REQUESTS].debt, 40);
}

// A server that knows nothing any more hears what the first to come knows.
static void test_a_server_that_forgot_is_told(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:forgot}:limit";
    now_us = START_US;
    struct caller c = {.id = "A", .r.number = 50}, d = {.id = "B", .r.number = 70};
    c.r.rates[LIMITS_REQUESTS].limit = d.r.rates[LIMITS_REQUESTS].limit = 100;
    c.r.rates[LIMITS_REQUESTS].granted = 5000;
    c.r.rates[LIMITS_REQUESTS].debt = 80;
    c.r.rates[LIMITS_REQUESTS].charged = c.r.rates[LIMITS_REQUESTS].charged_known = -300;
    ask_for(&c, 10, 0, 5);
    call(&c);
    assert_int_equal(c.a.rates[LIMITS_REQUESTS].debt, 95);
    assert_int_equal(c.a.rates[LIMITS_REQUESTS].granted, 5010);
    d.r.rates[LIMITS_REQUESTS].debt = 90;
    ask_for(&d, 10, 0, 0);
    d.r.rates[LIMITS_REQUESTS].least = 10;
    call(&d);
    assert_int_equal(d.a.rates[LIMITS_REQUESTS].debt, 95); // no room for all of it
    assert_int_equal(d.a.rates[LIMITS_REQUESTS].granted, 0);
}

static void test_what_is_kept_besides_is_a_part_of_what_is_free(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:besides}:limit";
    now_us = START_US;
    struct caller c = {.id = "A"};
    c.r.rates[LIMITS_TOKENS].limit = 1000;
    c.r.rates[LIMITS_TOKENS].need = c.r.rates[LIMITS_TOKENS].least = 100;
    c.r.rates[LIMITS_TOKENS].more = 1000;
    call(&c);
    assert_int_equal(c.a.rates[LIMITS_TOKENS].granted, 100 + 900 / (2 * CALLERS));
    assert_int_equal(c.a.rates[LIMITS_REQUESTS].debt, 0); // without a limit
}

// ------------------------------------------------------------------------ places

static void places(struct caller *c, int64_t concurrency, int64_t have, int64_t need) {
    c->r.concurrency = concurrency;
    c->r.have = have;
    c->r.need = need;
    call(c);
}

static void test_places_of_the_dead_come_back(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:dead}:limit";
    now_us = START_US;
    struct caller a = {.id = "A"}, b = {.id = "B"};
    places(&a, 3, 0, 3);
    assert_int_equal(a.a.places, 3);
    now_us += (TERM_MS - 1) * 1000;
    places(&b, 3, 0, 1);
    assert_int_equal(b.a.places, 0);
    now_us += 1000;
    places(&b, 3, 0, 1);
    assert_int_equal(b.a.places, 1);
    places(&a, 3, 3, 0); // it lives, and they run: that is how it is
    assert_int_equal(a.a.places, 3);
    assert_int_equal(a.a.yield, 1);
    places(&b, 3, 1, 1);
    assert_int_equal(b.a.places, 1);
}

static void test_who_has_more_than_his_part_yields_what_others_lack(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:yield}:limit";
    now_us = START_US;
    struct caller a = {.id = "A"}, b = {.id = "B"};
    places(&a, 4, 0, 4);
    assert_int_equal(a.a.yield, 0);
    places(&b, 4, 0, 1);
    assert_int_equal(b.a.places, 0);
    assert_int_equal(b.a.waiting, 0);
    places(&a, 4, 4, 9);
    assert_int_equal(a.a.places, 4);
    assert_int_equal(a.a.yield, 1);
    assert_int_equal(a.a.waiting, 1);
    places(&b, 4, 0, 5);
    places(&a, 4, 3, 9); // one came free: B is to have it
    assert_int_equal(a.a.places, 3);
    assert_int_equal(a.a.yield, 1);
    places(&b, 4, 0, 5);
    assert_int_equal(b.a.places, 1);
    places(&a, 4, 2, 9);
    places(&b, 4, 1, 5);
    assert_int_equal(b.a.places, 2);
    places(&a, 4, 2, 9);
    assert_int_equal(a.a.yield, 0); // an even part each
}

static void test_who_stopped_waiting_is_not_waited_for(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:gone}:limit";
    now_us = START_US;
    struct caller a = {.id = "A"}, b = {.id = "B"};
    places(&a, 2, 0, 2);
    places(&b, 2, 0, 2);
    now_us += 999000;
    places(&a, 2, 1, 2);
    assert_int_equal(a.a.places, 1);
    now_us += 1000;
    places(&a, 2, 1, 2);
    assert_int_equal(a.a.places, 2);
    assert_int_equal(a.a.waiting, 0);
}

// Fewer places than instances, all of which always want one: each has its turn.
static void test_turns_where_places_are_few(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:few}:limit";
    now_us = START_US;
    struct caller callers[CALLERS] = {{.id = "A"}, {.id = "B"}, {.id = "C"}};
    int64_t have[CALLERS] = {0};
    unsigned turns[CALLERS] = {0};
    for (int step = 0; step < 180; step++) {
        unsigned i = (unsigned)step % CALLERS;
        int64_t back = callers[i].a.yield < have[i] ? callers[i].a.yield : have[i], before;
        now_us += 20000;
        before = have[i] - back;
        places(&callers[i], 2, before, 3);
        have[i] = callers[i].a.places;
        turns[i] += have[i] > before;
        assert_true(have[0] + have[1] + have[2] <= 2);
    }
    for (unsigned i = 0; i < CALLERS; i++)
        assert_true(turns[i] >= 10);
}

// Calls and answers are lost; nobody ever has one that another has too.
static void test_never_more_than_there_are(void **state) {
    enum { PLACES = 5 };
    servers = *state;
    open_instances(servers, 1);
    name = "{l:lossy}:limit";
    now_us = START_US;
    random_seed(62);
    struct caller callers[CALLERS] = {{.id = "A"}, {.id = "B"}, {.id = "C"}};
    int64_t have[CALLERS] = {0};
    bool lacked = false;
    for (int step = 0; step < 600; step++) {
        unsigned i = (unsigned)random_below(CALLERS);
        struct caller *c = &callers[i];
        have[i] -= (int64_t)random_below((uint64_t)have[i] + 1);
        now_us += random_below(50000);
        if (random_below(4) == 0) { // carried out, but not heard of; or not carried out
            c->r.number++;
            c->r.concurrency = PLACES;
            c->r.have = have[i];
            c->r.need = 4;
            c->r.instances = CALLERS;
            struct limits_answer lost;
            if (random_below(2) == 0)
                assert_true(run(c, &lost));
            continue;
        }
        places(c, PLACES, have[i], (int64_t)random_below(5));
        have[i] = c->a.places;
        lacked = lacked || c->a.places - c->r.have < c->r.need;
        assert_true(have[0] + have[1] + have[2] <= PLACES);
    }
    assert_true(lacked);
}

static void test_a_lower_limit_is_come_down_to(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:lower}:limit";
    now_us = START_US;
    struct caller a = {.id = "A"}, b = {.id = "B"};
    places(&a, 8, 0, 5);
    places(&b, 8, 0, 3);
    places(&a, 4, 5, 0);
    assert_in_range(a.a.yield, 1, 4);
    places(&b, 4, 3, 2);
    assert_int_equal(b.a.places, 3);
    places(&a, 4, 5 - a.a.yield, 0);
    places(&b, 4, 3 - b.a.yield, 0);
    places(&a, 4, a.a.places - a.a.yield, 0);
    assert_true(a.a.places + b.a.places <= 4);
}

// ----------------------------------------------------------------------- keeping

static void test_nothing_is_kept_of_who_is_gone(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:kept}:limit";
    now_us = START_US;
    struct caller a = {.id = "A"}, b = {.id = "B"};
    char answer[64];
    a.r.rates[LIMITS_REQUESTS].limit = b.r.rates[LIMITS_REQUESTS].limit = 10;
    ask_for(&a, 1, 0, 0);
    call(&a);
    now_us += 120001000;
    ask_for(&b, 1, 0, 0);
    call(&b);
    redis_server_ask(&servers->redis, "HEXISTS farthing:{l:kept}:limit A", answer, sizeof answer);
    assert_int_equal(answer[1], '0');
    redis_server_ask(&servers->redis, "PTTL farthing:{l:kept}:limit", answer, sizeof answer);
    assert_in_range(strtoll(answer + 1, NULL, 10), 100000, 200000);
}

// The hash is not ours alone: what is damaged counts for nothing, or fails.
static void test_damage_is_survived(void **state) {
    servers = *state;
    open_instances(servers, 1);
    name = "{l:damaged}:limit";
    now_us = START_US;
    struct caller a = {.id = "A"};
    redis_server_order(&servers->redis, "HSET farthing:{l:damaged}:limit requests junk B x A -");
    a.r.rates[LIMITS_REQUESTS].limit = 10;
    ask_for(&a, 4, 0, 0);
    places(&a, 2, 0, 1);
    assert_int_equal(a.a.rates[LIMITS_REQUESTS].granted, 4);
    assert_int_equal(a.a.places, 1);
}

static void test_what_is_no_answer(void **state) {
    (void)state;
    static const char *const rows[] = {"",
                                       "1 2 3 4 5 6 7 8",
                                       "1 2 3 4 5 6 7 7 9 10",
                                       "1 2 3 4 5 6 7 8 9",  // yields more than it has
                                       "1 -2 3 4 5 6 7 7 9",
                                       "1 60000000 3 4 5 6 7 7 9",
                                       "1 2 3 4 5 6 7 7 9 ",
                                       " 1 2 3 4 5 6 7 7 9",
                                       "4503599627370497 2 3 4 5 6 7 7 9",
                                       "99999999999999999999 2 3 4 5 6 7 7 9",
                                       "1 2 3 4 5 6 1000000001 7 9"};
    struct limits_answer a;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_false(limits_share_answer_parse(slice_of(rows[i]), &a));
    assert_true(limits_share_answer_parse(SLICE("1 2 3 4 5 6 7 7 9"), &a));
    assert_int_equal(a.rates[LIMITS_TOKENS].granted, 6);
    assert_int_equal(a.waiting, 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVERS(test_debts_are_those_of_one_process),
        SERVERS(test_a_lost_answer_costs_nothing),
        SERVERS(test_a_server_that_forgot_is_told),
        SERVERS(test_what_is_kept_besides_is_a_part_of_what_is_free),
        SERVERS(test_places_of_the_dead_come_back),
        SERVERS(test_who_has_more_than_his_part_yields_what_others_lack),
        SERVERS(test_who_stopped_waiting_is_not_waited_for),
        SERVERS(test_turns_where_places_are_few),
        SERVERS(test_never_more_than_there_are),
        SERVERS(test_a_lower_limit_is_come_down_to),
        SERVERS(test_nothing_is_kept_of_who_is_gone),
        SERVERS(test_damage_is_survived),
        cmocka_unit_test(test_what_is_no_answer),
    };
    put_time_in();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
