// Where references lead: $id, $anchor, $dynamicAnchor, and JSON pointers, within
// one document. What leads out of it stays unresolved, and rejects nothing.
#include <stdlib.h>

#include "schema_compile.h"
#include "schema_uri.h"

static void *found(uint32_t index) {
    return (void *)((uintptr_t)index + 1); // a table has no NULLs
}

static uint32_t index_of(const void *value) {
    return value == NULL ? SCHEMA_NO_NODE : (uint32_t)((uintptr_t)value - 1);
}

struct slice schema_anchor_key(struct arena *arena, uint32_t resource, struct slice name) {
    char *key = arena_alloc(arena, sizeof resource + name.len);
    memcpy(key, &resource, sizeof resource);
    if (name.len > 0)
        memcpy(key + sizeof resource, name.ptr, name.len);
    return slice_make(key, sizeof resource + name.len);
}

static void put_new(struct table *t, struct slice key, uint32_t index) {
    if (table_get(t, key) == NULL) // of two with one name, the first
        (void)table_put(t, key, found(index));
}

uint32_t schema_add_resource(struct schema_compiler *c, uint32_t node, uint32_t parent,
                             struct slice id) {
    if (c->resource_count == c->resource_cap) {
        c->resource_cap = c->resource_cap == 0 ? 8 : c->resource_cap * 2;
        c->resources = base_realloc(c->resources, c->resource_cap * sizeof *c->resources);
    }
    struct slice base = c->resource_count == 0 ? SLICE("") : c->resources[parent].uri;
    struct slice without, fragment;
    schema_uri_split(c->arena, id, &without, &fragment);
    // Each makes its URI longer than its parent's at most: what is nested deep and
    // relative would be quadratic.
    c->work -= (int64_t)base.len;
    struct slice uri = c->work > 0 ? schema_uri_resolve(c->arena, base, without) : SLICE("");
    c->resources[c->resource_count] = (struct schema_resource){uri, node};
    put_new(c->uris, uri, c->resource_count);
    return c->resource_count++;
}

void schema_add_anchor(struct schema_compiler *c, uint32_t node, uint32_t resource,
                       struct slice name, bool dynamic) {
    struct slice key = schema_anchor_key(c->arena, resource, name);
    put_new(c->anchors, key, node);
    if (dynamic)
        put_new(c->schema->dynamic_anchors, key, node);
}

void schema_add_reference(struct schema_compiler *c, struct schema_rule *rule, struct slice text,
                          uint32_t resource, bool dynamic) {
    if (c->pending_count == c->pending_cap) {
        c->pending_cap = c->pending_cap == 0 ? 16 : c->pending_cap * 2;
        c->pending = base_realloc(c->pending, c->pending_cap * sizeof *c->pending);
    }
    rule->ref.target = SCHEMA_NO_NODE;
    rule->ref.anchor = SLICE("");
    c->pending[c->pending_count++] = (struct schema_pending){rule, text, resource, dynamic};
}

static uint32_t node_at(const struct schema_compiler *c, json_ref at) {
    return index_of(table_get(c->places, slice_make(&at, sizeof at)));
}

static json_ref step(struct schema_compiler *c, json_ref at, struct slice token) {
    json_ref key = json_first(c->doc, at);
    bool object = json_type_of(c->doc, at) == JSON_OBJECT;
    uint64_t index = 0;
    if (!object && !slice_to_u64(token, &index))
        return JSON_NONE;
    for (; key != JSON_NONE && c->work-- > 0; key = json_next(c->doc, at, key)) {
        if (object ? json_string_is(c->doc, key, token) : index-- == 0)
            return object ? json_value_of(key) : key;
    }
    return JSON_NONE;
}

static uint32_t follow_pointer(struct schema_compiler *c, uint32_t resource,
                               struct slice pointer) {
    json_ref at = c->schema->nodes[c->resources[resource].node].at;
    struct slice rest = slice_from(pointer, 1), token;
    while (at != JSON_NONE && slice_split(&rest, '/', &token)) {
        at = step(c, at, schema_pointer_token(c->arena, token));
        uint32_t passed = at == JSON_NONE ? SCHEMA_NO_NODE : node_at(c, at);
        if (passed != SCHEMA_NO_NODE)
            resource = c->schema->nodes[passed].resource;
    }
    return at == JSON_NONE ? SCHEMA_NO_NODE : schema_add(c, at, resource);
}

static void resolve(struct schema_compiler *c, const struct schema_pending *p) {
    struct slice without, fragment;
    schema_uri_split(c->arena, p->text, &without, &fragment);
    uint32_t resource = p->resource;
    if (without.len > 0) {
        c->work -= (int64_t)c->resources[resource].uri.len;
        if (c->work <= 0)
            return;
        resource = index_of(table_get(
            c->uris, schema_uri_resolve(c->arena, c->resources[resource].uri, without)));
    }
    if (resource == SCHEMA_NO_NODE)
        return;
    if (fragment.len == 0) {
        p->rule->ref.target = c->resources[resource].node;
    } else if (fragment.ptr[0] == '/') {
        p->rule->ref.target = follow_pointer(c, resource, fragment);
    } else {
        struct slice key = schema_anchor_key(c->arena, resource, fragment);
        p->rule->ref.target = index_of(table_get(c->anchors, key));
        // Where the name is a plain anchor, $dynamicRef is a plain reference.
        if (p->dynamic && table_get(c->schema->dynamic_anchors, key) != NULL)
            p->rule->ref.anchor = fragment;
    }
}

void schema_resolve(struct schema_compiler *c) {
    for (size_t i = 0; i < c->pending_count; i++)
        resolve(c, &c->pending[i]);
    c->pending_count = 0;
}
