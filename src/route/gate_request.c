// What a request asks of its answer: JSON, a schema, tools, and where the client
// itself wants it to end. All that is kept is copied.
#include "gate_room.h"

struct reader {
    struct gate *gate;
    const struct json_doc *doc;
    struct arena *arena;
};

static struct slice copy_string(const struct reader *r, json_ref at) {
    struct slice s = json_string(r->doc, at, r->arena);
    return s.ptr == NULL ? SLICE("") : arena_copy(r->arena, s);
}

static json_ref member(const struct reader *r, json_ref object, const char *name) {
    return json_get(r->doc, object, slice_of(name));
}

static bool type_is(const struct reader *r, json_ref object, const char *type) {
    return json_string_is(r->doc, member(r, object, "type"), slice_of(type));
}

// ------------------------------------------------------------------- format

static void read_schema(const struct reader *r, json_ref schema) {
    r->gate->format = GATE_JSON_SCHEMA;
    if (!json_is_absent(r->doc, schema) && gate_looks_for(r->gate, CONFIG_ESCALATE_JSON_SCHEMA))
        r->gate->schema = arena_copy(r->arena, json_raw(r->doc, schema));
}

// {"type": "json_object"}, {"type": "json_schema", ...}
static void read_format(const struct reader *r, json_ref format) {
    if (type_is(r, format, "json_object")) {
        r->gate->format = GATE_JSON_OBJECT;
    } else if (type_is(r, format, "json_schema")) {
        json_ref inner = member(r, format, "json_schema"); // of chat
        read_schema(r, member(r, inner != JSON_NONE ? inner : format, "schema"));
    }
}

static void read_formats(const struct reader *r) {
    if (!gate_looks_for(r->gate, CONFIG_ESCALATE_JSON) &&
        !gate_looks_for(r->gate, CONFIG_ESCALATE_JSON_SCHEMA))
        return;
    switch (r->gate->endpoint) {
    case API_RESPONSES:
        read_format(r, member(r, member(r, JSON_ROOT, "text"), "format"));
        break;
    case API_MESSAGES:
        read_format(r, member(r, JSON_ROOT, "output_format"));
        read_format(r, member(r, member(r, JSON_ROOT, "output_config"), "format"));
        break;
    default:
        read_format(r, member(r, JSON_ROOT, "response_format"));
    }
}

// -------------------------------------------------------------------- tools

// Tools that the provider itself runs: what they do is no call for the client.
static bool is_hosted(struct slice type) {
    static const char *const begins[] = {
        "web_search", "web_fetch", "file_search", "code_interpreter", "code_execution",
        "image_generation", "mcp", "tool_search",
    };
    for (size_t i = 0; i < FARTHING_COUNT(begins); i++)
        if (slice_starts_with(type, slice_of(begins[i])))
            return true;
    return false;
}

// Chat puts name and schema into `function` (or `custom`), the others beside `type`.
static void read_tool(const struct reader *r, json_ref tool, struct gate_tool *tools) {
    json_ref inner = member(r, tool, "function");
    bool custom = type_is(r, tool, "custom") && r->gate->endpoint != API_MESSAGES;
    if (inner == JSON_NONE)
        inner = member(r, tool, "custom");
    if (inner == JSON_NONE)
        inner = tool;
    struct slice name = copy_string(r, member(r, inner, "name"));
    struct slice type = json_string(r->doc, member(r, tool, "type"), r->arena);
    if (name.len == 0) {
        // Such as a namespace, whose tools have names that are not here.
        r->gate->any_tool |= !is_hosted(type);
        return;
    }
    json_ref schema = member(r, inner, "parameters");
    if (schema == JSON_NONE)
        schema = member(r, inner, "input_schema");
    struct gate_tool *t = &tools[r->gate->tool_count++];
    *t = (struct gate_tool){name, SLICE("")};
    if (!custom && !json_is_absent(r->doc, schema))
        t->parameters = arena_copy(r->arena, json_raw(r->doc, schema));
}

static void read_tools(const struct reader *r) {
    json_ref lists[] = {member(r, JSON_ROOT, "tools"), member(r, JSON_ROOT, "functions")};
    size_t count = 0;
    for (size_t i = 0; i < FARTHING_COUNT(lists); i++)
        count += lists[i] != JSON_NONE ? json_count(r->doc, lists[i]) : 0;
    struct gate_tool *tools = arena_alloc(r->arena, count * sizeof *tools);
    r->gate->tools = tools;
    for (size_t i = 0; i < FARTHING_COUNT(lists); i++) {
        if (lists[i] == JSON_NONE || json_type_of(r->doc, lists[i]) != JSON_ARRAY)
            continue;
        for (json_ref t = json_first(r->doc, lists[i]); t != JSON_NONE;
             t = json_next(r->doc, lists[i], t))
            read_tool(r, t, tools);
    }
    // A prompt that is kept at the provider may bring its own.
    r->gate->any_tool |= !json_is_absent(r->doc, member(r, JSON_ROOT, "prompt")) &&
                         r->gate->endpoint == API_RESPONSES;
}

static void read_choice(const struct reader *r) {
    struct gate *g = r->gate;
    json_ref choice = member(r, JSON_ROOT, "tool_choice");
    if (json_is_absent(r->doc, choice))
        choice = member(r, JSON_ROOT, "function_call"); // chat's older spelling
    if (json_is_absent(r->doc, choice))
        return;
    json_ref allowed = member(r, choice, "allowed_tools"); // of chat; in responses it is `choice`
    json_ref mode = member(r, allowed != JSON_NONE ? allowed : choice, "mode");
    g->must_call = json_string_is(r->doc, choice, SLICE("required")) ||
                   json_string_is(r->doc, mode, SLICE("required")) || type_is(r, choice, "any");
    json_ref inner = member(r, choice, "function");
    if (inner == JSON_NONE)
        inner = member(r, choice, "custom");
    if (inner == JSON_NONE)
        inner = choice;
    g->must_call_name = copy_string(r, member(r, inner, "name"));
    g->must_call |= g->must_call_name.len > 0;
}

// --------------------------------------------------------------------- ends

static bool has_stops(const struct reader *r) {
    json_ref stop = member(r, JSON_ROOT, r->gate->endpoint == API_MESSAGES ? "stop_sequences"
                                                                           : "stop");
    if (json_is_absent(r->doc, stop))
        return false;
    return json_type_of(r->doc, stop) != JSON_ARRAY || json_first(r->doc, stop) != JSON_NONE;
}

void gate_read_request(struct gate *g, const struct json_doc *request, struct arena *arena) {
    const struct reader r = {g, request, arena};
    g->stops = has_stops(&r);
    g->offers_tools = !json_is_absent(request, member(&r, JSON_ROOT, "tools")) ||
                      !json_is_absent(request, member(&r, JSON_ROOT, "functions"));
    read_formats(&r);
    if (gate_looks_for(g, CONFIG_ESCALATE_TOOLS) && g->endpoint != API_COMPLETIONS) {
        read_tools(&r);
        read_choice(&r);
    }
    // With the prompt before it, a text says little of the answer.
    if (g->endpoint == API_COMPLETIONS &&
        json_is_true(request, member(&r, JSON_ROOT, "echo")))
        g->reasons &= 1u << CONFIG_ESCALATE_LENGTH | 1u << CONFIG_ESCALATE_CONTENT_FILTER;
}
