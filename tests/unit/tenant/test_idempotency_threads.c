// Idempotency on four loops at once, as idempotency.h says that it goes: claims,
// finished records and single flight together, one step of a request at a time,
// with all others' steps in between. Leaders fail, clients leave, and requests
// without a key share the purchases.
//
// What must hold: all who got a result under one key got the same one. Each
// purchase has a number, which its answer carries as its cost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// After the four above.
#include <cmocka.h>

#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "farthing/flight.h"
#include "farthing/idempotency.h"

enum {
    THREADS = 4,
    REQUESTS = 8000, // of each
    SEATS = 16,
    CONTENTS = 3,        // of requests: several keys may ask the same
    REQUESTS_PER_KEY = 40, // on an average
    KEYS_AT_ONCE = 4,
    KEYS = THREADS * REQUESTS / REQUESTS_PER_KEY + KEYS_AT_ONCE + 1,
    NEVER_MS = 1000000,
};

enum step { IDLE, CLAIM, LOOK, JOIN, FOLLOW, LEAD, BUY };

struct request {
    struct worker *worker;
    enum step step;
    bool keyed, wrong; // wrong: asks something else under the key
    unsigned id;       // of its Idempotency-Key
    struct idempotency_digest name, fingerprint, purchase;
    struct idempotency_claim *claim;
    struct flight *flight;
    int64_t number; // of the purchase that it leads
    bool streaming;
};

struct counts {
    unsigned wrong, bought, recorded_found, found, followed, followed_unkeyed, failed, mismatched,
        full, promoted;
};

struct worker {
    pthread_t thread;
    uint64_t seed;
    struct event_base *loop;
    struct mailbox *box;
    struct request requests[SEATS];
    unsigned started;
    struct counts counts;
};

static struct flights *flights;
static struct idempotency *claims;
static struct cache *records;
static _Atomic unsigned started;
static _Atomic int64_t last_number;
static _Atomic int64_t results[KEYS];       // 0: none yet
static _Atomic int buyers[KEYS];            // that got a result
static _Atomic bool unkeyed[THREADS * REQUESTS * 4]; // purchases led by who has no key
static pthread_barrier_t start;

static void expect(struct worker *w, bool truth, const char *what) {
    if (truth)
        return;
    w->counts.wrong++;
    fprintf(stderr, "wrong: %s\n", what);
}

// ------------------------------------------------------------------ results

static struct cache_key record_key(const struct request *r) {
    struct cache_key key;
    memcpy(key.bytes, r->name.bytes, DIGEST_LEN);
    return key;
}

static struct cache_answer answer_of(const struct request *r, int64_t number) {
    struct cache_answer a = {.endpoint = API_CHAT_COMPLETIONS,
                             .status = 200,
                             .body = SLICE("{}"),
                             .cost_known = true,
                             .cost_pico = number,
                             .expires_ms = NEVER_MS};
    memcpy(a.fingerprint, r->fingerprint.bytes, DIGEST_LEN);
    return a;
}

static void got(struct request *r, int64_t number) {
    int64_t before = 0;
    if (!r->keyed || atomic_compare_exchange_strong(&results[r->id], &before, number))
        return;
    expect(r->worker, before == number, "two results under one key");
}

static void write_down(struct request *r, int64_t number) {
    if (!r->keyed)
        return;
    struct cache_key key = record_key(r);
    struct cache_answer a = answer_of(r, number);
    cache_insert(records, &key, &a);
    idempotency_recorded(r->claim);
}

static void end(struct request *r) {
    if (r->flight != NULL)
        flight_leave(r->flight);
    if (r->claim != NULL)
        idempotency_release(r->claim);
    r->flight = NULL;
    r->claim = NULL;
    r->step = IDLE;
}

// What is finished; true when that ended the request.
static bool look(struct request *r) {
    struct cache_key key = record_key(r);
    struct cache_entry *e = r->keyed ? cache_peek(records, &key, 1) : NULL;
    if (e == NULL)
        return false;
    const struct cache_answer *a = cache_entry_answer(e);
    bool same = digest_equal(a->fingerprint, r->fingerprint.bytes, DIGEST_LEN);
    expect(r->worker, same != r->wrong, "a record of somebody else's");
    if (same)
        got(r, a->cost_pico);
    r->worker->counts.found += same;
    r->worker->counts.mismatched += !same;
    cache_entry_release(e);
    end(r);
    return true;
}

// ------------------------------------------------------------------ leading

// What stood nowhere at the first look, and was written down before this one had
// its seat.
static bool look_again(struct request *r) {
    bool found = r->keyed && idempotency_is_recorded(r->claim) && look(r);
    r->worker->counts.recorded_found += found;
    return found;
}

static void lead(struct request *r) {
    r->step = BUY;
    if (look_again(r))
        return;
    r->number = atomic_fetch_add(&last_number, 1) + 1;
    atomic_store(&unkeyed[r->number], !r->keyed);
}

static void stream_some(struct request *r) {
    struct cache_answer head = answer_of(r, r->number);
    head.body = SLICE_NONE;
    if (!r->streaming)
        flight_begin_stream(r->flight, &head);
    r->streaming = true;
    flight_append(r->flight, SLICE("data: {}\n\n"));
}

static void succeed(struct request *r) {
    struct cache_answer a = answer_of(r, r->number);
    r->worker->counts.bought++;
    if (r->keyed)
        expect(r->worker, atomic_fetch_add(&buyers[r->id], 1) == 0, "bought twice under one key");
    got(r, r->number);
    write_down(r, r->number);
    if (random_below(2) == 0)
        sched_yield();
    flight_finish(r->flight, FLIGHT_DONE, 200, &a);
    end(r);
}

static void buy(struct request *r) {
    uint64_t what = random_below(10);
    if (what == 0) {
        r->worker->counts.failed++;
        end(r);
    } else if (what < 5) {
        stream_some(r);
    } else if (what < 7) {
        succeed(r);
    }
}

// ---------------------------------------------------------------- following

static void on_more(void *arg) {
    struct request *r = arg;
    struct slice bytes;
    while (random_below(3) > 0 && flight_read(r->flight, &bytes))
        ;
}

static void on_finish(void *arg, enum flight_end how, int status, struct cache_entry *entry) {
    struct request *r = arg;
    (void)status;
    expect(r->worker, how == FLIGHT_DONE || how == FLIGHT_FAILED, "an end that nobody made");
    if (entry != NULL) {
        int64_t number = cache_entry_answer(entry)->cost_pico;
        r->worker->counts.followed++;
        r->worker->counts.followed_unkeyed += r->keyed && atomic_load(&unkeyed[number]);
        got(r, number);
        write_down(r, number);
        cache_entry_release(entry);
    }
    end(r);
}

static void on_promote(void *arg) {
    struct request *r = arg;
    r->worker->counts.promoted++;
    lead(r);
}

static void on_alone(void *arg) {
    struct request *r = arg;
    if (random_below(4) == 0)
        end(r); // its client had left
}

static const struct flight_callbacks callbacks = {on_more, on_finish, on_promote, on_alone};

static void join(struct request *r) {
    const struct flight_member member = {.box = r->worker->box,
                                         .streams = random_below(2) == 0,
                                         .on = &callbacks,
                                         .arg = r,
                                         .keep_all = r->keyed};
    struct cache_key key;
    enum flight_role role;
    memcpy(key.bytes, r->purchase.bytes, DIGEST_LEN);
    r->flight = flight_join(flights, &key, &member, &role);
    r->step = FOLLOW;
    if (role == FLIGHT_LEADER)
        r->step = LEAD;
    r->worker->counts.full += role == FLIGHT_FULL;
    if (role == FLIGHT_FULL)
        end(r);
    else if (role == FLIGHT_FOLLOWER)
        (void)look_again(r);
}

// ----------------------------------------------------------------- requests

static struct idempotency_digest digest_of(const char *what, unsigned n) {
    struct idempotency_digest d;
    char text[64];
    snprintf(text, sizeof text, "%s %u", what, n);
    digest_sha256(slice_of(text), d.bytes);
    return d;
}

static void begin(struct worker *w, struct request *r) {
    unsigned n = atomic_fetch_add(&started, 1);
    w->started++;
    *r = (struct request){.worker = w, .keyed = random_below(4) > 0};
    r->id = n / REQUESTS_PER_KEY + (unsigned)random_below(KEYS_AT_ONCE);
    r->wrong = r->keyed && random_below(20) == 0;
    r->name = digest_of("name", r->id);
    r->fingerprint = digest_of(r->wrong ? "other" : "asked", r->id);
    r->purchase = digest_of("content", r->id % CONTENTS);
    r->step = r->keyed ? CLAIM : JOIN;
}

static void claim(struct request *r) {
    enum idempotency_standing standing =
        idempotency_claim(claims, &r->name, &r->fingerprint, &r->purchase, &r->claim);
    r->step = LOOK;
    if (standing != IDEMPOTENCY_OTHER)
        return;
    r->worker->counts.mismatched++;
    if (!look(r))
        end(r);
}

static void step(struct worker *w, struct request *r, bool begins) {
    switch (r->step) {
    case IDLE:
        if (begins)
            begin(w, r);
        break;
    case CLAIM:
        claim(r);
        break;
    case LOOK:
        if (look(r))
            break;
        r->step = JOIN;
        if (r->wrong) // it would be right if it bought; then all others are wrong
            end(r);
        break;
    case JOIN:
        join(r);
        break;
    case FOLLOW:
        if (random_below(50) == 0)
            end(r);
        break;
    case LEAD:
        lead(r);
        break;
    case BUY:
        buy(r);
        break;
    }
}

static bool is_busy(const struct worker *w) {
    for (size_t i = 0; i < SEATS; i++)
        if (w->requests[i].step != IDLE)
            return true;
    return false;
}

static void *work(void *arg) {
    struct worker *w = arg;
    random_seed(w->seed);
    pthread_barrier_wait(&start);
    while (w->started < REQUESTS || is_busy(w)) {
        step(w, &w->requests[random_below(SEATS)], w->started < REQUESTS);
        if (random_below(4) == 0)
            event_base_loop(w->loop, EVLOOP_NONBLOCK);
        if (random_below(16) == 0)
            sched_yield();
    }
    return NULL;
}

static void add(struct counts *sum, const struct counts *c) {
    sum->wrong += c->wrong;
    sum->bought += c->bought;
    sum->found += c->found;
    sum->recorded_found += c->recorded_found;
    sum->followed += c->followed;
    sum->followed_unkeyed += c->followed_unkeyed;
    sum->failed += c->failed;
    sum->mismatched += c->mismatched;
    sum->full += c->full;
    sum->promoted += c->promoted;
}

static void run(struct worker *workers, struct counts *sum) {
    pthread_barrier_init(&start, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        workers[i].loop = event_base_new();
        workers[i].box = mailbox_new(workers[i].loop);
        workers[i].seed = 4000 + i;
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        mailbox_free(workers[i].box);
        event_base_free(workers[i].loop);
        add(sum, &workers[i].counts);
    }
    pthread_barrier_destroy(&start);
}

static void test_one_result_under_one_key(void **state) {
    (void)state;
    struct counts sum = {0};
    struct worker *workers = base_calloc(THREADS, sizeof *workers);
    flights = flights_new(&(struct flights_options){.join_bytes = 1 << 20});
    claims = idempotency_new();
    records = cache_new(&(struct cache_options){.memory_bytes = 256 << 20});
    run(workers, &sum);
    struct idempotency_stats s;
    idempotency_stats_get(claims, &s);
    assert_int_equal(s.keys, 0);
    assert_int_equal(s.claims, 0);
    struct cache_stats kept;
    cache_stats_get(records, &kept);
    assert_int_equal(kept.evictions, 0); // or the test would prove nothing
    assert_int_equal(sum.wrong, 0);
    // Each of what the test is for has happened.
    assert_true(sum.bought > 100 && sum.found > 100 && sum.followed > 100 && sum.failed > 100);
    assert_true(sum.followed_unkeyed > 0 && sum.promoted > 0 && sum.mismatched > 0);
    assert_true(sum.recorded_found > 0);
    cache_free(records);
    idempotency_free(claims);
    flights_free(flights);
    free(workers);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_result_under_one_key)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    libevent_global_shutdown();
    return failed;
}
