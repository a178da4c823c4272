// From text to libconfuse's tree: its options are made from the table, and its
// errors are said again in words that name what was expected and no secret.
//
// libconfuse ends at its first error, so there is one error of this kind.
#include <stdio.h>

#include "loader.h"

static struct loader *current; // libconfuse's callbacks carry no argument of ours

// -------------------------------------------------------------------- lines

static struct slice line_key(char *out, size_t room, const cfg_t *section, const char *key) {
    int n = snprintf(out, room, "%p/%s", (const void *)section, key);
    return slice_make(out, (size_t)n);
}

static struct slice item_key(char *out, size_t room, const cfg_t *section, const char *key,
                             size_t item) {
    int n = snprintf(out, room, "%p/%s/%zu", (const void *)section, key, item);
    return slice_make(out, (size_t)n);
}

static void note(struct slice key, int line) {
    table_put(current->lines, key, (void *)(intptr_t)(line < 1 ? 1 : line));
}

static int noted(const struct loader *l, struct slice key) {
    return (int)(intptr_t)table_get(l->lines, key);
}

int loader_line(struct loader *l, cfg_t *section, const char *key) {
    char text[128];
    int line = noted(l, line_key(text, sizeof text, section, key != NULL ? key : ""));
    if (line == 0 && key != NULL)
        line = noted(l, line_key(text, sizeof text, section, ""));
    return line > 0 ? line : 1; // a section that is not in the file
}

bool loader_is_present(const struct loader *l, cfg_t *section) {
    char text[128];
    return noted(l, line_key(text, sizeof text, section, "")) != 0;
}

int loader_item_line(struct loader *l, cfg_t *section, const char *key, size_t item) {
    char text[128];
    int line = noted(l, item_key(text, sizeof text, section, key, item));
    return line > 0 ? line : loader_line(l, section, key);
}

// -------------------------------------------------------- libconfuse's side

// Not by cfg_getopt: it calls on_syntax_error, which asks here.
static bool has_option(cfg_t *section, const char *name) {
    for (unsigned i = 0; i < cfg_num(section); i++)
        if (strcmp(cfg_opt_name(cfg_getnopt(section, i)), name) == 0)
            return true;
    return false;
}

static const struct spec_section *spec_of(cfg_t *section) {
    if (section == NULL || section->name == NULL || strcmp(section->name, "root") == 0)
        return NULL;
    size_t count;
    const struct spec_section *const *all = spec_sections(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i]->name, section->name) == 0 &&
            // Two sections are called cache: the one inside a route has `scope`.
            (strcmp(section->name, "cache") != 0 ||
             has_option(section, "scope") == (all[i]->parent[0] != '\0')))
            return all[i];
    return NULL;
}

static bool is_secret(const struct spec_section *spec, const char *name) {
    const struct spec_key *key = spec != NULL ? spec_key_find(spec, slice_of(name)) : NULL;
    // A tenant's keys are digests, but who has not read the manual writes the keys themselves.
    return key != NULL && (key->kind == SPEC_SECRET || strcmp(name, "keys") == 0);
}

// Called with each value, and once more at the end of a list.
static int on_value(cfg_t *section, cfg_opt_t *opt) {
    char text[128];
    const char *name = cfg_opt_name(opt);
    unsigned size = cfg_opt_size(opt);
    current->last_line = section->line;
    current->last_secret = is_secret(spec_of(section), name) ? name : NULL;
    bool list = (opt->flags & CFGF_LIST) != 0;
    if (!list || size <= 1)
        note(line_key(text, sizeof text, section, name), section->line);
    struct slice item = item_key(text, sizeof text, section, name, size > 0 ? size - 1 : 0);
    if (list && noted(current, item) == 0)
        note(item, section->line);
    return 0;
}

static int on_section_end(cfg_t *parent, cfg_opt_t *opt) {
    (void)parent;
    char text[128];
    cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
    size_t n = current->sections_ended++;
    current->last_secret = NULL;
    if (n < current->section_count)
        note(line_key(text, sizeof text, section, ""), current->section_lines[n]);
    return 0;
}

static void explain_unknown_word(struct loader *l, cfg_t *section, struct slice word) {
    const struct spec_section *spec = spec_of(section);
    const char *nearest = spec_nearest(spec, word);
    const char *where = spec != NULL ? spec->name : "the file";
    bool hide = l->last_secret != NULL && l->last_line == section->line;
    struct buffer text = {0};
    if (hide) // it may be a part of the secret that lost its quotes
        buffer_printf(&text, "what follows the value of %s is not a key of %s", l->last_secret,
                      where);
    else
        buffer_printf(&text, "\"%s\" is not a key of %s", loader_shown(l, word), where);
    if (nearest != NULL)
        buffer_printf(&text, "; did you mean \"%s\"?", nearest);
    else if (hide)
        buffer_printf(&text, "; expected the value in one pair of quotes");
    else
        buffer_printf(&text, "; docs/configuration.md has them all");
    loader_error(l, section->line, "%.*s", SLICE_ARG(buffer_slice(&text)));
    buffer_free(&text);
}

static void explain_token(struct loader *l, int line, struct slice token) {
    bool sign = token.len == 1 && strchr("{}()=,", token.ptr[0]) != NULL;
    if (sign || slice_equal(token, SLICE("+=")))
        loader_error(l, line,
                     "\"%.*s\" is out of place here; expected KEY = VALUE, a list in "
                     "braces, or the end of a section",
                     SLICE_ARG(token));
    else if (l->last_secret != NULL)
        loader_error(l, line, "%s: a text follows another in the list; expected \",\" or \"}\"",
                     l->last_secret);
    else
        loader_error(l, line, "\"%s\" is out of place here; expected \",\" or \"}\"",
                     loader_shown(l, token));
}

// 'WORD' at the end of libconfuse's message, when the message begins so.
static bool quoted_in(struct slice said, const char *prefix, struct slice *word) {
    struct slice begin = slice_of(prefix);
    if (!slice_starts_with(said, begin) || !slice_ends_with(said, SLICE("'")))
        return false;
    *word = slice_make(said.ptr + begin.len, said.len - begin.len - 1);
    return true;
}

static FARTHING_PRINTF(2, 0) void on_syntax_error(cfg_t *section, const char *fmt, va_list args) {
    struct loader *l = current;
    struct slice said = slice_of(loader_format(l->scratch, fmt, args)), word;
    int line = section->line;
    if (quoted_in(said, "no such option '", &word))
        explain_unknown_word(l, section, word);
    else if (quoted_in(said, "unexpected token '", &word))
        explain_token(l, line, word);
    else if (quoted_in(said, "missing equal sign after option '", &word))
        loader_error(l, line, "%s: expected \"=\" and a value", loader_shown(l, word));
    else if (quoted_in(said, "attempt to append to non-list option '", &word))
        loader_error(l, line, "%s: \"+=\" adds to lists; expected \"=\"", loader_shown(l, word));
    else if (quoted_in(said, "missing title for section '", &word))
        loader_error(l, line, "%s: expected a name in quotes, %s \"NAME\" {", loader_shown(l, word),
                     loader_shown(l, word));
    else if (quoted_in(said, "missing opening brace for section '", &word))
        loader_error(l, line, "%s: expected \"{\" and the section's keys", loader_shown(l, word));
    else if (quoted_in(said, "found duplicate title '", &word))
        loader_error(l, line,
                     "the name \"%s\" is taken by an earlier section of this kind; "
                     "expected a name of its own",
                     loader_shown(l, word));
    else
        loader_error(l, line, "%s", loader_shown(l, said));
}

// libconfuse's options of a section (NULL: of the file), keys and sections.
static cfg_opt_t *make_options(struct arena *arena, const struct spec_section *own) {
    size_t section_count, count = 0;
    const struct spec_section *const *all = spec_sections(&section_count);
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
        bool child = strcmp(all[i]->parent, inside) == 0 && (own == NULL || own->parent[0] == '\0');
        if (!child)
            continue;
        cfg_opt_t *sub = make_options(arena, all[i]);
        cfg_flag_t flags =
            all[i]->titled ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
        cfg_opt_t section = CFG_SEC(all[i]->name, sub, flags);
        options[count] = section;
        options[count++].validcb = on_section_end;
    }
    cfg_opt_t end = CFG_END();
    options[count] = end;
    return options;
}

cfg_t *loader_parse(struct loader *l) {
    current = l;
    size_t errors = l->error_count;
    cfg_t *root = cfg_init(make_options(l->scratch, NULL), CFGF_NONE);
    cfg_set_error_function(root, on_syntax_error);
    // An empty buffer would be an error to libconfuse; to us it is a file
    // without a provider.
    int result = l->text.ptr[0] == '\0' ? CFG_SUCCESS : cfg_parse_buf(root, l->text.ptr);
    current = NULL;
    if (result == CFG_SUCCESS)
        return root;
    if (l->error_count == errors)
        loader_error(l, root->line > 0 ? root->line : 1, "the syntax is not valid here");
    cfg_free(root);
    return NULL;
}
