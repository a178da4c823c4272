#include "flight_scene.h"

#include <stdio.h>

void leave(struct person *p) {
    if (p->seat != NULL)
        flight_leave(p->seat);
    p->seat = NULL;
}

void read_all(struct person *p) {
    struct slice bytes;
    while (flight_read(p->seat, &bytes)) {
        assert_true(bytes.len > 0);
        buffer_append(&p->read, bytes);
    }
}

static void note(struct person *p, enum within where, const char *what) {
    assert_non_null(p->seat); // no callback after flight_leave
    buffer_printf(&p->told, "%s%s", p->told.len > 0 ? " " : "", what);
    if (p->reads && (where == IN_MORE || where == IN_FINISH))
        read_all(p);
    if (p->act_in == where) {
        p->act_in = NEVER;
        p->act(p);
    }
    if (p->leave_in == where)
        leave(p);
}

static void on_more(void *arg) {
    note(arg, IN_MORE, "more");
}

static void on_finish(void *arg, enum flight_end end, int status, struct cache_entry *entry) {
    static const char *const names[] = {"done", "refused", "failed", "behind"};
    struct person *p = arg;
    char text[32];
    snprintf(text, sizeof text, "%s(%d)", names[end], status);
    assert_null(p->entry);
    p->entry = entry;
    note(p, IN_FINISH, text);
}

static void on_promote(void *arg) {
    note(arg, IN_PROMOTE, "promote");
}

static void on_alone(void *arg) {
    note(arg, IN_ALONE, "alone");
}

const struct flight_callbacks person_callbacks = {on_more, on_finish, on_promote, on_alone};

static struct person *join(struct world *w, size_t i, uint64_t key, struct flight_member member) {
    struct person *p = &w->people[i];
    struct cache_key k = key_number(key);
    member.box = w->box;
    member.on = &person_callbacks;
    member.arg = p;
    p->seat = flight_join(w->all, &k, &member, &p->role);
    bool seated = p->role == FLIGHT_LEADER || p->role == FLIGHT_FOLLOWER;
    assert_int_equal(p->seat != NULL, seated);
    assert_int_equal(p->told.len, 0);
    return p;
}

struct person *join_key(struct world *w, size_t i, bool streams, uint64_t key) {
    return join(w, i, key, (struct flight_member){.streams = streams});
}

struct person *join_as(struct world *w, size_t i, bool streams, enum flight_wish wish,
                       bool keep_all) {
    return join(w, i, 0,
                (struct flight_member){.streams = streams, .wish = wish, .keep_all = keep_all});
}

struct person *join_stream(struct world *w, size_t i) {
    return join_key(w, i, true, 0);
}

struct person *join_whole(struct world *w, size_t i) {
    return join_key(w, i, false, 0);
}

struct person *join_leader(struct world *w, size_t i) {
    struct person *p = join_stream(w, i);
    assert_int_equal(p->role, FLIGHT_LEADER);
    return p;
}

void run_mail(struct world *w) {
    event_base_loop(w->loop, EVLOOP_NONBLOCK);
}

void assert_told(struct person *p, const char *expected) {
    buffer_append_char(&p->told, '\0');
    assert_string_equal(p->told.ptr, expected);
    buffer_clear(&p->told);
}

void assert_read(const struct person *p, struct slice expected) {
    assert_slice_equal(buffer_slice(&p->read), expected);
}

void begin(struct person *leader, const char *model) {
    struct cache_answer head = answer_of(SLICE_NONE);
    head.model = slice_of(model);
    flight_begin_stream(leader->seat, &head);
}

void append(struct person *leader, const char *text) {
    flight_append(leader->seat, slice_of(text));
}

void finish(struct person *leader, enum flight_end end, int status, const char *body) {
    struct cache_answer answer = answer_of(slice_of(body));
    flight_finish(leader->seat, end, status, body != NULL ? &answer : NULL);
}

void append_many(struct person *leader, size_t bytes) {
    char *block = base_alloc(bytes);
    memset(block, 'x', bytes);
    flight_append(leader->seat, slice_make(block, bytes));
    free(block);
}

struct flights_stats figures(struct world *w) {
    struct flights_stats s;
    flights_stats_get(w->all, &s);
    return s;
}

int set_up(void **state) {
    struct world *w = base_calloc(1, sizeof *w);
    w->loop = event_base_new();
    w->box = mailbox_new(w->loop);
    w->all = flights_new(&(struct flights_options){JOIN_BYTES, KEEP_BYTES, HOLD_BYTES});
    for (size_t i = 0; i < SEATS; i++)
        w->people[i].world = w;
    *state = w;
    return 0;
}

int tear_down(void **state) {
    struct world *w = *state;
    for (size_t i = 0; i < SEATS; i++) {
        leave(&w->people[i]);
        if (w->people[i].entry != NULL)
            cache_entry_release(w->people[i].entry);
        buffer_free(&w->people[i].told);
        buffer_free(&w->people[i].read);
    }
    struct flights_stats s = figures(w);
    assert_int_equal(s.purchases, 0);
    assert_int_equal(s.followers, 0);
    assert_int_equal(s.held_bytes, 0);
    flights_free(w->all); // with mail still under way
    mailbox_free(w->box);
    event_base_free(w->loop);
    free(w);
    return 0;
}
