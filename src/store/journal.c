// Journals: one column with the JSON line, and a generated column for each of
// its members. An insert binds one text instead of forty values, and SQL sees
// a table with forty columns. The newest rows are kept, up to a number.
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

static bool execute(struct database *d, const char *sql, struct error *err) {
    char *message = NULL;
    if (sqlite3_exec(d->db, sql, NULL, NULL, &message) == SQLITE_OK)
        return true;
    error_set(err, "%s", message != NULL ? message : "unknown error");
    sqlite3_free(message);
    return false;
}

static bool has_column(struct database *d, const char *table, const char *column) {
    // table_xinfo also lists generated columns.
    sqlite3_stmt *s = NULL;
    bool found = false;
    if (sqlite3_prepare_v2(d->db, "SELECT 1 FROM pragma_table_xinfo(?1) WHERE name = ?2", -1, &s,
                           NULL) == SQLITE_OK) {
        sqlite3_bind_text(s, 1, table, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, column, -1, SQLITE_STATIC);
        found = sqlite3_step(s) == SQLITE_ROW;
    }
    sqlite3_finalize(s);
    return found;
}

static bool add_columns(struct database *d, const struct store_journal *j, struct error *err) {
    bool ok = true;
    for (size_t i = 0; ok && i < j->column_count; i++) {
        const struct store_column *c = &j->columns[i];
        char sql[512];
        if (!has_column(d, j->table, c->name)) {
            snprintf(sql, sizeof sql,
                     "ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s GENERATED ALWAYS AS "
                     "(json_extract(row, '$.%s')) VIRTUAL",
                     j->table, c->name, c->type, c->name);
            ok = execute(d, sql, err);
        }
        if (ok && c->indexed) {
            snprintf(sql, sizeof sql, "CREATE INDEX IF NOT EXISTS \"%s_%s\" ON \"%s\" (\"%s\")",
                     j->table, c->name, j->table, c->name);
            ok = execute(d, sql, err);
        }
    }
    return ok;
}

void journal_forget_statements(struct store_journal *j) {
    sqlite3_finalize(j->insert);
    sqlite3_finalize(j->trim);
    j->insert = j->trim = NULL;
}

static bool prepare(struct database *d, const char *sql, sqlite3_stmt **out, struct error *err) {
    if (sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK)
        return true;
    return error_set(err, "%s", sqlite3_errmsg(d->db));
}

bool journal_prepare(struct store *s, struct store_journal *j, struct error *err) {
    struct database *d = &s->database;
    char create[256], insert[256], trim[256];
    snprintf(create, sizeof create, "CREATE TABLE IF NOT EXISTS \"%s\" (row TEXT NOT NULL)",
             j->table);
    snprintf(insert, sizeof insert, "INSERT INTO \"%s\" (row) VALUES (?1)", j->table);
    snprintf(trim, sizeof trim, "DELETE FROM \"%s\" WHERE rowid <= ?1", j->table);
    journal_forget_statements(j);
    return execute(d, create, err) && add_columns(d, j, err) &&
           prepare(d, insert, &j->insert, err) && prepare(d, trim, &j->trim, err);
}

static int run(sqlite3_stmt *s) {
    int code = sqlite3_step(s);
    sqlite3_reset(s);
    return code;
}

// The oldest make room: rowids ascend without gaps but at the front. Called
// right after an insert, of which SQLite then tells the rowid.
static int make_room(struct store_journal *j) {
    int64_t newest = sqlite3_last_insert_rowid(sqlite3_db_handle(j->insert));
    if (newest <= j->rows_max)
        return SQLITE_DONE;
    sqlite3_bind_int64(j->trim, 1, newest - j->rows_max);
    return run(j->trim);
}

int journal_write(struct store_journal *j, struct slice lines) {
    struct slice line;
    int bad_line = SQLITE_DONE;
    bool inserted = false;
    if (j->insert == NULL || j->trim == NULL)
        return SQLITE_SCHEMA;
    while (slice_split(&lines, '\n', &line)) {
        if (line.len == 0)
            continue;
        sqlite3_bind_text64(j->insert, 1, line.ptr, line.len, SQLITE_STATIC, SQLITE_UTF8);
        int code = run(j->insert);
        if (code == SQLITE_ERROR) // not JSON: the others need not suffer for it
            bad_line = code;
        else if (code != SQLITE_DONE)
            return code;
        inserted = inserted || code == SQLITE_DONE;
    }
    sqlite3_clear_bindings(j->insert);
    int code = inserted ? make_room(j) : SQLITE_DONE;
    return code != SQLITE_DONE ? code : bad_line;
}

void journal_free_all(struct store *s) {
    for (struct store_journal *j = s->journals, *next; j != NULL; j = next) {
        next = j->next;
        journal_forget_statements(j);
        for (size_t i = 0; i < j->column_count; i++) {
            free((char *)(uintptr_t)j->columns[i].name);
            free((char *)(uintptr_t)j->columns[i].type);
        }
        free(j->columns);
        free(j->table);
        free(j);
    }
    s->journals = NULL;
}
