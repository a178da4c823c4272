// Keywords that put the same value before other schemas: references, and, or,
// one of, not, if.
#include "schema_room.h"

static enum schema_verdict again(struct schema_run *run, uint32_t node,
                                 const struct schema_place *outer, struct schema_violation *bad) {
    struct schema_place place = *outer;
    place.bad = bad;
    return schema_evaluate(run, node, &place);
}

// ---------------------------------------------------------------- references

// $dynamicRef: of the resources entered, the outermost that has an anchor of the
// name.
static uint32_t dynamic_target(struct schema_run *run, const struct schema_rule *rule,
                               const struct schema_scope *scope) {
    uint32_t target = rule->ref.target;
    for (; scope != NULL; scope = scope->outer) {
        run->work--;
        struct slice key = schema_anchor_key(run->arena, scope->resource, rule->ref.anchor);
        void *node = table_get(run->schema->dynamic_anchors, key);
        if (node != NULL)
            target = (uint32_t)((uintptr_t)node - 1);
    }
    return target;
}

static enum schema_verdict check_ref(struct schema_run *run, const struct schema_rule *rule,
                                     const struct schema_place *place) {
    uint32_t target = rule->ref.anchor.len > 0 ? dynamic_target(run, rule, place->scope)
                                               : rule->ref.target;
    return again(run, target, place, place->bad);
}

// -------------------------------------------------------------- alternatives

// Which of the alternatives' violations is the most telling? One that lies
// deeper comes of the alternative that fits better; a value that is another than
// the one demanded (as in `type: "circle"`) most often says that this
// alternative was not meant at all.
static int weight(const struct schema_violation *v, uint32_t depth) {
    if (v->rule == NULL)
        return 1;
    if (v->rule->kind == RULE_CONST || v->rule->kind == RULE_ENUM)
        return v->depth > depth ? 1 : 0;
    if (v->rule->kind == RULE_TYPE && v->depth == depth)
        return 0;
    return 2 + (int)(v->depth - depth);
}

struct tally {
    int64_t fit, perhaps;
    struct schema_violation best;
    int best_weight;
};

// `enough`: of those that fit, so many are; -1: look at all, for what they look at.
static struct tally try_each(struct schema_run *run, const struct schema_rule *rule,
                             const struct schema_place *place, int64_t enough) {
    struct tally t = {.best_weight = 0};
    for (size_t i = 0; i < rule->nodes.count && (enough < 0 || t.fit < enough); i++) {
        struct schema_violation bad = {0};
        enum schema_verdict v =
            again(run, rule->nodes.items[i], place, place->bad != NULL ? &bad : NULL);
        t.fit += v == SCHEMA_VALID;
        t.perhaps += v == SCHEMA_UNKNOWN;
        if (v == SCHEMA_INVALID && bad.set && weight(&bad, place->depth) > t.best_weight) {
            t.best = bad;
            t.best_weight = weight(&bad, place->depth);
        }
    }
    return t;
}

static enum schema_verdict reject_all(const struct schema_rule *rule,
                                      const struct schema_place *place, const struct tally *t) {
    if (place->bad != NULL && !place->bad->set && t->best.set)
        *place->bad = t->best;
    return schema_reject(place, rule, JSON_NONE, 0);
}

static enum schema_verdict check_any_of(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    struct tally t = try_each(run, rule, place, place->marks != NULL ? -1 : 1);
    return t.fit > 0       ? SCHEMA_VALID
           : t.perhaps > 0 ? SCHEMA_UNKNOWN
                           : reject_all(rule, place, &t);
}

static enum schema_verdict check_one_of(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    struct tally t = try_each(run, rule, place, 2);
    if (t.fit > 1)
        return schema_reject(place, rule, JSON_NONE, t.fit);
    if (t.perhaps > 0)
        return SCHEMA_UNKNOWN;
    return t.fit == 1 ? SCHEMA_VALID : reject_all(rule, place, &t);
}

static enum schema_verdict check_all_of(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    enum schema_verdict all = SCHEMA_VALID;
    for (size_t i = 0; i < rule->nodes.count && all != SCHEMA_INVALID; i++)
        all = schema_both(all, again(run, rule->nodes.items[i], place, place->bad));
    return all;
}

static enum schema_verdict check_not(struct schema_run *run, const struct schema_rule *rule,
                                     const struct schema_place *place) {
    struct schema_place inner = *place;
    inner.marks = NULL; // whatever it looks at, it does not count
    inner.bad = NULL;
    switch (schema_evaluate(run, rule->node, &inner)) {
    case SCHEMA_VALID:
        return schema_reject(place, rule, JSON_NONE, 0);
    case SCHEMA_INVALID:
        return SCHEMA_VALID;
    default:
        return SCHEMA_UNKNOWN;
    }
}

// -------------------------------------------------------------- conditions

static enum schema_verdict branch(struct schema_run *run, uint32_t node,
                                  const struct schema_place *place,
                                  struct schema_violation *bad) {
    return node == SCHEMA_NO_NODE ? SCHEMA_VALID : again(run, node, place, bad);
}

static enum schema_verdict check_if(struct schema_run *run, const struct schema_rule *rule,
                                    const struct schema_place *place) {
    enum schema_verdict test = again(run, rule->condition.test, place, NULL);
    if (test == SCHEMA_VALID)
        return branch(run, rule->condition.then, place, place->bad);
    if (test == SCHEMA_INVALID)
        return branch(run, rule->condition.otherwise, place, place->bad);
    enum schema_verdict then = branch(run, rule->condition.then, place, NULL);
    enum schema_verdict otherwise = branch(run, rule->condition.otherwise, place, NULL);
    if (then != otherwise)
        return SCHEMA_UNKNOWN;
    return then == SCHEMA_INVALID ? schema_reject(place, rule, JSON_NONE, 0) : then;
}

static enum schema_verdict check_dependent_schemas(struct schema_run *run,
                                                   const struct schema_rule *rule,
                                                   const struct schema_place *place) {
    enum schema_verdict all = SCHEMA_VALID;
    if (place->type != JSON_OBJECT)
        return all;
    for (json_ref key = json_first(run->doc, place->at); key != JSON_NONE && all != SCHEMA_INVALID;
         key = json_next(run->doc, place->at, key)) {
        ptrdiff_t at = schema_names_find(&rule->names, schema_string(run, key));
        if (at >= 0)
            all = schema_both(all, again(run, rule->names.items[at].node, place, place->bad));
    }
    return all;
}

enum schema_verdict schema_apply_in_place(struct schema_run *run, const struct schema_rule *rule,
                                          const struct schema_place *place) {
    switch (rule->kind) {
    case RULE_REF:
        return check_ref(run, rule, place);
    case RULE_ALL_OF:
        return check_all_of(run, rule, place);
    case RULE_ANY_OF:
        return check_any_of(run, rule, place);
    case RULE_ONE_OF:
        return check_one_of(run, rule, place);
    case RULE_NOT:
        return check_not(run, rule, place);
    case RULE_IF:
        return check_if(run, rule, place);
    case RULE_DEPENDENT_SCHEMAS:
        return check_dependent_schemas(run, rule, place);
    default:
        return SCHEMA_UNKNOWN;
    }
}
