// From a file to a snapshot: source.c looks at the text, syntax.c has libconfuse
// read it, build.c puts the snapshot together by the table. All errors are
// reported that can be told apart, in the order of their lines.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "loader.h"

enum {
    FILE_BYTES_MAX = 16 << 20,
    SHOWN_BYTES_MAX = 100, // of a value in a message
};

// ----------------------------------------------------------------- messages

const char *loader_format(struct arena *arena, const char *fmt, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    size_t room = length < 0 ? 1 : (size_t)length + 1;
    char *text = arena_calloc(arena, room);
    vsnprintf(text, room, fmt, args);
    return text;
}

static void add(struct message **messages, size_t *count, int line, const char *text) {
    *messages = base_realloc(*messages, (*count + 1) * sizeof **messages);
    (*messages)[*count] = (struct message){line, (unsigned)*count, text};
    *count += 1;
}

void loader_error(struct loader *l, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add(&l->errors, &l->error_count, line, loader_format(l->scratch, fmt, args));
    va_end(args);
}

void loader_warn(struct loader *l, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add(&l->warnings, &l->warning_count, line, loader_format(l->scratch, fmt, args));
    va_end(args);
}

const char *loader_shown(struct loader *l, struct slice value) {
    struct buffer text = {0};
    size_t shown = value.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : value.len;
    while (shown < value.len && shown > 0 && ((unsigned char)value.ptr[shown] & 0xC0) == 0x80)
        shown--; // not in the middle of a character
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c < ' ' || c == 0x7F)
            buffer_printf(&text, "\\x%02x", c);
        else
            buffer_append_char(&text, (char)c);
    }
    if (shown < value.len)
        BUFFER_LITERAL(&text, "...");
    const char *copy = arena_string(l->scratch, buffer_slice(&text));
    buffer_free(&text);
    return copy;
}

static int by_line(const void *a, const void *b) {
    const struct message *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void sort(struct message *messages, size_t count) {
    if (count > 0)
        qsort(messages, count, sizeof *messages, by_line);
}

static void report_errors(struct loader *l, struct buffer *messages) {
    sort(l->errors, l->error_count);
    for (size_t i = 0; i < l->error_count; i++) {
        struct place p = loader_place(l, l->errors[i].line);
        buffer_printf(messages, "%s:%d: %s\n", p.file, p.file_line, l->errors[i].text);
    }
}

static void keep_warnings(struct loader *l) {
    sort(l->warnings, l->warning_count);
    struct slice *kept = arena_alloc(l->arena, l->warning_count * sizeof *kept);
    for (size_t i = 0; i < l->warning_count; i++) {
        struct place p = loader_place(l, l->warnings[i].line);
        kept[i] =
            arena_printf(l->arena, "%s:%d: warning: %s", p.file, p.file_line, l->warnings[i].text);
    }
    l->snapshot->config.warnings = (struct config_slices){kept, l->warning_count};
}

// -------------------------------------------------------------------- files

static bool read_stream(FILE *f, size_t max, struct buffer *text, const char **why) {
    size_t n;
    do {
        buffer_reserve(text, 4096);
        n = fread(text->ptr + text->len, 1, 4096, f);
        text->len += n;
    } while (n > 0 && text->len <= max);
    if (ferror(f))
        *why = strerror(errno);
    else if (text->len > max)
        *why = "the file is too large";
    else
        return true;
    return false;
}

static bool read_file(const char *path, size_t max, struct buffer *text, const char **why) {
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        *why = strerror(errno);
        return false;
    }
    bool ok = read_stream(f, max, text, why);
    fclose(f);
    return ok;
}

bool loader_read_file(struct loader *l, const char *path, size_t max, struct slice *out,
                      const char **why) {
    struct buffer text = {0};
    bool ok = read_file(path, max, &text, why);
    *out = ok ? arena_copy(l->scratch, buffer_slice(&text)) : SLICE_NONE;
    buffer_free(&text);
    return ok;
}

const char *loader_path(struct loader *l, const char *file, struct slice path) {
    const char *slash = strrchr(file, '/');
    bool absolute = slice_starts_with(path, SLICE("/"));
    struct slice directory =
        slice_make(file, slash == NULL || absolute ? 0 : (size_t)(slash - file) + 1);
    return arena_printf(l->scratch, "%.*s%.*s", SLICE_ARG(directory), SLICE_ARG(path)).ptr;
}

// ---------------------------------------------------------------- the whole

static const struct config *finish(struct loader *l, struct buffer *messages) {
    static uint64_t generation;
    struct snapshot *snapshot = l->snapshot;
    report_errors(l, messages);
    keep_warnings(l);
    bool failed = l->error_count > 0;
    free(l->errors);
    free(l->warnings);
    free(l->places);
    free(l->section_lines);
    buffer_free(&l->text);
    table_free(l->lines);
    arena_free(l->scratch);
    if (failed) {
        config_unref(&snapshot->config);
        return NULL;
    }
    snapshot->config.generation = ++generation;
    return &snapshot->config;
}

const struct config *config_load_text(struct slice text, const char *name,
                                      struct buffer *messages) {
    struct arena *arena = arena_new(16 * 1024);
    struct snapshot *snapshot = arena_calloc(arena, sizeof *snapshot);
    snapshot->arena = arena;
    snapshot->references = 1;
    snapshot->config.file = arena_copy(arena, slice_of(name));
    struct loader l = {
        .file = snapshot->config.file.ptr,
        .snapshot = snapshot,
        .arena = arena,
        .scratch = arena_new(32 * 1024),
        .lines = table_new(),
    };
    cfg_t *root = loader_scan(&l, text) ? loader_parse(&l) : NULL;
    if (root != NULL) {
        loader_build(&l, root);
        cfg_free(root);
    }
    return finish(&l, messages);
}

const struct config *config_load(const char *path, struct buffer *messages) {
    struct buffer text = {0};
    const char *why;
    const struct config *config = NULL;
    if (read_file(path, FILE_BYTES_MAX, &text, &why))
        config = config_load_text(buffer_slice(&text), path, messages);
    else
        buffer_printf(messages, "%s:1: cannot read the file: %s\n", path, why);
    buffer_free(&text);
    return config;
}
