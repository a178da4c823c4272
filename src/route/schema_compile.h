// While a schema is being compiled: what its two halves share, the keywords
// (schema_compile.c, schema_values.c) and the references (schema_refs.c).
#ifndef FARTHING_ROUTE_SCHEMA_COMPILE_H
#define FARTHING_ROUTE_SCHEMA_COMPILE_H

#include "schema_room.h"

struct schema_resource {
    struct slice uri; // absolute, or what there is of it
    uint32_t node;
};

// A reference to be resolved when all names are known.
struct schema_pending {
    struct schema_rule *rule;
    struct slice text;
    uint32_t resource;
    bool dynamic;
};

struct schema_compiler {
    struct schema *schema;
    const struct json_doc *doc;
    struct arena *arena;
    uint32_t node_cap;
    struct schema_resource *resources;
    uint32_t resource_count, resource_cap;
    struct schema_pending *pending;
    size_t pending_count, pending_cap;
    struct table *uris;    // URI -> resource + 1
    struct table *anchors; // schema_anchor_key -> node + 1
    struct table *places;  // json_ref -> node + 1
    int64_t work;          // steps left for pointers
    bool legacy;           // draft 7 or older: what stands beside a $ref does not count
};

// The node of the subschema at `at`, which is compiled later if it is new.
uint32_t schema_add(struct schema_compiler *c, json_ref at, uint32_t resource);

// ---- schema_refs.c

// Registers a resource; its index.
uint32_t schema_add_resource(struct schema_compiler *c, uint32_t node, uint32_t parent,
                             struct slice id);
void schema_add_anchor(struct schema_compiler *c, uint32_t node, uint32_t resource,
                       struct slice name, bool dynamic);
void schema_add_reference(struct schema_compiler *c, struct schema_rule *rule, struct slice text,
                          uint32_t resource, bool dynamic);
// Resolves what is pending; what it finds may have to be compiled, and refer again.
void schema_resolve(struct schema_compiler *c);

// ---- schema_values.c: false: malformed

bool schema_read_types(const struct schema_compiler *c, json_ref value, uint32_t *types);
bool schema_read_count(const struct schema_compiler *c, json_ref value, int64_t *count);
bool schema_read_names(struct schema_compiler *c, json_ref array, struct schema_names *out);
bool schema_read_dependents(struct schema_compiler *c, json_ref object, struct schema_names *out);
bool schema_read_map(struct schema_compiler *c, json_ref object, uint32_t resource,
                     struct schema_names *out);
bool schema_read_list(struct schema_compiler *c, json_ref array, uint32_t resource,
                      struct schema_nodes *out);
bool schema_read_patterns(struct schema_compiler *c, json_ref object, uint32_t resource,
                          struct schema_members *out);
// One value, or (enum) all elements of an array.
bool schema_read_values(struct schema_compiler *c, json_ref value, bool list,
                        struct schema_values *out);
const struct pattern *schema_read_pattern(struct schema_compiler *c, struct slice text);

#endif
