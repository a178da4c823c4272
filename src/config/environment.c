// ${NAME} that is not set. libconfuse would put an empty text in its place, and
// a missing key would only be noticed as a 401 from a provider.
#include "loader.h"

#include <stdlib.h>

struct scan {
    struct loader *l;
    struct slice text;
    size_t at;
    int line;
};

static bool starts(const struct scan *s, const char *word) {
    return slice_starts_with(slice_from(s->text, s->at), slice_of(word));
}

static void step(struct scan *s) {
    if (s->text.ptr[s->at++] == '\n')
        s->line++;
}

static void skip_until(struct scan *s, const char *end) {
    while (s->at < s->text.len && !starts(s, end))
        step(s);
}

static void skip_single_quoted(struct scan *s) {
    step(s);
    while (s->at < s->text.len && s->text.ptr[s->at] != '\'') {
        if (s->text.ptr[s->at] == '\\' && s->at + 1 < s->text.len)
            step(s);
        step(s);
    }
}

static void check_variable(struct scan *s) {
    struct slice rest = slice_from(s->text, s->at + 2);
    ptrdiff_t end = slice_find_char(rest, '}');
    if (end < 0)
        return;
    struct slice name = slice_make(rest.ptr, (size_t)end);
    if (slice_find(name, SLICE(":-")) >= 0)
        return; // it brings its own default
    char *variable = slice_dup(name);
    if (getenv(variable) == NULL)
        loader_error(s->l, s->line,
                     "the environment variable \"%s\" is not set; expected a value for ${%s}",
                     variable, variable);
    free(variable);
}

void loader_check_environment(struct loader *l, struct slice text) {
    struct scan s = {.l = l, .text = text, .line = 1};
    bool quoted = false;
    while (s.at < text.len) {
        char c = text.ptr[s.at];
        if (!quoted && (c == '#' || starts(&s, "//")))
            skip_until(&s, "\n");
        else if (!quoted && starts(&s, "/*"))
            skip_until(&s, "*/");
        else if (!quoted && c == '\'')
            skip_single_quoted(&s);
        else if (c == '\\' && s.at + 1 < text.len)
            step(&s);
        else if (c == '"')
            quoted = !quoted;
        else if (starts(&s, "${"))
            check_variable(&s);
        if (s.at < text.len)
            step(&s);
    }
}
