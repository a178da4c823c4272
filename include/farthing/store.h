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

// Where a Redis is: one server; one whose address sentinels know; or a cluster.
enum store_redis_kind { STORE_REDIS_SINGLE, STORE_REDIS_SENTINEL, STORE_REDIS_CLUSTER };

struct store_redis_seed {
    const char *host;
    unsigned port;
};

enum { STORE_REDIS_SEEDS_MAX = 16 };

// A Redis, 6.2 or later. NULL texts are unset.
struct store_redis_options {
    enum store_redis_kind kind;
    const char *host; // of a single one; or
    const char *socket_path;
    unsigned port, database; // a cluster has only database 0
    // Sentinels, or some of a cluster's nodes: where to ask first.
    struct store_redis_seed seeds[STORE_REDIS_SEEDS_MAX];
    size_t seed_count;
    const char *master; // its name among the sentinels
    const char *sentinel_user, *sentinel_password;
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
// again for ever; until then reads fail, and writes are kept for later.
struct store *store_open_redis(const struct store_options *options,
                               const struct store_redis_options *redis, struct error *err);
// Waits for what was queued to be on disk, then stops. All clients closed first.
void store_close(struct store *s);

struct store_client *store_client_new(struct store *s, struct event_base *loop);
// Cancels what is pending (no callbacks afterwards), and ends its ears, which are gone
// then: who has one ends it before.
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
// queue is full. While a shared store is away they are kept, the newest of a key,
// up to 16 MiB, and written when it is back; but for what expired or was purged
// meanwhile. expires_ms: Unix ms, 0 for never.
void store_put(struct store *s, const char *space, struct slice key, struct slice value,
               int64_t expires_ms); // any thread
void store_delete(struct store *s, const char *space, struct slice key); // any thread
// Empties the space; with a Redis, other instances see it within a second.
void store_delete_space(struct store *s, const char *space); // any thread
// `emptied` is called, on a thread of the store's own, whenever the space was
// emptied by somebody else: another instance, or whoever looks after the shared
// store. `changed` (NULL: not wanted): somebody else wrote or removed a value that
// this process has read or written; as far as the shared store tells of it, and
// now and then when it was one's own. Neither with the embedded store. They must
// not call the store.
typedef void store_emptied(void *arg);
typedef void store_changed(void *arg, struct slice key);
void store_watch(struct store *s, const char *space, store_emptied *emptied,
                 store_changed *changed, void *arg);
void store_unwatch(struct store *s, void *arg); // all of this arg's; none is under way afterwards
// From its next put on the space has a bound of its own, until the process
// ends; 0: max_bytes again. When its values then go before they expire, the log
// says so (once a minute). All such, of any space, are counted in
// farthing_store_evicted_total{space}.
void store_bound_space(struct store *s, const char *space, int64_t max_bytes); // any thread

// ---------------------------------------------------------- what is shared
//
// What instances do together: where the store is a Redis, they share scripts'
// state and messages. With the embedded store, and in a process that has no
// store (NULL), store_is_shared says no, and what is below it is not to be called.

bool store_is_shared(const struct store *s); // NULL: no
// Does it answer in time now? Not, while it is away or late. In a cluster: does any
// of it? What goes to a part that does not fails by itself. Any thread.
bool store_is_up(const struct store *s);
// Is it at least connected? Then who has patience may be answered. Any thread.
bool store_is_connected(const struct store *s);
// This process among those that share: 26 characters, new with each start. Lives
// as long as the store.
struct slice store_instance(const struct store *s);
// How many instances there are, this one too: those heard of in the last seconds. At least 1.
unsigned store_instances(const struct store *s); // any thread
// Unix ms by the shared store's clock, as far as it is known; otherwise this
// host's (clock_wall_ms). So all instances turn windows at the same moment. Any thread.
int64_t store_now_ms(const struct store *s);
// Changes whenever the connection leads to a server that may not know all that was
// written before: another one (failover), or one that was restarted. In a cluster of
// any of its nodes. Starts at 1; 0: never connected. Any thread.
uint64_t store_epoch(const struct store *s);

// A script in Lua, of a constant: sent once and then known there by its SHA-1. It
// may write after it has asked for the time, with 6.2 too. It must give the same
// result when it is run twice (an answer that is late may have been carried out),
// and answers with a string (of any bytes), a status, an integer (which comes as its
// decimal text) or nil (STORE_MISSING).
struct store_script {
    const char *name; // for the log
    const char *text;
};
enum { STORE_RUN_KEYS_MAX = 64, STORE_RUN_ARGUMENTS_MAX = 1024 };
struct store_call {
    const struct store_script *script; // lives as long as the store
    // All with the same hash tag ("{acme}:budget:day"): of one slot in a cluster.
    // At least one. "farthing:" is put before each.
    const struct slice *keys;
    size_t key_count;
    const struct slice *args;
    size_t arg_count;
    // How long the answer may take, where that is more than command_timeout (0: no
    // more). Then it is asked even while other answers are late, so that a hiccup is
    // no refusal.
    int64_t patience_ms;
};
// NULL: away or too busy, as of store_get. STORE_FAILED: an error, or no answer
// in time: it may have been carried out all the same.
struct store_op *store_run(struct store_client *c, const struct store_call *call,
                           store_done *done, void *arg);
// With no answer. False: away or too busy, and not done. Any thread; store_flush
// waits for it.
bool store_run_quietly(struct store *s, const struct store_call *call);
// A whole number as an argument; it lies in `text`.
enum { STORE_NUMBER_MAX = 24 };
struct slice store_number(char text[STORE_NUMBER_MAX], int64_t number);

// Messages between instances: each heard at most once, and not at all by who is
// not connected at that moment. A channel is a short name; "farthing:" is put
// before it. What an instance says on a channel it hears itself, too.
struct store_ear;
typedef void store_heard(void *arg, struct slice message); // on the client's loop
struct store_ear *store_listen(struct store_client *c, const char *channel, store_heard *heard,
                               void *arg);
void store_unlisten(struct store_ear *ear); // on the loop; no call afterwards
void store_say(struct store *s, const char *channel, struct slice message); // any thread

// A question that is asked again and again: each second, and at once when another
// instance says on its channel that there is something new (what it says does not
// matter) or when it is woken. One at a time, on one loop.
struct store_poll;
// The patience of what is asked at the start: so that what all others know is known here
// before the first request, be the server busy just then.
enum { STORE_POLL_START_MS = 1000 };
struct store_poll_options {
    const char *channel; // a constant
    // store_run with this client and this callback, and what that gave.
    struct store_op *(*ask)(void *arg, struct store_client *client, store_done *done,
                            void *done_arg);
    // What was answered, as to store_done. True: there is more, ask again at once (unless
    // it was not answered: then it is asked again at the next second).
    bool (*take)(void *arg, enum store_status status, struct slice value);
    void *arg;
};
// Asks a first time and waits for the answer (with a client of its own), as long as there
// is more; not at all where the store is away. So before the loop runs.
struct store_poll *store_poll_new(struct store *s, struct store_client *client,
                                  struct event_base *loop,
                                  const struct store_poll_options *options);
void store_poll_free(struct store_poll *p); // on its loop, before its client; NULL is fine
void store_poll_wake(struct store_poll *p); // any thread
void store_poll_tell(struct store_poll *p); // the others (and this one) ask. Any thread

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
// store, or kept for it (which may take some seconds to be found dead). Not on a loop.
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

// How often the embedded database failed or dropped a write; what becomes of a shared
// store is no matter here. A journal's line is on disk once a query finds it, if this
// has not moved since before it was written. Any thread.
int64_t store_disk_troubles(struct store *s);

#endif
