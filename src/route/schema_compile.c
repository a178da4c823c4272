// From the text of a schema to nodes and rules.
//
// A list of nodes that grows while it is worked through, no recursion: a node's
// keywords name further subschemas, which are appended. References are resolved
// when all names are known; those that lead to places that nobody knew for
// subschemas append them too.
#include <stdlib.h>

#include "schema_compile.h"

enum {
    NODES_MAX = 1 << 20,
    WORK_FLOOR = 1000000,
    WORK_PER_BYTE = 16,
};

enum word {
    WORD_ID, WORD_SCHEMA, WORD_ANCHOR, WORD_DYNAMIC_ANCHOR, WORD_REF, WORD_DYNAMIC_REF,
    WORD_RECURSIVE_REF, WORD_DEFS, WORD_DEFINITIONS, WORD_TYPE, WORD_CONST, WORD_ENUM,
    WORD_MINIMUM, WORD_MAXIMUM, WORD_EXCLUSIVE_MINIMUM, WORD_EXCLUSIVE_MAXIMUM, WORD_MULTIPLE_OF,
    WORD_MIN_LENGTH, WORD_MAX_LENGTH, WORD_PATTERN, WORD_MIN_PROPERTIES, WORD_MAX_PROPERTIES,
    WORD_MIN_ITEMS, WORD_MAX_ITEMS, WORD_REQUIRED, WORD_DEPENDENT_REQUIRED, WORD_PROPERTY_NAMES,
    WORD_PROPERTIES, WORD_PATTERN_PROPERTIES, WORD_ADDITIONAL_PROPERTIES, WORD_PREFIX_ITEMS,
    WORD_ITEMS, WORD_CONTAINS, WORD_MIN_CONTAINS, WORD_MAX_CONTAINS, WORD_UNIQUE_ITEMS,
    WORD_ALL_OF, WORD_ANY_OF, WORD_ONE_OF, WORD_NOT, WORD_IF, WORD_THEN, WORD_ELSE,
    WORD_DEPENDENT_SCHEMAS, WORD_UNEVALUATED_ITEMS, WORD_UNEVALUATED_PROPERTIES,
    WORD_CONTENT_SCHEMA, WORD_NULLABLE, WORD_COUNT
};

static const char *const words[] = {
    "$id", "$schema", "$anchor", "$dynamicAnchor", "$ref", "$dynamicRef",
    "$recursiveRef", "$defs", "definitions", "type", "const", "enum",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "pattern", "minProperties", "maxProperties",
    "minItems", "maxItems", "required", "dependentRequired", "propertyNames",
    "properties", "patternProperties", "additionalProperties", "prefixItems",
    "items", "contains", "minContains", "maxContains", "uniqueItems",
    "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
    "dependentSchemas", "unevaluatedItems", "unevaluatedProperties",
    "contentSchema", "nullable",
}; // as enum word
_Static_assert(FARTHING_COUNT(words) == WORD_COUNT, "a spelling for each word");

// One node being read: its keywords, and the rules that come of them.
struct reading {
    struct schema_compiler *c;
    struct schema_node node;
    json_ref at[WORD_COUNT]; // values, or JSON_NONE
    bool twice;              // a keyword stands twice
    struct schema_rule *rules;
    uint32_t count;
};

uint32_t schema_add(struct schema_compiler *c, json_ref at, uint32_t resource) {
    struct schema *s = c->schema;
    struct slice key = slice_make(&at, sizeof at);
    void *known = table_get(c->places, key);
    if (known != NULL)
        return (uint32_t)((uintptr_t)known - 1);
    if (s->node_count == NODES_MAX)
        return SCHEMA_NO_NODE;
    if (s->node_count == c->node_cap) {
        c->node_cap = c->node_cap == 0 ? 32 : c->node_cap * 2;
        s->nodes = base_realloc(s->nodes, c->node_cap * sizeof *s->nodes);
    }
    s->nodes[s->node_count] = (struct schema_node){.at = at, .resource = resource};
    (void)table_put(c->places, key, (void *)((uintptr_t)s->node_count + 1));
    return s->node_count++;
}

static void gather(struct reading *r) {
    const struct json_doc *doc = r->c->doc;
    for (size_t i = 0; i < WORD_COUNT; i++)
        r->at[i] = JSON_NONE;
    for (json_ref k = json_first(doc, r->node.at); k != JSON_NONE;
         k = json_next(doc, r->node.at, k))
        for (size_t i = 0; i < WORD_COUNT; i++)
            if (json_string_is(doc, k, slice_of(words[i]))) {
                r->twice |= r->at[i] != JSON_NONE;
                r->at[i] = json_value_of(k);
                break;
            }
}

static struct schema_rule *add(struct reading *r, enum schema_rule_kind kind, json_ref value) {
    struct schema_rule *rule = &r->rules[r->count++];
    *rule = (struct schema_rule){.kind = kind, .value = value};
    return rule;
}

static bool has(const struct reading *r, enum word w) {
    return r->at[w] != JSON_NONE;
}

static struct slice string_of(const struct reading *r, enum word w) {
    return has(r, w) ? json_string(r->c->doc, r->at[w], r->c->arena) : SLICE_NONE;
}

static uint32_t child(struct reading *r, enum word w) {
    return has(r, w) ? schema_add(r->c, r->at[w], r->node.resource) : SCHEMA_NO_NODE;
}

// ------------------------------------------------------------------- names

static void read_names(struct reading *r, uint32_t index) {
    struct schema_compiler *c = r->c;
    struct slice id = string_of(r, WORD_ID);
    if (id.len > 0 && id.ptr[0] == '#') // a name in draft 6 and 7
        schema_add_anchor(c, index, r->node.resource, slice_from(id, 1), false);
    else if (id.ptr != NULL && index > 0)
        r->node.resource = schema_add_resource(c, index, r->node.resource, id);
    struct slice anchor = string_of(r, WORD_ANCHOR);
    if (anchor.ptr != NULL)
        schema_add_anchor(c, index, r->node.resource, anchor, false);
    anchor = string_of(r, WORD_DYNAMIC_ANCHOR);
    if (anchor.ptr != NULL)
        schema_add_anchor(c, index, r->node.resource, anchor, true);
}

static void read_references(struct reading *r) {
    static const enum word refs[] = {WORD_REF, WORD_DYNAMIC_REF};
    for (size_t i = 0; i < FARTHING_COUNT(refs); i++) {
        if (!has(r, refs[i]))
            continue;
        struct slice text = string_of(r, refs[i]);
        struct schema_rule *rule = add(r, text.ptr != NULL ? RULE_REF : RULE_UNKNOWN,
                                       r->at[refs[i]]);
        if (text.ptr != NULL)
            schema_add_reference(r->c, rule, text, r->node.resource, i == 1);
    }
    if (has(r, WORD_RECURSIVE_REF)) // of 2019-09
        add(r, RULE_UNKNOWN, r->at[WORD_RECURSIVE_REF]);
}

// What holds subschemas that somebody may refer to.
static void read_definitions(struct reading *r) {
    struct schema_names ignored;
    if (has(r, WORD_DEFS))
        (void)schema_read_map(r->c, r->at[WORD_DEFS], r->node.resource, &ignored);
    if (has(r, WORD_DEFINITIONS))
        (void)schema_read_map(r->c, r->at[WORD_DEFINITIONS], r->node.resource, &ignored);
    (void)child(r, WORD_CONTENT_SCHEMA);
}

// ------------------------------------------------------------- plain rules

static void read_numbers(struct reading *r) {
    static const struct {
        enum word word;
        enum schema_rule_kind kind;
    } rules[] = {
        {WORD_MINIMUM, RULE_MINIMUM},
        {WORD_MAXIMUM, RULE_MAXIMUM},
        {WORD_EXCLUSIVE_MINIMUM, RULE_EXCLUSIVE_MINIMUM},
        {WORD_EXCLUSIVE_MAXIMUM, RULE_EXCLUSIVE_MAXIMUM},
        {WORD_MULTIPLE_OF, RULE_MULTIPLE_OF},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rules); i++) {
        json_ref value = r->at[rules[i].word];
        if (value == JSON_NONE)
            continue;
        struct schema_rule *rule = add(r, rules[i].kind, value);
        if (json_type_of(r->c->doc, value) == JSON_NUMBER)
            rule->number = schema_number_of(json_raw(r->c->doc, value));
        else
            rule->kind = RULE_UNKNOWN;
        if (rule->kind == RULE_MULTIPLE_OF && (rule->number.negative || rule->number.count == 0))
            rule->kind = RULE_UNKNOWN;
    }
}

static void read_counts(struct reading *r) {
    static const struct {
        enum word word;
        enum schema_rule_kind kind;
    } rules[] = {
        {WORD_MIN_LENGTH, RULE_MIN_LENGTH},         {WORD_MAX_LENGTH, RULE_MAX_LENGTH},
        {WORD_MIN_ITEMS, RULE_MIN_ITEMS},           {WORD_MAX_ITEMS, RULE_MAX_ITEMS},
        {WORD_MIN_PROPERTIES, RULE_MIN_PROPERTIES}, {WORD_MAX_PROPERTIES, RULE_MAX_PROPERTIES},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rules); i++) {
        json_ref value = r->at[rules[i].word];
        if (value == JSON_NONE)
            continue;
        struct schema_rule *rule = add(r, rules[i].kind, value);
        if (!schema_read_count(r->c, value, &rule->count))
            rule->kind = RULE_UNKNOWN;
    }
}

static void read_values(struct reading *r) {
    struct schema_compiler *c = r->c;
    struct schema_rule *rule;
    if (has(r, WORD_TYPE)) {
        rule = add(r, RULE_TYPE, r->at[WORD_TYPE]);
        if (!schema_read_types(c, rule->value, &rule->types))
            rule->kind = RULE_UNKNOWN;
    }
    if (has(r, WORD_CONST)) {
        rule = add(r, RULE_CONST, r->at[WORD_CONST]);
        (void)schema_read_values(c, rule->value, false, &rule->values);
    }
    if (has(r, WORD_ENUM)) {
        rule = add(r, RULE_ENUM, r->at[WORD_ENUM]);
        if (!schema_read_values(c, rule->value, true, &rule->values))
            rule->kind = RULE_UNKNOWN;
    }
    if (has(r, WORD_PATTERN)) {
        struct slice text = string_of(r, WORD_PATTERN);
        rule = add(r, RULE_PATTERN, r->at[WORD_PATTERN]);
        rule->pattern = text.ptr != NULL ? schema_read_pattern(c, text) : NULL;
        if (rule->pattern == NULL)
            rule->kind = RULE_UNKNOWN;
    }
}

// ----------------------------------------------------- objects and arrays

static void read_object_rules(struct reading *r) {
    struct schema_compiler *c = r->c;
    struct schema_rule *rule;
    if (has(r, WORD_REQUIRED)) {
        rule = add(r, RULE_REQUIRED, r->at[WORD_REQUIRED]);
        if (!schema_read_names(c, rule->value, &rule->names))
            rule->kind = RULE_UNKNOWN;
    }
    if (has(r, WORD_DEPENDENT_REQUIRED)) {
        rule = add(r, RULE_DEPENDENT_REQUIRED, r->at[WORD_DEPENDENT_REQUIRED]);
        if (!schema_read_dependents(c, rule->value, &rule->names))
            rule->kind = RULE_UNKNOWN;
    }
    if (has(r, WORD_PROPERTY_NAMES))
        add(r, RULE_PROPERTY_NAMES, r->at[WORD_PROPERTY_NAMES])->node =
            child(r, WORD_PROPERTY_NAMES);
    if (!has(r, WORD_PROPERTIES) && !has(r, WORD_PATTERN_PROPERTIES) &&
        !has(r, WORD_ADDITIONAL_PROPERTIES))
        return;
    struct schema_members *m = arena_calloc(c->arena, sizeof *m);
    rule = add(r, RULE_MEMBERS, r->node.at);
    rule->members = m;
    m->additional = child(r, WORD_ADDITIONAL_PROPERTIES);
    if ((has(r, WORD_PROPERTIES) &&
         !schema_read_map(c, r->at[WORD_PROPERTIES], r->node.resource, &m->properties)) ||
        (has(r, WORD_PATTERN_PROPERTIES) &&
         !schema_read_patterns(c, r->at[WORD_PATTERN_PROPERTIES], r->node.resource, m)))
        rule->kind = RULE_UNKNOWN;
}

static void read_contains(struct reading *r) {
    struct schema_rule *rule = add(r, RULE_CONTAINS, r->at[WORD_CONTAINS]);
    rule->contains.node = child(r, WORD_CONTAINS);
    rule->contains.min = 1;
    rule->contains.max = INT64_MAX;
    if ((has(r, WORD_MIN_CONTAINS) &&
         !schema_read_count(r->c, r->at[WORD_MIN_CONTAINS], &rule->contains.min)) ||
        (has(r, WORD_MAX_CONTAINS) &&
         !schema_read_count(r->c, r->at[WORD_MAX_CONTAINS], &rule->contains.max)))
        rule->kind = RULE_UNKNOWN;
}

static void read_array_rules(struct reading *r) {
    struct schema_compiler *c = r->c;
    struct schema_rule *rule;
    if (has(r, WORD_PREFIX_ITEMS) || has(r, WORD_ITEMS)) {
        rule = add(r, RULE_ITEMS, r->node.at);
        // A list of schemas in `items` is older than 2020-12.
        bool old = has(r, WORD_ITEMS) && json_type_of(c->doc, r->at[WORD_ITEMS]) == JSON_ARRAY;
        rule->items.rest = old ? SCHEMA_NO_NODE : child(r, WORD_ITEMS);
        if (old || (has(r, WORD_PREFIX_ITEMS) &&
                    !schema_read_list(c, r->at[WORD_PREFIX_ITEMS], r->node.resource,
                                      &rule->items.prefix)))
            rule->kind = RULE_UNKNOWN;
    }
    if (has(r, WORD_CONTAINS))
        read_contains(r);
    if (has(r, WORD_UNIQUE_ITEMS) && json_type_of(c->doc, r->at[WORD_UNIQUE_ITEMS]) != JSON_FALSE)
        add(r, json_is_true(c->doc, r->at[WORD_UNIQUE_ITEMS]) ? RULE_UNIQUE_ITEMS : RULE_UNKNOWN,
            r->at[WORD_UNIQUE_ITEMS]);
}

// ---------------------------------------------------------- in the same place

static void read_in_place(struct reading *r) {
    static const struct {
        enum word word;
        enum schema_rule_kind kind;
    } lists[] = {
        {WORD_ALL_OF, RULE_ALL_OF}, {WORD_ANY_OF, RULE_ANY_OF}, {WORD_ONE_OF, RULE_ONE_OF}};
    struct schema_rule *rule;
    for (size_t i = 0; i < FARTHING_COUNT(lists); i++) {
        if (!has(r, lists[i].word))
            continue;
        rule = add(r, lists[i].kind, r->at[lists[i].word]);
        if (!schema_read_list(r->c, rule->value, r->node.resource, &rule->nodes) ||
            rule->nodes.count == 0)
            rule->kind = RULE_UNKNOWN;
    }
    if (has(r, WORD_NOT))
        add(r, RULE_NOT, r->at[WORD_NOT])->node = child(r, WORD_NOT);
    uint32_t then = child(r, WORD_THEN), otherwise = child(r, WORD_ELSE);
    if (has(r, WORD_IF)) {
        rule = add(r, RULE_IF, r->at[WORD_IF]);
        rule->condition.test = child(r, WORD_IF);
        rule->condition.then = then;
        rule->condition.otherwise = otherwise;
    }
    if (has(r, WORD_DEPENDENT_SCHEMAS)) {
        rule = add(r, RULE_DEPENDENT_SCHEMAS, r->at[WORD_DEPENDENT_SCHEMAS]);
        if (!schema_read_map(r->c, rule->value, r->node.resource, &rule->names))
            rule->kind = RULE_UNKNOWN;
    }
    r->node.unevaluated = has(r, WORD_UNEVALUATED_ITEMS) || has(r, WORD_UNEVALUATED_PROPERTIES);
    if (has(r, WORD_UNEVALUATED_ITEMS))
        add(r, RULE_UNEVALUATED_ITEMS, r->at[WORD_UNEVALUATED_ITEMS])->node =
            child(r, WORD_UNEVALUATED_ITEMS);
    if (has(r, WORD_UNEVALUATED_PROPERTIES))
        add(r, RULE_UNEVALUATED_PROPERTIES, r->at[WORD_UNEVALUATED_PROPERTIES])->node =
            child(r, WORD_UNEVALUATED_PROPERTIES);
}

// ------------------------------------------------------------------- a node

static void read_rules(struct reading *r, uint32_t index) {
    gather(r);
    bool only_ref = r->c->legacy && has(r, WORD_REF);
    if (!only_ref)
        read_names(r, index);
    size_t max = r->twice ? 1 : 0; // one for each word at most
    for (size_t i = 0; i < WORD_COUNT; i++)
        max += has(r, (enum word)i) ? 1 : 0;
    // References are filled in later, so the rules stay where they are made.
    r->rules = arena_alloc(r->c->arena, max * sizeof *r->rules);
    if (r->twice)
        add(r, RULE_UNKNOWN, r->node.at); // which of them counts is anybody's guess
    read_definitions(r);
    if (!only_ref) {
        read_values(r);
        read_numbers(r);
        read_counts(r);
        read_object_rules(r);
        read_array_rules(r);
    }
    read_references(r);
    if (!only_ref)
        read_in_place(r);
    r->node.rules = r->rules;
    r->node.rule_count = r->count;
    r->node.nullable = has(r, WORD_NULLABLE) && json_is_true(r->c->doc, r->at[WORD_NULLABLE]);
}

static void compile_node(struct schema_compiler *c, uint32_t index) {
    struct reading r = {.c = c, .node = c->schema->nodes[index]};
    switch (json_type_of(c->doc, r.node.at)) {
    case JSON_TRUE:
        r.node.kind = NODE_TRUE;
        break;
    case JSON_FALSE:
        r.node.kind = NODE_FALSE;
        break;
    case JSON_OBJECT:
        r.node.kind = NODE_RULES;
        read_rules(&r, index);
        break;
    default:
        r.node.kind = NODE_UNKNOWN;
    }
    c->schema->nodes[index] = r.node; // the list may have moved
}

// $schema: what counts as JSON Schema at all, and whether it is an old one.
static void read_dialect(struct schema_compiler *c, json_ref root) {
    static const char *const old[] = {"draft-03", "draft-04", "draft-05", "draft-06", "draft-07"};
    struct slice uri =
        json_string(c->doc, json_get(c->doc, root, SLICE("$schema")), c->arena);
    if (uri.len == 0)
        return;
    c->schema->foreign = slice_find(uri, SLICE("://json-schema.org/")) < 0;
    for (size_t i = 0; i < FARTHING_COUNT(old); i++)
        c->legacy |= slice_find(uri, slice_of(old[i])) >= 0;
}

struct schema *schema_compile(const struct json_doc *doc, json_ref root) {
    struct schema *s = base_calloc(1, sizeof *s);
    s->doc = doc;
    s->arena = arena_new(4096);
    s->dynamic_anchors = table_new();
    struct schema_compiler c = {
        .schema = s, .doc = doc, .arena = s->arena, .uris = table_new(), .anchors = table_new(),
        .places = table_new(),
        .work = WORK_FLOOR + WORK_PER_BYTE * (int64_t)json_raw(doc, root).len,
    };
    read_dialect(&c, root);
    struct slice id = json_string(doc, json_get(doc, root, SLICE("$id")), s->arena);
    (void)schema_add_resource(&c, schema_add(&c, root, 0), 0, id.ptr != NULL ? id : SLICE(""));
    for (uint32_t done = 0; done < s->node_count || c.pending_count > 0;) {
        if (done < s->node_count)
            compile_node(&c, done++);
        else
            schema_resolve(&c);
    }
    table_free(c.uris);
    table_free(c.anchors);
    table_free(c.places);
    free(c.resources);
    free(c.pending);
    return s;
}

void schema_free(struct schema *s) {
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->pattern_count; i++)
        pattern_free(s->patterns[i]);
    table_free(s->dynamic_anchors);
    arena_free(s->arena);
    free(s->nodes);
    free(s);
}
