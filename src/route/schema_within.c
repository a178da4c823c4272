// Keywords that look into a value: the members of an object, the elements of an
// array.
#include <stdlib.h>

#include "schema_room.h"

static enum schema_verdict look(struct schema_run *run, uint32_t node, json_ref at,
                                const struct schema_place *outer, struct schema_violation *bad) {
    const struct schema_place place = {
        .at = at,
        .type = json_type_of(run->doc, at),
        .depth = outer->depth + 1,
        .scope = outer->scope,
        .bad = bad,
    };
    return schema_evaluate(run, node, &place);
}

static void mark(const struct schema_place *place, size_t i, uint8_t how) {
    if (place->marks != NULL && i < place->marks->count && place->marks->at[i] < how)
        place->marks->at[i] = how;
}

// ------------------------------------------------------------------ objects

// A member under a schema that perhaps does not concern it.
static enum schema_verdict look_perhaps(struct schema_run *run, uint32_t node, json_ref at,
                                        const struct schema_place *place) {
    return look(run, node, at, place, NULL) == SCHEMA_VALID ? SCHEMA_VALID : SCHEMA_UNKNOWN;
}

static enum schema_verdict check_member(struct schema_run *run, const struct schema_members *m,
                                        json_ref key, size_t i, const struct schema_place *place) {
    struct slice name = schema_string(run, key);
    json_ref value = json_value_of(key);
    bool known = false, perhaps = false;
    enum schema_verdict v = SCHEMA_VALID;
    ptrdiff_t at = schema_names_find(&m->properties, name);
    if (at >= 0) {
        known = true;
        v = look(run, m->properties.items[at].node, value, place, place->bad);
    }
    for (size_t p = 0; p < m->pattern_count && v != SCHEMA_INVALID; p++) {
        const struct schema_pattern *rule = &m->patterns[p];
        enum pattern_result found = rule->pattern != NULL
                                        ? pattern_search(rule->pattern, name, &run->work)
                                        : PATTERN_UNKNOWN;
        known |= found == PATTERN_FOUND;
        perhaps |= found == PATTERN_UNKNOWN;
        if (found == PATTERN_FOUND)
            v = schema_both(v, look(run, rule->node, value, place, place->bad));
        else if (found == PATTERN_UNKNOWN)
            v = schema_both(v, look_perhaps(run, rule->node, value, place));
    }
    if (!known && v != SCHEMA_INVALID && m->additional != SCHEMA_NO_NODE) {
        known = true;
        v = schema_both(v, perhaps ? look_perhaps(run, m->additional, value, place)
                                   : look(run, m->additional, value, place, place->bad));
    }
    mark(place, i, known ? SCHEMA_EVALUATED : perhaps ? SCHEMA_PERHAPS : SCHEMA_UNEVALUATED);
    return v;
}

static enum schema_verdict check_members(struct schema_run *run, const struct schema_rule *rule,
                                         const struct schema_place *place) {
    enum schema_verdict all = SCHEMA_VALID;
    size_t i = 0;
    for (json_ref key = json_first(run->doc, place->at); key != JSON_NONE && all != SCHEMA_INVALID;
         key = json_next(run->doc, place->at, key), i++)
        all = schema_both(all, check_member(run, rule->members, key, i, place));
    return all;
}

static enum schema_verdict check_property_names(struct schema_run *run,
                                                const struct schema_rule *rule,
                                                const struct schema_place *place) {
    enum schema_verdict all = SCHEMA_VALID;
    for (json_ref key = json_first(run->doc, place->at); key != JSON_NONE && all != SCHEMA_INVALID;
         key = json_next(run->doc, place->at, key))
        all = schema_both(all, look(run, rule->node, key, place, place->bad));
    return all;
}

// Marks each of the names that is a member. The caller frees.
static bool *names_present(struct schema_run *run, const struct schema_names *names,
                           json_ref object) {
    bool *present = base_calloc(names->count + 1, sizeof *present);
    run->work -= (int64_t)(names->count / 4);
    for (json_ref key = json_first(run->doc, object); key != JSON_NONE;
         key = json_next(run->doc, object, key)) {
        ptrdiff_t at = schema_names_find(names, schema_string(run, key));
        if (at >= 0)
            present[at] = true;
    }
    return present;
}

// The first of the names, as the schema has them, that is no member; NULL: all are.
static const struct schema_name *first_missing(struct schema_run *run,
                                               const struct schema_names *names, json_ref object) {
    bool *present = names_present(run, names, object);
    const struct schema_name *missing = NULL;
    for (size_t i = 0; i < names->count; i++)
        if (!present[i] && (missing == NULL || names->items[i].order < missing->order))
            missing = &names->items[i];
    free(present);
    return missing;
}

static enum schema_verdict check_required(struct schema_run *run, const struct schema_rule *rule,
                                          const struct schema_names *names,
                                          const struct schema_place *place) {
    const struct schema_name *missing = first_missing(run, names, place->at);
    return missing == NULL ? SCHEMA_VALID : schema_reject(place, rule, rule->value, missing->order);
}

static enum schema_verdict check_dependents(struct schema_run *run, const struct schema_rule *rule,
                                            const struct schema_place *place) {
    bool *present = names_present(run, &rule->names, place->at);
    enum schema_verdict all = SCHEMA_VALID;
    for (size_t i = 0; i < rule->names.count && all == SCHEMA_VALID; i++) {
        const struct schema_name *n = &rule->names.items[i];
        if (present[i] && first_missing(run, n->required, place->at) != NULL)
            all = schema_reject(place, rule, rule->value, n->order);
    }
    free(present);
    return all;
}

// ------------------------------------------------------------------- arrays

static enum schema_verdict check_items(struct schema_run *run, const struct schema_rule *rule,
                                       const struct schema_place *place) {
    enum schema_verdict all = SCHEMA_VALID;
    const struct schema_nodes *prefix = &rule->items.prefix;
    size_t i = 0;
    for (json_ref r = json_first(run->doc, place->at); r != JSON_NONE && all != SCHEMA_INVALID;
         r = json_next(run->doc, place->at, r), i++) {
        if (i >= prefix->count && rule->items.rest == SCHEMA_NO_NODE)
            break;
        uint32_t node = i < prefix->count ? prefix->items[i] : rule->items.rest;
        all = schema_both(all, look(run, node, r, place, place->bad));
        mark(place, i, SCHEMA_EVALUATED);
    }
    return all;
}

static enum schema_verdict check_contains(struct schema_run *run, const struct schema_rule *rule,
                                          const struct schema_place *place) {
    int64_t sure = 0, perhaps = 0;
    size_t i = 0;
    for (json_ref r = json_first(run->doc, place->at); r != JSON_NONE;
         r = json_next(run->doc, place->at, r), i++) {
        enum schema_verdict v = look(run, rule->contains.node, r, place, NULL);
        sure += v == SCHEMA_VALID;
        perhaps += v == SCHEMA_UNKNOWN;
        mark(place, i,
             v == SCHEMA_VALID     ? SCHEMA_EVALUATED
             : v == SCHEMA_UNKNOWN ? SCHEMA_PERHAPS
                                   : SCHEMA_UNEVALUATED);
    }
    if (sure + perhaps < rule->contains.min || sure > rule->contains.max)
        return schema_reject(place, rule, JSON_NONE, sure);
    bool certain = sure >= rule->contains.min && sure + perhaps <= rule->contains.max;
    return certain ? SCHEMA_VALID : SCHEMA_UNKNOWN;
}

// -------------------------------------------------------------- what is left

static enum schema_verdict check_unevaluated(struct schema_run *run,
                                             const struct schema_rule *rule,
                                             const struct schema_place *place) {
    bool object = place->type == JSON_OBJECT;
    enum schema_verdict all = SCHEMA_VALID;
    size_t i = 0;
    for (json_ref r = json_first(run->doc, place->at); r != JSON_NONE && all != SCHEMA_INVALID;
         r = json_next(run->doc, place->at, r), i++) {
        uint8_t looked_at = place->marks->at[i];
        json_ref value = object ? json_value_of(r) : r;
        if (looked_at == SCHEMA_EVALUATED)
            continue;
        run->work--;
        all = schema_both(all, looked_at == SCHEMA_PERHAPS
                                   ? look_perhaps(run, rule->node, value, place)
                                   : look(run, rule->node, value, place, place->bad));
        mark(place, i, SCHEMA_EVALUATED);
    }
    return all;
}

enum schema_verdict schema_apply_within(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    bool array = rule->kind == RULE_ITEMS || rule->kind == RULE_CONTAINS ||
                 rule->kind == RULE_UNEVALUATED_ITEMS;
    if (place->type != (array ? JSON_ARRAY : JSON_OBJECT))
        return SCHEMA_VALID;
    switch (rule->kind) {
    case RULE_REQUIRED:
        return check_required(run, rule, &rule->names, place);
    case RULE_DEPENDENT_REQUIRED:
        return check_dependents(run, rule, place);
    case RULE_PROPERTY_NAMES:
        return check_property_names(run, rule, place);
    case RULE_MEMBERS:
        return check_members(run, rule, place);
    case RULE_ITEMS:
        return check_items(run, rule, place);
    case RULE_CONTAINS:
        return check_contains(run, rule, place);
    case RULE_UNEVALUATED_ITEMS:
    case RULE_UNEVALUATED_PROPERTIES:
        return check_unevaluated(run, rule, place);
    default:
        return SCHEMA_UNKNOWN;
    }
}
