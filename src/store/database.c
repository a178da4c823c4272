// SQLite in WAL mode: values by space and key, with expiry and a bound.
//
// A cache may lose its last moments in a power cut, so synchronous=NORMAL. The
// oldest-written entries of a space go first when its bound is reached: use is
// tracked by the memory tier in front, and a write for each read would cost more
// than the order is worth.
#include "store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// How long another process's transaction is waited for. Look-ups wait behind
// it, so it is short; rows of journals are tried again.
enum { BUSY_MS = 250 };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS entries ("
    "  space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
    "  expires_ms INTEGER NOT NULL, written_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (space, key));"
    // In place of entries_written, by time alone, of files from before spaces had
    // bounds of their own. (Making it reads all of an older file, once.)
    "CREATE INDEX IF NOT EXISTS entries_space_written ON entries (space, written_ms);"
    "DROP INDEX IF EXISTS entries_written;"
    "CREATE INDEX IF NOT EXISTS entries_expires ON entries (expires_ms) WHERE expires_ms > 0;";

bool database_is_damage(int code) {
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

static bool prepare(struct database *d, sqlite3_stmt **out, const char *sql) {
    return sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK;
}

static bool prepare_all(struct database *d) {
    return prepare(d, &d->get,
                   "SELECT value, expires_ms FROM entries WHERE space = ?1 AND key = ?2") &&
           prepare(d, &d->put,
                   "INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET "
                   "value = excluded.value, expires_ms = excluded.expires_ms, "
                   "written_ms = excluded.written_ms") &&
           prepare(d, &d->remove,
                   "DELETE FROM entries WHERE space = ?1 AND key = ?2 RETURNING length(value)") &&
           prepare(d, &d->remove_space, "DELETE FROM entries WHERE space = ?1") &&
           prepare(d, &d->sweep,
                   "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE "
                   "expires_ms > 0 AND expires_ms <= ?1 LIMIT 1000) RETURNING space, "
                   "length(value)") &&
           prepare(d, &d->oldest,
                   "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE space = ?1 "
                   "ORDER BY written_ms LIMIT ?2) RETURNING length(value), expires_ms");
}

static struct space *space_at(struct database *d, sqlite3_stmt *s, int column) {
    const unsigned char *name = sqlite3_column_text(s, column); // before its length is asked
    return space_of(d, slice_make(name, (size_t)sqlite3_column_bytes(s, column)));
}

// In the table's own order: grouped by SQL it would be read in the order of an
// index, a page for each row.
static bool count_entries(struct database *d) {
    sqlite3_stmt *s = NULL;
    int code = SQLITE_ERROR;
    spaces_clear(d);
    if (prepare(d, &s, "SELECT space, length(value) FROM entries NOT INDEXED"))
        while ((code = sqlite3_step(s)) == SQLITE_ROW)
            space_count(space_at(d, s, 0), 1, sqlite3_column_int64(s, 1));
    sqlite3_finalize(s);
    return code == SQLITE_DONE;
}

// The file holds prompts and answers: nobody else may read it, whatever the
// umask. SQLite gives the same mode to the files beside it.
static void make_private_file(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd); // where it fails, SQLite says why
}

static int try_open(struct database *d) {
    make_private_file(d->path);
    int code = sqlite3_open_v2(d->path, &d->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                               NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3_busy_timeout(d->db, BUSY_MS);
    sqlite3_set_authorizer(d->db, database_authorize, d);
    // auto_vacuum first: it is fixed once WAL has written the file's head.
    code = sqlite3_exec(d->db,
                        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2048;"
                        "PRAGMA journal_size_limit = 16777216;",
                        NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(d->db, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK && (!prepare_all(d) || !count_entries(d)))
        code = sqlite3_extended_errcode(d->db);
    return code;
}

void database_close(struct database *d) {
    sqlite3_stmt *all[] = {d->get, d->put, d->remove, d->remove_space, d->sweep, d->oldest};
    for (size_t i = 0; i < FARTHING_COUNT(all); i++)
        sqlite3_finalize(all[i]);
    d->get = d->put = d->remove = d->remove_space = d->sweep = d->oldest = NULL;
    sqlite3_close_v2(d->db);
    d->db = NULL;
}

void database_free(struct database *d) {
    spaces_free(d);
    free(d->path);
}

static void move_aside(const char *path, const char *suffix, int64_t stamp) {
    char from[4096], to[4200];
    snprintf(from, sizeof from, "%s%s", path, suffix);
    snprintf(to, sizeof to, "%s.damaged-%lld%s", path, (long long)stamp, suffix);
    if (rename(from, to) != 0 && suffix[0] != '\0')
        unlink(from); // a left-over journal must not be played into a new file
}

bool database_replace(struct database *d, struct error *err) {
    int64_t stamp = clock_wall_ms();
    database_close(d);
    move_aside(d->path, "", stamp);
    move_aside(d->path, "-wal", stamp);
    move_aside(d->path, "-shm", stamp);
    log_write(LOG_ERROR, "store: %s was damaged; moved aside to %s.damaged-%lld, starting empty",
              d->path, d->path, (long long)stamp);
    int code = try_open(d);
    if (code == SQLITE_OK)
        return true;
    error_set(err, "cannot open %s: %s", d->path, sqlite3_errstr(code));
    database_close(d);
    return false;
}

bool database_reopen(struct database *d) {
    if (try_open(d) == SQLITE_OK)
        return true;
    database_close(d);
    return false;
}

bool database_open(struct database *d, const char *path, int64_t max_bytes, struct error *err) {
    d->path = slice_dup(slice_of(path));
    d->max_bytes = max_bytes;
    int code = try_open(d);
    if (code == SQLITE_OK)
        return true;
    if (database_is_damage(code))
        return database_replace(d, err);
    error_set(err, "cannot open %s: %s", path, sqlite3_errstr(code));
    database_close(d);
    return false;
}

// ------------------------------------------------------------- transactions

int database_begin(struct database *d) {
    spaces_begin(d);
    return sqlite3_exec(d->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
}

void database_rollback(struct database *d) {
    // SQLite may have rolled back by itself.
    if (sqlite3_get_autocommit(d->db) == 0)
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    spaces_rollback(d);
}

int database_commit(struct database *d) {
    int code = sqlite3_exec(d->db, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK)
        database_rollback(d);
    return code;
}

// ------------------------------------------------------------------- entries

static void bind_key(sqlite3_stmt *s, const char *space, struct slice key) {
    sqlite3_bind_text(s, 1, space, -1, SQLITE_STATIC);
    // A NULL pointer would bind NULL, which equals nothing.
    sqlite3_bind_blob64(s, 2, key.ptr != NULL ? key.ptr : "", key.len, SQLITE_STATIC);
}

static int finish(sqlite3_stmt *s, int code) {
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return code;
}

int database_get(struct database *d, const char *space, struct slice key, int64_t now_ms,
                 struct buffer *value, int64_t *expires_ms) {
    bind_key(d->get, space, key);
    int code = sqlite3_step(d->get);
    if (code == SQLITE_ROW) {
        *expires_ms = sqlite3_column_int64(d->get, 1);
        if (*expires_ms > 0 && *expires_ms <= now_ms)
            code = SQLITE_DONE;
        else
            buffer_append(value, slice_make(sqlite3_column_blob(d->get, 0),
                                            (size_t)sqlite3_column_bytes(d->get, 0)));
    }
    return finish(d->get, code);
}

static int delete_key(struct database *d, struct space *s, struct slice key) {
    int code;
    bind_key(d->remove, s->name, key);
    while ((code = sqlite3_step(d->remove)) == SQLITE_ROW)
        space_count(s, -1, -sqlite3_column_int64(d->remove, 0));
    return finish(d->remove, code);
}

int database_delete(struct database *d, const char *space, struct slice key) {
    return delete_key(d, space_of(d, slice_of(space)), key);
}

static int evict(struct database *d, struct space *s, int64_t count, int64_t now_ms) {
    int code;
    int64_t unexpired = 0;
    sqlite3_bind_text(d->oldest, 1, s->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(d->oldest, 2, count);
    while ((code = sqlite3_step(d->oldest)) == SQLITE_ROW) {
        int64_t expires_ms = sqlite3_column_int64(d->oldest, 1);
        space_count(s, -1, -sqlite3_column_int64(d->oldest, 0));
        unexpired += expires_ms == 0 || expires_ms > now_ms;
    }
    space_note_evicted(s, unexpired);
    return finish(d->oldest, code);
}

static int make_room(struct database *d, struct space *s, int64_t now_ms) {
    int code = SQLITE_DONE;
    for (int64_t count; code == SQLITE_DONE && (count = space_surplus(d, s)) > 0;)
        code = evict(d, s, count, now_ms);
    return code;
}

int database_put(struct database *d, const char *space, struct slice key, struct slice value,
                 int64_t expires_ms, int64_t now_ms) {
    struct space *s = space_of(d, slice_of(space));
    int code = delete_key(d, s, key); // keeps the running totals true
    if (code != SQLITE_DONE || (int64_t)value.len > space_max_bytes(d, s))
        return code; // what cannot be kept must not push out what can
    bind_key(d->put, space, key);
    sqlite3_bind_blob64(d->put, 3, value.ptr != NULL ? value.ptr : "", value.len, SQLITE_STATIC);
    sqlite3_bind_int64(d->put, 4, expires_ms);
    sqlite3_bind_int64(d->put, 5, now_ms);
    code = finish(d->put, sqlite3_step(d->put));
    if (code != SQLITE_DONE)
        return code;
    space_count(s, 1, (int64_t)value.len);
    return make_room(d, s, now_ms);
}

int database_delete_space(struct database *d, const char *space) {
    sqlite3_bind_text(d->remove_space, 1, space, -1, SQLITE_STATIC);
    int code = finish(d->remove_space, sqlite3_step(d->remove_space));
    if (code == SQLITE_DONE)
        space_of(d, slice_of(space))->held = (struct space_held){0};
    return code;
}

int database_sweep(struct database *d, int64_t now_ms) {
    int code = database_begin(d);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(d->sweep, 1, now_ms);
    while ((code = sqlite3_step(d->sweep)) == SQLITE_ROW)
        space_count(space_at(d, d->sweep, 0), -1, -sqlite3_column_int64(d->sweep, 1));
    code = finish(d->sweep, code);
    if (code != SQLITE_DONE) {
        database_rollback(d);
        return code;
    }
    code = database_commit(d);
    if (code == SQLITE_OK)
        code = sqlite3_exec(d->db, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL);
    return code;
}
