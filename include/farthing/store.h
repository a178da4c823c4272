// store: one asynchronous key-value interface with expiry, and append-only
// journals. Behind it: SQLite in WAL mode on a thread of its own; or, for the
// key-value spaces, a Redis that several instances share (docs/redis.md).
// Nothing here blocks a loop.
#ifndef FARTHING_STORE_H
#define FARTHING_STORE_H

#include "farthing/json.h"

struct event_base;
struct store;        // the process's store: made once, shared by all threads
struct store_client; // one loop's access to it
struct store_op;     // one pending operation

// A Redis, 6.2 or later, alone (no Cluster). NULL texts are unset.
struct store_redis_options {
    const char *host; // or
    const char *socket_path;
    unsigned port, database;
    const char *user, *password;
    bool tls, tls_verify;
    const char *ca_file, *certificate, *key;
    int64_t connect_timeout_ms;
    int64_t command_timeout_ms; // a read that takes longer has failed
    int64_t max_value_bytes;    // a larger value is not kept; below 4 GiB
};

struct store_options {
    const char *path; // directory; made if absent (mode 0700)
    // Bound on the bytes of values kept in each space that has no bound of its
    // own. A space over its bound loses its oldest-written values, and no other
    // space does.
    int64_t max_bytes;
};

// Can it be opened so? Reads the files that the options name, and no more.
bool store_check_redis(const struct store_redis_options *redis,
                       struct error *err) FARTHING_MUST_CHECK;

// Opens (or makes) path/farthing.db and starts its thread. A damaged file is
// reported in the log, moved aside to farthing.db.damaged-TIME and replaced by
// an empty one; that is not an error. NULL when the directory cannot be used.
struct store *store_open(const struct store_options *options, struct error *err);
// The same, with the spaces in Redis (NULL: as store_open). One that cannot be
// reached is no error: its connect_timeout is waited at most, and it is tried
// again for ever; until then reads fail and writes are dropped.
struct store *store_open_redis(const struct store_options *options,
                               const struct store_redis_options *redis, struct error *err);
// Waits for what was queued to be on disk, then stops. All clients closed first.
void store_close(struct store *s);

struct store_client *store_client_new(struct store *s, struct event_base *loop);
// Cancels what is pending (no callbacks afterwards).
void store_client_free(struct store_client *c);

enum store_status { STORE_OK, STORE_MISSING, STORE_FAILED };

// `value` is valid during the call. Runs on the client's loop, never before
// the starting function has returned.
typedef void store_done(void *arg, enum store_status status, struct slice value, int64_t expires_ms);

// Keys are bytes within a space (a short constant name, "cache"). Bytes given
// are copied. A NULL return of store_get means that the store is overloaded,
// away or closed: treat it as STORE_FAILED; no callback comes. What a thread
// wrote or deleted before, its reads see.
struct store_op *store_get(struct store_client *c, const char *space, struct slice key,
                           store_done *done, void *arg);
void store_cancel(struct store_op *op); // on the client's loop; its callback never comes

// Fire and forget; dropped (counted in farthing_store_dropped_total) when the
// queue is full. expires_ms: Unix ms, 0 for never.
void store_put(struct store *s, const char *space, struct slice key, struct slice value,
               int64_t expires_ms); // any thread
void store_delete(struct store *s, const char *space, struct slice key); // any thread
// Empties the space; with a Redis, other instances see it within a second.
void store_delete_space(struct store *s, const char *space); // any thread
// `emptied` is called, on a thread of the store's own, whenever the space was
// emptied by somebody else: another instance, or whoever looks after the shared
// store. Never with the embedded store. It must not call the store.
typedef void store_emptied(void *arg);
void store_watch(struct store *s, const char *space, store_emptied *emptied, void *arg);
void store_unwatch(struct store *s, void *arg); // all of this arg's; none is under way afterwards
// From its next put on the space has a bound of its own, until the process
// ends; 0: max_bytes again. When its values then go before they expire, the log
// says so (once a minute). All such, of any space, are counted in
// farthing_store_evicted_total{space}.
void store_bound_space(struct store *s, const char *space, int64_t max_bytes); // any thread

// ------------------------------------------------------------- journals

// An append-only table, written as JSON lines: each member that has a column of
// its name goes there, in SQL's own types (booleans 0 and 1; arrays and objects
// stay JSON text).
struct store_column {
    const char *name;      // also the member of the JSON object
    const char *type;      // SQLite type: "TEXT", "INTEGER", "REAL"
    bool indexed;
};
struct store_journal;

// Makes or extends (adds missing columns to) the table. Blocks; at start-up.
struct store_journal *store_journal_open(struct store *s, const char *table,
                                         const struct store_column *columns, size_t count,
                                         struct error *err);
// Appends several lines (each ending in '\n') in one transaction, soon. Takes
// a copy. Any thread. Never blocks: over the queue's bound the lines are
// dropped and counted (farthing_store_dropped_total). Lines that the disk does
// not take now are tried again; the table keeps its newest rows (see
// JOURNAL_ROWS_MAX in src/store/store.h).
void store_journal_append(struct store_journal *j, struct slice lines);
void store_journal_flush(struct store_journal *j); // as store_flush of its store
// Waits until everything queued before is committed, or answered by the shared
// store (which may take some seconds to be found dead). Not on a loop.
void store_flush(struct store *s);

// Rows of one read-only SQL statement as a JSON array of objects, run on the
// store's thread; for the admin API. `done` gets the text.
struct store_op *store_query(struct store_client *c, const char *sql, const struct slice *params,
                             size_t param_count, store_done *done, void *arg);
// The same, waited for and appended to `out`: at start-up, before the loops run.
bool store_query_now(struct store *s, const char *sql, const struct slice *params,
                     size_t param_count, struct buffer *out, struct error *err) FARTHING_MUST_CHECK;

// One row of such an array; `arena` is for its texts, and goes after the last row.
struct store_row {
    const struct json_doc *doc;
    json_ref object;
    struct arena *arena;
};
// False, with err: no further row.
typedef bool store_row_visitor(void *arg, const struct store_row *row, struct error *err);
bool store_rows_visit(struct slice rows, store_row_visitor *visit, void *arg,
                      struct error *err) FARTHING_MUST_CHECK;
struct slice store_row_text(const struct store_row *row, struct slice column); // none: empty
int64_t store_row_i64(const struct store_row *row, struct slice column);       // none: 0

struct store_stats {
    int64_t entries, bytes; // of the spaces that are in the embedded store
    int64_t queued, dropped, failures;
};
void store_stats_get(struct store *s, struct store_stats *out); // any thread

#endif
