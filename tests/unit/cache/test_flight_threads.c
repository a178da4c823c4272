// Single flight on four loops at once: seats join, read, fail, are promoted
// and leave at random, on few keys, so that nearly every step meets others'.
//
// Each purchase says in its head who it is, and its bytes follow from that and
// their place: a lost, doubled or foreign byte is seen at once. A counter for
// each key says how many lead it. When all have stopped joining, leaders go on
// to an end and followers wait: a promotion or an end that was lost would
// leave the test hanging.
#include "support.h"

#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "farthing/flight.h"

enum { THREADS = 4, JOINS = 5000, KEYS = 6, SEATS = 24, PIECE_MAX = 3000 };

struct setting {
    struct flights_options limits;
    size_t stream_most; // a leader ends its stream at about this
    bool one_leader;    // streams never get full
};

enum ending { NOT_ENDED, ENDED, DONE_WITH_ALL };

struct seat {
    struct worker *worker;
    struct flight *flight; // NULL: free
    uint64_t key;
    bool streams, leads, unshared;
    enum ending ending;
    // As a leader.
    bool begun, alone;
    uint64_t purchase, sent;
    // As a follower.
    uint64_t position, whole; // whole: the stream's length, as the answer says
};

struct worker {
    pthread_t thread;
    uint64_t seed;
    const struct setting *setting;
    struct event_base *loop;
    struct mailbox *box;
    struct seat seats[SEATS];
    unsigned wrong;
    unsigned joined, led, promoted, finished, refused, failed, behind, alone, whole_streams;
    unsigned unseated, full;
    char *piece;
};

static struct flights *all;
static pthread_barrier_t start;
static _Atomic int leaders[KEYS][2]; // of shared and of unshared purchases
static _Atomic uint64_t last_purchase;

static char byte_at(uint64_t purchase, uint64_t position) {
    return (char)((purchase * 131 + position * 7 + position / 251) % 253);
}

static void expect(struct worker *w, bool truth, const char *what) {
    if (truth)
        return;
    w->wrong++;
    fprintf(stderr, "wrong: %s\n", what);
}

// ----------------------------------------------------------------- leading

static void start_leading(struct seat *s) {
    int before = atomic_fetch_add(&leaders[s->key][s->unshared], 1);
    expect(s->worker, before == 0 || !s->worker->setting->one_leader, "two leaders at once");
    s->leads = true;
    s->purchase = atomic_fetch_add(&last_purchase, 1) + 1;
}

// Before it ends: from within flight_finish on another may lead.
static void stop_leading(struct seat *s) {
    if (s->leads)
        atomic_fetch_sub(&leaders[s->key][s->unshared], 1);
    s->leads = false;
}

static void leave(struct seat *s) {
    stop_leading(s);
    flight_leave(s->flight);
    s->flight = NULL;
}

// The answer says whose it is (cost_pico) and how long its stream was.
static struct cache_answer answer_for(const struct seat *s, bool body) {
    struct cache_answer a = answer_of(body ? SLICE("{}") : SLICE_NONE);
    a.cost_pico = (int64_t)s->purchase;
    a.usage.output_tokens = (int64_t)s->sent;
    return a;
}

static void send_piece(struct seat *s) {
    struct worker *w = s->worker;
    if (!s->begun) {
        struct cache_answer head = answer_for(s, false);
        flight_begin_stream(s->flight, &head);
        s->begun = true;
    }
    size_t len = (size_t)random_below(PIECE_MAX);
    for (size_t i = 0; i < len; i++)
        w->piece[i] = byte_at(s->purchase, s->sent + i);
    flight_append(s->flight, slice_make(w->piece, len));
    s->sent += len;
}

static void finish(struct seat *s, enum flight_end end, bool body) {
    struct cache_answer a = answer_for(s, body);
    stop_leading(s);
    flight_finish(s->flight, end, 200, &a);
    leave(s);
}

static void lead_on(struct seat *s) {
    uint64_t what = random_below(100);
    bool is_long = s->sent >= s->worker->setting->stream_most;
    if (what < 4)
        leave(s);
    else if (what < 8)
        finish(s, FLIGHT_FAILED, false);
    else if (what < 10 && !s->begun)
        finish(s, FLIGHT_REFUSED, true);
    else if (what < 14 || is_long)
        finish(s, FLIGHT_DONE, random_below(4) > 0);
    else if (what < 70)
        send_piece(s);
}

// --------------------------------------------------------------- following

// Up to `most` runs; false when there was nothing more.
static bool read_some(struct seat *s, unsigned most) {
    struct slice run;
    while (most-- > 0) {
        if (!flight_read(s->flight, &run))
            return false;
        const struct cache_answer *head = flight_head(s->flight);
        uint64_t purchase = (uint64_t)head->cost_pico;
        expect(s->worker, s->position == 0 || purchase == s->purchase, "two streams mixed");
        s->purchase = purchase;
        bool same = run.len > 0;
        for (size_t i = 0; i < run.len; i++)
            same = same && run.ptr[i] == byte_at(purchase, s->position + i);
        expect(s->worker, same, "bytes lost, doubled or foreign");
        s->position += run.len;
    }
    return true;
}

static void drain(struct seat *s) {
    if (read_some(s, 1 + (unsigned)random_below(4)))
        return;
    if (s->ending == DONE_WITH_ALL && s->position > 0 && s->whole != UINT64_MAX) {
        expect(s->worker, s->position == s->whole, "a stream that is not whole");
        s->worker->whole_streams++;
    }
    leave(s);
}

static void on_more(void *arg) {
    struct seat *s = arg;
    expect(s->worker, s->flight != NULL && s->streams, "more for nobody");
    if (random_below(4) > 0)
        read_some(s, (unsigned)random_below(6));
    if (random_below(50) == 0)
        leave(s);
}

static void check_answer(struct seat *s, enum flight_end end, const struct cache_entry *entry) {
    struct worker *w = s->worker;
    bool has_body = entry != NULL && cache_entry_answer(entry)->body.len > 0;
    if (end == FLIGHT_DONE)
        expect(w, has_body || s->streams, "a whole answer without one");
    else if (end == FLIGHT_REFUSED)
        expect(w, has_body && s->position == 0, "refused without an error");
    else
        expect(w, entry == NULL, "a failure with an answer");
    if (end == FLIGHT_FAILED)
        expect(w, s->position > 0, "failed without having been given anything");
    if (entry != NULL && s->position > 0)
        expect(w, (uint64_t)cache_entry_answer(entry)->cost_pico == s->purchase,
               "another purchase's answer");
    s->whole =
        entry == NULL ? UINT64_MAX : (uint64_t)cache_entry_answer(entry)->usage.output_tokens;
}

static void on_finish(void *arg, enum flight_end end, int status, struct cache_entry *entry) {
    struct seat *s = arg;
    struct worker *w = s->worker;
    (void)status;
    expect(w, s->flight != NULL && s->ending == NOT_ENDED && !s->leads, "an end too many");
    unsigned *const counts[] = {&w->finished, &w->refused, &w->failed, &w->behind};
    (*counts[end])++;
    check_answer(s, end, entry);
    if (entry != NULL)
        cache_entry_release(entry);
    s->ending = end == FLIGHT_DONE ? DONE_WITH_ALL : ENDED;
    if (random_below(8) == 0)
        leave(s);
}

static void on_promote(void *arg) {
    struct seat *s = arg;
    expect(s->worker, s->flight != NULL && s->position == 0 && s->ending == NOT_ENDED && !s->leads,
           "promoted though it was given bytes");
    s->worker->promoted++;
    start_leading(s);
    if (random_below(10) == 0)
        leave(s);
}

static void on_alone(void *arg) {
    struct seat *s = arg;
    expect(s->worker, s->flight != NULL && s->leads, "alone, and no leader");
    s->worker->alone++;
    if (random_below(4) == 0)
        leave(s);
}

static const struct flight_callbacks callbacks = {on_more, on_finish, on_promote, on_alone};

// ----------------------------------------------------------------- workers

static enum flight_wish some_wish(void) {
    static const enum flight_wish wishes[] = {FLIGHT_SHARE, FLIGHT_SHARE, FLIGHT_LEAD_ONLY,
                                              FLIGHT_FIND, FLIGHT_FIND};
    return wishes[random_below(FARTHING_COUNT(wishes))];
}

static void join(struct worker *w, struct seat *s) {
    uint64_t n = random_below(KEYS);
    enum flight_wish wish = some_wish();
    *s = (struct seat){.worker = w, .key = n, .streams = random_below(3) > 0};
    s->unshared = wish != FLIGHT_SHARE;
    struct cache_key key = key_number(n);
    const struct flight_member member = {.box = w->box,
                                         .streams = s->streams,
                                         .on = &callbacks,
                                         .arg = s,
                                         .wish = wish,
                                         .keep_all = random_below(3) == 0};
    enum flight_role role;
    s->flight = flight_join(all, &key, &member, &role);
    w->joined++;
    w->unseated += role == FLIGHT_ALONE;
    w->full += role == FLIGHT_FULL;
    expect(w, (s->flight != NULL) == (role == FLIGHT_LEADER || role == FLIGHT_FOLLOWER),
           "a role and no seat for it");
    expect(w, role != FLIGHT_ALONE || wish == FLIGHT_LEAD_ONLY, "alone without the wish");
    expect(w, role != FLIGHT_FULL || member.keep_all, "turned away without keeping");
    expect(w, role != FLIGHT_FOLLOWER || wish != FLIGHT_LEAD_ONLY, "a first try that follows");
    if (role != FLIGHT_LEADER)
        return;
    w->led++;
    start_leading(s);
}

static void step(struct worker *w, struct seat *s, bool joins) {
    if (s->flight == NULL) {
        if (joins)
            join(w, s);
    } else if (s->leads) {
        lead_on(s);
    } else if (s->ending != NOT_ENDED) {
        drain(s);
    } else if (joins && random_below(30) == 0) {
        leave(s);
    } else {
        read_some(s, (unsigned)random_below(3));
    }
}

static bool has_seats(const struct worker *w) {
    for (size_t i = 0; i < SEATS; i++)
        if (w->seats[i].flight != NULL)
            return true;
    return false;
}

static void *work(void *arg) {
    struct worker *w = arg;
    random_seed(w->seed);
    pthread_barrier_wait(&start);
    while (w->joined < JOINS) {
        step(w, &w->seats[random_below(SEATS)], true);
        if (random_below(4) == 0)
            event_base_loop(w->loop, EVLOOP_NONBLOCK);
        if (random_below(16) == 0)
            sched_yield(); // the loop of whom the others wait for may have no core
    }
    while (has_seats(w)) {
        for (size_t i = 0; i < SEATS; i++)
            step(w, &w->seats[i], false);
        event_base_loop(w->loop, EVLOOP_NONBLOCK);
        sched_yield();
    }
    return NULL;
}

static void add(struct worker *sum, const struct worker *w) {
    sum->wrong += w->wrong;
    sum->led += w->led;
    sum->promoted += w->promoted;
    sum->finished += w->finished;
    sum->refused += w->refused;
    sum->failed += w->failed;
    sum->behind += w->behind;
    sum->alone += w->alone;
    sum->whole_streams += w->whole_streams;
    sum->unseated += w->unseated;
    sum->full += w->full;
}

static void run_with(const struct setting *setting, struct worker *sum) {
    all = flights_new(&setting->limits);
    pthread_barrier_init(&start, NULL, THREADS);
    struct worker *workers = base_calloc(THREADS, sizeof *workers);
    for (size_t i = 0; i < THREADS; i++) {
        struct worker *w = &workers[i];
        w->setting = setting;
        w->loop = event_base_new();
        w->box = mailbox_new(w->loop);
        w->piece = base_alloc(PIECE_MAX);
        w->seed = 1000 + i;
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    struct flights_stats s;
    flights_stats_get(all, &s);
    assert_int_equal(s.purchases, 0);
    assert_int_equal(s.followers, 0);
    assert_int_equal(s.held_bytes, 0);
    flights_free(all);
    for (size_t i = 0; i < THREADS; i++) {
        struct worker *w = &workers[i];
        mailbox_free(w->box); // seats that left with mail under way
        event_base_free(w->loop);
        free(w->piece);
        add(sum, w);
    }
    for (size_t i = 0; i < KEYS; i++)
        assert_int_equal(leaders[i][0] + leaders[i][1], 0);
    assert_int_equal(sum->wrong, 0);
    // Each of what the test is for has happened.
    assert_true(sum->led > 100 && sum->promoted > 100 && sum->finished > 100);
    assert_true(sum->refused > 0 && sum->failed > 0 && sum->alone > 0 && sum->whole_streams > 0);
    assert_true(sum->unseated > 0);
    pthread_barrier_destroy(&start);
    free(workers);
}

static void streams_that_anyone_may_join(void **state) {
    (void)state;
    struct worker sum = {0};
    run_with(&(struct setting){{.join_bytes = 1 << 20}, 30000, true}, &sum);
    assert_int_equal(sum.behind, 0);
}

static void streams_that_get_full(void **state) {
    (void)state;
    struct worker sum = {0};
    run_with(&(struct setting){{6000, 20000, 12000}, 60000, false}, &sum);
    assert_true(sum.behind > 0 && sum.full > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_that_anyone_may_join),
        cmocka_unit_test(streams_that_get_full),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    libevent_global_shutdown();
    return failed;
}
