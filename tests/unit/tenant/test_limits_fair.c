// The fair queue by itself, against a plain one that looks at everybody each time.
#include "limits_fair.h"
#include "scene.h"

enum { FLOWS = 40, SEATS = 600, ROUNDS = 60000 };

struct seat {
    struct fair_seat seat; // first
    size_t flow;
    uint64_t arrival; // 0: not waiting
};

// Passes as fractions of a turn, in units that every weight used here divides.
enum { TURN = 1 << 24 };
struct model {
    struct seat seats[SEATS];
    struct {
        unsigned weight;
        uint64_t pass;
        bool known; // its pass counts
    } flows[FLOWS];
    uint64_t now, arrivals;
    int64_t count;
};

static int64_t count_of(const struct model *m, size_t flow) {
    int64_t count = 0;
    for (size_t i = 0; i < SEATS; i++)
        count += m->seats[i].arrival != 0 && m->seats[i].flow == flow;
    return count;
}

static struct seat *first_of(struct model *m, size_t flow) {
    struct seat *first = NULL;
    for (size_t i = 0; i < SEATS; i++)
        if (m->seats[i].arrival != 0 && m->seats[i].flow == flow &&
            (first == NULL || m->seats[i].arrival < first->arrival))
            first = &m->seats[i];
    return first;
}

static struct seat *last_of(struct model *m, size_t flow) {
    struct seat *last = NULL;
    for (size_t i = 0; i < SEATS; i++)
        if (m->seats[i].arrival != 0 && m->seats[i].flow == flow &&
            (last == NULL || m->seats[i].arrival > last->arrival))
            last = &m->seats[i];
    return last;
}

static struct seat *next_of_all(struct model *m) {
    struct seat *next = NULL;
    for (size_t f = 0; f < FLOWS; f++) {
        struct seat *s = first_of(m, f);
        if (s == NULL)
            continue;
        uint64_t pass = m->flows[f].pass, best = next != NULL ? m->flows[next->flow].pass : 0;
        if (next == NULL || pass < best || (pass == best && s->arrival < next->arrival))
            next = s;
    }
    return next;
}

// The last one of the flow with most seats beyond its first for its weight.
static struct seat *surplus_for(struct model *m, size_t newcomer, unsigned weight) {
    struct seat *fullest = NULL;
    int64_t most = 0;
    for (size_t f = 0; f < FLOWS; f++) {
        struct seat *s = last_of(m, f);
        if (s == NULL)
            continue;
        int64_t extra = (count_of(m, f) - 1) * 720720 / m->flows[f].weight;
        if (fullest == NULL || extra > most || (extra == most && s->arrival > fullest->arrival)) {
            fullest = s;
            most = extra;
        }
    }
    if (fullest == NULL || fullest->flow == newcomer)
        return NULL;
    return count_of(m, newcomer) * 720720 / weight < most ? fullest : NULL;
}

static void add(struct model *m, struct fair *f, struct seat *s, size_t flow, const char *name) {
    bool was_empty = first_of(m, flow) == NULL;
    s->flow = flow;
    s->arrival = ++m->arrivals;
    m->count++;
    if (was_empty && (!m->flows[flow].known || m->flows[flow].pass < m->now))
        m->flows[flow].pass = m->now;
    m->flows[flow].known = true;
    fair_add(f, &s->seat, slice_of(name), m->flows[flow].weight);
}

static void leave(struct model *m, struct seat *s) {
    s->arrival = 0;
    if (--m->count > 0)
        return;
    m->now = 0;
    for (size_t f = 0; f < FLOWS; f++)
        m->flows[f].known = false;
}

static void take_next(struct model *m, struct fair *f) {
    struct seat *expected = next_of_all(m);
    assert_ptr_equal(fair_take_next(f), expected != NULL ? &expected->seat : NULL);
    if (expected == NULL)
        return;
    m->now = m->flows[expected->flow].pass;
    m->flows[expected->flow].pass += TURN / m->flows[expected->flow].weight;
    leave(m, expected);
}

static void check_surplus(struct model *m, struct fair *f, size_t flow, const char *name) {
    struct seat *expected = surplus_for(m, flow, m->flows[flow].weight);
    assert_ptr_equal(fair_find_surplus(f, slice_of(name), m->flows[flow].weight),
                     expected != NULL ? &expected->seat : NULL);
}

static void test_against_a_plain_one(void **state) {
    (void)state;
    static const unsigned weights[] = {1, 2, 3, 4, 5, 7, 8, 10, 12, 16};
    struct model *m = base_calloc(1, sizeof *m);
    struct fair f = {0};
    char names[FLOWS][8];
    random_seed(21);
    for (size_t i = 0; i < FLOWS; i++) {
        snprintf(names[i], sizeof names[i], "f%zu", i);
        m->flows[i].weight = weights[random_below(FARTHING_COUNT(weights))];
    }
    for (int round = 0; round < ROUNDS; round++) {
        // Fuller, emptier, and at times quite empty.
        unsigned fill = round / 3000 % 3 == 0 ? 7 : round / 3000 % 3 == 1 ? 4 : 1;
        struct seat *s = &m->seats[random_below(SEATS)];
        size_t flow = random_below(round % 7 == 0 ? FLOWS : 5);
        if (s->arrival == 0 && random_below(8) < fill) {
            add(m, &f, s, flow, names[flow]);
        } else if (s->arrival != 0 && random_below(4) == 0) {
            fair_remove(&f, &s->seat);
            fair_remove(&f, &s->seat); // once
            leave(m, s);
        } else {
            take_next(m, &f);
        }
        assert_int_equal(f.count, m->count);
        if (round % 16 == 0)
            check_surplus(m, &f, flow, names[flow]);
    }
    while (m->count > 0)
        take_next(m, &f);
    take_next(m, &f);
    fair_free(&f);
    free(m);
}

static void test_nobody(void **state) {
    (void)state;
    struct fair f = {0};
    struct fair_seat s = {0};
    assert_null(fair_take_next(&f));
    assert_null(fair_find_surplus(&f, SLICE("a"), 1));
    fair_remove(&f, &s);
    fair_free(&f);
}

// A weight that a reload changed counts from the next one who comes.
static void test_a_weight_that_changes(void **state) {
    (void)state;
    struct fair f = {0};
    struct fair_seat seats[3][40] = {0};
    unsigned had = 0;
    for (size_t i = 0; i < 40; i++) {
        fair_add(&f, &seats[0][i], SLICE("a"), 1);
        fair_add(&f, &seats[1][i], SLICE("b"), 1);
    }
    fair_add(&f, &seats[2][0], SLICE("a"), 3);
    for (size_t i = 0; i < 40; i++) {
        struct fair_seat *s = fair_take_next(&f);
        had += s >= seats[0] && s < seats[1];
    }
    assert_in_range(had, 29, 31);
    assert_ptr_equal(fair_find_surplus(&f, SLICE("c"), 1), &seats[1][39]);
    while (fair_take_next(&f) != NULL)
        continue;
    fair_free(&f);
}

// Nor does it throw out his own.
static void test_a_weight_that_grows_displaces_nobody_of_its_own(void **state) {
    (void)state;
    struct fair f = {0};
    struct fair_seat seats[5] = {0};
    for (size_t i = 0; i < FARTHING_COUNT(seats); i++)
        fair_add(&f, &seats[i], SLICE("a"), 1);
    assert_null(fair_find_surplus(&f, SLICE("a"), 100));
    assert_ptr_equal(fair_find_surplus(&f, SLICE("b"), 1), &seats[4]);
    while (fair_take_next(&f) != NULL)
        continue;
    fair_free(&f);
}

// No name is a flow as any other.
static void test_no_name(void **state) {
    (void)state;
    struct fair f = {0};
    struct fair_seat a = {0}, b = {0}, c = {0};
    fair_add(&f, &a, SLICE_NONE, 0);
    fair_add(&f, &b, SLICE_NONE, 0);
    fair_add(&f, &c, SLICE("x"), 0);
    assert_ptr_equal(fair_take_next(&f), &a);
    assert_ptr_equal(fair_take_next(&f), &c);
    assert_ptr_equal(fair_take_next(&f), &b);
    fair_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_plain_one),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_a_weight_that_changes),
        cmocka_unit_test(test_a_weight_that_grows_displaces_nobody_of_its_own),
        cmocka_unit_test(test_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
