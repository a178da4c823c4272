// Validation: a node against a value, in the order of its rules.
//
// It recurses, for that is what schemas mean; the depth is bounded, and a loop
// of references ends at that bound. Every evaluation and everything that is
// linear in some size takes from one budget of steps, so schemas that would grow
// exponentially end as "not known" after some milliseconds.
#include <stdlib.h>

#include "schema_room.h"

enum {
    DEPTH_MAX = 600, // as deep as JSON may be, and some references
    WORK_FLOOR = 500000,
    WORK_PER_BYTE = 32,
};

// -------------------------------------------------------------------- tools

enum schema_verdict schema_reject(const struct schema_place *place, const struct schema_rule *rule,
                                  json_ref other, int64_t count) {
    struct schema_violation *v = place->bad;
    if (v != NULL && !v->set)
        *v = (struct schema_violation){true, place->at, place->depth, rule, other, count};
    return SCHEMA_INVALID;
}

static void append_piece(void *arg, struct slice piece) {
    buffer_append(arg, piece);
}

bool schema_canonical(struct schema_run *run, json_ref at) {
    struct error ignored;
    buffer_clear(&run->canonical);
    run->work -= (int64_t)json_raw(run->doc, at).len;
    return run->work > 0 && json_canonical(run->doc, at, NULL, NULL, append_piece,
                                           &run->canonical, &ignored);
}

struct slice schema_string(struct schema_run *run, json_ref at) {
    run->work -= 1 + (int64_t)json_raw(run->doc, at).len / 8;
    struct slice s = json_string(run->doc, at, run->arena);
    if (s.ptr != json_raw(run->doc, at).ptr + 1) // a copy: memory is bounded by the work, too
        run->work -= (int64_t)s.len;
    return s;
}

// -------------------------------------------------------------------- marks

static void all_perhaps(struct schema_marks *m) {
    for (size_t i = 0; m != NULL && i < m->count; i++)
        m->at[i] = m->at[i] > SCHEMA_PERHAPS ? m->at[i] : SCHEMA_PERHAPS;
}

static void merge(struct schema_marks *into, const struct schema_marks *from) {
    for (size_t i = 0; i < into->count; i++)
        if (from->at[i] > into->at[i])
            into->at[i] = from->at[i];
}

// --------------------------------------------------------------------- node

static enum schema_verdict apply(struct schema_run *run, const struct schema_rule *rule,
                                 const struct schema_place *place) {
    if (rule->kind == RULE_UNKNOWN)
        return SCHEMA_UNKNOWN;
    if (rule->kind <= RULE_MAX_ITEMS || rule->kind == RULE_UNIQUE_ITEMS)
        return schema_apply_plain(run, rule, place);
    bool within = rule->kind <= RULE_CONTAINS || rule->kind >= RULE_UNEVALUATED_ITEMS;
    return within ? schema_apply_within(run, rule, place)
                  : schema_apply_in_place(run, rule, place);
}

static enum schema_verdict apply_rules(struct schema_run *run, const struct schema_node *node,
                                       const struct schema_place *place) {
    enum schema_verdict all = SCHEMA_VALID;
    for (uint32_t i = 0; i < node->rule_count; i++) {
        run->work--;
        enum schema_verdict one = apply(run, &node->rules[i], place);
        if (one == SCHEMA_INVALID)
            return one;
        if (one == SCHEMA_UNKNOWN) // it may have looked at anything
            all_perhaps(place->marks);
        all = schema_both(all, one);
    }
    return all;
}

// With marks of its own: what a schema has looked at counts only where it fits.
static enum schema_verdict apply_marking(struct schema_run *run, const struct schema_node *node,
                                         const struct schema_place *place) {
    struct schema_marks own = {.count = place->marks != NULL ? place->marks->count
                                                             : json_count(run->doc, place->at)};
    run->work -= 2 * (int64_t)own.count;
    own.at = base_calloc(own.count + 1, 1);
    struct schema_place inner = *place;
    inner.marks = &own;
    enum schema_verdict v = apply_rules(run, node, &inner);
    if (place->marks != NULL && v != SCHEMA_INVALID)
        merge(place->marks, &own);
    free(own.at);
    return v;
}

static enum schema_verdict apply_node(struct schema_run *run, const struct schema_node *node,
                                      struct schema_place *place) {
    bool container = place->type == JSON_OBJECT || place->type == JSON_ARRAY;
    if (!container)
        place->marks = NULL;
    enum schema_verdict v = container && (place->marks != NULL || node->unevaluated)
                                ? apply_marking(run, node, place)
                                : apply_rules(run, node, place);
    bool pardoned = v == SCHEMA_INVALID && node->nullable && place->type == JSON_NULL;
    if (pardoned && place->bad != NULL)
        place->bad->set = false;
    return pardoned ? SCHEMA_UNKNOWN : v;
}

enum schema_verdict schema_evaluate(struct schema_run *run, uint32_t index,
                                    const struct schema_place *place) {
    if (index == SCHEMA_NO_NODE || run->depth == DEPTH_MAX || run->work <= 0) {
        all_perhaps(place->marks);
        return SCHEMA_UNKNOWN;
    }
    run->work--;
    const struct schema_node *node = &run->schema->nodes[index];
    if (node->kind == NODE_TRUE)
        return SCHEMA_VALID;
    if (node->kind == NODE_FALSE)
        return schema_reject(place, NULL, JSON_NONE, 0);
    if (node->kind == NODE_UNKNOWN) {
        all_perhaps(place->marks);
        return SCHEMA_UNKNOWN;
    }
    struct schema_place own = *place;
    struct schema_scope scope = {node->resource, place->scope};
    if (place->scope == NULL || place->scope->resource != node->resource)
        own.scope = &scope;
    run->depth++;
    enum schema_verdict v = apply_node(run, node, &own);
    run->depth--;
    // A violation that was found after the budget had gone may rest on half of it.
    return v == SCHEMA_INVALID && run->work <= 0 ? SCHEMA_UNKNOWN : v;
}

enum schema_verdict schema_validate(const struct schema *s, const struct json_doc *doc, json_ref at,
                                    struct buffer *violation) {
    struct schema_run run = {
        .schema = s,
        .doc = doc,
        .arena = arena_new(1024),
        .work = WORK_FLOOR + WORK_PER_BYTE * (int64_t)json_raw(doc, at).len,
    };
    struct schema_violation bad = {0};
    const struct schema_place place = {
        .at = at, .type = json_type_of(doc, at), .bad = violation != NULL ? &bad : NULL};
    enum schema_verdict v = schema_evaluate(&run, 0, &place);
    if (v == SCHEMA_INVALID && s->foreign)
        v = SCHEMA_UNKNOWN;
    if (v == SCHEMA_INVALID && violation != NULL)
        schema_describe(s, doc, at, &bad, violation);
    arena_free(run.arena);
    buffer_free(&run.canonical);
    return v;
}
