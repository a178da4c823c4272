// Keywords that look at the value alone: its type, its size, its text, which
// value it is. Each concerns one type and lets all others pass.
#include "schema_room.h"

static enum schema_verdict check_type(struct schema_run *run, const struct schema_rule *rule,
                                      const struct schema_place *place) {
    static const uint32_t types[] = {
        [JSON_NULL] = TYPE_NULL,     [JSON_FALSE] = TYPE_BOOLEAN, [JSON_TRUE] = TYPE_BOOLEAN,
        [JSON_NUMBER] = TYPE_NUMBER, [JSON_STRING] = TYPE_STRING, [JSON_ARRAY] = TYPE_ARRAY,
        [JSON_OBJECT] = TYPE_OBJECT,
    };
    if ((types[place->type] & rule->types) != 0)
        return SCHEMA_VALID;
    if (place->type == JSON_NUMBER && (rule->types & TYPE_INTEGER) != 0) {
        struct schema_number n = schema_number_of(json_raw(run->doc, place->at));
        if (schema_number_is_whole(&n))
            return SCHEMA_VALID;
    }
    return schema_reject(place, rule, JSON_NONE, 0);
}

static bool is_among(const struct schema_values *values, struct slice canonical) {
    size_t low = 0, high = values->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_compare(values->items[middle], canonical);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static enum schema_verdict check_values(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    if (!schema_canonical(run, place->at))
        return SCHEMA_UNKNOWN;
    if (is_among(&rule->values, buffer_slice(&run->canonical)))
        return SCHEMA_VALID;
    return rule->values.uncertain ? SCHEMA_UNKNOWN : schema_reject(place, rule, JSON_NONE, 0);
}

static enum schema_verdict check_number(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    struct slice raw = json_raw(run->doc, place->at);
    run->work -= (int64_t)(raw.len / 4);
    struct schema_number n = schema_number_of(raw);
    bool fits;
    int order = 0;
    if (rule->kind == RULE_MULTIPLE_OF) {
        if (!schema_number_divides(&n, &rule->number, &fits))
            return SCHEMA_UNKNOWN;
    } else {
        if (!schema_number_compare(&n, &rule->number, &order))
            return SCHEMA_UNKNOWN;
        fits = rule->kind == RULE_MINIMUM             ? order >= 0
               : rule->kind == RULE_MAXIMUM           ? order <= 0
               : rule->kind == RULE_EXCLUSIVE_MINIMUM ? order > 0
                                                      : order < 0;
    }
    return fits ? SCHEMA_VALID : schema_reject(place, rule, JSON_NONE, 0);
}

static int64_t characters(struct slice s) {
    int64_t count = 0;
    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return count;
}

static enum schema_verdict check_string(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    struct slice text = schema_string(run, place->at);
    if (rule->kind == RULE_PATTERN) {
        enum pattern_result found = pattern_search(rule->pattern, text, &run->work);
        return found == PATTERN_FOUND    ? SCHEMA_VALID
               : found == PATTERN_ABSENT ? schema_reject(place, rule, JSON_NONE, 0)
                                         : SCHEMA_UNKNOWN;
    }
    int64_t length = characters(text);
    bool fits = rule->kind == RULE_MIN_LENGTH ? length >= rule->count : length <= rule->count;
    return fits ? SCHEMA_VALID : schema_reject(place, rule, JSON_NONE, length);
}

static enum schema_verdict check_count(struct schema_run *run, const struct schema_rule *rule,
                                       const struct schema_place *place) {
    bool least = rule->kind == RULE_MIN_ITEMS || rule->kind == RULE_MIN_PROPERTIES;
    int64_t count = (int64_t)json_count(run->doc, place->at);
    run->work -= count / 4;
    bool fits = least ? count >= rule->count : count <= rule->count;
    return fits ? SCHEMA_VALID : schema_reject(place, rule, JSON_NONE, count);
}

// By their canonical spellings, each looked up among those before it.
static enum schema_verdict check_unique(struct schema_run *run, const struct schema_rule *rule,
                                        const struct schema_place *place) {
    struct table *seen = table_new();
    enum schema_verdict v = SCHEMA_VALID;
    for (json_ref r = json_first(run->doc, place->at); r != JSON_NONE && v == SCHEMA_VALID;
         r = json_next(run->doc, place->at, r)) {
        if (!schema_canonical(run, r))
            v = SCHEMA_UNKNOWN;
        else if (table_put(seen, buffer_slice(&run->canonical), seen) != NULL)
            v = schema_reject(place, rule, r, 0);
    }
    table_free(seen);
    return v;
}

enum schema_verdict schema_apply_plain(struct schema_run *run, const struct schema_rule *rule,
                                       const struct schema_place *place) {
    switch (rule->kind) {
    case RULE_TYPE:
        return check_type(run, rule, place);
    case RULE_CONST:
    case RULE_ENUM:
        return check_values(run, rule, place);
    case RULE_MINIMUM:
    case RULE_MAXIMUM:
    case RULE_EXCLUSIVE_MINIMUM:
    case RULE_EXCLUSIVE_MAXIMUM:
    case RULE_MULTIPLE_OF:
        return place->type == JSON_NUMBER ? check_number(run, rule, place) : SCHEMA_VALID;
    case RULE_MIN_LENGTH:
    case RULE_MAX_LENGTH:
    case RULE_PATTERN:
        return place->type == JSON_STRING ? check_string(run, rule, place) : SCHEMA_VALID;
    case RULE_MIN_PROPERTIES:
    case RULE_MAX_PROPERTIES:
        return place->type == JSON_OBJECT ? check_count(run, rule, place) : SCHEMA_VALID;
    case RULE_MIN_ITEMS:
    case RULE_MAX_ITEMS:
        return place->type == JSON_ARRAY ? check_count(run, rule, place) : SCHEMA_VALID;
    case RULE_UNIQUE_ITEMS:
        return place->type == JSON_ARRAY ? check_unique(run, rule, place) : SCHEMA_VALID;
    default:
        return SCHEMA_UNKNOWN;
    }
}
