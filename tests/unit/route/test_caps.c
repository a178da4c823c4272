// Of several caps the lowest counts, each for itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "farthing/route.h"

enum { UNSET = CONFIG_UNSET };

static const struct config_caps none = {UNSET, UNSET, UNSET, UNSET, UNSET};

static void assert_caps(struct config_caps got, struct config_caps wanted, const char *what) {
#define SAME(field)                                                                                \
    if (got.field != wanted.field)                                                                 \
    fail_msg("%s: " #field " is %lld, wanted %lld", what, (long long)got.field,                    \
             (long long)wanted.field)
    SAME(max_output_tokens);
    SAME(max_input_tokens);
    SAME(max_cost);
    SAME(max_n);
    SAME(max_tools);
#undef SAME
}

static const struct {
    const char *what;
    struct config_caps route, task, tenant, wanted;
} rows[] = {
    {"nothing anywhere",
     {UNSET, UNSET, UNSET, UNSET, UNSET}, {UNSET, UNSET, UNSET, UNSET, UNSET},
     {UNSET, UNSET, UNSET, UNSET, UNSET}, {UNSET, UNSET, UNSET, UNSET, UNSET}},
    {"the route only",
     {1, 2, 3, 4, 5}, {UNSET, UNSET, UNSET, UNSET, UNSET}, {UNSET, UNSET, UNSET, UNSET, UNSET},
     {1, 2, 3, 4, 5}},
    {"the task only",
     {UNSET, UNSET, UNSET, UNSET, UNSET}, {1, 2, 3, 4, 5}, {UNSET, UNSET, UNSET, UNSET, UNSET},
     {1, 2, 3, 4, 5}},
    {"the tenant only",
     {UNSET, UNSET, UNSET, UNSET, UNSET}, {UNSET, UNSET, UNSET, UNSET, UNSET}, {1, 2, 3, 4, 5},
     {1, 2, 3, 4, 5}},
    {"each the lowest somewhere",
     {10, 20, 20, 30, UNSET}, {20, 10, 30, UNSET, 20}, {30, 30, 10, 20, 10}, {10, 10, 10, 20, 10}},
    {"zero is lower than all",
     {9, 9, 0, 9, 9}, {9, 9, 9, 9, 0}, {9, 9, 9, 9, 9}, {9, 9, 0, 9, 0}},
    {"zero beside nothing",
     {UNSET, UNSET, UNSET, UNSET, UNSET}, {9, 9, 0, 9, 0}, {UNSET, UNSET, UNSET, UNSET, UNSET},
     {9, 9, 0, 9, 0}},
    {"the largest there are",
     {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
     {UNSET, UNSET, UNSET, UNSET, UNSET},
     {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX - 1},
     {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX - 1}},
};

static void the_lowest_counts(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct config_route route = {.caps = rows[i].route};
        const struct config_task task = {.caps = rows[i].task};
        const struct config_tenant tenant = {.caps = rows[i].tenant};
        assert_caps(route_caps(&route, &task, &tenant), rows[i].wanted, rows[i].what);
    }
}

static void what_does_not_apply_is_null(void **state) {
    (void)state;
    const struct config_route route = {.caps = {1, UNSET, 3, UNSET, 5}};
    const struct config_task task = {.caps = {2, 2, UNSET, UNSET, 4}};
    const struct config_tenant tenant = {.caps = {3, 1, 1, UNSET, UNSET}};
    assert_caps(route_caps(NULL, NULL, NULL), none, "nothing");
    assert_caps(route_caps(&route, NULL, NULL), route.caps, "route");
    assert_caps(route_caps(NULL, &task, NULL), task.caps, "task");
    assert_caps(route_caps(NULL, NULL, &tenant), tenant.caps, "tenant");
    assert_caps(route_caps(NULL, &task, &tenant), (struct config_caps){2, 1, 1, UNSET, 4},
                "task and tenant");
    assert_caps(route_caps(&route, NULL, &tenant), (struct config_caps){1, 1, 1, UNSET, 5},
                "route and tenant");
    assert_caps(route_caps(&route, &task, NULL), (struct config_caps){1, 2, 3, UNSET, 4},
                "route and task");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_counts),
        cmocka_unit_test(what_does_not_apply_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
