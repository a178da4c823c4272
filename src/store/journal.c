// Journals: each member of a JSON line goes into the column of its name. (One
// column with the line and forty generated from it was shorter, but SQLite
// computes them all with each insert: 20 us a row, against 5 for parsing the
// line here; and queries over real columns are several times faster.) The
// newest rows are kept, up to a number.
#include "store.h"

#include <stdio.h>
#include <stdlib.h>

#include "farthing/json.h"

static bool execute(struct database *d, const char *sql, struct error *err) {
    char *message = NULL;
    if (sqlite3_exec(d->db, sql, NULL, NULL, &message) == SQLITE_OK)
        return true;
    error_set(err, "%s", message != NULL ? message : "unknown error");
    sqlite3_free(message);
    return false;
}

static bool has_column(struct database *d, const char *table, const char *column) {
    sqlite3_stmt *s = NULL;
    bool found = false;
    if (sqlite3_prepare_v2(d->db, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2", -1, &s,
                           NULL) == SQLITE_OK) {
        sqlite3_bind_text(s, 1, table, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, column, -1, SQLITE_STATIC);
        found = sqlite3_step(s) == SQLITE_ROW;
    }
    sqlite3_finalize(s);
    return found;
}

// Names stand in SQL as they are.
static bool is_plain_name(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && name[n] == '\0';
}

static bool check_names(const struct store_journal *j, struct error *err) {
    bool ok = is_plain_name(j->table) && strcmp(j->table, "entries") != 0;
    for (size_t i = 0; ok && i < j->column_count; i++)
        ok = is_plain_name(j->columns[i].name);
    return ok || error_set(err, "\"%s\" or one of its columns is no name for a journal", j->table);
}

static bool make_table(struct database *d, const struct store_journal *j, struct error *err) {
    char sql[512];
    snprintf(sql, sizeof sql, "CREATE TABLE IF NOT EXISTS %s (%s %s)", j->table, j->columns[0].name,
             j->columns[0].type);
    bool ok = execute(d, sql, err);
    for (size_t i = 0; ok && i < j->column_count; i++) {
        const struct store_column *c = &j->columns[i];
        if (!has_column(d, j->table, c->name)) {
            snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN %s %s", j->table, c->name, c->type);
            ok = execute(d, sql, err);
        }
        if (ok && c->indexed) {
            snprintf(sql, sizeof sql, "CREATE INDEX IF NOT EXISTS %s_%s ON %s (%s)", j->table, c->name,
                     j->table, c->name);
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

static void write_insert(const struct store_journal *j, struct buffer *sql) {
    buffer_printf(sql, "INSERT INTO %s (", j->table);
    for (size_t i = 0; i < j->column_count; i++)
        buffer_printf(sql, "%s%s", i > 0 ? "," : "", j->columns[i].name);
    BUFFER_LITERAL(sql, ") VALUES (");
    for (size_t i = 0; i < j->column_count; i++)
        buffer_printf(sql, "%s?%zu", i > 0 ? "," : "", i + 1);
    buffer_append(sql, slice_make(")", 2)); // and its NUL
}

bool journal_prepare(struct store *s, struct store_journal *j, struct error *err) {
    struct database *d = &s->database;
    struct buffer insert = {0};
    char trim[256];
    journal_forget_statements(j);
    if (!check_names(j, err) || !make_table(d, j, err))
        return false;
    snprintf(trim, sizeof trim, "DELETE FROM %s WHERE rowid <= ?1", j->table);
    write_insert(j, &insert);
    bool ok = prepare(d, insert.ptr, &j->insert, err) && prepare(d, trim, &j->trim, err);
    buffer_free(&insert);
    return ok;
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

static void bind(sqlite3_stmt *insert, int at, const struct json_doc *doc, json_ref value,
                 struct arena *arena) {
    int64_t number;
    struct slice text = json_raw(doc, value);
    switch (json_type_of(doc, value)) {
    case JSON_NULL:
        sqlite3_bind_null(insert, at);
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        sqlite3_bind_int(insert, at, json_is_true(doc, value));
        return;
    case JSON_NUMBER:
        if (json_i64(doc, value, &number)) {
            sqlite3_bind_int64(insert, at, number);
            return;
        }
        break; // as it stands; the column's affinity makes a number of it
    case JSON_STRING:
        text = json_string(doc, value, arena);
        break;
    default:
        break; // arrays and objects stay JSON
    }
    sqlite3_bind_text64(insert, at, text.len > 0 ? text.ptr : "", text.len, SQLITE_STATIC,
                        SQLITE_UTF8);
}

static size_t column_of(const struct store_journal *j, const struct json_doc *doc, json_ref key,
                        size_t expected) {
    // Lines have their members in the columns' order.
    if (expected < j->column_count && json_string_is(doc, key, slice_of(j->columns[expected].name)))
        return expected;
    for (size_t i = 0; i < j->column_count; i++)
        if (json_string_is(doc, key, slice_of(j->columns[i].name)))
            return i;
    return j->column_count;
}

static int insert_line(struct store_journal *j, struct json_doc *doc, struct slice line,
                       struct arena *arena) {
    struct error err;
    if (!json_parse(doc, line, NULL, &err) || json_type_of(doc, JSON_ROOT) != JSON_OBJECT)
        return SQLITE_ERROR;
    sqlite3_clear_bindings(j->insert); // what the line lacks is null
    size_t expected = 0;
    for (json_ref key = json_first(doc, JSON_ROOT); key != JSON_NONE;
         key = json_next(doc, JSON_ROOT, key)) {
        size_t column = column_of(j, doc, key, expected);
        if (column == j->column_count)
            continue;
        bind(j->insert, (int)column + 1, doc, json_value_of(key), arena);
        expected = column + 1;
    }
    return run(j->insert);
}

int journal_write(struct store_journal *j, struct slice lines) {
    struct slice line;
    int code = SQLITE_DONE, bad_line = SQLITE_DONE;
    bool inserted = false;
    if (j->insert == NULL || j->trim == NULL)
        return SQLITE_SCHEMA;
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(4096);
    while (code == SQLITE_DONE && slice_split(&lines, '\n', &line)) {
        if (line.len == 0)
            continue;
        code = insert_line(j, doc, line, arena);
        inserted = inserted || code == SQLITE_DONE;
        if (code == SQLITE_ERROR) { // not JSON: the others need not suffer for it
            bad_line = code;
            code = SQLITE_DONE;
        }
    }
    sqlite3_clear_bindings(j->insert);
    arena_free(arena);
    json_doc_free(doc);
    if (code == SQLITE_DONE && inserted)
        code = make_room(j);
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
