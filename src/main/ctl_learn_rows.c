// Rows for training and judging: JSON objects, one a line, with a prompt and whether
// each model's answer to it was good enough.
//
// A prompt is a text, an array of texts, or an array of messages; of these, what users
// say counts, as it does where requests are classified. Other members are not looked
// at, so any log that has these three will do. Lines of outcomes have no labels: there
// they are what all lines about a request say together.
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ctl_learn_join.h"

struct reader {
    struct ctl_join *join; // NULL: without labels
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
        if (json_type_of(r->doc, m) == JSON_STRING) {
            add_piece(r, m);
            continue;
        }
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

static enum ctl_row_state read_labels(struct reader *r, struct ctl_row *row) {
    if (ctl_join_is_for(r->doc))
        return ctl_join_row(r->join, r->doc, r->arena, row);
    return read_label(r->doc, SLICE("small_ok"), &row->small_ok) &&
                   read_label(r->doc, SLICE("large_ok"), &row->large_ok)
               ? CTL_ROW_GOOD
               : CTL_ROW_NO_LABELS;
}

static bool parse(struct reader *r, struct slice line) {
    struct error err;
    return json_parse(r->doc, line, NULL, &err) &&
           json_type_of(r->doc, JSON_ROOT) == JSON_OBJECT;
}

// What tells of another line has no prompt, and needs none.
static enum ctl_row_state read_row(struct reader *r, struct slice line, struct ctl_row *row) {
    r->count = 0;
    if (slice_trim(line).len == 0)
        return CTL_ROW_EMPTY;
    if (!parse(r, line))
        return CTL_ROW_INVALID;
    json_ref id = json_get(r->doc, JSON_ROOT, SLICE("id"));
    if (!json_is_absent(r->doc, id))
        row->id = json_raw(r->doc, id);
    bool has_prompt = read_prompt(r);
    row->pieces = r->pieces;
    row->piece_count = r->count;
    if (r->join == NULL || (!has_prompt && !ctl_join_is_for(r->doc)))
        return has_prompt ? CTL_ROW_GOOD : CTL_ROW_NO_PROMPT;
    enum ctl_row_state state = read_labels(r, row);
    return state == CTL_ROW_GOOD && !has_prompt ? CTL_ROW_NO_PROMPT : state;
}

// ---------------------------------------------------------------- files

struct file {
    const char *name;
    FILE *in;
    off_t end; // where the first reading ended: it may be written to meanwhile; -1: not yet
};

struct reading {
    struct reader reader;
    ctl_row_use *use; // NULL: the first of two readings, which only joins
    void *arg;
    struct ctl_row_counts *counts;
};

static bool complain(const char *name) {
    fprintf(stderr, "farthingctl: %s: %s\n", name, strerror(errno));
    return false;
}

static void use_line(struct reading *g, struct slice line, struct ctl_row *row) {
    row->state = read_row(&g->reader, line, row);
    enum ctl_row_state state = g->use(g->arg, row);
    if (g->counts->of[state]++ == 0)
        g->counts->first[state] = row->line;
    g->counts->assumed += state == CTL_ROW_GOOD && row->assumed;
}

// Rows with labels need not be parsed for this.
static void join_line(struct reading *g, struct slice line) {
    struct reader *r = &g->reader;
    if ((slice_find(line, SLICE("outcomes")) >= 0 || slice_find(line, SLICE("feedback")) >= 0) &&
        parse(r, line) && ctl_join_is_for(r->doc))
        ctl_join_note(r->join, r->doc, r->arena);
}

static bool read_lines(struct reading *g, struct file *f) {
    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    for (uint64_t line = 1; (f->end < 0 || ftello(f->in) < f->end) &&
                            (len = getline(&text, &room, f->in)) >= 0;
         line++) {
        struct ctl_row row = {.file = f->name, .line = line};
        struct slice rest = slice_make(text, (size_t)len);
        while (rest.len > 0 && (rest.ptr[rest.len - 1] == '\n' || rest.ptr[rest.len - 1] == '\r'))
            rest.len--;
        g->reader.arena = arena_new(4096);
        if (g->use != NULL)
            use_line(g, rest, &row);
        else
            join_line(g, rest);
        arena_free(g->reader.arena);
    }
    bool good = !ferror(f->in) || complain(f->name);
    free(text);
    return good;
}

static bool open_file(struct file *f, const char *name) {
    f->name = name;
    f->end = -1;
    f->in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    return f->in != NULL || complain(name);
}

static void close_file(struct file *f) {
    if (f->in != NULL && f->in != stdin)
        fclose(f->in);
    f->in = NULL;
}

// What cannot be read twice (standard input, a pipe) is copied to the disk.
static bool make_seekable(struct file *f) {
    struct stat st;
    if (f->in != stdin && fstat(fileno(f->in), &st) == 0 && S_ISREG(st.st_mode))
        return true;
    char piece[65536];
    size_t n;
    FILE *copy = tmpfile();
    if (copy == NULL)
        return complain("a temporary file");
    while ((n = fread(piece, 1, sizeof piece, f->in)) > 0)
        if (fwrite(piece, 1, n, copy) != n)
            break;
    bool good = !ferror(f->in) && !ferror(copy) && fflush(copy) == 0;
    if (!good)
        complain(f->name);
    close_file(f);
    f->in = copy;
    rewind(copy);
    return good;
}

static bool read_once(struct reading *g, const char *const *names, size_t count) {
    bool good = true;
    for (size_t i = 0; i < count && good; i++) {
        struct file f;
        good = open_file(&f, names[i]) && read_lines(g, &f);
        close_file(&f);
    }
    return good;
}

static bool read_twice(struct reading *g, const char *const *names, size_t count) {
    struct file files[CTL_WORDS_MAX] = {0};
    ctl_row_use *use = g->use;
    bool good = true;
    g->reader.join = ctl_join_new();
    g->use = NULL;
    for (size_t i = 0; i < count && good; i++) {
        good = open_file(&files[i], names[i]) && make_seekable(&files[i]) &&
               read_lines(g, &files[i]);
        if (good)
            files[i].end = ftello(files[i].in);
    }
    g->use = use;
    for (size_t i = 0; i < count && good; i++) {
        rewind(files[i].in);
        good = read_lines(g, &files[i]);
    }
    for (size_t i = 0; i < count; i++)
        close_file(&files[i]);
    ctl_join_free(g->reader.join);
    return good;
}

bool ctl_rows_read(const char *const *files, size_t count, bool labelled, ctl_row_use *use,
                   void *arg, struct ctl_row_counts *counts) {
    struct reading g = {.reader = {.doc = json_doc_new()},
                        .use = use,
                        .arg = arg,
                        .counts = counts};
    bool good = labelled ? read_twice(&g, files, count) : read_once(&g, files, count);
    free(g.reader.pieces);
    json_doc_free(g.reader.doc);
    return good;
}

// --------------------------------------------------------------- counts

const char *ctl_row_problem(enum ctl_row_state state) {
    static const char *const words[] = {
        "",
        "it tells of another line",
        "the line is empty",
        "the line is no JSON object",
        "there is no text in \"prompt\" or \"messages\"",
        "\"small_ok\" and \"large_ok\" are not both true or false",
        "there are too many rows to learn from",
        "there is no request_id",
        "nothing is known of the answer of the chain's first tier",
        "the request that it tells of is not here",
        "the request stands there twice",
    };
    _Static_assert(FARTHING_COUNT(words) == CTL_ROW_STATES, "words for each");
    return words[state];
}

uint64_t ctl_rows_unused(const struct ctl_row_counts *counts) {
    uint64_t sum = 0;
    for (size_t i = CTL_ROW_JOINED + 1; i < CTL_ROW_STATES; i++)
        sum += counts->of[i];
    return sum;
}

bool ctl_rows_report(const struct ctl_row_counts *counts, const char *what) {
    for (size_t i = CTL_ROW_JOINED + 1; i < CTL_ROW_STATES; i++)
        if (counts->of[i] > 0)
            fprintf(stderr, "farthingctl: %llu %s not %s, the first is line %llu: %s\n",
                    (unsigned long long)counts->of[i],
                    counts->of[i] == 1 ? "line was" : "lines were", what,
                    (unsigned long long)counts->first[i], ctl_row_problem((enum ctl_row_state)i));
    if (counts->assumed > 0)
        fprintf(stderr,
                "farthingctl: of %llu %s nothing is known of the last tier's answer: it was taken "
                "as good\n",
                (unsigned long long)counts->assumed, counts->assumed == 1 ? "row" : "rows");
    return counts->of[CTL_ROW_GOOD] > 0;
}
