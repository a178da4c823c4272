// A directory of one's own with a cost log in it, and rows that say which they
// are: what the tests of the writer begin with.
#ifndef FARTHING_TEST_LEDGER_SCENE_H
#define FARTHING_TEST_LEDGER_SCENE_H

#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct scene {
    char directory[64];
    char log[128]; // the path of the cost log
    struct ledger *ledger;
};

static inline void scene_remove_files(const struct scene *s) {
    static const char *const names[] = {"cost.jsonl", "cost.jsonl.1", "farthing.db",
                                        "farthing.db-wal", "farthing.db-shm"};
    char path[160];
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", s->directory, names[i]);
        unlink(path);
    }
}

static inline void scene_open(struct scene *s, const char *log, size_t queue_bytes) {
    struct error err;
    s->ledger = ledger_open(&(struct ledger_options){log, NULL, queue_bytes}, &err);
    if (s->ledger == NULL)
        fail_msg("%s", err.text);
}

static inline int scene_set_up(void **state) {
    struct scene *s = base_calloc(1, sizeof *s);
    strcpy(s->directory, "ledger-test-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->log, sizeof s->log, "%s/cost.jsonl", s->directory);
    *state = s;
    return 0;
}

static inline int scene_tear_down(void **state) {
    struct scene *s = *state;
    ledger_close(s->ledger);
    scene_remove_files(s);
    rmdir(s->directory);
    free(s);
    return 0;
}

static inline void scene_record(struct scene *s, unsigned number) {
    char id[16];
    int n = snprintf(id, sizeof id, "row-%06u", number);
    struct cost_row row = {.request_id = slice_make(id, (size_t)n), .cost_known = true};
    ledger_record(s->ledger, &row);
}

static inline void scene_record_many(struct scene *s, unsigned from, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        scene_record(s, from + i);
}

// How often each of the rows 0..count-1 stands whole in the file; other lines
// that are JSON fail the test, lines that are not are counted in *torn.
static inline void scene_count_rows(const char *path, unsigned char *seen, unsigned count,
                                    unsigned *torn) {
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    struct json_doc *doc = json_doc_new();
    while ((n = getline(&line, &room, f)) > 0) {
        struct error err;
        unsigned number;
        bool whole = line[n - 1] == '\n' &&
                     json_parse(doc, slice_make(line, (size_t)n - 1), NULL, &err);
        struct slice id = whole ? json_raw(doc, json_get(doc, JSON_ROOT, SLICE("request_id")))
                                : SLICE_NONE;
        if (!whole) {
            (*torn)++;
        } else {
            assert_int_equal(sscanf(id.ptr, "\"row-%u\"", &number), 1);
            assert_true(number < count);
            seen[number]++;
        }
    }
    json_doc_free(doc);
    free(line);
    fclose(f);
}

static inline void assert_each_once(const unsigned char *seen, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (seen[i] != 1)
            fail_msg("row %u stands %u times", i, seen[i]);
}

static inline struct ledger_stats scene_stats(const struct scene *s) {
    struct ledger_stats stats;
    ledger_stats_get(s->ledger, &stats);
    return stats;
}

#endif
