// What the files of the embedded store share: the queue of jobs and the one
// thread that owns the database.
#ifndef FARTHING_STORE_STORE_H
#define FARTHING_STORE_STORE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "farthing/store.h"

struct waiter;
struct redis;

enum job_kind {
    JOB_GET,
    JOB_PUT,
    JOB_DELETE,
    JOB_DELETE_SPACE,
    JOB_BOUND,
    JOB_RUN, // a script, in a shared store
    JOB_BEAT, // the same, of the shared store's thread for itself
    JOB_SAY,
    JOB_LISTEN,
    JOB_UNLISTEN,
    JOB_WATCH, // a space's single values
    JOB_CHECK, // of the shared store's thread for itself: is this one still there?
    JOB_JOURNAL,
    JOB_QUERY,
    JOB_PREPARE,
    JOB_FLUSH,
    JOB_FORGET_CLIENT, // of a shared store's thread alone, as the next
    JOB_STOP
};

enum {
    QUEUE_JOBS_MAX = 65536,            // over it reads fail and writes are dropped
    QUEUE_BYTES_MAX = 256 * 1024 * 1024,
    QUERY_PARAMS_MAX = 8,
    WAITING_BYTES_MAX = 64 * 1024 * 1024, // of journals' lines that could not be written yet
    JOURNAL_ROWS_MAX = 4000000,           // some 5 GB of cost rows; the oldest go first
};

struct store_journal {
    struct store_journal *next;
    struct store *store;
    char *table;
    struct store_column *columns;
    size_t column_count;
    int64_t rows_max;
    bool linked; // in the store's list
    sqlite3_stmt *insert, *trim; // NULL: the table could not be made
};

// One piece of work for the store's thread, or for a shared store's: that one
// has a mailbox. Bytes lie behind the struct.
struct job {
    struct mail mail; // first: mail is the job
    struct redis *redis;
    uint64_t handed_ns;
    int64_t patience_ms;         // RUN: at least so long; 0: as all
    struct store_client *client; // FORGET_CLIENT
    struct job *next;
    enum job_kind kind;
    size_t bytes;
    const char *space;
    struct slice key, value;
    int64_t expires_ms;
    int64_t max_bytes; // BOUND
    struct store_journal *journal;
    struct slice params[QUERY_PARAMS_MAX];
    size_t param_count;
    const struct store_script *script; // RUN, BEAT: with these keys, then arguments
    struct slice *parts;
    size_t key_count, part_count;
    struct store_ear *ear; // LISTEN, UNLISTEN
    uint64_t era;          // PUT, DELETE: of the space, when it was taken; 0: not known
    unsigned redirects;      // how often it was sent to another node
    unsigned tries;          // and how often a node could not do it at that moment
    uint64_t redirects_seen; // FLUSH, STOP
    struct store_op *op;   // GET, QUERY, RUN
    struct waiter *waiter; // PREPARE, FLUSH, FORGET_CLIENT
};

// Somebody, not a loop, who waits for a job to be done.
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done, ok;
    struct error *err;
};

// A pending read. Shared by the loop and the store's thread: two references.
struct store_op {
    struct mail mail; // first: mail is the op
    struct store_client *client;
    struct store_op *next, *previous; // the client's pending ones
    _Atomic int references;
    bool cancelled; // the loop's
    store_done *done;
    void *arg;
    enum store_status status;
    struct buffer value;
    int64_t expires_ms;
};

// Who listens to a channel. Shared by its loop and the shared store's thread, and
// by each message that is on its way.
struct store_ear {
    struct store_ear *next, *previous; // the client's
    struct store_ear *next_on_channel; // the thread's
    struct store_client *client;
    char *channel;
    _Atomic int references;
    _Atomic unsigned waiting; // messages that the loop has not taken
    bool deaf;                // the loop's
    store_heard *heard;
    void *arg;
};

struct store_client {
    struct store *store;
    struct mailbox *mailbox;
    struct store_op *pending;
    struct store_ear *ears;
};

struct space_held {
    int64_t entries, bytes; // of values
};

// What there is of one space: kept, not counted each time.
struct space {
    char *name;
    struct space_held held, before; // before: the transaction
    int64_t max_bytes;              // 0: the database's
    struct metric_series *evicted;
    uint64_t complained_ms;
};

// The database and its statements; the store's thread only (after opening).
struct database {
    char *path; // the file
    sqlite3 *db;
    sqlite3_stmt *get, *put, *remove, *remove_space, *sweep, *oldest;
    struct table *spaces; // struct space, by name; outlives the file being replaced
    int64_t max_bytes;    // of a space that has no bound of its own
    uint64_t last_sweep_ms;
    bool querying; // a statement of somebody else's: it may only read
};

// Who wants to hear of a space that others emptied.
struct watch {
    struct watch *next;
    const char *space;
    store_emptied *emptied;
    store_changed *changed;
    void *arg;
};

struct store {
    pthread_mutex_t watch_lock; // of `watches`, also while one of them is called
    struct watch *watches;
    struct redis *redis; // the spaces' place; NULL: they are in the database
    struct database database;
    struct store_journal *journals;
    pthread_t thread;
    pthread_mutex_t lock; // the queue
    pthread_cond_t wake;
    struct job *first, *last;
    size_t queued;
    size_t queued_bytes;
    bool stopping;
    // The thread's: journals' lines that wait for a disk or a lock.
    struct job *waiting;
    size_t waiting_bytes;
    uint64_t next_reopen_ms;
    _Atomic int64_t dropped, failures, entries, bytes;
    uint64_t last_complaint_ms;
};

// database.c
bool database_open(struct database *d, const char *path, int64_t max_bytes, struct error *err);
void database_close(struct database *d);
void database_free(struct database *d); // what is left after closing
// Moves the damaged files aside and starts with empty ones.
bool database_replace(struct database *d, struct error *err);
// Tries again what failed: the file is closed and stays so when it fails again.
bool database_reopen(struct database *d);
bool database_is_damage(int code);
// All writing is between these; a rollback also takes back the running totals.
int database_begin(struct database *d);
int database_commit(struct database *d); // rolls back when it fails
void database_rollback(struct database *d);
int database_get(struct database *d, const char *space, struct slice key, int64_t now_ms,
                 struct buffer *value, int64_t *expires_ms); // SQLITE_ROW, SQLITE_DONE or an error
int database_put(struct database *d, const char *space, struct slice key, struct slice value,
                 int64_t expires_ms, int64_t now_ms);
int database_delete(struct database *d, const char *space, struct slice key);
int database_delete_space(struct database *d, const char *space);
int database_sweep(struct database *d,
                   int64_t now_ms); // expired entries, in a transaction of its own

// spaces.c
struct space *space_of(struct database *d, struct slice name); // made if new
int64_t space_max_bytes(const struct database *d, const struct space *s);
void space_count(struct space *s, int64_t entries, int64_t bytes);
// How many of its oldest values are to go now.
int64_t space_surplus(const struct database *d, const struct space *s);
void space_note_evicted(struct space *s, int64_t unexpired);
void spaces_begin(struct database *d);
void spaces_rollback(struct database *d);
void spaces_clear(struct database *d); // the counts; bounds stay
struct space_held spaces_total(const struct database *d);
void spaces_free(struct database *d);

// query.c
// SQLite asks it while statements are made. Set once: setting it makes SQLite
// prepare every statement anew.
int database_authorize(void *database, int action, const char *a, const char *b, const char *c,
                       const char *d);
// Appends the rows to `out`, or empties it when it fails.
int database_query(struct database *d, const char *sql, const struct slice *params, size_t count,
                   struct buffer *out);

// journal.c
bool journal_prepare(struct store *s, struct store_journal *j, struct error *err);
// Lines that SQLite will never take (no JSON) are left out, and reported by the code.
int journal_write(struct store_journal *j, struct slice lines);
void journal_forget_statements(struct store_journal *j); // before the database is closed
void journal_free_all(struct store *s);

// store.c, for shared.c: NULL, and the job freed, when it cannot be done now
struct store_op *store_start_op(struct store_client *c, struct job *j, store_done *done,
                                void *arg);

// worker.c
extern const struct metric_family store_dropped_family;
void *store_worker(void *store);
bool store_enqueue(struct store *s, struct job *j); // false (and freed) when full or stopping
void store_op_release(struct store_op *op);
void store_wake(struct waiter *w); // what it waits for is done

#endif
