// A violation in words that a model can act on: where, what was expected, what is
// there. Bounded: what is long is cut.
#include "schema_room.h"

enum { PATH_MAX_BYTES = 300, QUOTED_MAX_BYTES = 60, LIST_MAX_BYTES = 240 };

// ---------------------------------------------------------------------- where

static void append_token(struct buffer *out, struct slice name) {
    buffer_append_char(out, '/');
    for (size_t i = 0; i < name.len; i++) {
        bool begins = ((unsigned char)name.ptr[i] & 0xC0) != 0x80; // a character
        if (begins && out->len >= PATH_MAX_BYTES)
            break;
        if (name.ptr[i] == '~')
            BUFFER_LITERAL(out, "~0");
        else if (name.ptr[i] == '/')
            BUFFER_LITERAL(out, "~1");
        else
            buffer_append_char(out, name.ptr[i]);
    }
}

// The child of `container` that holds the value, itself included; its key or
// index is appended.
static json_ref step_towards(const struct json_doc *doc, json_ref container, json_ref wanted,
                             struct arena *arena, struct buffer *out) {
    bool object = json_type_of(doc, container) == JSON_OBJECT;
    size_t index = 0;
    json_ref child = json_first(doc, container), next = child;
    for (; next != JSON_NONE; index++) {
        child = next;
        next = json_next(doc, container, child);
        if (next == JSON_NONE || wanted < next)
            break;
    }
    if (object) {
        append_token(out, json_string(doc, child, arena));
        return wanted == child ? wanted : json_value_of(child); // a name under propertyNames
    }
    buffer_append_char(out, '/');
    buffer_append_u64(out, index);
    return child;
}

// References grow in the order of the text, so the way down needs no search.
static void append_path(const struct json_doc *doc, json_ref root, json_ref wanted,
                        struct buffer *out) {
    struct arena *arena = arena_new(256);
    struct buffer path = {0};
    json_ref at = root;
    while (at != wanted && json_first(doc, at) != JSON_NONE && path.len < PATH_MAX_BYTES)
        at = step_towards(doc, at, wanted, arena, &path);
    buffer_append(out, path.len > 0 ? buffer_slice(&path) : SLICE("the whole value"));
    buffer_free(&path);
    arena_free(arena);
}

// ------------------------------------------------------------------------ what

// As it stands, cut at a character's end.
static void append_raw(const struct json_doc *doc, json_ref at, struct buffer *out) {
    struct slice raw = json_raw(doc, at);
    size_t len = raw.len;
    if (len > QUOTED_MAX_BYTES) {
        len = QUOTED_MAX_BYTES;
        while (len > 0 && ((unsigned char)raw.ptr[len] & 0xC0) == 0x80)
            len--;
    }
    buffer_append(out, slice_make(raw.ptr, len));
    if (len < raw.len)
        BUFFER_LITERAL(out, "...");
}

static void append_found(const struct json_doc *doc, json_ref at, struct buffer *out) {
    static const char *const names[] = {
        [JSON_NULL] = "null",       [JSON_FALSE] = "false",   [JSON_TRUE] = "true",
        [JSON_NUMBER] = "the number ", [JSON_STRING] = "the string ",
        [JSON_ARRAY] = "an array",  [JSON_OBJECT] = "an object",
    };
    enum json_type type = json_type_of(doc, at);
    buffer_append(out, slice_of(names[type]));
    if (type == JSON_NUMBER || type == JSON_STRING)
        append_raw(doc, at, out);
}

// Without its value: where the type is what is wrong.
static const char *type_name(const struct json_doc *doc, json_ref at) {
    static const char *const names[] = {
        [JSON_NULL] = "null",      [JSON_FALSE] = "a boolean", [JSON_TRUE] = "a boolean",
        [JSON_NUMBER] = "a number", [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",
        [JSON_OBJECT] = "an object",
    };
    return names[json_type_of(doc, at)];
}

static void append_types(uint32_t types, struct buffer *out) {
    static const char *const names[] = {"null",     "a boolean", "an object", "an array",
                                        "a number", "a string",  "an integer"};
    bool first = true;
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        if ((types >> i & 1) == 0)
            continue;
        if (!first)
            BUFFER_LITERAL(out, " or ");
        buffer_append(out, slice_of(names[i]));
        first = false;
    }
}

static void append_list(const struct json_doc *doc, json_ref array, struct buffer *out) {
    size_t start = out->len;
    for (json_ref r = json_first(doc, array); r != JSON_NONE; r = json_next(doc, array, r)) {
        if (out->len > start)
            BUFFER_LITERAL(out, ", ");
        if (out->len - start > LIST_MAX_BYTES) {
            BUFFER_LITERAL(out, "...");
            return;
        }
        append_raw(doc, r, out);
    }
}

// The types that the alternatives of anyOf or oneOf take; 0: not all say one.
static uint32_t types_of_all(const struct schema *s, const struct schema_rule *rule) {
    uint32_t types = 0;
    for (size_t i = 0; i < rule->nodes.count; i++) {
        const struct schema_node *n = rule->nodes.items[i] == SCHEMA_NO_NODE
                                          ? NULL
                                          : &s->nodes[rule->nodes.items[i]];
        if (n == NULL || n->rule_count == 0 || n->rules[0].kind != RULE_TYPE)
            return 0;
        types |= n->rules[0].types;
    }
    return types;
}

// ---------------------------------------------------------------------- by rule

static void describe_value(const struct schema *s, const struct json_doc *doc,
                           const struct schema_violation *v, struct buffer *out) {
    const struct schema_rule *rule = v->rule;
    switch (rule->kind) {
    case RULE_CONST:
        append_raw(s->doc, rule->value, out);
        break;
    case RULE_ENUM:
        BUFFER_LITERAL(out, "one of ");
        append_list(s->doc, rule->value, out);
        break;
    case RULE_PATTERN:
        BUFFER_LITERAL(out, "a string that matches the pattern ");
        append_raw(s->doc, rule->value, out);
        break;
    default: {
        static const struct {
            enum schema_rule_kind kind;
            const char *words;
        } limits[] = {
            {RULE_MINIMUM, "a number of at least "},
            {RULE_MAXIMUM, "a number of at most "},
            {RULE_EXCLUSIVE_MINIMUM, "a number above "},
            {RULE_EXCLUSIVE_MAXIMUM, "a number below "},
            {RULE_MULTIPLE_OF, "a multiple of "},
        };
        for (size_t i = 0; i < FARTHING_COUNT(limits); i++)
            if (limits[i].kind == rule->kind)
                buffer_append(out, slice_of(limits[i].words));
        append_raw(s->doc, rule->value, out);
    }
    }
    BUFFER_LITERAL(out, ", got ");
    append_found(doc, v->at, out);
}

static void describe_count(const struct schema_violation *v, struct buffer *out) {
    bool least = v->rule->kind == RULE_MIN_LENGTH || v->rule->kind == RULE_MIN_ITEMS ||
                 v->rule->kind == RULE_MIN_PROPERTIES;
    const char *unit = v->rule->kind == RULE_MIN_LENGTH || v->rule->kind == RULE_MAX_LENGTH
                           ? "character"
                       : v->rule->kind == RULE_MIN_ITEMS || v->rule->kind == RULE_MAX_ITEMS
                           ? "element"
                           : "member";
    buffer_printf(out, "at %s %lld %s%s, got %lld", least ? "least" : "most",
                  (long long)v->rule->count, unit, v->rule->count == 1 ? "" : "s",
                  (long long)v->count);
}

static void describe_alternatives(const struct schema *s, const struct json_doc *doc,
                                  const struct schema_violation *v, struct buffer *out) {
    uint32_t types = types_of_all(s, v->rule);
    if (v->count > 1) {
        BUFFER_LITERAL(out, "exactly one of the alternatives of oneOf to fit, but several do");
        return;
    }
    if (types != 0)
        append_types(types, out);
    else
        buffer_printf(out, "one of %zu alternatives to fit (%s), but none does",
                      v->rule->nodes.count, v->rule->kind == RULE_ANY_OF ? "anyOf" : "oneOf");
    if (types != 0)
        buffer_printf(out, ", got %s", type_name(doc, v->at));
}

static void describe_members(const struct schema *s, const struct schema_violation *v,
                             struct buffer *out) {
    json_ref value = v->other;
    if (v->rule->kind == RULE_REQUIRED) {
        BUFFER_LITERAL(out, "the member ");
        append_raw(s->doc, json_at(s->doc, value, (size_t)v->count), out);
        BUFFER_LITERAL(out, ", which is missing");
        return;
    }
    json_ref key = json_first(s->doc, value);
    for (int64_t i = 0; i < v->count && key != JSON_NONE; i++)
        key = json_next(s->doc, value, key);
    BUFFER_LITERAL(out, "beside ");
    append_raw(s->doc, key, out);
    BUFFER_LITERAL(out, " the members ");
    append_list(s->doc, json_value_of(key), out);
    BUFFER_LITERAL(out, ", of which one is missing");
}

static void describe_contains(const struct schema_violation *v, struct buffer *out) {
    if (v->count > v->rule->contains.max)
        buffer_printf(out, "at most %lld elements that fit the schema of contains",
                      (long long)v->rule->contains.max);
    else
        buffer_printf(out, "at least %lld element%s that fit%s the schema of contains",
                      (long long)v->rule->contains.min, v->rule->contains.min == 1 ? "" : "s",
                      v->rule->contains.min == 1 ? "s" : "");
    buffer_printf(out, ", got %lld", (long long)v->count);
}

static void describe_expected(const struct schema *s, const struct json_doc *doc,
                              const struct schema_violation *v, struct buffer *out) {
    switch (v->rule->kind) {
    case RULE_TYPE:
        append_types(v->rule->types, out);
        // 1.5 where an integer is expected is told by its value.
        if (json_type_of(doc, v->at) == JSON_NUMBER) {
            BUFFER_LITERAL(out, ", got ");
            append_found(doc, v->at, out);
        } else {
            buffer_printf(out, ", got %s", type_name(doc, v->at));
        }
        return;
    case RULE_MIN_LENGTH:
    case RULE_MAX_LENGTH:
    case RULE_MIN_ITEMS:
    case RULE_MAX_ITEMS:
    case RULE_MIN_PROPERTIES:
    case RULE_MAX_PROPERTIES:
        describe_count(v, out);
        return;
    case RULE_REQUIRED:
    case RULE_DEPENDENT_REQUIRED:
        describe_members(s, v, out);
        return;
    case RULE_CONTAINS:
        describe_contains(v, out);
        return;
    case RULE_UNIQUE_ITEMS:
        BUFFER_LITERAL(out, "elements that all differ, but one stands twice: ");
        append_raw(doc, v->other, out);
        return;
    case RULE_ANY_OF:
    case RULE_ONE_OF:
        describe_alternatives(s, doc, v, out);
        return;
    case RULE_NOT:
        BUFFER_LITERAL(out, "something that does not fit the schema of not");
        return;
    case RULE_IF:
        BUFFER_LITERAL(out, "what then or else demand");
        return;
    default:
        describe_value(s, doc, v, out);
    }
}

void schema_describe(const struct schema *s, const struct json_doc *doc, json_ref root,
                     const struct schema_violation *v, struct buffer *out) {
    if (!v->set)
        return;
    append_path(doc, root, v->at, out);
    if (v->rule == NULL) {
        BUFFER_LITERAL(out, ": expected nothing here, leave it out");
        return;
    }
    BUFFER_LITERAL(out, ": expected ");
    describe_expected(s, doc, v, out);
}
