// One process with its loop, its store and its client, in a directory of its
// own: what the tests of the store begin with.
#ifndef FARTHING_TEST_STORE_SCENE_H
#define FARTHING_TEST_STORE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After the four above.
#include <cmocka.h>

#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/directory.h"
#include "redis_cluster.h"
#include "store.h"

enum { SCENE_MAX_BYTES = 1 << 20, SCENE_WALL_MS = 1000000 };

struct scene {
    char directory[64];
    char file[128]; // the database
    int64_t max_bytes;
    bool is_redis; // that is what the tests run over
    struct redis_server server;
    struct store_redis_options redis;
    struct event_base *loop;
    struct store *store;
    struct store_client *client;
};

// What an operation answered.
struct answer {
    unsigned calls;
    enum store_status status;
    struct buffer value;
    int64_t expires_ms;
};

static inline void on_answer(void *arg, enum store_status status, struct slice value,
                             int64_t expires_ms) {
    struct answer *a = arg;
    a->calls++;
    a->status = status;
    a->expires_ms = expires_ms;
    buffer_clear(&a->value);
    buffer_append(&a->value, value);
}

// The same tests run over each kind; meson.build says which.
static inline bool scene_is(const char *kind) {
    const char *wanted = getenv("FARTHING_TEST_STORE");
    return wanted != NULL && strcmp(wanted, kind) == 0;
}

static inline bool scene_is_redis(void) {
    return scene_is("redis") || scene_is("cluster");
}

static inline void scene_open(struct scene *s) {
    struct error err;
    s->store = store_open_redis(&(struct store_options){s->directory, s->max_bytes},
                                s->is_redis ? &s->redis : NULL, &err);
    if (s->store == NULL)
        fail_msg("%s", err.text);
    s->client = store_client_new(s->store, s->loop);
}

static inline void scene_close(struct scene *s) {
    store_client_free(s->client);
    store_close(s->store);
    s->client = NULL;
    s->store = NULL;
}

static inline void scene_reopen(struct scene *s) {
    scene_close(s);
    scene_open(s);
}

// Files of the directory whose names hold `word`.
static inline unsigned scene_count_files(const struct scene *s, const char *word) {
    unsigned count = 0;
    DIR *d = opendir(s->directory);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && strstr(e->d_name, word) != NULL)
            count++;
    closedir(d);
    return count;
}

// With times that a machine under load keeps, too.
static inline void scene_start_redis(struct scene *s) {
    snprintf(s->server.socket_path, sizeof s->server.socket_path, "%s/redis", s->directory);
    redis_server_start(&s->server);
    s->redis = (struct store_redis_options){.socket_path = s->server.socket_path,
                                            .connect_timeout_ms = 20000,
                                            .command_timeout_ms = 20000,
                                            .max_value_bytes = 4 << 20};
}

static struct {
    struct redis_cluster cluster;
    char directory[64];
} scene_shared;

static inline void scene_end_cluster(void) {
    cluster_stop(&scene_shared.cluster);
    directory_remove(scene_shared.directory);
}

// One for all tests of a program, for it takes two seconds; each finds it empty.
static inline void scene_start_cluster(struct scene *s) {
    if (scene_shared.directory[0] == '\0') {
        strcpy(scene_shared.directory, "cluster-test-XXXXXX");
        assert_non_null(mkdtemp(scene_shared.directory));
        cluster_start(&scene_shared.cluster, scene_shared.directory);
        atexit(scene_end_cluster);
    }
    for (unsigned n = 0; n < CLUSTER_MASTERS; n++)
        redis_server_order(&scene_shared.cluster.nodes[n].server, "FLUSHALL");
    s->redis = cluster_options(&scene_shared.cluster);
    s->redis.max_value_bytes = 4 << 20;
}

// Without the store, for tests that open it themselves.
static inline int scene_set_up_closed(void **state) {
    struct scene *s = base_calloc(1, sizeof *s);
    strcpy(s->directory, "store-test-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->file, sizeof s->file, "%s/farthing.db", s->directory);
    s->max_bytes = SCENE_MAX_BYTES;
    s->loop = event_base_new();
    s->is_redis = scene_is_redis();
    if (scene_is("redis"))
        scene_start_redis(s);
    if (scene_is("cluster"))
        scene_start_cluster(s);
    clock_freeze(SCENE_WALL_MS, 1000000000u);
    *state = s;
    return 0;
}

static inline int scene_set_up(void **state) {
    scene_set_up_closed(state);
    scene_open(*state);
    return 0;
}

static inline int scene_tear_down(void **state) {
    struct scene *s = *state;
    scene_close(s);
    event_base_free(s->loop);
    clock_thaw();
    log_set_level(LOG_INFO);
    redis_server_stop(&s->server);
    directory_remove(s->directory);
    free(s);
    return 0;
}

static inline void scene_await(struct scene *s, struct answer *a) {
    while (a->calls == 0)
        event_base_loop(s->loop, EVLOOP_ONCE);
    assert_int_equal(a->calls, 1);
}

static inline enum store_status scene_get(struct scene *s, const char *space, struct slice key,
                                          struct buffer *value, int64_t *expires_ms) {
    struct answer a = {0};
    assert_non_null(store_get(s->client, space, key, on_answer, &a));
    assert_int_equal(a.calls, 0); // never before it has returned
    scene_await(s, &a);
    if (value != NULL) {
        buffer_clear(value);
        buffer_append(value, buffer_slice(&a.value));
    }
    if (expires_ms != NULL)
        *expires_ms = a.expires_ms;
    buffer_free(&a.value);
    return a.status;
}

static inline bool scene_has(struct scene *s, const char *space, struct slice key) {
    return scene_get(s, space, key, NULL, NULL) == STORE_OK;
}

static inline void assert_value(struct scene *s, const char *space, struct slice key,
                                struct slice expected) {
    struct buffer value = {0};
    assert_int_equal(scene_get(s, space, key, &value, NULL), STORE_OK);
    assert_true(slice_equal(buffer_slice(&value), expected));
    buffer_free(&value);
}

// One query's JSON, or NULL with the answer STORE_FAILED. The caller frees.
static inline char *scene_query(struct scene *s, const char *sql, const struct slice *params,
                                size_t count) {
    struct answer a = {0};
    assert_non_null(store_query(s->client, sql, params, count, on_answer, &a));
    scene_await(s, &a);
    char *text = a.status == STORE_OK ? slice_dup(buffer_slice(&a.value)) : NULL;
    buffer_free(&a.value);
    return text;
}

static inline void assert_query(struct scene *s, const char *sql, const char *expected) {
    char *text = scene_query(s, sql, NULL, 0);
    if (text == NULL)
        fail_msg("%s failed", sql);
    assert_string_equal(text, expected);
    free(text);
}

static inline struct store_stats scene_stats(struct scene *s) {
    struct store_stats stats;
    store_flush(s->store);
    store_stats_get(s->store, &stats);
    return stats;
}

// What is held in the embedded store; of Redis's there are no such figures.
static inline void assert_held(struct scene *s, int64_t entries, int64_t bytes) {
    struct store_stats stats = scene_stats(s);
    assert_int_equal(stats.entries, scene_is_redis() ? 0 : entries);
    assert_int_equal(stats.bytes, scene_is_redis() ? 0 : bytes);
}

static inline void assert_entries(struct scene *s, int64_t entries) {
    assert_int_equal(scene_stats(s).entries, scene_is_redis() ? 0 : entries);
}

static const struct store_column scene_columns[] = {
    {"id", "INTEGER", true}, {"name", "TEXT", false}, {"cost", "TEXT", false}};

static inline struct store_journal *scene_journal(struct scene *s) {
    struct error err;
    struct store_journal *j =
        store_journal_open(s->store, "rows", scene_columns, FARTHING_COUNT(scene_columns), &err);
    if (j == NULL)
        fail_msg("%s", err.text);
    return j;
}

static inline void scene_append(struct store_journal *j, unsigned from, unsigned count) {
    struct buffer lines = {0};
    for (unsigned i = from; i < from + count; i++)
        buffer_printf(&lines, "{\"id\":%u,\"name\":\"n%u\"}\n", i, i);
    store_journal_append(j, buffer_slice(&lines));
    buffer_free(&lines);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_set_up, scene_tear_down)
#define SCENE_CLOSED(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, scene_set_up_closed, scene_tear_down)

#endif
