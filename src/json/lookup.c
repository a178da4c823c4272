// Walking the index.
#include "doc.h"

struct slice json_text(const struct json_doc *doc) {
    return doc->text;
}

enum json_type json_type_of(const struct json_doc *doc, json_ref ref) {
    return (enum json_type)doc->nodes[ref].type;
}

bool json_is(const struct json_doc *doc, json_ref ref, enum json_type type) {
    return ref != JSON_NONE && ref < doc->count && doc->nodes[ref].type == (uint8_t)type;
}

struct slice json_raw(const struct json_doc *doc, json_ref ref) {
    const struct json_node *n = &doc->nodes[ref];
    return slice_make(doc->text.ptr + n->start, n->end - n->start);
}

json_ref json_first(const struct json_doc *doc, json_ref container) {
    if (container >= doc->count)
        return JSON_NONE;
    const struct json_node *n = &doc->nodes[container];
    return json_is_container(n) && n->next > container + 1 ? container + 1 : JSON_NONE;
}

json_ref json_next(const struct json_doc *doc, json_ref container, json_ref ref) {
    const struct json_node *c = &doc->nodes[container];
    json_ref last = c->type == JSON_OBJECT ? json_value_of(ref) : ref;
    json_ref next = doc->nodes[last].next;
    return next < c->next ? next : JSON_NONE;
}

size_t json_count(const struct json_doc *doc, json_ref ref) {
    size_t count = 0;
    for (json_ref r = json_first(doc, ref); r != JSON_NONE; r = json_next(doc, ref, r))
        count++;
    return count;
}

json_ref json_get(const struct json_doc *doc, json_ref object, struct slice name) {
    if (object >= doc->count || doc->nodes[object].type != JSON_OBJECT)
        return JSON_NONE;
    for (json_ref key = json_first(doc, object); key != JSON_NONE;
         key = json_next(doc, object, key))
        if (json_string_is(doc, key, name))
            return json_value_of(key);
    return JSON_NONE;
}

json_ref json_at(const struct json_doc *doc, json_ref array, size_t index) {
    if (array >= doc->count || doc->nodes[array].type != JSON_ARRAY)
        return JSON_NONE;
    json_ref r = json_first(doc, array);
    while (index-- > 0 && r != JSON_NONE)
        r = json_next(doc, array, r);
    return r;
}

bool json_is_true(const struct json_doc *doc, json_ref ref) {
    return ref < doc->count && doc->nodes[ref].type == JSON_TRUE;
}

bool json_is_absent(const struct json_doc *doc, json_ref ref) {
    return ref >= doc->count || doc->nodes[ref].type == JSON_NULL;
}

enum { FEW_KEYS = 24 };

static json_ref duplicate_of_few(const struct json_doc *doc, json_ref object, struct arena *arena) {
    struct slice names[FEW_KEYS];
    size_t count = 0;
    for (json_ref key = json_first(doc, object); key != JSON_NONE;
         key = json_next(doc, object, key)) {
        struct slice name = json_string(doc, key, arena);
        for (size_t i = 0; i < count; i++)
            if (slice_equal(names[i], name))
                return key;
        names[count++] = name;
    }
    return JSON_NONE;
}

static json_ref duplicate_of_many(const struct json_doc *doc, json_ref object,
                                  struct arena *arena) {
    struct table *seen = table_new();
    json_ref found = JSON_NONE;
    for (json_ref key = json_first(doc, object); key != JSON_NONE && found == JSON_NONE;
         key = json_next(doc, object, key))
        if (table_put(seen, json_string(doc, key, arena), seen) != NULL)
            found = key;
    table_free(seen);
    return found;
}

// Few names are compared with each other, which needs no memory; many go
// through a table, which is linear whatever the names are.
json_ref json_duplicate_key(const struct json_doc *doc, json_ref object) {
    if (object >= doc->count || doc->nodes[object].type != JSON_OBJECT)
        return JSON_NONE;
    size_t count = 0;
    bool escapes = false;
    for (json_ref key = json_first(doc, object); key != JSON_NONE;
         key = json_next(doc, object, key), count++)
        escapes |= (doc->nodes[key].flags & NODE_ESCAPES) != 0;
    struct arena *arena = escapes ? arena_new(512) : NULL; // only escapes are decoded into it
    json_ref found = count <= FEW_KEYS ? duplicate_of_few(doc, object, arena)
                                       : duplicate_of_many(doc, object, arena);
    arena_free(arena);
    return found;
}
