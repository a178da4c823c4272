// Rows of a statement as JSON, for the admin API. Statements may read and do
// nothing else, whoever wrote them.
#include "farthing/json.h"
#include "store.h"

enum { RESULT_BYTES_MAX = 64 << 20 };

// "Read-only" to SQLite also means COMMIT, ATTACH and some pragmas.
int database_authorize(void *arg, int action, const char *a, const char *b, const char *c,
                       const char *d) {
    const struct database *database = arg;
    (void)a, (void)b, (void)c, (void)d;
    return !database->querying || action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_FUNCTION ||
                   action == SQLITE_RECURSIVE
               ? SQLITE_OK
               : SQLITE_DENY;
}

static struct slice text_at(sqlite3_stmt *s, int column) {
    const unsigned char *text = sqlite3_column_text(s, column); // before its length is asked
    return slice_make(text, (size_t)sqlite3_column_bytes(s, column));
}

static void put_blob(struct buffer *out, sqlite3_stmt *s, int column) {
    const uint8_t *bytes = sqlite3_column_blob(s, column);
    size_t n = (size_t)sqlite3_column_bytes(s, column);
    buffer_append_char(out, '"');
    buffer_reserve(out, 2 * n + 1);
    digest_hex(bytes, n, out->ptr + out->len);
    out->len += 2 * n;
    buffer_append_char(out, '"');
}

static void put_value(struct buffer *out, sqlite3_stmt *s, int column) {
    struct slice text;
    switch (sqlite3_column_type(s, column)) { // asked before any conversion
    case SQLITE_INTEGER:
        buffer_append_i64(out, sqlite3_column_int64(s, column));
        return;
    case SQLITE_FLOAT:
        text = text_at(s, column);
        // JSON has no infinities.
        buffer_append(out, slice_ends_with(text, SLICE("Inf")) ? SLICE("null") : text);
        return;
    case SQLITE_TEXT:
        json_quote(out, text_at(s, column));
        return;
    case SQLITE_BLOB:
        put_blob(out, s, column);
        return;
    default:
        BUFFER_LITERAL(out, "null");
        return;
    }
}

static void put_row(struct buffer *out, sqlite3_stmt *s) {
    buffer_append_char(out, '{');
    for (int c = 0; c < sqlite3_column_count(s); c++) {
        if (c > 0)
            buffer_append_char(out, ',');
        json_quote(out, slice_of(sqlite3_column_name(s, c)));
        buffer_append_char(out, ':');
        put_value(out, s, c);
    }
    buffer_append_char(out, '}');
}

static int put_rows(struct buffer *out, sqlite3_stmt *s) {
    size_t start = out->len;
    buffer_append_char(out, '[');
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (out->len > start + 1)
            buffer_append_char(out, ',');
        put_row(out, s);
        if (out->len - start > RESULT_BYTES_MAX)
            return SQLITE_TOOBIG;
    }
    buffer_append_char(out, ']');
    return code;
}

int database_query(struct database *d, const char *sql, const struct slice *params, size_t count,
                   struct buffer *out) {
    sqlite3_stmt *s = NULL;
    d->querying = true;
    int code = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL);
    if (code == SQLITE_OK && s == NULL) // nothing but blanks
        code = SQLITE_ERROR;
    if (code == SQLITE_OK && !sqlite3_stmt_readonly(s)) // VACUUM asks no authorizer
        code = SQLITE_READONLY;
    for (size_t i = 0; code == SQLITE_OK && i < count; i++)
        code = sqlite3_bind_text64(s, (int)i + 1, params[i].ptr != NULL ? params[i].ptr : "",
                                   params[i].len, SQLITE_STATIC, SQLITE_UTF8);
    if (code == SQLITE_OK)
        code = put_rows(out, s);
    sqlite3_finalize(s);
    d->querying = false;
    if (code != SQLITE_DONE)
        buffer_clear(out);
    return code;
}
