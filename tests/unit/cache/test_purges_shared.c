// Purges between instances, over a Redis: two caches with a store each, on one server.
#include "support.h"

#include <event2/event.h>
#include <stdio.h>

#include "../store/redis_server.h"
#include "../support/directory.h"
#include "purges.h"

enum { MEMORY = 64 << 20, STORE_BYTES = 64 << 20, INSTANCES = 3 };

struct instance {
    struct event_base *loop;
    struct store *store; // NULL: it is not there
    struct store_client *client;
    struct cache *cache;
};

struct world {
    char directory[64];
    struct redis_server server;
    struct instance instances[INSTANCES];
};

static const char *path_of(const struct world *w, size_t i, char out[96]) {
    snprintf(out, 96, "%s/%zu", w->directory, i);
    return out;
}

static void open_cache(struct world *w, size_t i) {
    struct instance *of = &w->instances[i];
    struct error err;
    const struct store_redis_options redis = {.socket_path = w->server.socket_path,
                                              .connect_timeout_ms = 2000,
                                              .command_timeout_ms = 20000,
                                              .max_value_bytes = 4 << 20};
    char path[96];
    of->loop = event_base_new();
    of->store = store_open_redis(&(struct store_options){path_of(w, i, path), STORE_BYTES}, &redis,
                                 &err);
    if (of->store == NULL)
        fail_msg("%s", err.text);
    of->client = store_client_new(of->store, of->loop);
    of->cache = cache_new(&(struct cache_options){
        .memory_bytes = MEMORY, .store = of->store, .has_purges = true});
}

static struct cache *open_instance(struct world *w, size_t i) {
    struct instance *of = &w->instances[i];
    open_cache(w, i);
    cache_share_purges(of->cache, of->client, of->loop);
    return of->cache;
}

static void close_instance(struct world *w, size_t i) {
    struct instance *of = &w->instances[i];
    if (of->store == NULL)
        return;
    cache_unshare_purges(of->cache);
    store_client_free(of->client);
    cache_free(of->cache);
    store_close(of->store);
    event_base_free(of->loop);
    *of = (struct instance){.store = NULL};
}

static int set_up(void **state) {
    struct world *w = base_calloc(1, sizeof *w);
    strcpy(w->directory, "purges-test-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->server.socket_path, sizeof w->server.socket_path, "%s/redis", w->directory);
    redis_server_start(&w->server);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    for (size_t i = 0; i < INSTANCES; i++)
        close_instance(w, i);
    redis_server_stop(&w->server);
    for (size_t i = 0; i < INSTANCES; i++) {
        char path[96];
        directory_remove(path_of(w, i, path));
    }
    directory_remove(w->directory);
    free(w);
    return 0;
}

// ------------------------------------------------------------------- what is done

static void insert_born(struct cache *c, uint64_t n, const char *feature,
                        struct cache_birth birth) {
    struct cache_key key = key_number(n);
    struct cache_answer a = answer_of(SLICE("{}"));
    a.created_ms = clock_wall_ms();
    a.expires_ms = a.created_ms + 3600000;
    a.birth = birth;
    a.tags[CACHE_TAG_FEATURE] = cache_tag_of(CACHE_TAG_FEATURE, slice_of(feature));
    cache_insert(c, &key, &a);
}

static void insert(struct cache *c, uint64_t n, const char *feature) {
    insert_born(c, n, feature, cache_birth_now(c));
}

static bool has(struct cache *c, uint64_t n) {
    struct cache_key key = key_number(n);
    struct cache_entry *e = cache_peek(c, &key, clock_wall_ms());
    if (e != NULL)
        cache_entry_release(e);
    return e != NULL;
}

static void purge(struct cache *c, const char *feature) {
    struct cache_purge_tags tags = {
        {[CACHE_TAG_FEATURE] = cache_tag_of(CACHE_TAG_FEATURE, slice_of(feature))}};
    cache_purge_by(c, &tags);
}

struct found {
    bool is_over;
    struct cache_entry *entry;
};

static void on_found(void *arg, struct cache_entry *entry) {
    *(struct found *)arg = (struct found){true, entry};
}

// In the store, and usable.
static bool has_stored(struct world *w, size_t i, uint64_t n) {
    struct instance *of = &w->instances[i];
    struct cache_key key = key_number(n);
    struct found f = {false, NULL};
    if (cache_lookup_start(of->cache, of->client, &key, clock_wall_ms(), on_found, &f) == NULL)
        return false;
    while (!f.is_over)
        event_base_loop(of->loop, EVLOOP_ONCE);
    if (f.entry != NULL)
        cache_entry_release(f.entry);
    return f.entry != NULL;
}

static struct cache_purges_view view_of(struct cache *c) {
    struct cache_purges_view view;
    cache_purges_get(c, &view);
    return view;
}

// Their loops run until it is so; what never is ends with the test's time.
static void run_until(struct world *w, bool (*is_so)(struct world *w, int64_t arg), int64_t arg) {
    while (!is_so(w, arg))
        for (size_t i = 0; i < INSTANCES; i++) {
            if (w->instances[i].store == NULL)
                continue;
            event_base_loop(w->instances[i].loop, EVLOOP_NONBLOCK);
            usleep(500);
        }
}

static bool all_have_marks(struct world *w, int64_t count) {
    bool so = true;
    for (size_t i = 0; i < INSTANCES; i++) {
        struct cache *c = w->instances[i].cache;
        so = so && (c == NULL || (view_of(c).marks == count && view_of(c).untold == 0));
    }
    return so;
}

static bool all_know_of_one_after(struct world *w, int64_t number) {
    bool so = true;
    for (size_t i = 0; i < INSTANCES; i++) {
        struct cache *c = w->instances[i].cache;
        so = so && (c == NULL || (int64_t)cache_birth_now(c).born > number);
    }
    return so;
}

static bool is_away(struct world *w, int64_t i) {
    return !store_is_up(w->instances[i].store);
}

static bool are_kept(struct world *w, int64_t count) {
    char answer[64];
    redis_server_ask(&w->server, "ZCARD farthing:{cache}:purges", answer, sizeof answer);
    return answer[0] == ':' && atoll(answer + 1) == count;
}

// ------------------------------------------------------------------------- tests

static void test_all_hear_of_it(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    struct cache_birth before = cache_birth_now(two);
    for (uint64_t n = 1; n <= 2; n++) {
        insert(two, n, n == 1 ? "chat" : "search");
        store_flush(w->instances[1].store);
        assert_true(has_stored(w, 0, n));
    }
    purge(one, "chat");
    assert_false(has(one, 1)); // here at once
    assert_int_equal(view_of(one).untold, 1);
    run_until(w, all_have_marks, 1);
    assert_int_equal(cache_birth_now(one).born, cache_birth_now(two).born);
    for (size_t i = 0; i < 2; i++) {
        assert_false(has(w->instances[i].cache, 1) || has_stored(w, i, 1));
        assert_true(has(w->instances[i].cache, 2));
    }
    insert_born(two, 1, "chat", before); // was being bought elsewhere
    assert_false(has(two, 1));
    insert(two, 1, "chat");
    store_flush(w->instances[1].store);
    assert_true(has(two, 1) && has_stored(w, 0, 1));
}

static void test_what_began_before_is_purged_wherever_it_lands(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    purge(one, "other");
    run_until(w, all_have_marks, 1);
    struct cache_birth before = cache_birth_now(two);
    purge(one, "chat");
    run_until(w, are_kept, 2);
    insert_born(two, 1, "chat", before); // which perhaps has not heard yet
    store_flush(w->instances[1].store);
    run_until(w, all_have_marks, 2);
    assert_false(has(two, 1) || has_stored(w, 0, 1) || has_stored(w, 1, 1));
}

static void test_without_redis_it_counts_here_and_is_told_later(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    insert(one, 1, "chat");
    insert(two, 2, "chat");
    insert(two, 3, "search");
    redis_server_stop(&w->server);
    run_until(w, is_away, 0);
    run_until(w, is_away, 1);
    struct cache_birth before = cache_birth_now(one);
    purge(one, "chat");
    assert_false(has(one, 1));
    insert_born(one, 1, "chat", before);
    assert_false(has(one, 1));
    insert(one, 1, "chat"); // asked for after it
    assert_true(has(one, 1) && has(two, 2));
    redis_server_start(&w->server);
    run_until(w, all_have_marks, 1);
    assert_false(has(two, 2) || has(one, 1)); // a purge of now, for everybody
    assert_true(has(two, 3));
}

static void test_what_redis_lost_is_told_again(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    purge(one, "chat");
    purge(two, "search");
    run_until(w, all_have_marks, 2);
    struct cache_birth before = cache_birth_now(one);
    redis_server_stop(&w->server);
    run_until(w, is_away, 0);
    run_until(w, is_away, 1);
    redis_server_start(&w->server); // empty
    run_until(w, are_kept, 2);
    assert_int_equal(cache_birth_now(one).born, before.born);
    redis_server_order(&w->server, "FLUSHALL"); // the connection stays
    run_until(w, are_kept, 2);
    purge(two, "chat");
    run_until(w, all_know_of_one_after, (int64_t)before.born);
    insert_born(one, 1, "chat", before);
    assert_false(has(one, 1)); // no number was given twice
}

static void test_who_comes_later_knows_before_it_looks(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0);
    insert(one, 1, "chat");
    insert(one, 2, "search");
    store_flush(w->instances[0].store);
    purge(one, "chat");
    run_until(w, all_have_marks, 1);
    open_cache(w, 1);
    assert_false(has_stored(w, 1, 2)); // what of it was purged is not known yet
    cache_share_purges(w->instances[1].cache, w->instances[1].client, w->instances[1].loop);
    assert_int_equal(view_of(w->instances[1].cache).marks, 1);
    assert_false(has_stored(w, 1, 1));
    assert_true(has_stored(w, 1, 2));
}

static void test_one_that_starts_without_redis_learns_when_it_is_there(void **state) {
    struct world *w = *state;
    redis_server_stop(&w->server);
    struct cache *one = open_instance(w, 0);
    purge(one, "chat");
    insert(one, 1, "search");
    assert_true(has(one, 1));
    redis_server_start(&w->server);
    run_until(w, all_have_marks, 1);
    assert_true(has(one, 1));
    insert(one, 2, "search");
    store_flush(w->instances[0].store);
    assert_true(has_stored(w, 0, 2));
}

static void test_everything(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    purge(one, "chat");
    purge(one, "search");
    run_until(w, all_have_marks, 2);
    struct cache_birth before = cache_birth_now(two);
    insert(two, 1, "chat");
    cache_purge(one);
    run_until(w, all_have_marks, 1); // it says what the others said
    assert_true(are_kept(w, 1));
    insert_born(two, 2, "chat", before);
    assert_false(has(two, 1) || has(two, 2));
    insert(two, 2, "chat");
    assert_true(has(two, 2));
}

static void test_too_many_become_one_for_all(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    struct cache_birth before = cache_birth_now(two);
    for (unsigned i = 0; i < PURGES_MARKS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%u", i);
        purge(one, name);
    }
    run_until(w, all_have_marks, PURGES_MARKS_MAX);
    assert_true(are_kept(w, PURGES_MARKS_MAX));
    insert_born(two, 1, "chat", before);
    assert_true(has(two, 1));
    insert(two, 2, "chat");
    before = cache_birth_now(one);
    purge(two, "one too many");
    run_until(w, are_kept, PURGES_MARKS_MAX - PURGES_FOLDED + 1);
    run_until(w, all_know_of_one_after, (int64_t)before.born);
    assert_in_range(view_of(one).marks, 1, PURGES_MARKS_MAX);
    assert_false(has(two, 1));
    assert_true(has(two, 2)); // newer than those that were folded
}

static void test_too_many_that_wait_become_one(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    insert(one, 1, "chat");
    insert(two, 2, "chat");
    redis_server_stop(&w->server);
    run_until(w, is_away, 0);
    run_until(w, is_away, 1);
    for (unsigned i = 0; i <= PURGES_MARKS_MAX; i++) {
        char name[16];
        assert_true(i < PURGES_MARKS_MAX || has(one, 1));
        snprintf(name, sizeof name, "f%u", i);
        purge(one, name);
    }
    assert_int_equal(view_of(one).marks, 1);
    assert_false(has(one, 1));
    redis_server_start(&w->server);
    run_until(w, all_have_marks, 1);
    assert_false(has(two, 2));
}

// A server that had a clock ahead of this one's gave higher numbers than its time says.
static void test_numbers_rise_whatever_the_clock_says(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0), *two = open_instance(w, 1);
    const int64_t future = (clock_wall_ms() + 3600000) * 1000;
    char order[96];
    snprintf(order, sizeof order, "ZADD farthing:{cache}:purges %lld 010000000000000001",
             (long long)future);
    redis_server_order(&w->server, order);
    run_until(w, all_know_of_one_after, future - 1);
    insert(one, 1, "chat");
    insert(two, 2, "chat");
    purge(one, "chat");
    run_until(w, all_know_of_one_after, future);
    assert_false(has(one, 1) || has(two, 2));
}

static void test_something_else_under_the_key_harms_nobody(void **state) {
    struct world *w = *state;
    struct cache *one = open_instance(w, 0);
    redis_server_order(&w->server, "ZADD farthing:{cache}:purges 1 zz0000000000000000 2 x 3 ff00");
    purge(one, "chat");
    run_until(w, all_have_marks, 1);
    redis_server_order(&w->server, "SET farthing:{cache}:purges text");
    purge(one, "search"); // waits
    insert(one, 1, "chat");
    insert(one, 2, "search");
    assert_true(has(one, 1) && has(one, 2));
    assert_int_equal(view_of(one).untold, 1);
    redis_server_order(&w->server, "DEL farthing:{cache}:purges");
    run_until(w, all_have_marks, 2);
    assert_true(has(one, 1));
    assert_false(has(one, 2));
}

int main(void) {
#define SHARED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SHARED(test_all_hear_of_it),
        SHARED(test_what_began_before_is_purged_wherever_it_lands),
        SHARED(test_without_redis_it_counts_here_and_is_told_later),
        SHARED(test_what_redis_lost_is_told_again),
        SHARED(test_who_comes_later_knows_before_it_looks),
        SHARED(test_one_that_starts_without_redis_learns_when_it_is_there),
        SHARED(test_everything),
        SHARED(test_too_many_become_one_for_all),
        SHARED(test_too_many_that_wait_become_one),
        SHARED(test_numbers_rise_whatever_the_clock_says),
        SHARED(test_something_else_under_the_key_harms_nobody),
    };
    log_set_level((enum log_level)(LOG_ERROR + 1));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
