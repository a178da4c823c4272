// What the files of the schema share: the compiled form.
//
// Each subschema is a node; its keywords are rules, in the order in which they
// are looked at. Names and values are decoded and sorted once, when compiling.
#ifndef FARTHING_ROUTE_SCHEMA_ROOM_H
#define FARTHING_ROUTE_SCHEMA_ROOM_H

#include "farthing/schema.h"
#include "pattern.h"
#include "schema_number.h"

#define SCHEMA_NO_NODE UINT32_MAX

// The order of evaluation: the plain ones first, those that need to know what
// others have looked at last.
enum schema_rule_kind {
    RULE_UNKNOWN, // a keyword that is malformed or not supported
    RULE_TYPE,
    RULE_CONST,
    RULE_ENUM,
    RULE_MINIMUM,
    RULE_MAXIMUM,
    RULE_EXCLUSIVE_MINIMUM,
    RULE_EXCLUSIVE_MAXIMUM,
    RULE_MULTIPLE_OF,
    RULE_MIN_LENGTH,
    RULE_MAX_LENGTH,
    RULE_PATTERN,
    RULE_MIN_PROPERTIES,
    RULE_MAX_PROPERTIES,
    RULE_MIN_ITEMS,
    RULE_MAX_ITEMS,
    RULE_REQUIRED,
    RULE_DEPENDENT_REQUIRED,
    RULE_PROPERTY_NAMES,
    RULE_MEMBERS, // properties, patternProperties, additionalProperties
    RULE_ITEMS,   // prefixItems, items
    RULE_CONTAINS,
    RULE_UNIQUE_ITEMS,
    RULE_REF, // $ref, $dynamicRef
    RULE_ALL_OF,
    RULE_ANY_OF,
    RULE_ONE_OF,
    RULE_NOT,
    RULE_IF,
    RULE_DEPENDENT_SCHEMAS,
    RULE_UNEVALUATED_ITEMS,
    RULE_UNEVALUATED_PROPERTIES,
};

enum schema_types {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_OBJECT = 4,
    TYPE_ARRAY = 8,
    TYPE_NUMBER = 16,
    TYPE_STRING = 32,
    TYPE_INTEGER = 64,
};

struct schema_nodes {
    const uint32_t *items;
    size_t count;
};

// Sorted by name, no name twice. `order`: its place in the schema.
struct schema_name {
    struct slice name;
    uint32_t order;
    uint32_t node;                       // properties, dependentSchemas
    const struct schema_names *required; // dependentRequired
};
struct schema_names {
    const struct schema_name *items;
    size_t count;
};

struct schema_pattern {
    const struct pattern *pattern; // NULL: does not compile, so who knows
    uint32_t node;
};

struct schema_members {
    struct schema_names properties;
    const struct schema_pattern *patterns;
    size_t pattern_count;
    uint32_t additional;
};

// Canonical spellings, sorted.
struct schema_values {
    const struct slice *items;
    size_t count;
    bool uncertain; // one of them has none: a key stands twice
};

struct schema_rule {
    enum schema_rule_kind kind;
    json_ref value; // the keyword's, in the schema's document
    union {
        uint32_t types;
        struct schema_number number;
        int64_t count;
        const struct pattern *pattern;
        struct schema_names names;
        struct schema_values values;
        const struct schema_members *members;
        struct schema_nodes nodes; // allOf, anyOf, oneOf
        uint32_t node;             // not, propertyNames, unevaluated...
        struct {
            struct schema_nodes prefix;
            uint32_t rest;
        } items;
        struct {
            uint32_t node;
            int64_t min, max;
        } contains;
        struct {
            uint32_t test, then, otherwise;
        } condition;
        struct {
            uint32_t target;     // SCHEMA_NO_NODE: not within this document
            struct slice anchor; // its name where the scope decides; else empty
        } ref;
    };
};

enum schema_node_kind { NODE_RULES, NODE_TRUE, NODE_FALSE, NODE_UNKNOWN };

struct schema_node {
    json_ref at;
    uint32_t resource; // the $id that it stands under
    uint32_t rule_count;
    uint8_t kind;
    bool unevaluated; // has such a rule
    bool nullable;    // OpenAPI's word for "or null"
    const struct schema_rule *rules;
};

struct schema {
    const struct json_doc *doc;
    struct arena *arena;
    struct schema_node *nodes;
    uint32_t node_count;
    struct table *dynamic_anchors; // schema_anchor_key -> node + 1
    struct pattern **patterns;
    size_t pattern_count;
    bool foreign; // another dialect ($schema): nothing is rejected
};

// The key of an anchor in the tables: its resource and its name, in the arena.
struct slice schema_anchor_key(struct arena *arena, uint32_t resource, struct slice name);
// Its index, or -1.
ptrdiff_t schema_names_find(const struct schema_names *names, struct slice name);

// ------------------------------------------------------- while validating

// What is wrong, kept until it is known that it is to be told.
struct schema_violation {
    bool set;
    json_ref at;                    // in the instance
    uint32_t depth;                 // of `at`
    const struct schema_rule *rule; // NULL: nothing is allowed there
    json_ref other;                 // JSON_NONE, or what in schema or instance it is about
    int64_t count;
};

// "/path: expected ..., got ...".
void schema_describe(const struct schema *s, const struct json_doc *doc, json_ref root,
                     const struct schema_violation *v, struct buffer *out);

enum { SCHEMA_UNEVALUATED, SCHEMA_PERHAPS, SCHEMA_EVALUATED };

// Which members or elements of one container have been looked at, each one of
// the three words above; they only ever grow.
struct schema_marks {
    uint8_t *at;
    size_t count;
};

struct schema_scope { // the resources entered, innermost first
    uint32_t resource;
    const struct schema_scope *outer;
};

struct schema_run {
    const struct schema *schema;
    const struct json_doc *doc;
    struct arena *arena; // decoded strings
    struct buffer canonical;
    int64_t work; // steps left
    unsigned depth;
};

// Where a rule is applied.
struct schema_place {
    json_ref at;
    enum json_type type;
    uint32_t depth;
    const struct schema_scope *scope;
    struct schema_marks *marks;   // NULL: nobody asks
    struct schema_violation *bad; // NULL: nobody asks
};

enum schema_verdict schema_evaluate(struct schema_run *run, uint32_t node,
                                    const struct schema_place *place);
// Rules that look at the value alone (schema_plain.c), at what it contains
// (schema_within.c), and at the same value through other schemas (schema_inplace.c).
enum schema_verdict schema_apply_plain(struct schema_run *run, const struct schema_rule *rule,
                                       const struct schema_place *place);
enum schema_verdict schema_apply_within(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place);
enum schema_verdict schema_apply_in_place(struct schema_run *run, const struct schema_rule *rule,
                                          const struct schema_place *place);
// Fills place->bad unless it is filled; SCHEMA_INVALID.
enum schema_verdict schema_reject(const struct schema_place *place, const struct schema_rule *rule,
                                  json_ref other, int64_t count);
// The canonical spelling in run->canonical; false: it has none.
bool schema_canonical(struct schema_run *run, json_ref at);
struct slice schema_string(struct schema_run *run, json_ref at);

// Of several verdicts that must all be SCHEMA_VALID.
static inline enum schema_verdict schema_both(enum schema_verdict a, enum schema_verdict b) {
    return a > b ? a : b;
}

#endif
