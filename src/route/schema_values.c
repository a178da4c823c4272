// The values of keywords, as they are needed for quick look-ups: decoded, sorted,
// canonical.
#include <stdlib.h>

#include "schema_compile.h"

enum { PATTERNS_MAX = 256 }; // compiled in one schema; further ones reject nothing

// ------------------------------------------------------------------- names

static int by_name(const void *a, const void *b) {
    const struct schema_name *x = a, *y = b;
    int order = slice_compare(x->name, y->name);
    return order != 0 ? order : x->order < y->order ? -1 : x->order > y->order;
}

// Of two with one name, the first in the schema.
static struct schema_names sorted(struct schema_name *items, size_t count) {
    if (count > 1)
        qsort(items, count, sizeof *items, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !slice_equal(items[kept - 1].name, items[i].name))
            items[kept++] = items[i];
    return (struct schema_names){items, kept};
}

ptrdiff_t schema_names_find(const struct schema_names *names, struct slice name) {
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(names->items[middle].name, name);
        if (order == 0)
            return (ptrdiff_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

bool schema_read_names(struct schema_compiler *c, json_ref array, struct schema_names *out) {
    if (json_type_of(c->doc, array) != JSON_ARRAY)
        return false;
    struct schema_name *items = arena_calloc(c->arena, json_count(c->doc, array) * sizeof *items);
    uint32_t count = 0;
    for (json_ref r = json_first(c->doc, array); r != JSON_NONE; r = json_next(c->doc, array, r)) {
        if (json_type_of(c->doc, r) != JSON_STRING)
            return false;
        items[count] = (struct schema_name){.name = json_string(c->doc, r, c->arena),
                                            .order = count};
        count++;
    }
    *out = sorted(items, count);
    return true;
}

// The names of an object's members, in their order; NULL: it is no object.
static struct schema_name *names_of(struct schema_compiler *c, json_ref object, uint32_t *count) {
    *count = 0;
    if (json_type_of(c->doc, object) != JSON_OBJECT)
        return NULL;
    struct schema_name *items = arena_calloc(c->arena, json_count(c->doc, object) * sizeof *items);
    for (json_ref k = json_first(c->doc, object); k != JSON_NONE;
         k = json_next(c->doc, object, k)) {
        items[*count].name = json_string(c->doc, k, c->arena);
        items[*count].order = *count;
        ++*count;
    }
    return items;
}

bool schema_read_dependents(struct schema_compiler *c, json_ref object, struct schema_names *out) {
    uint32_t count;
    struct schema_name *items = names_of(c, object, &count), *item = items;
    if (items == NULL)
        return false;
    for (json_ref k = json_first(c->doc, object); k != JSON_NONE;
         k = json_next(c->doc, object, k)) {
        struct schema_names *required = arena_calloc(c->arena, sizeof *required);
        if (!schema_read_names(c, json_value_of(k), required))
            return false;
        item++->required = required;
    }
    *out = sorted(items, count);
    return true;
}

bool schema_read_map(struct schema_compiler *c, json_ref object, uint32_t resource,
                     struct schema_names *out) {
    uint32_t count;
    struct schema_name *items = names_of(c, object, &count), *item = items;
    if (items == NULL)
        return false;
    for (json_ref k = json_first(c->doc, object); k != JSON_NONE; k = json_next(c->doc, object, k))
        item++->node = schema_add(c, json_value_of(k), resource);
    *out = sorted(items, count);
    return true;
}

bool schema_read_list(struct schema_compiler *c, json_ref array, uint32_t resource,
                      struct schema_nodes *out) {
    if (json_type_of(c->doc, array) != JSON_ARRAY)
        return false;
    uint32_t *items = arena_alloc(c->arena, json_count(c->doc, array) * sizeof *items);
    size_t count = 0;
    for (json_ref r = json_first(c->doc, array); r != JSON_NONE; r = json_next(c->doc, array, r))
        items[count++] = schema_add(c, r, resource);
    *out = (struct schema_nodes){items, count};
    return true;
}

// ---------------------------------------------------------------- patterns

const struct pattern *schema_read_pattern(struct schema_compiler *c, struct slice text) {
    struct schema *s = c->schema;
    struct error ignored;
    if (s->pattern_count == PATTERNS_MAX)
        return NULL;
    struct pattern *p = pattern_compile(text, PATTERN_ECMA, &ignored);
    if (p == NULL)
        return NULL;
    if (s->patterns == NULL)
        s->patterns = arena_alloc(c->arena, PATTERNS_MAX * sizeof(struct pattern *));
    s->patterns[s->pattern_count++] = p;
    return p;
}

bool schema_read_patterns(struct schema_compiler *c, json_ref object, uint32_t resource,
                          struct schema_members *out) {
    if (json_type_of(c->doc, object) != JSON_OBJECT)
        return false;
    struct schema_pattern *items =
        arena_alloc(c->arena, json_count(c->doc, object) * sizeof *items);
    size_t count = 0;
    for (json_ref k = json_first(c->doc, object); k != JSON_NONE;
         k = json_next(c->doc, object, k))
        items[count++] = (struct schema_pattern){
            schema_read_pattern(c, json_string(c->doc, k, c->arena)),
            schema_add(c, json_value_of(k), resource)};
    out->patterns = items;
    out->pattern_count = count;
    return true;
}

// ------------------------------------------------------------------ values

bool schema_read_types(const struct schema_compiler *c, json_ref value, uint32_t *types) {
    static const char *const names[] = {"null",   "boolean", "object", "array",
                                        "number", "string",  "integer"}; // as enum schema_types
    bool list = json_type_of(c->doc, value) == JSON_ARRAY;
    *types = 0;
    for (json_ref r = list ? json_first(c->doc, value) : value; r != JSON_NONE;
         r = list ? json_next(c->doc, value, r) : JSON_NONE) {
        uint32_t type = 0;
        for (size_t i = 0; i < FARTHING_COUNT(names); i++)
            if (json_string_is(c->doc, r, slice_of(names[i])))
                type = 1u << i;
        if (type == 0)
            return false;
        *types |= type;
    }
    return true;
}

bool schema_read_count(const struct schema_compiler *c, json_ref value, int64_t *count) {
    return json_i64(c->doc, value, count) && *count >= 0;
}

static void append_piece(void *arg, struct slice piece) {
    buffer_append(arg, piece);
}

static int by_bytes(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

bool schema_read_values(struct schema_compiler *c, json_ref value, bool list,
                        struct schema_values *out) {
    if (list && json_type_of(c->doc, value) != JSON_ARRAY)
        return false;
    size_t max = list ? json_count(c->doc, value) : 1;
    struct slice *items = arena_alloc(c->arena, max * sizeof *items);
    struct buffer bytes = {0};
    struct error ignored;
    *out = (struct schema_values){.items = items};
    for (json_ref r = list ? json_first(c->doc, value) : value; r != JSON_NONE;
         r = list ? json_next(c->doc, value, r) : JSON_NONE) {
        buffer_clear(&bytes);
        // References can lead into values, to values within values.
        c->work -= (int64_t)json_raw(c->doc, r).len;
        if (c->work > 0 &&
            json_canonical(c->doc, r, NULL, NULL, append_piece, &bytes, &ignored))
            items[out->count++] = arena_copy(c->arena, buffer_slice(&bytes));
        else
            out->uncertain = true;
    }
    buffer_free(&bytes);
    if (out->count > 1)
        qsort(items, out->count, sizeof *items, by_bytes);
    return true;
}
