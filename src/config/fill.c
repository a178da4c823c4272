// Plain keys into their struct, by the table: one conversion for each kind,
// one message for all.
#include <stdio.h>

#include "loader.h"

enum { SECRET_BYTES_MAX = 4096 };

const char *loader_text(cfg_t *section, const char *key) {
    cfg_opt_t *opt = cfg_getopt(section, key);
    return opt == NULL || cfg_opt_size(opt) == 0 ? NULL : cfg_opt_getnstr(opt, 0);
}

struct config_slices loader_list(struct loader *l, cfg_t *section, const char *key) {
    cfg_opt_t *opt = cfg_getopt(section, key);
    unsigned count = opt == NULL ? 0 : cfg_opt_size(opt);
    if (count == 0)
        return (struct config_slices){0};
    struct slice *items = arena_alloc(l->arena, count * sizeof *items);
    for (unsigned i = 0; i < count; i++)
        items[i] = arena_copy(l->arena, slice_of(cfg_opt_getnstr(opt, i)));
    return (struct config_slices){items, count};
}

// "file:PATH": the file's contents without the line end that editors add.
static bool read_secret_file(struct loader *l, int line, const char *key, struct slice path,
                             struct slice *out) {
    const char *name = loader_path(l, loader_place(l, line).file, path), *why;
    if (!loader_read_file(l, name, SECRET_BYTES_MAX, out, &why)) {
        loader_error(l, line,
                     "%s: cannot read the file \"%s\": %s; expected a readable file with "
                     "the secret alone, up to %d bytes",
                     key, loader_shown(l, slice_of(name)), why, SECRET_BYTES_MAX);
        return false;
    }
    while (out->len > 0 && (out->ptr[out->len - 1] == '\n' || out->ptr[out->len - 1] == '\r'))
        out->len--;
    if (out->len == 0)
        loader_error(l, line, "%s: the file \"%s\" is empty; expected the secret", key,
                     loader_shown(l, slice_of(name)));
    return out->len > 0;
}

// A secret goes into a header field: a line break in it would forge another.
// No message shows it.
static void read_secret(struct loader *l, int line, const char *key, struct slice value,
                        struct slice *out) {
    if (slice_starts_with(value, SLICE("file:")) &&
        !read_secret_file(l, line, key, slice_from(value, 5), &value))
        return;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] <= ' ' || value.ptr[i] == 0x7F) {
            loader_error(l, line,
                         "%s: the secret has a blank or a control character in it; expected "
                         "one word",
                         key);
            return;
        }
    *out = arena_copy(l->arena, value);
}

static bool to_bool(struct slice s, bool *out) {
    bool yes = slice_equal(s, SLICE("true")) || slice_equal(s, SLICE("yes")) ||
               slice_equal(s, SLICE("on"));
    bool no = slice_equal(s, SLICE("false")) || slice_equal(s, SLICE("no")) ||
              slice_equal(s, SLICE("off"));
    *out = yes;
    return yes || no;
}

static bool to_number(enum spec_kind kind, struct slice s, int64_t *out) {
    switch (kind) {
    case SPEC_COUNT:
    case SPEC_NUMBER:
        return slice_to_i64(s, out);
    case SPEC_DURATION:
        return config_parse_duration(s, out);
    case SPEC_SIZE:
        return config_parse_size(s, out);
    case SPEC_MONEY:
        return config_parse_money(s, out);
    case SPEC_RATE:
        return config_parse_rate(s, out);
    case SPEC_MILLI:
        return config_parse_milli(s, out);
    case SPEC_TEXT:
    case SPEC_LIST:
    case SPEC_BOOL:
    case SPEC_SECRET:
    case SPEC_FLAG:
    case SPEC_SPECIAL:
        break;
    }
    return false;
}

// A number as the file would spell it, with the largest unit that fits.
static const char *spell(struct loader *l, enum spec_kind kind, int64_t n) {
    static const struct {
        enum spec_kind kind;
        int64_t factor;
        const char *unit;
    } units[] = {
        {SPEC_DURATION, 86400000, "d"}, {SPEC_DURATION, 3600000, "h"}, {SPEC_DURATION, 60000, "m"},
        {SPEC_DURATION, 1000, "s"},     {SPEC_DURATION, 1, "ms"},      {SPEC_SIZE, 1 << 30, "g"},
        {SPEC_SIZE, 1 << 20, "m"},      {SPEC_SIZE, 1 << 10, "k"},
    };
    for (size_t i = 0; n > 0 && i < FARTHING_COUNT(units); i++)
        if (units[i].kind == kind && n % units[i].factor == 0)
            return arena_printf(l->scratch, "%lld%s", (long long)(n / units[i].factor),
                                units[i].unit)
                .ptr;
    if (kind == SPEC_MILLI)
        return arena_printf(l->scratch, "%g", (double)n / 1000).ptr;
    if (kind == SPEC_MONEY) // bounds are whole, but for the least amount that is something
        return n > 0 && n < SPEC_USD
                   ? "more than 0 usd"
                   : arena_printf(l->scratch, "%lld usd", (long long)(n / SPEC_USD)).ptr;
    if (kind == SPEC_RATE)
        return arena_printf(l->scratch, "%lld/min", (long long)n).ptr;
    return arena_printf(l->scratch, "%lld", (long long)n).ptr;
}

static bool in_bounds(struct loader *l, int line, const struct spec_key *key, struct slice value,
                      int64_t number) {
    if (number >= key->min && number <= key->max)
        return true;
    loader_error(l, line, "%s: \"%s\" is out of range; expected %s to %s", key->name,
                 loader_shown(l, value), spell(l, key->kind, key->min),
                 spell(l, key->kind, key->max));
    return false;
}

static void store_number(const struct spec_key *key, char *at, int64_t number) {
    if (key->kind == SPEC_COUNT)
        *(unsigned *)(void *)at = (unsigned)number;
    else
        *(int64_t *)(void *)at = number;
}

static void convert(struct loader *l, int line, const struct spec_key *key, struct slice value,
                    char *at) {
    bool yes;
    int64_t number = 0;
    switch (key->kind) {
    case SPEC_TEXT:
        *(struct slice *)(void *)at = arena_copy(l->arena, value);
        return;
    case SPEC_SECRET:
        read_secret(l, line, key->name, value, (struct slice *)(void *)at);
        return;
    case SPEC_BOOL:
    case SPEC_FLAG:
        if (!to_bool(value, &yes))
            break;
        if (key->kind == SPEC_BOOL)
            *(bool *)(void *)at = yes;
        else
            *(int *)(void *)at = yes;
        return;
    case SPEC_COUNT:
    case SPEC_NUMBER:
    case SPEC_DURATION:
    case SPEC_SIZE:
    case SPEC_MONEY:
    case SPEC_RATE:
    case SPEC_MILLI:
        if (!to_number(key->kind, value, &number))
            break;
        if (in_bounds(l, line, key, value, number))
            store_number(key, at, number);
        return;
    case SPEC_LIST:
    case SPEC_SPECIAL:
        return;
    }
    // A number that is too large to be read at all ends here too.
    const char *range = key->max == 0
                            ? ""
                            : arena_printf(l->scratch, ", %s to %s", spell(l, key->kind, key->min),
                                           spell(l, key->kind, key->max))
                                  .ptr;
    loader_error(l, line, "%s: \"%s\" is not valid; expected %s%s", key->name,
                 loader_shown(l, value), spec_kind_expected(key->kind), range);
}

static void unset(const struct spec_key *key, char *at) {
    if (key->kind == SPEC_FLAG)
        *(int *)(void *)at = CONFIG_UNSET;
    else if (key->kind == SPEC_NUMBER || key->kind == SPEC_DURATION || key->kind == SPEC_SIZE ||
             key->kind == SPEC_MONEY || key->kind == SPEC_RATE || key->kind == SPEC_MILLI)
        *(int64_t *)(void *)at = CONFIG_UNSET;
}

void loader_fill(struct loader *l, cfg_t *section, const struct spec_section *spec, void *target) {
    for (size_t i = 0; i < spec->key_count; i++) {
        const struct spec_key *key = &spec->keys[i];
        char *at = (char *)target + key->offset;
        cfg_opt_t *opt = section != NULL ? cfg_getopt(section, key->name) : NULL;
        bool given = opt != NULL && cfg_opt_size(opt) > 0 && cfg_opt_getnstr(opt, 0) != NULL;
        int line = given ? loader_line(l, section, key->name) : 0;
        if (given && key->not_enforced)
            loader_warn(l, line, "%s is checked but not enforced by this version", key->name);
        if (key->kind == SPEC_SPECIAL)
            continue;
        if (key->kind == SPEC_LIST) {
            struct config_slices list =
                given ? loader_list(l, section, key->name) : (struct config_slices){0};
            if (!given && key->initial != NULL) {
                struct slice *one = arena_alloc(l->arena, sizeof *one);
                *one = slice_of(key->initial);
                list = (struct config_slices){one, 1};
            }
            *(struct config_slices *)(void *)at = list;
            continue;
        }
        const char *text = given ? cfg_opt_getnstr(opt, 0) : key->initial;
        if (text == NULL)
            unset(key, at);
        else
            convert(l, line, key, slice_of(text), at);
    }
}
