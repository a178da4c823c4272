// Answers for people: columns that line up, and amounts as they came, since they
// are exact decimals already.
//
// Names of runs and features are their clients' invention: what a terminal
// might take for a command is replaced.
#include <stdlib.h>

#include "ctl.h"

enum { COLUMNS_MAX = 16 };

// ------------------------------------------------------------------------ values

// Up to 0x9f there are controls in Unicode too (C1).
static void put_safe(struct buffer *out, struct slice text) {
    while (text.len > 0) {
        size_t n = slice_utf8(text);
        const unsigned char *c = (const unsigned char *)text.ptr;
        bool control =
            n == 0 || c[0] < ' ' || c[0] == 0x7f || (n == 2 && c[0] == 0xc2 && c[1] < 0xa0);
        if (control)
            buffer_append_char(out, '?');
        else
            buffer_append(out, slice_make(text.ptr, n));
        text = slice_from(text, n > 0 ? n : 1);
    }
}

static size_t width_of(struct slice text) {
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

static bool has_value(const struct json_doc *doc, json_ref value) {
    int64_t number;
    if (json_is_absent(doc, value) || json_string_is(doc, value, SLICE("")))
        return false;
    // Unset figures are -1.
    return json_type_of(doc, value) != JSON_NUMBER || !json_i64(doc, value, &number) ||
           number != -1;
}

void ctl_put_value(struct buffer *out, const struct json_doc *doc, json_ref value) {
    if (!has_value(doc, value)) {
        buffer_append_char(out, '-');
        return;
    }
    struct arena *arena = arena_new(256);
    struct slice text = json_string(doc, value, arena);
    put_safe(out, text.ptr != NULL ? text : json_raw(doc, value));
    arena_free(arena);
}

static void put_age(struct buffer *out, const struct json_doc *doc, json_ref value) {
    int64_t ms;
    if (!json_i64(doc, value, &ms) || ms < 0)
        ctl_put_value(out, doc, value);
    else if (ms < 60000)
        buffer_printf(out, "%lld.%llds", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    else if (ms < 3600000)
        buffer_printf(out, "%lldm%02llds", (long long)(ms / 60000), (long long)(ms % 60000 / 1000));
    else
        buffer_printf(out, "%lldh%02lldm", (long long)(ms / 3600000),
                      (long long)(ms % 3600000 / 60000));
}

static void put_pair(struct buffer *out, const struct json_doc *doc, json_ref first,
                     json_ref second) {
    ctl_put_value(out, doc, first);
    buffer_append_char(out, '/');
    ctl_put_value(out, doc, second);
}

static void put_rate(struct buffer *out, const struct json_doc *doc, json_ref rate) {
    if (has_value(doc, rate))
        put_pair(out, doc, json_get(doc, rate, SLICE("remaining")),
                 json_get(doc, rate, SLICE("limit")));
    else
        buffer_append_char(out, '-');
}

static void put_share(struct buffer *out, const struct json_doc *doc, json_ref value) {
    char text[32];
    if (json_is_absent(doc, value) || json_type_of(doc, value) != JSON_NUMBER) {
        buffer_append_char(out, '-');
        return;
    }
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(json_raw(doc, value)));
    buffer_printf(out, "%.1f %%", 100 * strtod(text, NULL));
}

// Of what was not there before, only what is worth telling.
static bool is_change(const struct json_doc *doc, json_ref old, json_ref new) {
    if (old != JSON_NONE)
        return !slice_equal(json_raw(doc, old), json_raw(doc, new));
    return has_value(doc, new) && json_type_of(doc, new) != JSON_FALSE &&
           !json_string_is(doc, new, SLICE("0"));
}

// "amount_usd 5 -> 10", each `between` the others.
static void put_change(struct buffer *out, const struct json_doc *doc, json_ref row,
                       const char *between) {
    json_ref before = json_get(doc, row, SLICE("before")),
             after = json_get(doc, row, SLICE("after"));
    size_t start = out->len;
    if (json_is_absent(doc, after) || json_type_of(doc, after) != JSON_OBJECT)
        return;
    for (json_ref key = json_first(doc, after); key != JSON_NONE;
         key = json_next(doc, after, key)) {
        struct slice name = json_inner(doc, key);
        json_ref new = json_value_of(key), old = json_get(doc, before, name);
        if (!is_change(doc, old, new))
            continue;
        if (out->len > start)
            buffer_append(out, slice_of(between));
        put_safe(out, name);
        buffer_append_char(out, ' ');
        ctl_put_value(out, doc, old);
        BUFFER_LITERAL(out, " -> ");
        ctl_put_value(out, doc, new);
    }
}

// ------------------------------------------------------------------------- table

static void put_cell(struct buffer *out, const struct json_doc *doc, json_ref row,
                     const struct ctl_column *column) {
    json_ref value = json_get(doc, row, slice_of(column->member));
    size_t start = out->len;
    switch (column->format) {
    case CTL_TEXT:
    case CTL_RIGHT:
        ctl_put_value(out, doc, value);
        break;
    case CTL_SIGNED:
        buffer_append(out, json_raw(doc, value));
        break;
    case CTL_AGE:
        put_age(out, doc, value);
        break;
    case CTL_FLAG:
        buffer_append(out, json_is_true(doc, value) ? SLICE("yes") : SLICE("-"));
        break;
    case CTL_OF:
        put_pair(out, doc, value, json_get(doc, row, slice_of(column->second)));
        break;
    case CTL_RATE:
        put_rate(out, doc, value);
        break;
    case CTL_SHARE:
        put_share(out, doc, value);
        break;
    case CTL_CHANGE:
        put_change(out, doc, row, ", ");
        break;
    }
    if (out->len == start)
        buffer_append_char(out, '-');
}

static bool is_right(enum ctl_format format) {
    return format == CTL_RIGHT || format == CTL_SIGNED || format == CTL_AGE || format == CTL_OF ||
           format == CTL_RATE || format == CTL_SHARE;
}

static void print_padding(size_t width) {
    printf("%*s", (int)width, "");
}

// The last column ends where its text does.
static void print_cell(struct slice text, size_t width, bool right, bool last) {
    size_t padding = width - width_of(text);
    if (right)
        print_padding(padding);
    printf("%.*s", SLICE_ARG(text));
    if (!right && !last)
        print_padding(padding);
    if (last)
        putchar('\n');
    else
        print_padding(2);
}

// Cells as lines of one text, row by row.
static void print_lines(struct slice cells, const struct ctl_column *columns, size_t count,
                        const size_t *widths) {
    struct slice cell;
    for (size_t i = 0; slice_split(&cells, '\n', &cell) && cells.ptr != NULL; i++)
        print_cell(cell, widths[i % count], is_right(columns[i % count].format),
                   i % count == count - 1);
}

void ctl_print_table(const struct json_doc *doc, json_ref array, const struct ctl_column *columns) {
    struct buffer cells = {0};
    size_t widths[COLUMNS_MAX] = {0}, count = 0;
    for (; columns[count].head != NULL; count++)
        buffer_printf(&cells, "%s\n", columns[count].head);
    for (json_ref row = json_first(doc, array); row != JSON_NONE; row = json_next(doc, array, row))
        for (size_t c = 0; c < count; c++) {
            put_cell(&cells, doc, row, &columns[c]);
            buffer_append_char(&cells, '\n');
        }
    struct slice rest = buffer_slice(&cells), cell;
    for (size_t i = 0; slice_split(&rest, '\n', &cell); i++)
        if (width_of(cell) > widths[i % count])
            widths[i % count] = width_of(cell);
    print_lines(buffer_slice(&cells), columns, count, widths);
    buffer_free(&cells);
}

// ----------------------------------------------------------------------- members

static void print_level(const struct json_doc *doc, json_ref object, int indent) {
    struct buffer text = {0};
    for (json_ref key = json_first(doc, object); key != JSON_NONE;
         key = json_next(doc, object, key)) {
        json_ref value = json_value_of(key);
        bool nested = json_type_of(doc, value) == JSON_OBJECT;
        buffer_clear(&text);
        put_safe(&text, json_inner(doc, key));
        printf("%*s", indent, "");
        if (nested) {
            printf("%.*s\n", SLICE_ARG(buffer_slice(&text)));
            if (indent < 8) // as deep as answers are
                print_level(doc, value, indent + 2);
            continue;
        }
        printf("%-16.*s ", SLICE_ARG(buffer_slice(&text)));
        buffer_clear(&text);
        struct arena *arena = arena_new(256);
        struct slice string = json_string(doc, value, arena);
        put_safe(&text, string.ptr != NULL ? string : json_raw(doc, value));
        arena_free(arena);
        printf("%.*s\n", SLICE_ARG(buffer_slice(&text)));
    }
    buffer_free(&text);
}

void ctl_print_members(const struct json_doc *doc, json_ref object) {
    print_level(doc, object, 0);
}

void ctl_print_deed(const struct json_doc *doc, json_ref deed) {
    struct buffer text = {0};
    ctl_put_value(&text, doc, json_get(doc, deed, SLICE("action")));
    buffer_append_char(&text, ' ');
    ctl_put_value(&text, doc, json_get(doc, deed, SLICE("what")));
    size_t start = text.len;
    BUFFER_LITERAL(&text, "\n  ");
    put_change(&text, doc, deed, "\n  ");
    if (text.len == start + 3) {
        text.len = start;
        BUFFER_LITERAL(&text, ": nothing changed");
    }
    printf("%.*s\n", SLICE_ARG(buffer_slice(&text)));
    buffer_free(&text);
}
