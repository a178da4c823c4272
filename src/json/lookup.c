// Walking the index.
#include "doc.h"

#include <stdlib.h>

struct slice json_text(const struct json_doc *doc) {
    return doc->text;
}

enum json_type json_type_of(const struct json_doc *doc, json_ref ref) {
    return (enum json_type)doc->nodes[ref].type;
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

// A table of the names seen: linear whatever the names are.
json_ref json_duplicate_key(const struct json_doc *doc, json_ref object) {
    if (object >= doc->count || doc->nodes[object].type != JSON_OBJECT)
        return JSON_NONE;
    struct table *seen = table_new();
    struct arena *arena = arena_new(512);
    json_ref found = JSON_NONE;
    for (json_ref key = json_first(doc, object); key != JSON_NONE && found == JSON_NONE;
         key = json_next(doc, object, key))
        if (table_put(seen, json_string(doc, key, arena), seen) != NULL)
            found = key;
    arena_free(arena);
    table_free(seen);
    return found;
}
