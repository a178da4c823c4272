// The order in which those who wait are served: shares by weight, first come
// first served within a tenant, nobody left out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fair.h"

struct guest {
    struct fair_seat seat; // first
    char tenant;
    int number;
};

enum { GUESTS = 4000, TENANTS = 5 };

struct room {
    struct fair fair;
    struct guest guests[GUESTS];
    size_t used;
    int joined[256];
};

static struct guest *join(struct room *r, char tenant, unsigned weight) {
    struct guest *g = &r->guests[r->used++];
    *g = (struct guest){.tenant = tenant, .number = r->joined[(unsigned char)tenant]++};
    fair_join(&r->fair, &g->seat, slice_make(&tenant, 1), weight);
    return g;
}

static struct guest *serve(struct room *r) {
    return (struct guest *)fair_serve(&r->fair);
}

static struct room *room_new(void) {
    struct room *r = calloc(1, sizeof *r);
    fair_open(&r->fair);
    return r;
}

static void room_free(struct room *r) {
    fair_close(&r->fair);
    free(r);
}

static void assert_order(struct room *r, const char *tenants) {
    for (const char *t = tenants; *t != '\0'; t++) {
        struct guest *g = serve(r);
        assert_non_null(g);
        if (g->tenant != *t)
            fail_msg("turn %td of \"%s\" was %c's", t - tenants, tenants, g->tenant);
    }
}

static void test_one_tenant_is_a_queue(void **state) {
    (void)state;
    struct room *r = room_new();
    assert_null(serve(r));
    for (int i = 0; i < 100; i++)
        join(r, 'a', 7);
    for (int i = 0; i < 100; i++)
        assert_int_equal(serve(r)->number, i);
    assert_null(serve(r));
    assert_null(serve(r));
    room_free(r);
}

// However the seats were filled, each tenant has his share of every stretch of
// turns, to one turn, while he has somebody waiting.
static void test_shares(void **state) {
    (void)state;
    static const unsigned weights[][TENANTS] = {
        {1, 1, 1, 1, 1}, {1, 2, 3, 4, 5}, {10, 1, 1, 1, 1}, {0, 3, 0, 3, 4}, {100, 50, 25, 12, 6}};
    for (size_t row = 0; row < FARTHING_COUNT(weights); row++) {
        struct room *r = room_new();
        double sum = 0;
        int had[TENANTS] = {0};
        for (int t = 0; t < TENANTS; t++) {
            sum += weights[row][t] > 0 ? weights[row][t] : 1;
            for (int i = 0; i < 3; i++)
                join(r, (char)('a' + t), weights[row][t]);
        }
        for (int turn = 1; turn <= 2000; turn++) {
            struct guest *g = serve(r);
            int t = g->tenant - 'a';
            assert_int_equal(g->number, had[t]++);
            join(r, g->tenant, weights[row][t]);
            for (t = 0; t < TENANTS; t++) {
                unsigned weight = weights[row][t] > 0 ? weights[row][t] : 1;
                double due = turn * (double)weight / sum, off = had[t] - due;
                if (off > TENANTS || off < -TENANTS)
                    fail_msg("row %zu: %d turns of %d for weight %u", row, had[t], turn, weight);
            }
        }
        room_free(r);
    }
}

static void test_the_order_of_turns(void **state) {
    (void)state;
    struct room *r = room_new();
    for (int i = 0; i < 6; i++)
        join(r, 'a', 2);
    for (int i = 0; i < 3; i++)
        join(r, 'b', 1);
    assert_order(r, "ababaabaa");
    assert_null(serve(r));
    room_free(r);
}

// A tenant with a thousand waiting is one tenant.
static void test_many_do_not_crowd_out_one(void **state) {
    (void)state;
    struct room *r = room_new();
    for (int i = 0; i < 1000; i++)
        join(r, 'a', 1);
    assert_order(r, "aaaaa");
    join(r, 'b', 1);
    join(r, 'b', 1);
    assert_order(r, "bab");
    room_free(r);
}

// The lightest has his turn after as many as the others weigh together.
static void test_nobody_starves(void **state) {
    (void)state;
    struct room *r = room_new();
    for (int i = 0; i < 2000; i++)
        join(r, 'a', 1000);
    join(r, 'b', 1);
    join(r, 'b', 1);
    int turns = 0;
    for (int left = 2; left > 0; turns++)
        left -= serve(r)->tenant == 'b';
    assert_in_range(turns, 3, 1003);
    room_free(r);
}

static void test_who_was_away_has_saved_nothing(void **state) {
    (void)state;
    struct room *r = room_new();
    join(r, 'b', 1);
    for (int i = 0; i < 200; i++)
        join(r, 'a', 1);
    for (int i = 0; i < 100; i++)
        assert_non_null(serve(r));
    for (int i = 0; i < 5; i++)
        join(r, 'b', 1);
    assert_order(r, "bababab");
    room_free(r);
}

// Or one who waits alone and asks again at once would have every second turn.
static void test_coming_back_is_no_new_turn(void **state) {
    (void)state;
    struct room *r = room_new();
    for (int i = 0; i < 500; i++)
        join(r, 'a', 4);
    join(r, 'b', 1);
    int of_b = 0;
    for (int turn = 0; turn < 100; turn++) {
        if (serve(r)->tenant != 'b')
            continue;
        of_b++;
        join(r, 'b', 1);
    }
    assert_in_range(of_b, 19, 21);
    room_free(r);
}

static void test_leaving(void **state) {
    (void)state;
    struct room *r = room_new();
    struct guest *first = join(r, 'a', 1), *second = join(r, 'a', 1);
    struct guest *middle = join(r, 'a', 1), *last = join(r, 'a', 1);
    struct guest *other = join(r, 'b', 1);
    fair_leave(&r->fair, &middle->seat);
    fair_leave(&r->fair, &first->seat);
    fair_leave(&r->fair, &last->seat);
    fair_leave(&r->fair, &other->seat);
    assert_ptr_equal(serve(r), second);
    assert_null(serve(r));
    join(r, 'b', 1); // who left without a turn has lost none
    join(r, 'a', 1);
    assert_order(r, "ba");
    assert_null(serve(r));
    room_free(r);
}

static void test_the_newest_weight_counts(void **state) {
    (void)state;
    struct room *r = room_new();
    for (int i = 0; i < 300; i++) {
        join(r, 'a', 1);
        join(r, 'b', 1);
    }
    join(r, 'a', 3);
    int of_a = 0;
    for (int i = 0; i < 100; i++)
        of_a += serve(r)->tenant == 'a';
    assert_in_range(of_a, 73, 77);
    room_free(r);
}

static void test_extreme_weights(void **state) {
    (void)state;
    struct room *r = room_new();
    for (int i = 0; i < 500; i++)
        join(r, 'a', UINT32_MAX);
    join(r, 'b', 0);
    join(r, 'b', 0);
    assert_order(r, "ab");
    for (int i = 1; i < 500; i++)
        assert_int_equal(serve(r)->tenant, 'a');
    assert_order(r, "b");
    room_free(r);
}

// Names that clients invent do not pile up.
static void test_lanes_go(void **state) {
    (void)state;
    struct fair f;
    fair_open(&f);
    struct fair_seat seats[100], busy[100];
    for (int round = 0; round < 100; round++) {
        fair_join(&f, &busy[round], SLICE("busy"), 1);
        for (int i = 0; i < 10; i++) {
            char name[32];
            int len = snprintf(name, sizeof name, "tenant-%d-%d", round, i);
            fair_join(&f, &seats[i], slice_make(name, (size_t)len), 1);
        }
        for (int i = 0; i < 11; i++)
            assert_non_null(fair_serve(&f));
        assert_null(fair_serve(&f));
        assert_int_equal(fair_lanes(&f), 0);
    }
    fair_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_tenant_is_a_queue),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_the_order_of_turns),
        cmocka_unit_test(test_many_do_not_crowd_out_one),
        cmocka_unit_test(test_nobody_starves),
        cmocka_unit_test(test_who_was_away_has_saved_nothing),
        cmocka_unit_test(test_coming_back_is_no_new_turn),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_the_newest_weight_counts),
        cmocka_unit_test(test_extreme_weights),
        cmocka_unit_test(test_lanes_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
