// Keys that an operator has blocked: at once, for all threads, and after the
// end of the process.
#include <pthread.h>
#include <stdatomic.h>

#include "scene.h"
// After cmocka.
#include "blocks_room.h"
#include "../support/directory.h"

enum { MANY = 500, READERS = 3 };

struct scene {
    char directory[64];
    struct store *store;
    struct key_blocks *blocks;
};

static void open_all(struct scene *s) {
    struct error err;
    s->store = store_open(&(struct store_options){s->directory, 1 << 20}, &err);
    if (s->store == NULL)
        fail_msg("%s", err.text);
    s->blocks = key_blocks_open(s->store, &err);
    if (s->blocks == NULL)
        fail_msg("%s", err.text);
}

static void close_all(struct scene *s) {
    key_blocks_close(s->blocks);
    store_close(s->store);
}

static void reopen(struct scene *s) {
    close_all(s);
    open_all(s);
}

static int set_up(void **state) {
    struct scene *s = base_calloc(1, sizeof *s);
    snprintf(s->directory, sizeof s->directory, "/tmp/farthing-blocks-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    clock_freeze(NOON_MS, 1);
    open_all(s);
    *state = s;
    return 0;
}

static int tear_down(void **state) {
    struct scene *s = *state;
    close_all(s);
    directory_remove(s->directory);
    free(s);
    clock_thaw();
    return 0;
}

static const uint8_t *digest_of(const char *key) {
    static _Thread_local uint8_t digest[DIGEST_LEN];
    digest_sha256(slice_of(key), digest);
    return digest;
}

static void set_key(struct key_blocks *b, const char *key, bool blocked) {
    struct error err;
    const struct key_block block = {.digest = digest_of(key),
                                    .tenant = SLICE("acme"),
                                    .blocked = blocked,
                                    .who = SLICE("127.0.0.1"),
                                    .reason = SLICE("leaked")};
    if (!key_blocks_set(b, &block, &err))
        fail_msg("%s", err.text);
}

static void set_tenant(struct key_blocks *b, const char *tenant, bool blocked) {
    struct error err;
    const struct key_block block = {.tenant = slice_of(tenant), .blocked = blocked};
    if (!key_blocks_set(b, &block, &err))
        fail_msg("%s", err.text);
}

static bool is_blocked(const struct key_blocks *b, const char *key, const char *tenant) {
    return key_blocks_check(b, key != NULL ? digest_of(key) : NULL, slice_of(tenant));
}

static void nothing_is_blocked_at_first(void **state) {
    struct scene *s = *state;
    assert_false(is_blocked(s->blocks, "k", "acme"));
    assert_false(is_blocked(s->blocks, NULL, "acme"));
    assert_false(is_blocked(s->blocks, NULL, ""));
    assert_false(is_blocked(NULL, "k", "acme"));
}

static void a_key_is_blocked_and_no_other(void **state) {
    struct scene *s = *state;
    set_key(s->blocks, "k", true);
    assert_true(is_blocked(s->blocks, "k", "acme"));
    assert_true(is_blocked(s->blocks, "k", "umbra")); // wherever the file puts it now
    assert_false(is_blocked(s->blocks, "l", "acme"));
    assert_false(is_blocked(s->blocks, NULL, "acme"));
    set_key(s->blocks, "k", false);
    assert_false(is_blocked(s->blocks, "k", "acme"));
}

static void a_tenant_is_blocked_with_all_its_keys(void **state) {
    struct scene *s = *state;
    set_tenant(s->blocks, "acme", true);
    assert_true(is_blocked(s->blocks, "k", "acme"));
    assert_true(is_blocked(s->blocks, NULL, "acme"));
    assert_false(is_blocked(s->blocks, "k", "umbra"));
    assert_false(is_blocked(s->blocks, "k", "acm"));
    assert_false(is_blocked(s->blocks, "k", "acme2"));
    set_tenant(s->blocks, "acme", false);
    assert_false(is_blocked(s->blocks, "k", "acme"));
}

static void a_key_and_its_tenant_are_apart(void **state) {
    struct scene *s = *state;
    set_key(s->blocks, "k", true);
    set_tenant(s->blocks, "acme", true);
    set_tenant(s->blocks, "acme", false);
    assert_true(is_blocked(s->blocks, "k", "acme"));
    set_tenant(s->blocks, "acme", true);
    set_key(s->blocks, "k", false);
    assert_true(is_blocked(s->blocks, "k", "acme"));
    set_tenant(s->blocks, "acme", false);
    assert_false(is_blocked(s->blocks, "k", "acme"));
}

// The digest's bytes are no tenant's name, and the other way round.
static void a_tenant_named_like_a_digest_is_not_the_key(void **state) {
    struct scene *s = *state;
    uint8_t digest[DIGEST_LEN];
    struct error err;
    memset(digest, 'a', sizeof digest);
    const struct slice name = slice_make(digest, DIGEST_LEN);
    const struct key_block key = {.digest = digest, .tenant = name, .blocked = true};
    assert_true(key_blocks_set(s->blocks, &key, &err));
    assert_false(key_blocks_check(s->blocks, NULL, name));
    assert_true(key_blocks_check(s->blocks, digest, SLICE("x")));
}

static void to_say_it_twice_changes_nothing(void **state) {
    struct scene *s = *state;
    set_key(s->blocks, "l", false); // was never blocked
    set_key(s->blocks, "k", true);
    set_key(s->blocks, "k", true);
    set_key(s->blocks, "k", false);
    assert_false(is_blocked(s->blocks, "k", "acme"));
    set_key(s->blocks, "k", false);
    set_key(s->blocks, "m", true);
    assert_true(is_blocked(s->blocks, "m", "acme"));
    assert_false(is_blocked(s->blocks, "l", "acme"));
}

static void what_cannot_be_kept_is_refused(void **state) {
    struct scene *s = *state;
    struct error err;
    char text[KEY_BLOCK_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    const struct slice fits = slice_make(text, KEY_BLOCK_TEXT_MAX),
                       over = slice_make(text, sizeof text);
    const struct key_block wrong[] = {
        {.blocked = true},
        {.tenant = over, .blocked = true},
        {.tenant = SLICE("a"), .blocked = true, .reason = over},
        {.tenant = SLICE("a"), .blocked = true, .who = over},
    };
    for (size_t i = 0; i < FARTHING_COUNT(wrong); i++) {
        assert_false(key_blocks_set(s->blocks, &wrong[i], &err));
        assert_true(strlen(err.text) > 0);
    }
    assert_false(is_blocked(s->blocks, NULL, "a"));
    assert_true(key_blocks_set(
        s->blocks,
        &(struct key_block){.tenant = fits, .blocked = true, .reason = fits, .who = fits}, &err));
    assert_true(key_blocks_check(s->blocks, NULL, fits));
}

static void blocks_survive_a_restart(void **state) {
    struct scene *s = *state;
    set_key(s->blocks, "stays", true);
    set_key(s->blocks, "again", true);
    set_key(s->blocks, "again", false);
    set_key(s->blocks, "again", true);
    set_key(s->blocks, "goes", true);
    set_key(s->blocks, "goes", false);
    set_tenant(s->blocks, "umbra", true);
    set_tenant(s->blocks, "brief", true);
    set_tenant(s->blocks, "brief", false);
    for (int i = 0; i < 3; i++) {
        reopen(s);
        assert_true(is_blocked(s->blocks, "stays", "acme"));
        assert_true(is_blocked(s->blocks, "again", "acme"));
        assert_false(is_blocked(s->blocks, "goes", "acme"));
        assert_true(is_blocked(s->blocks, "any", "umbra"));
        assert_false(is_blocked(s->blocks, "any", "brief"));
    }
    set_key(s->blocks, "stays", false);
    reopen(s);
    assert_false(is_blocked(s->blocks, "stays", "acme"));
}

static void append_raw(struct scene *s, struct slice line) {
    static const struct store_column columns[] = {{"digest", "TEXT", false},
                                                  {"blocked", "INTEGER", false}};
    struct error err;
    struct store_journal *j =
        store_journal_open(s->store, "key_blocks", columns, FARTHING_COUNT(columns), &err);
    assert_non_null(j);
    store_journal_append(j, line);
    store_journal_flush(j);
}

// A row that cannot be read may be the one that matters: better not to start.
static void a_row_that_cannot_be_read_is_an_error(void **state) {
    struct scene *s = *state;
    struct error err;
    append_raw(s, SLICE("{\"digest\":\"12ab\",\"blocked\":1}\n"));
    key_blocks_close(s->blocks);
    s->blocks = key_blocks_open(s->store, &err);
    assert_null(s->blocks);
    assert_non_null(strstr(err.text, "12ab"));
}

static void without_a_store_it_is_in_memory(void **state) {
    (void)state;
    struct error err;
    struct key_blocks *b = key_blocks_open(NULL, &err);
    set_key(b, "k", true);
    assert_true(is_blocked(b, "k", "acme"));
    key_blocks_close(b);
    key_blocks_close(NULL);
}

// ---------------------------------------------------------------------- shown

struct seen {
    size_t count;
    struct key_block blocks[8];
};

static void on_block(void *arg, const struct key_block *block) {
    struct seen *seen = arg;
    if (seen->count < FARTHING_COUNT(seen->blocks))
        seen->blocks[seen->count] = *block;
    seen->count++;
}

static void expect_seen(struct scene *s, int64_t at_ms) {
    struct seen seen = {0};
    key_blocks_visit(s->blocks, on_block, &seen);
    assert_int_equal(seen.count, 2);
    const struct key_block *key = &seen.blocks[0], *tenant = &seen.blocks[1];
    assert_non_null(key->digest);
    assert_memory_equal(key->digest, digest_of("k"), DIGEST_LEN);
    assert_true(key->blocked && slice_equal(key->tenant, SLICE("acme")));
    assert_true(slice_equal(key->who, SLICE("127.0.0.1")));
    assert_true(slice_equal(key->reason, SLICE("leaked")));
    assert_int_equal(key->at_ms, at_ms);
    assert_null(tenant->digest);
    assert_true(tenant->blocked && slice_equal(tenant->tenant, SLICE("umbra")));
    assert_int_equal(tenant->reason.len, 0);
}

static void who_did_it_when_and_why_is_shown(void **state) {
    struct scene *s = *state;
    set_key(s->blocks, "k", true);
    set_tenant(s->blocks, "umbra", true);
    expect_seen(s, NOON_MS);
    clock_freeze(NOON_MS + HOUR_MS, 2);
    reopen(s);
    expect_seen(s, NOON_MS);
}

// ------------------------------------------------------------------- many, at once

static const char *numbered(unsigned i) {
    static _Thread_local char key[32];
    snprintf(key, sizeof key, "sk-%u", i);
    return key;
}

static void many_are_told_apart(void **state) {
    struct scene *s = *state;
    for (unsigned i = 0; i < MANY; i += 2)
        set_key(s->blocks, numbered(i), true);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++)
            assert_int_equal(is_blocked(s->blocks, numbered(i), "acme"), i % 2 == 0);
        reopen(s);
    }
}

// Of others' orders only a block is missed that has no place.
static void too_many_are_refused(void **state) {
    (void)state;
    struct error err;
    struct key_blocks *b = key_blocks_open(NULL, &err);
    for (unsigned i = 0; i < KEY_BLOCKS_MAX; i++)
        set_key(b, numbered(i), true);
    struct key_block other = {.tenant = SLICE("acme"), .blocked = true, .at_ms = 1};
    assert_false(key_blocks_set(b, &other, &err));
    assert_false(blocks_learn(b, &other));
    other.blocked = false;
    assert_true(blocks_learn(b, &other));
    set_key(b, numbered(7), false); // what is known can be changed
    assert_false(is_blocked(b, numbered(7), "acme"));
    assert_true(is_blocked(b, numbered(8), "acme"));
    key_blocks_close(b);
}

struct race {
    struct key_blocks *blocks;
    atomic_uint done; // keys below are blocked, and stay so
    atomic_bool wrong, over;
};

// What was blocked before the question is blocked, whatever is being changed.
static void *read_on(void *arg) {
    struct race *r = arg;
    while (!atomic_load(&r->over)) {
        unsigned done = atomic_load(&r->done);
        if (done > 0 && !is_blocked(r->blocks, numbered((unsigned)random_below(done)), "acme"))
            atomic_store(&r->wrong, true);
        if (is_blocked(r->blocks, "never", "acme"))
            atomic_store(&r->wrong, true);
    }
    return NULL;
}

static void blocks_hold_at_once_on_all_threads(void **state) {
    struct scene *s = *state;
    struct race race = {.blocks = s->blocks};
    pthread_t readers[READERS];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &race), 0);
    for (unsigned i = 0; i < MANY; i++) {
        set_key(s->blocks, numbered(i), true);
        atomic_store(&race.done, i + 1);
        set_tenant(s->blocks, "flickers", i % 2 == 0);
    }
    atomic_store(&race.over, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_false(atomic_load(&race.wrong));
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(nothing_is_blocked_at_first),
        SCENE(a_key_is_blocked_and_no_other),
        SCENE(a_tenant_is_blocked_with_all_its_keys),
        SCENE(a_key_and_its_tenant_are_apart),
        SCENE(a_tenant_named_like_a_digest_is_not_the_key),
        SCENE(to_say_it_twice_changes_nothing),
        SCENE(what_cannot_be_kept_is_refused),
        SCENE(blocks_survive_a_restart),
        SCENE(a_row_that_cannot_be_read_is_an_error),
        cmocka_unit_test(without_a_store_it_is_in_memory),
        SCENE(who_did_it_when_and_why_is_shown),
        SCENE(many_are_told_apart),
        cmocka_unit_test(too_many_are_refused),
        SCENE(blocks_hold_at_once_on_all_threads),
    };
    return cmocka_run_group_tests_name("tenant/blocks", tests, NULL, NULL);
}
