// Journals: one column with the JSON line, and a generated column for each of
// its members. An insert binds one text instead of forty values, and SQL sees
// a table with forty columns.
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

bool journal_prepare(struct store *s, struct store_journal *j, struct error *err) {
    struct database *d = &s->database;
    char sql[256];
    snprintf(sql, sizeof sql, "CREATE TABLE IF NOT EXISTS \"%s\" (row TEXT NOT NULL)", j->table);
    if (!execute(d, sql, err) || !add_columns(d, j, err))
        return false;
    snprintf(sql, sizeof sql, "INSERT INTO \"%s\" (row) VALUES (?1)", j->table);
    if (sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &j->insert, NULL) == SQLITE_OK)
        return true;
    return error_set(err, "%s", sqlite3_errmsg(d->db));
}

int journal_write(struct database *d, struct store_journal *j, struct slice lines) {
    (void)d;
    struct slice line;
    int code = SQLITE_DONE;
    while (code == SQLITE_DONE && slice_split(&lines, '\n', &line)) {
        if (line.len == 0)
            continue;
        sqlite3_bind_text(j->insert, 1, line.ptr, (int)line.len, SQLITE_STATIC);
        code = sqlite3_step(j->insert);
        sqlite3_reset(j->insert);
    }
    return code;
}

void journal_free_all(struct store *s) {
    for (struct store_journal *j = s->journals, *next; j != NULL; j = next) {
        next = j->next;
        sqlite3_finalize(j->insert);
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
