// Purges by tags: what they are for, what they leave alone, and what of them a
// restart keeps.
#include "support.h"

#include <sqlite3.h>
#include <stdio.h>

#include "../support/directory.h"
#include "purges.h"

enum { MEMORY = 64 << 20, STORE_BYTES = 64 << 20, WALL_MS = 5000 };

static const char *const values[CACHE_TAG_KEY] = {"acme", "chat", "p7", "c9", "support"};

// The n-th, of those values; others[kind] instead where it is given.
static struct cache_answer tagged(struct cache *c, const char *const others[CACHE_TAG_KEY]) {
    struct cache_answer a = answer_of(SLICE("{}"));
    a.birth = cache_birth_now(c);
    for (unsigned kind = 0; kind < CACHE_TAG_KEY; kind++) {
        const char *value =
            others != NULL && others[kind] != NULL ? others[kind] : values[kind];
        a.tags[kind] = cache_tag_of((enum cache_tag)kind, slice_of(value));
    }
    return a;
}

static void insert(struct cache *c, uint64_t n, const struct cache_answer *a) {
    struct cache_key key = key_number(n);
    cache_insert(c, &key, a);
}

static bool has(struct cache *c, uint64_t n) {
    struct cache_key key = key_number(n);
    struct cache_entry *e = cache_peek(c, &key, BORN_MS);
    if (e != NULL)
        cache_entry_release(e);
    return e != NULL;
}

static void purge(struct cache *c, enum cache_tag kind, const char *value) {
    struct cache_purge_tags tags = {{0}};
    tags.of[kind] = cache_tag_of(kind, slice_of(value));
    cache_purge_by(c, &tags);
}

static struct cache_key purge_key(struct cache *c, uint64_t n) {
    struct cache_purge_tags tags = {{0}};
    struct cache_key key = key_number(n);
    tags.of[CACHE_TAG_KEY] = cache_tag_of(CACHE_TAG_KEY, slice_make(key.bytes, DIGEST_LEN));
    cache_purge_by(c, &tags);
    return key;
}

static struct cache *memory_only(void) {
    return cache_new(&(struct cache_options){.memory_bytes = MEMORY, .has_purges = true});
}

static int64_t marks_of(struct cache *c) {
    struct cache_purges_view view;
    cache_purges_get(c, &view);
    return view.marks;
}

static void test_each_kind_by_itself(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < CACHE_TAG_KEY; kind++) {
        struct cache *c = memory_only();
        const char *others[CACHE_TAG_KEY] = {0}, *none[CACHE_TAG_KEY] = {0};
        others[kind] = "another";
        none[kind] = "";
        struct cache_answer with = tagged(c, NULL), other = tagged(c, others),
                            without = tagged(c, none);
        insert(c, 1, &with);
        insert(c, 2, &other);
        insert(c, 3, &without);
        assert_int_equal(without.tags[kind], 0);
        purge(c, (enum cache_tag)kind, values[kind]);
        assert_false(has(c, 1));
        assert_true(has(c, 2));
        assert_true(has(c, 3));
        struct cache_stats s;
        cache_stats_get(c, &s);
        assert_int_equal(s.purged, 1);
        assert_int_equal(s.entries, 2); // it is dropped where it is met
        cache_free(c);
    }
}

static void test_names_of_one_kind_are_no_others(void **state) {
    (void)state;
    struct cache *c = memory_only();
    struct cache_answer a = tagged(c, NULL);
    insert(c, 1, &a);
    for (unsigned kind = 0; kind < CACHE_TAG_KEY; kind++)
        for (unsigned other = 0; other < CACHE_TAG_KEY; other++)
            if (other != kind) // a tenant "chat" is no feature "chat"
                purge(c, (enum cache_tag)other, values[kind]);
    assert_true(has(c, 1));
    cache_free(c);
}

static void test_several_must_all_fit(void **state) {
    (void)state;
    struct cache *c = memory_only();
    const char *elsewhere[CACHE_TAG_KEY] = {[CACHE_TAG_FEATURE] = "search"};
    const char *newer[CACHE_TAG_KEY] = {[CACHE_TAG_CORPUS_VERSION] = "c10"};
    struct cache_answer both = tagged(c, NULL), one = tagged(c, elsewhere),
                        other = tagged(c, newer);
    insert(c, 1, &both);
    insert(c, 2, &one);
    insert(c, 3, &other);
    struct cache_purge_tags tags = {
        {[CACHE_TAG_FEATURE] = both.tags[CACHE_TAG_FEATURE],
         [CACHE_TAG_CORPUS_VERSION] = both.tags[CACHE_TAG_CORPUS_VERSION]}};
    cache_purge_by(c, &tags);
    assert_false(has(c, 1));
    assert_true(has(c, 2));
    assert_true(has(c, 3));
    cache_free(c);
}

static void test_one_key(void **state) {
    (void)state;
    struct cache *c = memory_only();
    struct cache_answer a = tagged(c, NULL);
    for (uint64_t i = 0; i < 3; i++)
        insert(c, i, &a);
    purge_key(c, 1);
    assert_true(has(c, 0));
    assert_false(has(c, 1));
    assert_true(has(c, 2));
    insert(c, 1, &a); // was asked for before
    assert_false(has(c, 1));
    a = tagged(c, NULL);
    insert(c, 1, &a);
    assert_true(has(c, 1));
    cache_free(c);
}

static void test_what_was_being_bought_is_purged(void **state) {
    (void)state;
    struct cache *c = memory_only();
    struct cache_answer before = tagged(c, NULL);
    purge(c, CACHE_TAG_CORPUS_VERSION, "c9");
    struct cache_answer after = tagged(c, NULL);
    insert(c, 1, &before);
    assert_false(has(c, 1));
    insert(c, 1, &after);
    assert_true(has(c, 1));
    insert(c, 1, &before); // a slow one: what stands there is newer
    assert_true(has(c, 1));
    purge(c, CACHE_TAG_CORPUS_VERSION, "c9"); // once more
    assert_false(has(c, 1));
    insert(c, 1, &after);
    assert_false(has(c, 1));
    cache_free(c);
}

static void test_of_others_only_the_mark_is_seen(void **state) {
    (void)state;
    struct cache *c = memory_only();
    struct cache_answer a = tagged(c, NULL);
    insert(c, 1, &a);
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%u", i);
        purge(c, CACHE_TAG_FEATURE, name);
        assert_true(has(c, 1));
    }
    purge(c, CACHE_TAG_FEATURE, "chat");
    assert_false(has(c, 1));
    assert_int_equal(marks_of(c), 101);
    purge(c, CACHE_TAG_FEATURE, "chat");
    assert_int_equal(marks_of(c), 101);
    cache_free(c);
}

static void test_all_of_it(void **state) {
    (void)state;
    struct cache *c = memory_only();
    static const char *const none[CACHE_TAG_KEY] = {"", "", "", "", ""};
    struct cache_answer a = tagged(c, none);
    insert(c, 1, &a);
    purge(c, CACHE_TAG_TENANT, "acme");
    assert_true(has(c, 1));
    cache_purge_by(c, &(struct cache_purge_tags){{0}});
    assert_false(has(c, 1));
    assert_int_equal(marks_of(c), 1); // says what the tenant's said
    insert(c, 1, &a);
    assert_false(has(c, 1));
    a = tagged(c, none);
    insert(c, 1, &a);
    assert_true(has(c, 1));
    cache_purge(c); // the same
    assert_false(has(c, 1));
    cache_free(c);
}

static void test_too_many_marks_become_one(void **state) {
    (void)state;
    struct cache *c = memory_only();
    struct cache_answer first = tagged(c, NULL), late;
    insert(c, 1, &first);
    for (unsigned i = 0; i <= PURGES_MARKS_MAX; i++) {
        char name[16];
        if (i == PURGES_MARKS_MAX)
            assert_true(has(c, 1));
        if (i == PURGES_MARKS_MAX - 1)
            late = tagged(c, NULL);
        snprintf(name, sizeof name, "f%u", i);
        purge(c, CACHE_TAG_FEATURE, name);
    }
    assert_int_equal(marks_of(c), PURGES_MARKS_MAX - PURGES_FOLDED + 1);
    assert_false(has(c, 1)); // it cannot be told any more what was for it
    insert(c, 2, &late);
    assert_true(has(c, 2));
    const char *others[CACHE_TAG_KEY] = {[CACHE_TAG_FEATURE] = "f8191"};
    late.tags[CACHE_TAG_FEATURE] = tagged(c, others).tags[CACHE_TAG_FEATURE];
    insert(c, 3, &late);
    assert_false(has(c, 3)); // the newest are still there
    cache_free(c);
}

static void test_without_purges_there_are_none(void **state) {
    (void)state;
    struct cache *c = cache_new(&(struct cache_options){.memory_bytes = MEMORY});
    struct cache_answer a = tagged(c, NULL);
    insert(c, 1, &a);
    purge(c, CACHE_TAG_TENANT, "acme");
    assert_true(has(c, 1));
    assert_int_equal(marks_of(c), 0);
    cache_purge(c);
    insert(c, 1, &a); // born before and after are the same to it
    assert_true(has(c, 1));
    cache_free(c);
}

// -------------------------------------------------------------------- restarts

struct process {
    char directory[64];
    struct store *store;
    struct cache *cache;
};

static void start(struct process *p) {
    struct error err;
    p->store = store_open(&(struct store_options){p->directory, STORE_BYTES}, &err);
    if (p->store == NULL)
        fail_msg("%s", err.text);
    p->cache = cache_new(&(struct cache_options){
        .memory_bytes = MEMORY, .store = p->store, .has_purges = true});
}

static void stop(struct process *p) {
    cache_free(p->cache);
    store_close(p->store);
}

static int set_up(void **state) {
    struct process *p = base_calloc(1, sizeof *p);
    strcpy(p->directory, "purges-test-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    clock_freeze(WALL_MS, 1);
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

static void test_a_restart_keeps_them(void **state) {
    struct process *p = *state;
    struct cache_answer before = tagged(p->cache, NULL);
    purge(p->cache, CACHE_TAG_ROUTE, "support");
    purge_key(p->cache, 7);
    struct cache_answer after = tagged(p->cache, NULL);
    stop(p);
    clock_freeze(WALL_MS - 3000, 1); // clocks do not matter
    start(p);
    assert_int_equal(marks_of(p->cache), 2);
    struct cache_birth now = cache_birth_now(p->cache);
    assert_int_equal(now.born, after.birth.born);
    insert(p->cache, 1, &before);
    insert(p->cache, 2, &after);
    assert_false(has(p->cache, 1));
    assert_true(has(p->cache, 2));
    purge(p->cache, CACHE_TAG_ROUTE, "support");
    assert_true(cache_birth_now(p->cache).born > now.born);
    assert_false(has(p->cache, 2));
    insert(p->cache, 2, &after);
    assert_false(has(p->cache, 2));
}

static void test_all_of_it_reaches_the_disk(void **state) {
    struct process *p = *state;
    struct cache_answer a = tagged(p->cache, NULL);
    purge(p->cache, CACHE_TAG_TENANT, "acme");
    cache_purge(p->cache);
    stop(p);
    start(p);
    assert_int_equal(marks_of(p->cache), 1);
    insert(p->cache, 1, &a);
    assert_false(has(p->cache, 1));
}

static void test_rows_of_others_are_passed_over(void **state) {
    struct process *p = *state;
    char path[128];
    purge(p->cache, CACHE_TAG_TENANT, "acme");
    stop(p);
    snprintf(path, sizeof path, "%s/farthing.db", p->directory);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "INSERT INTO cache_purges (number, mark) VALUES"
                                  " (9000000000000, ''), (9000000000000, 'xx0000000000000000'),"
                                  " (9000000000000, 'ff0000000000000000'), (-1, "
                                  "'000000000000000000'), (9000000000000, NULL),"
                                  " (9000000000000, '0000000000000000001')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    start(p);
    assert_int_equal(marks_of(p->cache), 1);
    assert_true(cache_birth_now(p->cache).born < 9000000000000);
}

int main(void) {
#define KEPT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_by_itself),
        cmocka_unit_test(test_names_of_one_kind_are_no_others),
        cmocka_unit_test(test_several_must_all_fit),
        cmocka_unit_test(test_one_key),
        cmocka_unit_test(test_what_was_being_bought_is_purged),
        cmocka_unit_test(test_of_others_only_the_mark_is_seen),
        cmocka_unit_test(test_all_of_it),
        cmocka_unit_test(test_too_many_marks_become_one),
        cmocka_unit_test(test_without_purges_there_are_none),
        KEPT(test_a_restart_keeps_them),
        KEPT(test_all_of_it_reaches_the_disk),
        KEPT(test_rows_of_others_are_passed_over),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
