// After a crash: rows that reached the cost log and not the table of requests.
// The log's end is read once, at start-up, and what the table lacks is put into
// it, so that the two tell the same, and counters that go on from the table have
// seen all.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catch_up.h"
#include "farthing/json.h"

enum {
    TAIL_BYTES = 4 << 20, // many times what a crash can leave between the two
    LOOK_BACK_ROWS = 20000,
};

static bool read_tail(const char *path, struct buffer *out) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    off_t from = regular && st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0;
    ssize_t n = 0;
    if (regular) {
        buffer_reserve(out, TAIL_BYTES);
        n = pread(fd, out->ptr, TAIL_BYTES, from);
        out->len = n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return n > 0;
}

struct known {
    struct table *ids;
    struct arena *arena;
    struct slice since;
    size_t rows;
};

static bool note_known(void *arg, const struct store_row *row, struct error *err) {
    (void)err;
    struct known *k = arg;
    struct slice ts = store_row_text(row, SLICE("ts"));
    table_put(k->ids, store_row_text(row, SLICE("request_id")), k->ids);
    if (k->since.len == 0 || slice_compare(ts, k->since) < 0)
        k->since = arena_copy(k->arena, ts);
    k->rows++;
    return true;
}

// The newest request_ids of the table; none: it is new, and begins empty. *since: the
// oldest `ts` among them, where the table has more rows than are looked at.
static bool read_known(struct store *store, struct table *known, struct arena *arena,
                       struct slice *since) {
    static const char sql[] = "SELECT request_id, ts FROM requests ORDER BY rowid DESC LIMIT ?1";
    char limit[24];
    const struct slice params[] = {slice_make(
        limit, (size_t)snprintf(limit, sizeof limit, "%d", LOOK_BACK_ROWS))};
    struct buffer text = {0};
    struct known k = {.ids = known, .arena = arena};
    struct error ignored; // what cannot be read is not known
    (void)(store_query_now(store, sql, params, 1, &text, &ignored) &&
           store_rows_visit(buffer_slice(&text), note_known, &k, &ignored));
    *since = k.rows < LOOK_BACK_ROWS ? SLICE_NONE : k.since; // none: all of them were seen
    buffer_free(&text);
    return table_count(known) > 0;
}

// What is older than all that was looked at is no crash's: the log of another time, to
// which an operator has gone back.
static bool is_missing(struct slice line, const struct table *known, struct slice since,
                       struct json_doc *doc, struct arena *arena) {
    struct error err;
    if (!json_parse(doc, line, NULL, &err)) // the first is cut by the tail, the last by a crash
        return false;
    struct slice id = json_string(doc, json_get(doc, JSON_ROOT, SLICE("request_id")), arena);
    struct slice ts = json_string(doc, json_get(doc, JSON_ROOT, SLICE("ts")), arena);
    return id.len > 0 && table_get(known, id) == NULL && slice_compare(ts, since) >= 0;
}

int64_t ledger_catch_up(struct store *store, struct store_journal *journal, const char *path) {
    struct buffer tail = {0}, missing = {0};
    struct slice since = SLICE_NONE;
    struct table *known = table_new();
    struct arena *arena = arena_new(1 << 16);
    struct json_doc *doc = json_doc_new();
    int64_t count = 0;
    if (read_tail(path, &tail) && read_known(store, known, arena, &since)) {
        struct slice rest = buffer_slice(&tail), line;
        while (slice_split(&rest, '\n', &line))
            if (is_missing(line, known, since, doc, arena)) {
                buffer_append(&missing, line);
                buffer_append_char(&missing, '\n');
                count++;
            }
    }
    if (count > 0) {
        store_journal_append(journal, buffer_slice(&missing));
        store_journal_flush(journal);
        log_write(LOG_INFO, "%lld rows of the cost log were put into the table of requests",
                  (long long)count);
    }
    json_doc_free(doc);
    arena_free(arena);
    table_free(known);
    buffer_free(&missing);
    buffer_free(&tail);
    return count;
}
