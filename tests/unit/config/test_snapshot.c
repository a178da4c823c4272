// A snapshot lives as long as somebody holds it, whoever lets go last, while
// others take its place.
#include <pthread.h>

#include "config_fixture.h"

enum { READERS = 4, SWAPS = 60, READS = 4000 };

static void the_last_reference_ends_it(void **state) {
    (void)state;
    const struct config *c = load_valid(PROVIDER);
    assert_ptr_equal(config_ref(c), c);
    config_unref(c);
    assert_slice(c->providers[0].name, "p"); // the second reference still holds
    config_unref(c);
    config_unref(NULL);
}

static void generations_grow_with_each_snapshot_that_is_made(void **state) {
    (void)state;
    const struct config *a = load_valid(PROVIDER);
    free(load_refused("x"));
    const struct config *b = load_valid(PROVIDER);
    assert_int_equal(b->generation, a->generation + 1);
    config_unref(a);
    config_unref(b);
}

// What main does on SIGHUP: the pointer changes under a lock, the snapshot never.
struct shared {
    pthread_mutex_t lock;
    const struct config *now;
};

static const struct config *take(struct shared *s) {
    pthread_mutex_lock(&s->lock);
    const struct config *c = config_ref(s->now);
    pthread_mutex_unlock(&s->lock);
    return c;
}

static void swap(struct shared *s, const struct config *next) {
    pthread_mutex_lock(&s->lock);
    const struct config *last = s->now;
    s->now = next;
    pthread_mutex_unlock(&s->lock);
    config_unref(last);
}

static const struct config *numbered(unsigned n) {
    char text[256];
    snprintf(
        text, sizeof text,
        "server { workers = %u }\nprovider \"p%u\" { base_url = \"http://h%u\" max_inflight = %u }",
        n % 64 + 1, n, n, n);
    return load_valid(text);
}

static bool is_whole(const struct config *c) {
    char name[16];
    const struct config_provider *p = &c->providers[0];
    snprintf(name, sizeof name, "p%lld", (long long)p->max_inflight);
    return c->provider_count == 1 && slice_equal(p->name, slice_of(name)) &&
           c->server.workers == (unsigned)(p->max_inflight % 64 + 1) &&
           config_provider_find(c, slice_of(name)) == p;
}

static void *read_many(void *arg) {
    struct shared *s = arg;
    uintptr_t wrong = 0;
    for (int i = 0; i < READS; i++) {
        const struct config *c = take(s);
        const struct config *again = config_ref(c);
        config_unref(c);
        wrong += !is_whole(again);
        config_unref(again);
    }
    return (void *)wrong;
}

static void readers_see_whole_snapshots_while_they_are_swapped(void **state) {
    (void)state;
    struct shared s = {.lock = PTHREAD_MUTEX_INITIALIZER, .now = numbered(0)};
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_many, &s), 0);
    for (unsigned i = 1; i <= SWAPS; i++)
        swap(&s, numbered(i));
    for (int i = 0; i < READERS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(readers[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_slice(s.now->providers[0].name, "p60");
    config_unref(s.now);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_reference_ends_it),
        cmocka_unit_test(generations_grow_with_each_snapshot_that_is_made),
        cmocka_unit_test(readers_see_whole_snapshots_while_they_are_swapped),
    };
    return cmocka_run_group_tests_name("config/snapshot", tests, NULL, NULL);
}
