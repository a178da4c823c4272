// The text of a file on its way to libconfuse: one pass that knows strings,
// comments and braces, and nothing of what they mean.
//
// libconfuse 3.3 counts a line too many for each comment, takes none inside a
// list, puts an empty text in the place of an unset ${NAME}, says of a string
// without an end only that the file ended, and stays inside of that string for
// the next file. So comments are left out here (their line ends are kept),
// variables and strings are checked, and include("FILE") is expanded with a
// note of which line came from where.
#include <stdlib.h>

#include "loader.h"

enum {
    INCLUDES_DEEP_MAX = 10,
    BRACES_DEEP_MAX = 16, // a list in a section in a section is 3
    TEXT_BYTES_MAX = 16 << 20,
};

struct token {
    struct slice text; // of a word; empty for strings and signs
    int line;
    char sign; // '{' '}' '=' '+' ',' '(' ')', 'w' a word, '"' a string
};

struct frame {
    struct slice path; // "server", "provider:openai/retry": the same for the same section
    int line;
    bool list;
};

struct scan {
    struct loader *l;
    int line; // of the whole text, at the end of l->text
    bool broken;
    unsigned includes;
    struct token last, before;
    struct frame frames[BRACES_DEEP_MAX];
    unsigned depth;
    struct table *set; // "path/key" -> line of its first setting
};

// One file, or one included.
struct reader {
    struct scan *scan;
    struct slice text;
    size_t at;
    const char *file;
};

// -------------------------------------------------------------------- places

static void note_place(struct scan *s, const char *file, int file_line) {
    struct loader *l = s->l;
    l->places = base_realloc(l->places, (l->place_count + 1) * sizeof *l->places);
    l->places[l->place_count++] = (struct place){s->line, file, file_line};
}

struct place loader_place(const struct loader *l, int line) {
    for (size_t i = l->place_count; i-- > 0;) {
        const struct place *p = &l->places[i];
        if (p->line <= line)
            return (struct place){line, p->file, p->file_line + (line - p->line)};
    }
    return (struct place){line, l->file, line};
}

static void emit(struct scan *s, char c) {
    buffer_append_char(&s->l->text, c);
    s->line += c == '\n';
}

// ----------------------------------------------------------------- lexing

static char peek(const struct reader *r, size_t ahead) {
    return r->at + ahead < r->text.len ? r->text.ptr[r->at + ahead] : '\0';
}

static bool more(const struct reader *r) {
    return r->at < r->text.len;
}

static void keep(struct reader *r) {
    emit(r->scan, r->text.ptr[r->at++]);
}

static bool starts(const struct reader *r, const char *word) {
    return slice_starts_with(slice_from(r->text, r->at), slice_of(word));
}

static void push_token(struct scan *s, char sign, struct slice text, int line) {
    s->before = s->last;
    s->last = (struct token){text, line, sign};
}

#define BROKEN(scan, line, ...)                                                                    \
    ((scan)->broken = true, loader_error((scan)->l, (line), __VA_ARGS__))

static void skip_line_comment(struct reader *r) {
    while (more(r) && peek(r, 0) != '\n')
        r->at++;
}

static void skip_block_comment(struct reader *r) {
    int line = r->scan->line;
    r->at += 2;
    while (more(r) && !starts(r, "*/")) {
        if (peek(r, 0) == '\n')
            emit(r->scan, '\n');
        r->at++;
    }
    if (more(r))
        r->at += 2;
    else
        BROKEN(r->scan, line, "this comment has no end; expected \"*/\"");
    emit(r->scan, ' ');
}

static bool is_name(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.len > 0;
}

// At "${". Nothing of what follows is shown unless it is a name: the brace may
// be missing, and then it is the rest of the file.
static void keep_variable(struct reader *r) {
    struct slice rest = slice_from(r->text, r->at + 2);
    ptrdiff_t end = slice_find_char(rest, '}');
    struct slice inside = slice_make(rest.ptr, end < 0 ? 0 : (size_t)end);
    ptrdiff_t fallback = slice_find(inside, SLICE(":-"));
    struct slice name = fallback < 0 ? inside : slice_make(inside.ptr, (size_t)fallback);
    if (!is_name(name) || slice_find_char(inside, '\n') >= 0) {
        BROKEN(r->scan, r->scan->line,
               "\"${\" does not begin an environment variable; expected ${NAME}, or \\$ for a "
               "dollar sign");
        keep(r);
        return;
    }
    char *variable = slice_dup(name);
    if (fallback < 0 && getenv(variable) == NULL)
        loader_error(r->scan->l, r->scan->line,
                     "the environment variable \"%s\" is not set; expected a value for ${%s}",
                     loader_shown(r->scan->l, name), loader_shown(r->scan->l, name));
    free(variable);
    for (size_t left = 3 + inside.len; left > 0; left--)
        keep(r);
}

static int octal_digits(const struct reader *r) {
    int n = 0;
    while (n < 3 && peek(r, 1 + (size_t)n) >= '0' && peek(r, 1 + (size_t)n) <= '7')
        n++;
    return n;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// At a backslash in a double-quoted string. libconfuse ends its reading in the
// middle of the string at a number that is no byte, and a zero ends the value.
static void keep_escape(struct reader *r) {
    char c = peek(r, 1);
    bool bad = false;
    if (is_digit(c)) {
        int digits = octal_digits(r), value = 0;
        for (int i = 1; i <= digits; i++)
            value = value * 8 + (peek(r, (size_t)i) - '0');
        bad = value == 0 || value > 255 || is_digit(peek(r, 1 + (size_t)digits));
    } else if (c == 'x') {
        char high = peek(r, 2), low = peek(r, 3);
        bad = is_hex(high) && (high == '0' && (low == '0' || !is_hex(low)));
    }
    if (bad)
        BROKEN(
            r->scan, r->scan->line,
            "\"\\%c\" begins no valid escape in a string; expected \\n, \\t, \\\", \\\\, \\x41 or "
            "\\101, and no zero byte",
            c);
    keep(r);
    if (more(r))
        keep(r);
}

static void keep_string(struct reader *r) {
    char quote = peek(r, 0);
    int line = r->scan->line;
    keep(r);
    while (more(r) && peek(r, 0) != quote) {
        if (peek(r, 0) == '\\' && quote == '"') {
            keep_escape(r);
        } else if (peek(r, 0) == '\\' && (peek(r, 1) == '\'' || peek(r, 1) == '\\')) {
            keep(r);
            keep(r);
        } else if (quote == '"' && starts(r, "${")) {
            keep_variable(r);
        } else {
            keep(r);
        }
    }
    if (more(r))
        keep(r);
    else
        BROKEN(r->scan, line, "this string has no end; expected %s", quote == '"' ? "\"" : "'");
    push_token(r->scan, '"', SLICE_NONE, line);
}

static bool ends_word(char c) {
    return strchr(" \t\r\n#\"'={}()+,*", c) != NULL; // and NUL, which is not in the text
}

static struct slice keep_word(struct reader *r) {
    size_t start = r->at;
    do
        keep(r);
    while (more(r) && !ends_word(peek(r, 0)));
    struct slice word = slice_make(r->text.ptr + start, r->at - start);
    push_token(r->scan, 'w', arena_copy(r->scan->l->scratch, word), r->scan->line);
    return word;
}

// ---------------------------------------------------------------- structure

// An unknown name is taken to be one: its message is about the name.
static bool is_titled(struct slice name) {
    size_t count;
    const struct spec_section *const *all = spec_sections(&count);
    for (size_t i = 0; i < count; i++)
        if (slice_equal(slice_of(all[i]->name), name))
            return all[i]->titled;
    return true;
}

static void open_brace(struct reader *r) {
    struct scan *s = r->scan;
    int line = s->line;
    bool list = s->last.sign == '=' || s->last.sign == '+';
    bool titled = s->last.sign == '"' && s->before.sign == 'w' && is_titled(s->before.text);
    if (!list && !titled && s->last.sign == '"') {
        BROKEN(s, s->last.line,
               "a section's name stands without quotes; expected SECTION {, or "
               "SECTION \"NAME\" {");
        return;
    }
    if (s->depth == BRACES_DEEP_MAX) {
        BROKEN(s, line,
               "braces are nested too deeply; expected no more than a list in a section "
               "in a section");
        return;
    }
    struct frame *f = &s->frames[s->depth];
    struct slice parent = s->depth > 0 ? s->frames[s->depth - 1].path : SLICE_NONE;
    // Titled sections are each their own: the place of the brace tells them apart.
    struct slice path = titled ? arena_printf(s->l->scratch, "%zu", s->l->text.len)
                               : arena_printf(s->l->scratch, "%.*s/%.*s", SLICE_ARG(parent),
                                              SLICE_ARG(s->last.text));
    int begin = titled ? s->before.line : s->last.line;
    *f = (struct frame){path, begin > 0 ? begin : line, list};
    s->depth++;
    keep(r);
    push_token(s, '{', SLICE_NONE, line);
}

static void close_brace(struct reader *r) {
    struct scan *s = r->scan;
    struct loader *l = s->l;
    if (s->depth > 0 && !s->frames[--s->depth].list) {
        l->section_lines =
            base_realloc(l->section_lines, (l->section_count + 1) * sizeof *l->section_lines);
        l->section_lines[l->section_count++] = s->frames[s->depth].line;
    }
    int line = s->line;
    keep(r);
    push_token(s, '}', SLICE_NONE, line);
}

// The last setting of a key holds, as in libconfuse; a second one in the same
// section is more often a slip.
static void note_setting(struct scan *s) {
    if (s->last.sign == '"')
        BROKEN(s, s->last.line, "a key stands without quotes; expected KEY = VALUE");
    if (s->last.sign != 'w')
        return;
    struct slice path = s->depth > 0 ? s->frames[s->depth - 1].path : SLICE_NONE;
    struct slice key =
        arena_printf(s->l->scratch, "%.*s/%.*s", SLICE_ARG(path), SLICE_ARG(s->last.text));
    int *line = arena_alloc(s->l->scratch, sizeof *line);
    *line = s->last.line;
    const int *first = table_put(s->set, key, line);
    if (first == NULL)
        return;
    struct place p = loader_place(s->l, *first);
    loader_warn(s->l, *line, "%s is set twice in this section, before at %s:%d; this setting holds",
                loader_shown(s->l, s->last.text), p.file, p.file_line);
}

static void keep_sign(struct reader *r) {
    struct scan *s = r->scan;
    int line = s->line;
    bool append = starts(r, "+=");
    char sign = peek(r, 0);
    if (sign == '=')
        note_setting(s);
    if (s->broken)
        return;
    keep(r);
    if (append)
        keep(r);
    push_token(s, sign, SLICE_NONE, line);
}

// ----------------------------------------------------------------- includes

static void scan_text(struct scan *s, struct slice text, const char *file);

static void skip_blanks(struct reader *r) {
    while (more(r) && (peek(r, 0) == ' ' || peek(r, 0) == '\t'))
        r->at++;
}

// Behind the word include: ("PATH"). False: not of that form.
static bool read_include(struct reader *r, struct slice *path) {
    skip_blanks(r);
    if (peek(r, 0) != '(')
        return false;
    r->at++;
    skip_blanks(r);
    char quote = peek(r, 0);
    if (quote != '"' && quote != '\'')
        return false;
    struct slice rest = slice_from(r->text, r->at + 1);
    ptrdiff_t end = slice_find_char(rest, quote);
    if (end < 0 || slice_find_char(slice_make(rest.ptr, (size_t)end), '\n') >= 0)
        return false;
    *path = slice_make(rest.ptr, (size_t)end);
    r->at += (size_t)end + 2;
    skip_blanks(r);
    if (peek(r, 0) != ')')
        return false;
    r->at++;
    return true;
}

static int file_line_at(const struct reader *r) {
    int line = 1;
    for (size_t i = 0; i < r->at; i++)
        line += r->text.ptr[i] == '\n';
    return line;
}

static void include(struct reader *r, size_t word_at) {
    struct scan *s = r->scan;
    struct slice path;
    r->at = word_at + strlen("include");
    if (!read_include(r, &path)) {
        BROKEN(s, s->line, "include is not valid here; expected include(\"FILE\")");
        return;
    }
    if (s->includes == INCLUDES_DEEP_MAX) {
        BROKEN(s, s->line,
               "include: files are included too deeply, or by themselves; expected no "
               "more than %d levels",
               INCLUDES_DEEP_MAX);
        return;
    }
    const char *name = loader_path(s->l, r->file, path), *why;
    struct slice text;
    if (!loader_read_file(s->l, name, TEXT_BYTES_MAX, &text, &why)) {
        BROKEN(s, s->line, "include: cannot read \"%s\": %s", loader_shown(s->l, slice_of(name)),
               why);
        return;
    }
    emit(s, '\n');
    s->includes++;
    scan_text(s, text, name);
    s->includes--;
    emit(s, '\n');
    note_place(s, r->file, file_line_at(r));
}

// -------------------------------------------------------------------- whole

static void scan_word(struct reader *r) {
    size_t start = r->at, kept = r->scan->l->text.len;
    struct token last = r->scan->last, before = r->scan->before;
    struct slice word = keep_word(r);
    bool in_list = r->scan->depth > 0 && r->scan->frames[r->scan->depth - 1].list;
    if (last.sign == '=' || last.sign == '+' || in_list)
        return;                          // a value
    if (slice_find_char(word, '|') >= 0) // libconfuse would look into other sections
        BROKEN(r->scan, r->scan->line,
               "\"%s\" is not a key: \"|\" has no meaning here; expected a "
               "key or a section",
               loader_shown(r->scan->l, word));
    if (!slice_equal(word, SLICE("include")))
        return;
    r->scan->l->text.len = kept;
    r->scan->last = last;
    r->scan->before = before;
    include(r, start);
}

static void scan_one(struct reader *r) {
    char c = peek(r, 0);
    if (c == '#' || starts(r, "//"))
        skip_line_comment(r);
    else if (starts(r, "/*"))
        skip_block_comment(r);
    else if (c == '"' || c == '\'')
        keep_string(r);
    else if (c == '{')
        open_brace(r);
    else if (c == '}')
        close_brace(r);
    else if (c == '=' || c == ',' || c == '(' || c == ')' || starts(r, "+="))
        keep_sign(r);
    else if (starts(r, "${")) {
        keep_variable(r);
        push_token(r->scan, '"', SLICE_NONE, r->scan->line);
    } else if (ends_word(c))
        keep(r); // blanks, and signs that libconfuse passes over
    else
        scan_word(r);
}

static void scan_text(struct scan *s, struct slice text, const char *file) {
    struct reader r = {.scan = s, .text = text, .file = file};
    note_place(s, file, 1);
    if (slice_starts_with(text, SLICE("\xEF\xBB\xBF")))
        r.at = 3; // a byte order mark, which some editors write
    ptrdiff_t zero = slice_find_char(text, '\0');
    if (zero >= 0) {
        r.at = (size_t)zero;
        s->broken = true;
        loader_error(s->l, s->line + file_line_at(&r) - 1,
                     "the file contains a NUL byte; expected text");
        return;
    }
    while (more(&r) && !s->broken && s->l->text.len <= TEXT_BYTES_MAX)
        scan_one(&r);
    if (s->l->text.len > TEXT_BYTES_MAX && !s->broken)
        BROKEN(s, s->line, "the configuration is too large; expected at most 16 MiB in all");
}

bool loader_scan(struct loader *l, struct slice text) {
    struct scan s = {.l = l, .line = 1, .set = table_new()};
    scan_text(&s, text, l->file);
    if (!s.broken && s.depth > 0)
        BROKEN(&s, s.frames[s.depth - 1].line, "what begins here has no end; expected \"}\"");
    table_free(s.set);
    buffer_append_char(&l->text, '\0');
    return !s.broken;
}
