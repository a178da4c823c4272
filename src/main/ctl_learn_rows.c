// Rows for training and judging: JSON objects, one a line, with a prompt and whether
// each model's answer to it was good enough.
//
// A prompt is a text, or an array of messages; of these, what users say counts, as it
// does where requests are classified. Other members are not looked at, so any log
// that has these three will do.
#include <errno.h>
#include <stdlib.h>

#include "ctl_learn.h"

struct reader {
    struct json_doc *doc;
    struct arena *arena; // of one row
    struct slice *pieces;
    size_t count, cap;
};

static void add_piece(struct reader *r, json_ref string) {
    if (r->count == r->cap) {
        r->cap = r->cap * 2 + 16;
        r->pieces = base_realloc(r->pieces, r->cap * sizeof *r->pieces);
    }
    r->pieces[r->count++] = json_string(r->doc, string, r->arena);
}

// A string, or parts with a text each.
static void add_content(struct reader *r, json_ref content) {
    if (content == JSON_NONE)
        return;
    if (json_type_of(r->doc, content) == JSON_STRING) {
        add_piece(r, content);
        return;
    }
    if (json_type_of(r->doc, content) != JSON_ARRAY)
        return;
    for (json_ref part = json_first(r->doc, content); part != JSON_NONE;
         part = json_next(r->doc, content, part)) {
        json_ref text = json_get(r->doc, part, SLICE("text"));
        if (text != JSON_NONE && json_type_of(r->doc, text) == JSON_STRING)
            add_piece(r, text);
    }
}

static void add_messages(struct reader *r, json_ref messages) {
    for (json_ref m = json_first(r->doc, messages); m != JSON_NONE;
         m = json_next(r->doc, messages, m)) {
        json_ref role = json_get(r->doc, m, SLICE("role"));
        if (role == JSON_NONE || json_string_is(r->doc, role, SLICE("user")))
            add_content(r, json_get(r->doc, m, SLICE("content")));
    }
}

static bool read_prompt(struct reader *r) {
    static const struct slice names[] = {{"prompt", 6}, {"messages", 8}};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        json_ref prompt = json_get(r->doc, JSON_ROOT, names[i]);
        if (json_is_absent(r->doc, prompt))
            continue;
        if (json_type_of(r->doc, prompt) == JSON_STRING)
            add_piece(r, prompt);
        else if (json_type_of(r->doc, prompt) == JSON_ARRAY)
            add_messages(r, prompt);
        return r->count > 0;
    }
    return false;
}

// true, false, 1 or 0.
static bool read_label(const struct json_doc *doc, struct slice name, bool *out) {
    json_ref value = json_get(doc, JSON_ROOT, name);
    int64_t number;
    if (json_is_absent(doc, value))
        return false;
    *out = json_is_true(doc, value);
    if (*out || json_type_of(doc, value) == JSON_FALSE)
        return true;
    if (!json_i64(doc, value, &number) || (number != 0 && number != 1))
        return false;
    *out = number == 1;
    return true;
}

static enum ctl_row_state read_row(struct reader *r, struct slice line, bool labelled,
                                   struct ctl_row *row) {
    struct error err;
    r->count = 0;
    if (slice_trim(line).len == 0)
        return CTL_ROW_EMPTY;
    if (!json_parse(r->doc, line, NULL, &err) || json_type_of(r->doc, JSON_ROOT) != JSON_OBJECT)
        return CTL_ROW_INVALID;
    json_ref id = json_get(r->doc, JSON_ROOT, SLICE("id"));
    if (!json_is_absent(r->doc, id))
        row->id = json_raw(r->doc, id);
    if (!read_prompt(r))
        return CTL_ROW_NO_PROMPT;
    row->pieces = r->pieces;
    row->piece_count = r->count;
    if (labelled && (!read_label(r->doc, SLICE("small_ok"), &row->small_ok) ||
                     !read_label(r->doc, SLICE("large_ok"), &row->large_ok)))
        return CTL_ROW_NO_LABELS;
    return CTL_ROW_GOOD;
}

// ---------------------------------------------------------------- files

static bool read_file(FILE *in, const char *name, bool labelled, ctl_row_use *use, void *arg,
                      struct ctl_row_counts *counts) {
    struct reader r = {.doc = json_doc_new()};
    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    for (uint64_t line = 1; (len = getline(&text, &room, in)) >= 0; line++) {
        struct ctl_row row = {.file = name, .line = line};
        struct slice rest = slice_make(text, (size_t)len);
        while (rest.len > 0 && (rest.ptr[rest.len - 1] == '\n' || rest.ptr[rest.len - 1] == '\r'))
            rest.len--;
        r.arena = arena_new(4096);
        row.state = read_row(&r, rest, labelled, &row);
        enum ctl_row_state state = use(arg, &row);
        arena_free(r.arena);
        if (counts->of[state]++ == 0)
            counts->first[state] = line;
    }
    bool good = !ferror(in);
    if (!good)
        fprintf(stderr, "farthingctl: %s: %s\n", name, strerror(errno));
    free(text);
    free(r.pieces);
    json_doc_free(r.doc);
    return good;
}

bool ctl_rows_read(const char *const *files, size_t count, bool labelled, ctl_row_use *use,
                   void *arg, struct ctl_row_counts *counts) {
    for (size_t i = 0; i < count; i++) {
        bool standard = strcmp(files[i], "-") == 0;
        FILE *in = standard ? stdin : fopen(files[i], "re");
        if (in == NULL) {
            fprintf(stderr, "farthingctl: %s: %s\n", files[i], strerror(errno));
            return false;
        }
        bool good = read_file(in, files[i], labelled, use, arg, counts);
        if (!standard)
            fclose(in);
        if (!good)
            return false;
    }
    return true;
}

// --------------------------------------------------------------- counts

const char *ctl_row_problem(enum ctl_row_state state) {
    static const char *const words[] = {
        "",
        "the line is empty",
        "the line is no JSON object",
        "there is no text in \"prompt\" or \"messages\"",
        "\"small_ok\" and \"large_ok\" are not both true or false",
        "there are too many rows to learn from",
    };
    _Static_assert(FARTHING_COUNT(words) == CTL_ROW_STATES, "words for each");
    return words[state];
}

uint64_t ctl_rows_unused(const struct ctl_row_counts *counts) {
    uint64_t sum = 0;
    for (size_t i = CTL_ROW_GOOD + 1; i < CTL_ROW_STATES; i++)
        sum += counts->of[i];
    return sum;
}

bool ctl_rows_report(const struct ctl_row_counts *counts, const char *what) {
    for (size_t i = CTL_ROW_GOOD + 1; i < CTL_ROW_STATES; i++)
        if (counts->of[i] > 0)
            fprintf(stderr, "farthingctl: %llu %s not %s, the first is line %llu: %s\n",
                    (unsigned long long)counts->of[i],
                    counts->of[i] == 1 ? "line was" : "lines were", what,
                    (unsigned long long)counts->first[i], ctl_row_problem((enum ctl_row_state)i));
    return counts->of[CTL_ROW_GOOD] > 0;
}
