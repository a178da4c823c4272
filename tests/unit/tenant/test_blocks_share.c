// Blocks between instances, over a Redis: several with a store each, on one server.
#include "scene.h"

#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>

// After cmocka.
#include "../store/redis_server.h"
#include "../support/directory.h"
#include "blocks_room.h"

enum { INSTANCES = 3, MANY = 3 * BLOCKS_PAGE + 5 };

struct instance {
    struct event_base *loop;
    struct store *store; // NULL: it is not there
    struct store_client *client;
    struct key_blocks *blocks;
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

static void open_store(struct world *w, size_t i, int64_t command_timeout_ms) {
    struct instance *of = &w->instances[i];
    struct error err;
    const struct store_redis_options redis = {.socket_path = w->server.socket_path,
                                              .connect_timeout_ms = 2000,
                                              .command_timeout_ms = command_timeout_ms,
                                              .max_value_bytes = 1024}; // the least there is
    char path[96];
    of->loop = event_base_new();
    of->store =
        store_open_redis(&(struct store_options){path_of(w, i, path), 1 << 20}, &redis, &err);
    if (of->store == NULL)
        fail_msg("%s", err.text);
    of->client = store_client_new(of->store, of->loop);
    of->blocks = key_blocks_open(of->store, &err);
    if (of->blocks == NULL)
        fail_msg("%s", err.text);
}

static struct key_blocks *share(struct instance *of) {
    key_blocks_share(of->blocks, of->client, of->loop);
    return of->blocks;
}

static struct key_blocks *open_instance(struct world *w, size_t i) {
    open_store(w, i, 20000);
    return share(&w->instances[i]);
}

static void close_instance(struct world *w, size_t i) {
    struct instance *of = &w->instances[i];
    if (of->store == NULL)
        return;
    key_blocks_unshare(of->blocks);
    store_client_free(of->client);
    key_blocks_close(of->blocks);
    store_close(of->store);
    event_base_free(of->loop);
    *of = (struct instance){.store = NULL};
}

static int set_up(void **state) {
    struct world *w = base_calloc(1, sizeof *w);
    strcpy(w->directory, "blocks-test-XXXXXX");
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

static const uint8_t *digest_of(const char *key) {
    static _Thread_local uint8_t digest[DIGEST_LEN];
    digest_sha256(slice_of(key), digest);
    return digest;
}

static void order(struct key_blocks *b, const struct key_block *block) {
    struct error err;
    if (!key_blocks_set(b, block, &err))
        fail_msg("%s", err.text);
}

// at_ms 0: now.
static void set_key_at(struct key_blocks *b, const char *key, bool blocked, int64_t at_ms) {
    order(b, &(struct key_block){.digest = digest_of(key),
                                 .tenant = SLICE("acme"),
                                 .blocked = blocked,
                                 .at_ms = at_ms,
                                 .who = SLICE("joe"),
                                 .reason = SLICE("leaked")});
}

static void set_key(struct key_blocks *b, const char *key, bool blocked) {
    set_key_at(b, key, blocked, 0);
}

static void set_tenant(struct key_blocks *b, const char *tenant, bool blocked) {
    order(b, &(struct key_block){.tenant = slice_of(tenant), .blocked = blocked});
}

static bool is_blocked(const struct key_blocks *b, const char *key) {
    return key_blocks_check(b, digest_of(key), SLICE("acme"));
}

static const char *numbered(unsigned i) {
    static _Thread_local char key[32];
    snprintf(key, sizeof key, "sk-%u", i);
    return key;
}

static void run_once(struct world *w) {
    for (size_t i = 0; i < INSTANCES; i++)
        if (w->instances[i].store != NULL)
            event_base_loop(w->instances[i].loop, EVLOOP_NONBLOCK);
    usleep(500);
}

// Their loops run until it is so; what never is ends with the test's time.
static void run_until(struct world *w, bool (*is_so)(struct world *w, const void *arg),
                      const void *arg) {
    while (!is_so(w, arg))
        run_once(w);
}

static bool all_block(struct world *w, const void *key) {
    bool so = true;
    for (size_t i = 0; i < INSTANCES; i++)
        so = so && (w->instances[i].store == NULL || is_blocked(w->instances[i].blocks, key));
    return so;
}

static bool none_blocks(struct world *w, const void *key) {
    bool so = true;
    for (size_t i = 0; i < INSTANCES; i++)
        so = so && (w->instances[i].store == NULL || !is_blocked(w->instances[i].blocks, key));
    return so;
}

static bool all_are_told(struct world *w, const void *arg) {
    (void)arg;
    bool so = true;
    for (size_t i = 0; i < INSTANCES; i++)
        so = so && (w->instances[i].store == NULL || blocks_all_told(w->instances[i].blocks));
    return so;
}

static bool all_are_away(struct world *w, const void *arg) {
    (void)arg;
    bool so = true;
    for (size_t i = 0; i < INSTANCES; i++)
        so = so && (w->instances[i].store == NULL || !store_is_up(w->instances[i].store));
    return so;
}

// So many orders, under both keys.
static bool are_kept(struct world *w, const void *arg) {
    char orders[64], names[64];
    long long count = *(const int *)arg;
    redis_server_ask(&w->server, "HLEN farthing:{blocks}:orders", orders, sizeof orders);
    redis_server_ask(&w->server, "ZCARD farthing:{blocks}:names", names, sizeof names);
    return orders[0] == ':' && atoll(orders + 1) == count + 2 && atoll(names + 1) == count;
}

static void take_redis_away(struct world *w) {
    redis_server_stop(&w->server);
    run_until(w, all_are_away, NULL);
}

struct seen {
    struct key_block last;
    size_t count;
};

static void on_block(void *arg, const struct key_block *block) {
    struct seen *seen = arg;
    seen->last = *block;
    seen->count++;
}

static struct seen look(struct key_blocks *b) {
    struct seen seen = {.count = 0};
    key_blocks_visit(b, on_block, &seen);
    return seen;
}

// ------------------------------------------------------------------------- tests

static void test_all_hear_of_it(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    set_key(one, "k", true);
    assert_true(is_blocked(one, "k")); // here at once
    run_until(w, all_block, "k");
    assert_false(is_blocked(two, "l"));
    set_key(two, "k", false);
    assert_false(is_blocked(two, "k"));
    run_until(w, none_blocks, "k");
    for (unsigned i = 0; i < 6; i++) { // however quickly
        set_key(i % 2 == 0 ? one : two, "k", true);
        run_until(w, all_block, "k");
        set_key(i % 3 == 0 ? one : two, "k", false);
        run_until(w, none_blocks, "k");
    }
}

static void test_whole_tenants_too(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0);
    open_instance(w, 1);
    set_tenant(one, "acme", true);
    run_until(w, all_block, "any");
    set_key(one, "k", true);
    set_tenant(one, "acme", false);
    run_until(w, none_blocks, "any");
    run_until(w, all_block, "k"); // a key and its tenant are apart
}

static void test_all_show_the_same(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    set_key(one, "k", true);
    run_until(w, all_block, "k");
    for (int round = 0; round < 2; round++) { // unblocked it is shown as well
        struct seen here = look(one), there = look(two);
        assert_int_equal(there.count, 1);
        assert_memory_equal(there.last.digest, digest_of("k"), DIGEST_LEN);
        assert_int_equal(there.last.blocked, round == 0);
        assert_int_equal(there.last.at_ms, here.last.at_ms);
        assert_true(slice_equal(there.last.tenant, SLICE("acme")));
        assert_true(slice_equal(there.last.who, SLICE("joe")));
        assert_true(slice_equal(there.last.reason, SLICE("leaked")));
        set_key(two, "k", false);
        run_until(w, none_blocks, "k");
    }
}

static void test_any_bytes_arrive(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    char name[KEY_BLOCK_TEXT_MAX];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = (char)i;
    const struct slice all = slice_make(name, sizeof name);
    order(one, &(struct key_block){.tenant = all, .blocked = true, .who = all, .reason = all});
    set_key(one, "k", true); // by which it is known that the other has come, too
    run_until(w, all_block, "k");
    assert_true(key_blocks_check(two, NULL, all));
    set_key(one, "k", false);
    order(one, &(struct key_block){.tenant = all, .blocked = false, .who = all, .reason = all});
    run_until(w, all_are_told, NULL);
    run_until(w, none_blocks, "k");
    struct key_blocks *three = open_instance(w, 2);
    assert_int_equal(look(three).count, 2);
    assert_false(key_blocks_check(three, NULL, all));
}

static void test_the_newest_order_counts_in_whatever_sequence(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    const int64_t now = clock_wall_ms();
    take_redis_away(w);
    for (int round = 0; round < 2; round++) { // neither depends on who comes first
        struct key_blocks *a = round == 0 ? one : two, *b = round == 0 ? two : one;
        set_key_at(a, round == 0 ? "later block" : "later block 2", true, now + 2);
        set_key_at(b, round == 0 ? "later block" : "later block 2", false, now + 1);
        set_key_at(a, round == 0 ? "later unblock" : "later unblock 2", true, now + 1);
        set_key_at(b, round == 0 ? "later unblock" : "later unblock 2", false, now + 2);
        set_key_at(a, round == 0 ? "at once" : "at once 2", true, now);
        set_key_at(b, round == 0 ? "at once" : "at once 2", false, now);
    }
    redis_server_start(&w->server);
    run_until(w, all_block, "later block");
    run_until(w, all_block, "later block 2");
    run_until(w, none_blocks, "later unblock");
    run_until(w, none_blocks, "later unblock 2");
    run_until(w, all_block, "at once"); // of two from one millisecond the one that blocks
    run_until(w, all_block, "at once 2");
    run_until(w, all_are_told, NULL);
}

// A clock that is wrong where one order was given keeps no later one from counting.
static void test_who_knows_of_an_order_can_undo_it(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    set_key_at(one, "k", true, clock_wall_ms() + HOUR_MS);
    run_until(w, all_block, "k");
    set_key(two, "k", false);
    run_until(w, none_blocks, "k");
    set_key(one, "k", true);
    run_until(w, all_block, "k");
}

static void test_without_redis_it_counts_here_and_is_told_later(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    set_key(one, "open again", true);
    run_until(w, all_block, "open again");
    take_redis_away(w);
    set_key(one, "k", true);
    set_key(one, "open again", false);
    assert_true(is_blocked(one, "k") && !is_blocked(two, "k"));
    assert_false(is_blocked(one, "open again") || !is_blocked(two, "open again"));
    redis_server_start(&w->server);
    run_until(w, all_block, "k");
    run_until(w, none_blocks, "open again");
}

// An answer about what was told before is none about what was ordered since.
static void test_what_changes_meanwhile_is_told_too(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0);
    struct blocks_offer offers[BLOCKS_PAGE];
    set_key(one, "k", true);
    assert_int_equal(blocks_offer(one, offers), 1);
    set_key(one, "k", false);
    blocks_note_told(one, offers, 1);
    assert_false(blocks_all_told(one));
    assert_true(blocks_learn(one, &offers[0].block));
    assert_false(blocks_all_told(one) || is_blocked(one, "k"));
    assert_int_equal(blocks_offer(one, offers), 1);
    blocks_note_told(one, offers, 1);
    assert_true(blocks_all_told(one));
    offers[0].block.blocked = true; // of the same millisecond
    assert_true(blocks_learn(one, &offers[0].block));
    assert_true(blocks_all_told(one) && is_blocked(one, "k"));
    offers[0].block.blocked = false;
    assert_true(blocks_learn(one, &offers[0].block)); // the shared store has the older
    assert_false(blocks_all_told(one) || !is_blocked(one, "k"));
}

static void test_what_redis_lost_is_told_again(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    static const char *const losses[] = {"FLUSHALL", "DEL farthing:{blocks}:orders",
                                         "DEL farthing:{blocks}:names",
                                         "HDEL farthing:{blocks}:orders id"};
    const int both = 2;
    set_key(one, "k", true);
    set_key(two, "l", true);
    run_until(w, are_kept, &both);
    take_redis_away(w);
    redis_server_start(&w->server); // empty
    run_until(w, are_kept, &both);
    for (size_t i = 0; i < FARTHING_COUNT(losses); i++) { // the connection stays
        redis_server_order(&w->server, losses[i]);
        run_until(w, are_kept, &both);
    }
    close_instance(w, 1);
    two = open_instance(w, 2);
    assert_true(is_blocked(two, "k") && is_blocked(two, "l"));
}

static void test_who_comes_later_knows_before_it_serves(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0);
    char text[KEY_BLOCK_TEXT_MAX];
    memset(text, 'x', sizeof text);
    const struct slice longest = slice_make(text, sizeof text);
    for (unsigned i = 0; i < MANY; i++)
        order(one, &(struct key_block){.digest = digest_of(numbered(i)),
                                       .tenant = longest,
                                       .blocked = i % 5 != 0,
                                       .who = longest,
                                       .reason = longest});
    run_until(w, all_are_told, NULL);
    struct key_blocks *two = open_instance(w, 1);
    assert_int_equal(look(two).count, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(is_blocked(two, numbered(i)), i % 5 != 0);
    assert_true(blocks_all_told(two));
}

// A server that is slow while this one starts is waited for longer than by a request.
static void test_who_comes_while_redis_is_busy_knows_too(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0);
    set_key(one, "k", true);
    run_until(w, all_are_told, NULL);
    open_store(w, 1, 20);
    redis_server_order(&w->server, "CLIENT PAUSE 200");
    assert_true(is_blocked(share(&w->instances[1]), "k"));
}

static void test_what_was_learned_survives_a_restart_without_redis(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0);
    open_instance(w, 1);
    set_key(one, "k", true);
    set_tenant(one, "umbra", true);
    set_key(one, "l", true);
    run_until(w, all_block, "l");
    set_key(one, "l", false);
    run_until(w, none_blocks, "l");
    run_until(w, all_block, "k");
    take_redis_away(w);
    close_instance(w, 0);
    close_instance(w, 1);
    struct key_blocks *two = open_instance(w, 1);
    assert_true(is_blocked(two, "k") && key_blocks_check(two, NULL, SLICE("umbra")));
    assert_false(is_blocked(two, "l"));
    one = open_instance(w, 2); // knows of nothing until Redis is there
    assert_false(is_blocked(one, "k"));
    set_key(one, "m", true);
    redis_server_start(&w->server);
    run_until(w, all_block, "k");
    run_until(w, all_block, "m");
    assert_true(key_blocks_check(one, NULL, SLICE("umbra")));
}

static void test_who_was_away_does_not_bring_a_block_back(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0);
    open_instance(w, 1);
    set_key(one, "k", true);
    run_until(w, all_block, "k");
    close_instance(w, 1);
    set_key(one, "k", false);
    close_instance(w, 0);
    redis_server_order(&w->server, "FLUSHALL");
    one = open_instance(w, 0); // remembers that it was unblocked
    struct key_blocks *two = open_instance(w, 1);
    assert_false(is_blocked(two, "k") || is_blocked(one, "k"));
    set_key(two, "l", true);
    run_until(w, all_block, "l");
    assert_false(is_blocked(two, "k") || is_blocked(one, "k"));
}

static void test_something_else_under_the_keys_harms_nobody(void **state) {
    struct world *w = *state;
    struct key_blocks *one = open_instance(w, 0), *two = open_instance(w, 1);
    static const char *const odd[] = {
        "HSET farthing:{blocks}:orders kxyz odd k \"\" t \"5 1 0 0\" revision 20",
        "ZADD farthing:{blocks}:names 9 kxyz 10 k 11 t 12 none 13.5 \"\"",
        "HSET farthing:{blocks}:orders tq \"1 1 99999999999999999999 0\" tr \"1 1 5 5\\n\"",
        "ZADD farthing:{blocks}:names 14 tq 15 tr",
    };
    set_key(one, "k", true);
    run_until(w, all_block, "k");
    for (size_t i = 0; i < FARTHING_COUNT(odd); i++)
        redis_server_order(&w->server, odd[i]);
    set_key(two, "l", true);
    run_until(w, all_block, "l");
    assert_int_equal(look(one).count, 2);
    redis_server_order(&w->server, "SET farthing:{blocks}:orders text");
    set_key(one, "m", true); // waits
    assert_true(is_blocked(one, "m") && !is_blocked(two, "m"));
    redis_server_order(&w->server, "DEL farthing:{blocks}:orders");
    run_until(w, all_block, "m");
}

// --------------------------------------------------------------------- at once

struct giver {
    struct key_blocks *blocks;
    atomic_bool over;
};

static void *give_orders(void *arg) {
    struct giver *g = arg;
    for (unsigned i = 0; i < MANY; i++)
        set_key(g->blocks, numbered(i % (MANY / 3)), i % 2 == 0);
    set_key(g->blocks, "last", true);
    atomic_store(&g->over, true);
    return NULL;
}

static bool is_over(struct world *w, const void *arg) {
    (void)w;
    return atomic_load(&((struct giver *)(uintptr_t)arg)->over);
}

static void test_orders_from_other_threads(void **state) {
    struct world *w = *state;
    struct giver g = {.blocks = open_instance(w, 0)};
    struct key_blocks *two = open_instance(w, 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, give_orders, &g), 0);
    run_until(w, is_over, &g);
    pthread_join(thread, NULL);
    run_until(w, all_are_told, NULL);
    run_until(w, all_block, "last");
    struct key_blocks *three = open_instance(w, 2);
    for (unsigned i = 0; i < MANY / 3; i++) {
        assert_int_equal(is_blocked(two, numbered(i)), is_blocked(g.blocks, numbered(i)));
        assert_int_equal(is_blocked(three, numbered(i)), is_blocked(g.blocks, numbered(i)));
    }
}

int main(void) {
#define SHARED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SHARED(test_all_hear_of_it),
        SHARED(test_whole_tenants_too),
        SHARED(test_all_show_the_same),
        SHARED(test_any_bytes_arrive),
        SHARED(test_the_newest_order_counts_in_whatever_sequence),
        SHARED(test_who_knows_of_an_order_can_undo_it),
        SHARED(test_without_redis_it_counts_here_and_is_told_later),
        SHARED(test_what_changes_meanwhile_is_told_too),
        SHARED(test_what_redis_lost_is_told_again),
        SHARED(test_who_comes_later_knows_before_it_serves),
        SHARED(test_who_comes_while_redis_is_busy_knows_too),
        SHARED(test_what_was_learned_survives_a_restart_without_redis),
        SHARED(test_who_was_away_does_not_bring_a_block_back),
        SHARED(test_something_else_under_the_keys_harms_nobody),
        SHARED(test_orders_from_other_threads),
    };
    evthread_use_pthreads();
    log_set_level((enum log_level)(LOG_ERROR + 1));
    return cmocka_run_group_tests_name("tenant/blocks_share", tests, NULL, NULL);
}
