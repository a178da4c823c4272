// From a file to a snapshot: libconfuse reads the syntax, the table says what
// may stand where, build.c puts it together. All errors are reported that can
// be told apart, in the order of their lines.
#include "loader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct loader *current; // libconfuse's callbacks carry no argument of ours

static struct slice format(struct arena *arena, const char *fmt, va_list args) {
    char text[512];
    vsnprintf(text, sizeof text, fmt, args);
    return arena_copy(arena, slice_of(text));
}

void loader_error(struct loader *l, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    struct slice text = format(l->arena, fmt, args);
    va_end(args);
    l->errors = base_realloc(l->errors, (l->error_count + 1) * sizeof *l->errors);
    l->errors[l->error_count++] = (struct message){line, (char *)(uintptr_t)text.ptr};
}

void loader_warn(struct loader *l, int line, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    struct slice text = format(l->arena, fmt, args);
    va_end(args);
    l->warnings = base_realloc(l->warnings, (l->warning_count + 1) * sizeof *l->warnings);
    l->warnings[l->warning_count++] =
        arena_printf(l->arena, "%s:%d: warning: %.*s", l->file, line, SLICE_ARG(text));
}

// ------------------------------------------------------------------- lines

static struct slice line_key(char *out, size_t room, const cfg_t *section, const char *key) {
    int n = snprintf(out, room, "%p/%s", (const void *)section, key);
    return slice_make(out, (size_t)n);
}

void loader_note_line(struct loader *l, cfg_t *section, const char *key, int line) {
    char text[128];
    if (line < 1)
        line = 1;
    // Stored one up: a table holds no NULL.
    table_put(l->lines, line_key(text, sizeof text, section, key), (void *)(intptr_t)line);
    struct slice first = line_key(text, sizeof text, section, "");
    if (table_get(l->lines, first) == NULL)
        table_put(l->lines, first, (void *)(intptr_t)line);
}

int loader_line(struct loader *l, cfg_t *section, const char *key) {
    char text[128];
    intptr_t line = 0;
    if (section != NULL)
        line = (intptr_t)table_get(l->lines,
                                   line_key(text, sizeof text, section, key != NULL ? key : ""));
    if (line == 0 && section != NULL)
        line = section->line;
    return line > 0 ? (int)line : 1;
}

// -------------------------------------------------------- libconfuse's side

static int on_value(cfg_t *section, cfg_opt_t *opt) {
    loader_note_line(current, section, cfg_opt_name(opt), section->line);
    return 0;
}

static const struct spec_section *spec_of(const cfg_t *section) {
    if (section == NULL || section->name == NULL || strcmp(section->name, "root") == 0)
        return NULL;
    size_t count;
    const struct spec_section *all = spec_sections(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, section->name) == 0 &&
            // Two sections are called cache: the one inside a route has `scope`.
            (strcmp(section->name, "cache") != 0 ||
             (cfg_getopt((cfg_t *)(uintptr_t)section, "scope") != NULL) == (all[i].parent[0] != '\0')))
            return &all[i];
    return NULL;
}

static bool told; // an unknown word was reported; the parser gives up behind it

static void on_syntax_error(cfg_t *section, const char *fmt, va_list args) {
    char text[400];
    vsnprintf(text, sizeof text, fmt, args);
    int line = section != NULL ? section->line : 1;
    struct slice said = slice_of(text), prefix = SLICE("no such option '");
    if (!slice_starts_with(said, prefix)) {
        loader_error(current, line, "%s", text);
        told = true;
        return;
    }
    struct slice word = slice_from(said, prefix.len);
    if (slice_ends_with(word, SLICE("'")))
        word.len--;
    const struct spec_section *spec = spec_of(section);
    const char *nearest = spec_nearest(spec, word);
    const char *where = spec != NULL ? spec->name : "the file";
    if (nearest != NULL)
        loader_error(current, line, "\"%.*s\" is not a key of %s; did you mean \"%s\"?",
                     SLICE_ARG(word), where, nearest);
    else
        loader_error(current, line, "\"%.*s\" is not a key of %s; docs/configuration.md has them all",
                     SLICE_ARG(word), where);
    told = true;
}

// libconfuse's options of a section (NULL: of the file), keys and sections.
static cfg_opt_t *make_options(struct arena *arena, const struct spec_section *own) {
    size_t section_count, count = 0;
    const struct spec_section *all = spec_sections(&section_count);
    const char *inside = own != NULL ? own->name : "";
    size_t most = section_count + (own != NULL ? own->key_count : 0) + 1;
    cfg_opt_t *options = arena_calloc(arena, most * sizeof *options);
    for (size_t i = 0; own != NULL && i < own->key_count; i++) {
        const struct spec_key *key = &own->keys[i];
        bool list = key->kind == SPEC_LIST || key->list;
        cfg_opt_t plain = CFG_STR(key->name, NULL, CFGF_NONE);
        cfg_opt_t many = CFG_STR_LIST(key->name, NULL, CFGF_NONE);
        options[count] = list ? many : plain;
        options[count++].validcb = on_value;
    }
    for (size_t i = 0; i < section_count; i++) {
        bool child = strcmp(all[i].parent, inside) == 0 && (own == NULL || own->parent[0] == '\0');
        if (!child)
            continue;
        cfg_opt_t *sub = make_options(arena, &all[i]);
        cfg_flag_t flags = all[i].titled ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
        cfg_opt_t section = CFG_SEC(all[i].name, sub, flags);
        options[count++] = section;
    }
    cfg_opt_t end = CFG_END();
    options[count] = end;
    return options;
}

// ------------------------------------------------------------------ the whole

static int by_line(const void *a, const void *b) {
    const struct message *x = a, *y = b;
    return x->line != y->line ? (x->line < y->line ? -1 : 1) : 0;
}

static void report(struct loader *l, struct buffer *messages) {
    qsort(l->errors, l->error_count, sizeof *l->errors, by_line);
    for (size_t i = 0; i < l->error_count; i++)
        buffer_printf(messages, "%s:%d: %s\n", l->file, l->errors[i].line, l->errors[i].text);
}

static void parse(struct loader *l, struct slice text) {
    struct arena *scratch = arena_new(32 * 1024);
    cfg_t *root = cfg_init(make_options(scratch, NULL), CFGF_NONE);
    char *copy = slice_dup(text);
    cfg_set_error_function(root, on_syntax_error);
    told = false;
    loader_check_environment(l, text);
    // An empty buffer would be an error to libconfuse; to us it is a file
    // without a provider.
    bool blank = slice_trim(text).len == 0;
    int result = blank ? CFG_SUCCESS : cfg_parse_buf(root, copy);
    if (result == CFG_SUCCESS)
        loader_build(l, root);
    else if (!told)
        loader_error(l, root->line > 0 ? root->line : 1, "the syntax is not valid here");
    cfg_free(root);
    free(copy);
    arena_free(scratch);
}

static const struct config *finish(struct loader *l, struct buffer *messages) {
    static uint64_t generation;
    struct snapshot *snapshot = l->snapshot;
    report(l, messages);
    bool failed = l->error_count > 0;
    if (l->warning_count > 0) {
        struct slice *kept = arena_alloc(l->arena, l->warning_count * sizeof *kept);
        memcpy(kept, l->warnings, l->warning_count * sizeof *kept);
        snapshot->config.warnings = (struct config_slices){kept, l->warning_count};
    }
    free(l->errors);
    free(l->warnings);
    table_free(l->lines);
    if (failed) {
        config_unref(&snapshot->config);
        return NULL;
    }
    snapshot->config.generation = ++generation;
    return &snapshot->config;
}

const struct config *config_load_text(struct slice text, const char *name, struct buffer *messages) {
    struct arena *arena = arena_new(16 * 1024);
    struct snapshot *snapshot = arena_calloc(arena, sizeof *snapshot);
    snapshot->arena = arena;
    snapshot->references = 1;
    snapshot->config.file = arena_copy(arena, slice_of(name));
    struct loader l = {
        .file = snapshot->config.file.ptr,
        .snapshot = snapshot,
        .arena = arena,
        .lines = table_new(),
    };
    current = &l;
    if (slice_find_char(text, '\0') >= 0)
        loader_error(&l, 1, "the file contains a NUL byte; expected text");
    else
        parse(&l, text);
    current = NULL;
    return finish(&l, messages);
}

const struct config *config_load(const char *path, struct buffer *messages) {
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        buffer_printf(messages, "%s:1: cannot open the file: %s\n", path, strerror(errno));
        return NULL;
    }
    struct buffer text = {0};
    size_t n;
    do {
        buffer_reserve(&text, 4096);
        n = fread(text.ptr + text.len, 1, 4096, f);
        text.len += n;
    } while (n > 0 && text.len < (16 << 20));
    bool failed = ferror(f) != 0;
    fclose(f);
    const struct config *config = NULL;
    if (failed)
        buffer_printf(messages, "%s:1: cannot read the file\n", path);
    else
        config = config_load_text(buffer_slice(&text), path, messages);
    buffer_free(&text);
    return config;
}
