// JSON where JSON was asked for, and calls of tools.
#include "farthing/schema.h"
#include "gate_room.h"

enum {
    CALLS_MAX = 256, // judged of one answer; what comes behind them passes
    NAME_BYTES = 64,
};

static struct slice trimmed(struct slice s) {
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL && s.ptr[0] != '\0')
        s = slice_from(s, 1);
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL && s.ptr[s.len - 1] != '\0')
        s.len--;
    return s;
}

// ------------------------------------------------------------------- schema

// Does the value violate the schema? Its text is parsed here, for most answers
// are never held against it.
static bool violates(struct slice schema_text, const struct json_doc *doc, json_ref at,
                     struct buffer *words) {
    struct error ignored;
    struct json_doc *schema_doc = json_doc_new();
    bool bad = false;
    if (schema_text.len > 0 && json_parse(schema_doc, schema_text, NULL, &ignored)) {
        struct schema *s = schema_compile(schema_doc, JSON_ROOT);
        bad = schema_validate(s, doc, at, words) == SCHEMA_INVALID;
        schema_free(s);
    }
    json_doc_free(schema_doc);
    return bad;
}

// --------------------------------------------------------------------- text

static void say_not_json(struct buffer *words, struct slice text, const char *error) {
    if (slice_starts_with(text, SLICE("```")))
        BUFFER_LITERAL(words, "The answer is JSON in a code fence: give the JSON alone.");
    else
        buffer_printf(words, "The answer is not valid JSON (%s): give the JSON alone.", error);
}

// Which of the two reasons is told where the text is no JSON at all.
static enum config_escalation json_reason(const struct gate *g) {
    return gate_looks_for(g, CONFIG_ESCALATE_JSON) ? CONFIG_ESCALATE_JSON
           : g->format == GATE_JSON_SCHEMA         ? CONFIG_ESCALATE_JSON_SCHEMA
                                                   : GATE_NONE;
}

static enum config_escalation judge_value(struct gate_run *run, const struct json_doc *doc) {
    const struct gate *g = run->gate;
    if (g->format == GATE_JSON_OBJECT && json_type_of(doc, JSON_ROOT) != JSON_OBJECT &&
        json_reason(g) != GATE_NONE) {
        BUFFER_LITERAL(&run->words, "The answer is JSON but not an object, as was asked for.");
        return json_reason(g);
    }
    struct buffer why = {0};
    bool bad = gate_looks_for(g, CONFIG_ESCALATE_JSON_SCHEMA) &&
               violates(g->schema, doc, JSON_ROOT, &why);
    if (bad)
        buffer_printf(&run->words, "The answer does not fit the JSON schema: %.*s.",
                      SLICE_ARG(buffer_slice(&why)));
    buffer_free(&why);
    return bad ? CONFIG_ESCALATE_JSON_SCHEMA : GATE_NONE;
}

enum config_escalation gate_judge_json(struct gate_run *run, struct slice text) {
    struct error err;
    struct json_doc *doc = json_doc_new();
    enum config_escalation reason = GATE_NONE;
    text = trimmed(text);
    if (json_parse(doc, text, NULL, &err)) {
        reason = judge_value(run, doc);
    } else if (!run->forgiven) {
        reason = json_reason(run->gate);
        if (reason != GATE_NONE)
            say_not_json(&run->words, text, err.text);
    }
    json_doc_free(doc);
    return reason;
}

enum config_escalation gate_judge_json_head(struct gate_run *run, struct slice head) {
    enum config_escalation reason = json_reason(run->gate);
    head = trimmed(head);
    const char *begins = run->gate->format == GATE_JSON_OBJECT ? "{" : "{[\"-0123456789tfn";
    if (reason == GATE_NONE || head.len == 0 ||
        (head.ptr[0] != '\0' && strchr(begins, head.ptr[0]) != NULL))
        return GATE_NONE;
    say_not_json(&run->words, head, "it begins with something else");
    return reason;
}

// -------------------------------------------------------------------- tools

static const struct gate_tool *find_tool(const struct gate *g, struct slice name) {
    for (size_t i = 0; i < g->tool_count; i++)
        if (slice_equal(g->tools[i].name, name))
            return &g->tools[i];
    return NULL;
}

static bool arguments_violate(struct gate_run *run, const struct gate_tool *tool,
                              const struct json_doc *doc, json_ref value) {
    struct buffer why = {0};
    bool bad = violates(tool->parameters, doc, value, &why);
    if (bad)
        buffer_printf(&run->words,
                      "The arguments of the tool \"%.*s\" do not fit its schema: %.*s.",
                      SLICE_ARG(gate_cut(tool->name, NAME_BYTES)), SLICE_ARG(buffer_slice(&why)));
    buffer_free(&why);
    return bad;
}

static bool call_is_wrong(struct gate_run *run, const struct gate_choice *c,
                          const struct gate_call *call) {
    const struct gate_tool *tool = find_tool(run->gate, call->name);
    struct slice name = gate_cut(call->name, NAME_BYTES);
    if (tool == NULL && run->gate->any_tool)
        return false;
    if (tool == NULL) {
        buffer_printf(&run->words, "The tool \"%.*s\" was called, which was not offered.",
                      SLICE_ARG(name));
        return true;
    }
    if (call->free_text)
        return false;
    if (call->value != JSON_NONE)
        return arguments_violate(run, tool, c->doc, call->value);
    // For a tool without parameters, some models write nothing.
    struct slice text = gate_is_blank(call->text) ? SLICE("{}") : call->text;
    struct json_doc *doc = json_doc_new();
    struct error err;
    bool parsed = json_parse(doc, text, NULL, &err);
    bool bad = parsed ? arguments_violate(run, tool, doc, JSON_ROOT) : !run->forgiven;
    if (!parsed && bad)
        buffer_printf(&run->words, "The arguments of the tool \"%.*s\" are not valid JSON (%s).",
                      SLICE_ARG(name), err.text);
    json_doc_free(doc);
    return bad;
}

static bool has_called(const struct gate_choice *c, struct slice name) {
    for (size_t i = 0; i < c->call_count; i++)
        if (slice_equal(c->calls[i].name, name))
            return true;
    return false;
}

bool gate_tools_are_wrong(struct gate_run *run, const struct gate_choice *c) {
    const struct gate *g = run->gate;
    for (size_t i = 0; i < c->call_count && i < CALLS_MAX; i++)
        if (call_is_wrong(run, c, &c->calls[i]))
            return true;
    if (!g->must_call || run->forgiven || c->refused || c->speaks)
        return false;
    if (c->call_count == 0) {
        BUFFER_LITERAL(&run->words, "A tool had to be called, and none was.");
        return true;
    }
    if (g->must_call_name.len == 0 || has_called(c, g->must_call_name))
        return false;
    buffer_printf(&run->words, "The tool \"%.*s\" had to be called, and was not.",
                  SLICE_ARG(gate_cut(g->must_call_name, NAME_BYTES)));
    return true;
}
