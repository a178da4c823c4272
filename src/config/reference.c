// docs/configuration.md, made from the table.
#include "spec.h"

static void write_section(struct buffer *out, const struct spec_section *s) {
    buffer_printf(out, "\n## %s%s`%s%s`\n\n%s\n\n", s->parent, s->parent[0] != '\0' ? " / " : "",
                  s->name, s->titled ? " \"NAME\"" : "", s->help);
    BUFFER_LITERAL(out, "| key | expects | default | meaning |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < s->key_count; i++) {
        const struct spec_key *k = &s->keys[i];
        buffer_printf(out, "| `%s` | %s | %s%s%s | %s%s |\n", k->name,
                      k->list ? spec_kind_expected(SPEC_LIST) : spec_kind_expected(k->kind),
                      k->initial != NULL ? "`" : "", k->initial != NULL ? k->initial : "",
                      k->initial != NULL ? "`" : "", k->help,
                      k->not_enforced ? " *Checked, but without effect in this version.*" : "");
    }
}

void config_write_reference(struct buffer *out) {
    BUFFER_LITERAL(out,
                   "# routing.conf\n\n"
                   "This page is made from the tables in `src/config/spec_*.c` by "
                   "`scripts/update-docs`.\n\n"
                   "The syntax is libconfuse's: `section \"title\" { key = value }`, lists in braces, "
                   "comments after `#` or `//` and between `/*` and `*/`. "
                   "`include(\"FILE\")` puts another file in its place, found beside the one "
                   "that names it. Unknown sections and keys are errors. `${NAME}` takes an "
                   "environment variable, and an unset one is an error; `file:PATH` in a secret reads "
                   "a file, beside the configuration unless the path is absolute. "
                   "`farthing -t -c FILE` checks a file.\n");
    size_t count;
    const struct spec_section *const *all = spec_sections(&count);
    for (size_t i = 0; i < count; i++)
        write_section(out, all[i]);
}
