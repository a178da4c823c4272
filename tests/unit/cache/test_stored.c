// The cache with the store behind it: a restart keeps the answers, what is old
// or damaged is not there, and failures and cancellations harm nobody.
#include "support.h"

#include <event2/event.h>
#include <sqlite3.h>
#include <stdio.h>

#include "../support/directory.h"

enum { MEMORY_BYTES = 4 << 20, STORE_BYTES = 64 << 20 };

// One process: its loop, its store, its cache. `directory` outlives it.
struct process {
    char directory[64];
    struct event_base *loop;
    struct store *store;
    struct store_client *client;
    struct cache *cache;
};

static void start(struct process *p) {
    struct error err;
    p->loop = event_base_new();
    p->store = store_open(&(struct store_options){p->directory, STORE_BYTES}, &err);
    if (p->store == NULL)
        fail_msg("%s", err.text);
    p->client = store_client_new(p->store, p->loop);
    p->cache = cache_new(&(struct cache_options){.memory_bytes = MEMORY_BYTES, .store = p->store});
}

static void stop(struct process *p) {
    store_client_free(p->client);
    cache_free(p->cache);
    store_close(p->store);
    event_base_free(p->loop);
}

static void restart(struct process *p) {
    stop(p);
    start(p);
}

static int set_up(void **state) {
    struct process *p = base_calloc(1, sizeof *p);
    strcpy(p->directory, "cache-test-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    clock_freeze(BORN_MS, 1);
    start(p);
    *state = p;
    return 0;
}

static int tear_down(void **state) {
    struct process *p = *state;
    stop(p);
    clock_thaw();
    directory_remove(p->directory);
    free(p);
    return 0;
}

// ------------------------------------------------------------------ look-ups

struct result {
    unsigned calls;
    struct cache_entry *entry;
};

static void on_found(void *arg, struct cache_entry *entry) {
    struct result *r = arg;
    r->calls++;
    r->entry = entry;
}

static struct cache_lookup *begin(struct process *p, uint64_t n, struct result *r) {
    struct cache_key key = key_number(n);
    struct cache_lookup *l =
        cache_lookup_start(p->cache, p->client, &key, clock_wall_ms(), on_found, r);
    assert_non_null(l);
    assert_int_equal(r->calls, 0); // never before it has returned
    return l;
}

static struct cache_entry *await(struct process *p, struct result *r) {
    while (r->calls == 0)
        event_base_loop(p->loop, EVLOOP_ONCE);
    assert_int_equal(r->calls, 1);
    return r->entry;
}

static struct cache_entry *look_up(struct process *p, uint64_t n) {
    struct result r = {0};
    begin(p, n, &r);
    return await(p, &r);
}

static bool is_stored(struct process *p, uint64_t n) {
    struct cache_entry *e = look_up(p, n);
    if (e != NULL)
        cache_entry_release(e);
    return e != NULL;
}

static bool is_in_memory(struct process *p, uint64_t n) {
    struct cache_key key = key_number(n);
    struct cache_entry *e = cache_peek(p->cache, &key, clock_wall_ms());
    if (e != NULL)
        cache_entry_release(e);
    return e != NULL;
}

static void insert_born(struct process *p, uint64_t n, struct slice body, int64_t created_ms) {
    struct cache_key key = key_number(n);
    struct cache_answer a = answer_of(body);
    a.created_ms = created_ms;
    cache_insert(p->cache, &key, &a);
}

static void insert(struct process *p, uint64_t n, struct slice body) {
    insert_born(p, n, body, BORN_MS);
}

static void put_raw(struct process *p, uint64_t n, struct slice value, int64_t expires_ms) {
    struct cache_key key = key_number(n);
    store_put(p->store, "cache", slice_make(key.bytes, DIGEST_LEN), value, expires_ms);
}

// -------------------------------------------------------------------- tests

static void test_restart_keeps(void **state) {
    struct process *p = *state;
    insert(p, 1, SLICE("{\"kept\":true}"));
    restart(p);
    assert_false(is_in_memory(p, 1));
    struct cache_entry *e = look_up(p, 1);
    assert_non_null(e);
    const struct cache_answer *a = cache_entry_answer(e);
    assert_slice_equal(a->body, SLICE("{\"kept\":true}"));
    assert_slice_equal(a->model, SLICE("gpt-4o-mini"));
    assert_int_equal(a->expires_ms, DIES_MS);
    assert_int_equal(a->usage.input_tokens, 9);
    assert_true(is_in_memory(p, 1)); // and now it is there at once
    cache_entry_release(e);
    assert_false(is_stored(p, 2));
}

static void test_expired_is_not_there(void **state) {
    struct process *p = *state;
    insert(p, 1, SLICE("{}"));
    restart(p);
    clock_freeze(DIES_MS - 1, 1);
    assert_true(is_stored(p, 1));
    clock_freeze(DIES_MS, 1);
    assert_false(is_stored(p, 1));
    assert_false(is_in_memory(p, 1));
}

static void test_the_entrys_own_expiry_counts(void **state) {
    struct process *p = *state;
    struct cache_key key = key_number(1);
    struct cache_answer a = answer_of(SLICE("{}"));
    struct buffer b = {0};
    entry_encode(&key, &a, &b);
    put_raw(p, 1, buffer_slice(&b), DIES_MS * 2); // the store would give it out
    buffer_free(&b);
    assert_true(is_stored(p, 1));
    clock_freeze(DIES_MS, 1);
    assert_false(is_stored(p, 1));
}

static void test_replacement_reaches_the_store(void **state) {
    struct process *p = *state;
    insert(p, 1, SLICE("old"));
    insert(p, 1, SLICE("new"));
    restart(p);
    struct cache_entry *e = look_up(p, 1);
    assert_slice_equal(cache_entry_answer(e)->body, SLICE("new"));
    cache_entry_release(e);
}

static void test_too_large_drops_the_stored(void **state) {
    struct process *p = *state;
    char *large = base_calloc(1, MEMORY_BYTES);
    insert(p, 1, SLICE("old"));
    insert(p, 1, slice_make(large, MEMORY_BYTES));
    free(large);
    assert_false(is_in_memory(p, 1));
    assert_false(is_stored(p, 1));
}

static void test_remove_and_purge_reach_the_store(void **state) {
    struct process *p = *state;
    for (uint64_t i = 0; i < 10; i++)
        insert(p, i, SLICE("{}"));
    put_raw(p, 3, SLICE("not ours"), 0);
    struct cache_key key = key_number(5);
    cache_remove(p->cache, &key);
    restart(p);
    assert_false(is_stored(p, 5));
    assert_true(is_stored(p, 6));
    cache_purge(p->cache);
    assert_false(is_in_memory(p, 6));
    assert_false(is_stored(p, 6));
    restart(p);
    for (uint64_t i = 0; i < 10; i++)
        assert_false(is_stored(p, i));
}

static void test_damaged_entries_are_not_there(void **state) {
    struct process *p = *state;
    static const char old_version[] =
        "FTHENT01 and more than enough bytes to be an entry of today, which has some two hundred "
        "of them before its strings, so that only the first word tells the difference to one; it "
        "has no checksum that is right either, but nobody should look so far.";
    struct cache_key key = key_number(1);
    struct cache_answer a = answer_of(SLICE("{}"));
    struct buffer b = {0};
    entry_encode(&key, &a, &b);
    put_raw(p, 2, buffer_slice(&b), 0); // whole, but under another key
    b.ptr[b.len / 2] ^= 1;
    put_raw(p, 1, buffer_slice(&b), 0);
    put_raw(p, 3, SLICE_NONE, 0);
    put_raw(p, 4, slice_of(old_version), 0);
    buffer_free(&b);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_false(is_stored(p, i));
        assert_false(is_in_memory(p, i));
    }
    insert(p, 1, SLICE("bought again"));
    restart(p);
    assert_true(is_stored(p, 1));
}

static void test_failing_store_is_harmless(void **state) {
    struct process *p = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/farthing.db", p->directory);
    insert(p, 1, SLICE("{}"));
    store_flush(p->store);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000); // the store's own thread writes too
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE entries RENAME TO away", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_false(is_stored(p, 1));
    insert(p, 2, SLICE("{}")); // cannot be written
    store_flush(p->store);
    struct store_stats stats;
    store_stats_get(p->store, &stats);
    assert_true(stats.failures >= 2);
    assert_true(is_in_memory(p, 1)); // memory goes on
    assert_true(is_in_memory(p, 2));
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE away RENAME TO entries", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_true(is_stored(p, 1)); // and the store comes back
    assert_false(is_stored(p, 2));
}

static void test_cancel(void **state) {
    struct process *p = *state;
    insert(p, 1, SLICE("{}"));
    struct result cancelled[3] = {{0}}, kept = {0};
    cache_lookup_cancel(begin(p, 1, &cancelled[0])); // at once
    struct cache_lookup *late = begin(p, 1, &cancelled[1]);
    struct cache_lookup *last = begin(p, 2, &cancelled[2]);
    begin(p, 1, &kept);
    store_flush(p->store); // the answers wait in the mailbox now
    cache_lookup_cancel(late);
    struct cache_entry *e = await(p, &kept);
    assert_non_null(e);
    cache_entry_release(e);
    if (cancelled[2].calls == 0) // the loop may have run it together with `kept`
        cache_lookup_cancel(last);
    event_base_loop(p->loop, EVLOOP_NONBLOCK);
    assert_int_equal(cancelled[0].calls, 0);
    assert_int_equal(cancelled[1].calls, 0);
}

static void test_refresh_wins_over_a_look_up_on_its_way(void **state) {
    struct process *p = *state;
    insert_born(p, 1, SLICE("old"), BORN_MS);
    restart(p);
    struct result r = {0};
    begin(p, 1, &r);
    store_flush(p->store); // it has read the old one
    insert_born(p, 1, SLICE("new"), BORN_MS + 1);
    struct cache_entry *e = await(p, &r);
    assert_non_null(e);
    cache_entry_release(e);
    struct cache_key key = key_number(1);
    e = cache_peek(p->cache, &key, BORN_MS + 1);
    assert_non_null(e);
    assert_slice_equal(cache_entry_answer(e)->body, SLICE("new"));
    cache_entry_release(e);
}

static void remove_one(struct cache *c) {
    struct cache_key key = key_number(1);
    cache_remove(c, &key);
}

static void test_removal_wins_over_a_look_up_on_its_way(void **state) {
    struct process *p = *state;
    void (*const removals[])(struct cache *) = {remove_one, cache_purge};
    for (size_t i = 0; i < FARTHING_COUNT(removals); i++) {
        insert(p, 1, SLICE("wrong"));
        restart(p);
        struct result r = {0};
        begin(p, 1, &r);
        store_flush(p->store);
        removals[i](p->cache);
        struct cache_entry *e = await(p, &r);
        if (e != NULL)
            cache_entry_release(e);
        assert_false(is_in_memory(p, 1));
        assert_false(is_stored(p, 1));
    }
}

static void test_two_look_ups_one_entry(void **state) {
    struct process *p = *state;
    insert(p, 1, SLICE("{}"));
    restart(p);
    struct result a = {0}, b = {0};
    begin(p, 1, &a);
    begin(p, 1, &b);
    struct cache_entry *first = await(p, &a), *second = await(p, &b);
    assert_non_null(first);
    assert_non_null(second);
    struct cache_stats s;
    cache_stats_get(p->cache, &s);
    assert_int_equal(s.entries, 1);
    cache_entry_release(first);
    assert_slice_equal(cache_entry_answer(second)->body, SLICE("{}"));
    cache_entry_release(second);
}

// Results under idempotency keys: a space of their own over the same store, and
// hardly any memory before it.
static void test_two_caches_over_one_store(void **state) {
    struct process *p = *state;
    struct cache *exact = p->cache;
    struct cache_key key = key_number(1);
    size_t len = MEMORY_BYTES; // over what memory takes at all
    char *large = base_calloc(1, len);
    struct cache_answer a = answer_of(SLICE("{\"error\":{}}"));
    a.status = 400;
    a.request_id = SLICE("01JABCDEFGHJKMNPQRSTVWXYZ0");
    memset(a.fingerprint, 0xab, DIGEST_LEN);
    insert(p, 1, SLICE("{\"by\":\"content\"}"));
    const struct cache_options own = {
        .memory_bytes = 1 << 20, .max_entry_bytes = 64 << 20, .store = p->store, .space = "second"};
    for (unsigned opened = 0; opened < 2; opened++) {
        p->cache = cache_new(&own);
        if (opened == 0) {
            assert_false(is_stored(p, 1));
            cache_insert(p->cache, &key, &a);
            insert(p, 2, slice_make(large, len));
            assert_false(is_in_memory(p, 2));
        }
        struct cache_entry *e = look_up(p, 1), *e2 = look_up(p, 2);
        assert_non_null(e);
        const struct cache_answer *found = cache_entry_answer(e);
        assert_int_equal(found->status, 400);
        assert_slice_equal(found->request_id, a.request_id);
        assert_memory_equal(found->fingerprint, a.fingerprint, DIGEST_LEN);
        assert_slice_equal(found->body, a.body);
        assert_non_null(e2);
        assert_int_equal(cache_entry_answer(e2)->body.len, len);
        cache_entry_release(e);
        cache_entry_release(e2);
        cache_purge(exact); // the other's affair
        cache_free(p->cache);
    }
    p->cache = exact;
    assert_false(is_stored(p, 1));
    free(large);
}

static void test_many(void **state) {
    struct process *p = *state;
    enum { MANY = 3000 };
    struct buffer body = {0};
    for (uint64_t i = 0; i < MANY; i++) { // more than memory holds
        buffer_clear(&body);
        buffer_printf(&body, "%2000llu", (unsigned long long)i);
        insert(p, i, buffer_slice(&body));
    }
    for (uint64_t i = 0; i < MANY; i++) {
        struct cache_entry *e = look_up(p, i);
        assert_non_null(e);
        buffer_clear(&body);
        buffer_printf(&body, "%2000llu", (unsigned long long)i);
        assert_slice_equal(cache_entry_answer(e)->body, buffer_slice(&body));
        cache_entry_release(e);
    }
    struct cache_stats s;
    cache_stats_get(p->cache, &s);
    assert_true(s.bytes <= MEMORY_BYTES);
    assert_true(s.evictions > 0);
    buffer_free(&body);
}

int main(void) {
#define STORED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORED(test_restart_keeps),
        STORED(test_expired_is_not_there),
        STORED(test_the_entrys_own_expiry_counts),
        STORED(test_replacement_reaches_the_store),
        STORED(test_too_large_drops_the_stored),
        STORED(test_remove_and_purge_reach_the_store),
        STORED(test_damaged_entries_are_not_there),
        STORED(test_failing_store_is_harmless),
        STORED(test_cancel),
        STORED(test_refresh_wins_over_a_look_up_on_its_way),
        STORED(test_removal_wins_over_a_look_up_on_its_way),
        STORED(test_two_look_ups_one_entry),
        STORED(test_two_caches_over_one_store),
        STORED(test_many),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
