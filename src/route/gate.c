// The order in which an answer is judged: first what the provider itself says of
// it, then what is told at a glance, then what needs to be read as a whole.
#include "gate_room.h"

// What a gate looks for; the other reasons come of how an attempt ended.
enum {
    GATE_REASONS = 1u << CONFIG_ESCALATE_LENGTH | 1u << CONFIG_ESCALATE_CONTENT_FILTER |
                   1u << CONFIG_ESCALATE_EMPTY | 1u << CONFIG_ESCALATE_REFUSAL |
                   1u << CONFIG_ESCALATE_JSON | 1u << CONFIG_ESCALATE_JSON_SCHEMA |
                   1u << CONFIG_ESCALATE_TOOLS | 1u << CONFIG_ESCALATE_PATTERN |
                   1u << CONFIG_ESCALATE_TOO_SHORT | 1u << CONFIG_ESCALATE_LANGUAGE |
                   1u << CONFIG_ESCALATE_REPETITION,
};

const char *gate_reason_name(enum config_escalation reason) {
    return reason == GATE_NONE ? "none" : config_escalation_name(reason);
}

static uint32_t scripts_of(const struct config_slices *names) {
    uint32_t scripts = 0;
    enum config_script script;
    for (size_t i = 0; i < names->count; i++)
        if (config_script_find(names->items[i], &script))
            scripts |= 1u << script;
    return scripts;
}

const struct gate *gate_new(const struct gate_book *book, const struct config_route *route,
                            enum api_endpoint e, const struct json_doc *request,
                            struct arena *arena) {
    bool judged = e == API_CHAT_COMPLETIONS || e == API_COMPLETIONS || e == API_RESPONSES ||
                  e == API_MESSAGES;
    if (!judged || route == NULL || (route->escalate_on & GATE_REASONS) == 0)
        return NULL;
    struct gate *g = arena_calloc(arena, sizeof *g);
    g->route = route;
    g->endpoint = e;
    g->reasons = route->escalate_on & GATE_REASONS;
    g->scripts = scripts_of(&route->gate.scripts);
    if (book != NULL) {
        g->patterns = &book->routes[route->index];
        g->builtin_refusals = &book->builtin_refusals;
    }
    gate_read_request(g, request, arena);
    return g;
}

// ------------------------------------------------------------------ judging

static bool say(struct gate_run *run, const char *words) {
    buffer_append(&run->words, slice_of(words));
    return true;
}

static bool is_bad_content(struct gate_run *run, const struct gate_choice *c, bool cut_off,
                           enum config_escalation *reason) {
    const struct gate *g = run->gate;
    bool blank = gate_is_blank(c->text), silent = blank && c->call_count == 0 && !c->speaks;
    *reason = CONFIG_ESCALATE_LENGTH;
    if (gate_looks_for(g, *reason) && cut_off && !run->forgiven)
        return say(run, "The answer was cut off before it was complete: answer more briefly.");
    *reason = CONFIG_ESCALATE_EMPTY;
    if (gate_looks_for(g, *reason) && silent && !run->forgiven && !c->refused)
        return say(run, "The answer was empty.");
    *reason = CONFIG_ESCALATE_TOOLS;
    if (gate_looks_for(g, *reason) && gate_tools_are_wrong(run, c))
        return true;
    // Beside a call a text may be anything.
    if (g->format != GATE_TEXT && !c->refused && c->call_count == 0 && (!blank || silent)) {
        *reason = gate_judge_json(run, c->text);
        if (*reason != GATE_NONE)
            return true;
    }
    return false;
}

// Of the text that is the answer; what is said beside a call is not.
static bool is_bad_text(struct gate_run *run, const struct gate_choice *c,
                        enum config_escalation *reason) {
    const struct gate *g = run->gate;
    bool answer = c->call_count == 0 && !c->refused;
    *reason = CONFIG_ESCALATE_LANGUAGE;
    // JSON has its names in the language of its schema.
    if (gate_looks_for(g, *reason) && answer && g->format == GATE_TEXT &&
        gate_is_in_wrong_script(run, c->text))
        return true;
    *reason = CONFIG_ESCALATE_PATTERN;
    if (gate_looks_for(g, *reason) && gate_has_forbidden_match(run, c->text))
        return true;
    if (!answer || c->speaks || run->forgiven)
        return false;
    if (gate_looks_for(g, *reason) && gate_lacks_match(run, c->text))
        return true;
    *reason = CONFIG_ESCALATE_TOO_SHORT;
    return gate_looks_for(g, *reason) && gate_is_too_short(run, c->text);
}

static enum config_escalation judge_choice(struct gate_run *run, const struct gate_choice *c,
                                           bool own_cap) {
    const struct gate *g = run->gate;
    bool cut_off = c->finish == GATE_FINISH_LENGTH || c->finish == GATE_FINISH_WINDOW;
    // Only messages tells a stop sequence from an end.
    bool stopped = c->finish == GATE_FINISH_STOP_SEQUENCE ||
                   (c->finish == GATE_FINISH_STOP && g->stops);
    run->forgiven = (c->finish == GATE_FINISH_LENGTH && own_cap) || stopped;
    enum config_escalation reason = CONFIG_ESCALATE_CONTENT_FILTER;
    if (gate_looks_for(g, reason) && c->finish == GATE_FINISH_FILTER &&
        say(run, "The answer was ended by a content filter."))
        return reason;
    reason = CONFIG_ESCALATE_REFUSAL;
    if (gate_looks_for(g, reason) && c->refused && say(run, "The answer declined the request."))
        return reason;
    if (gate_looks_for(g, reason) && c->call_count == 0 && gate_is_refusal(run, c->text))
        return reason;
    reason = CONFIG_ESCALATE_REPETITION;
    if (gate_looks_for(g, reason) && gate_repeats(run, c->text, cut_off))
        return reason;
    if (is_bad_content(run, c, cut_off, &reason) || is_bad_text(run, c, &reason))
        return reason;
    return GATE_NONE;
}

static struct gate_result ended(struct gate_run *run, enum config_escalation reason) {
    struct gate_result result = {reason, SLICE("")};
    if (reason != GATE_NONE)
        result.violation = arena_copy(run->arena, buffer_slice(&run->words));
    buffer_free(&run->words);
    return result;
}

struct gate_result gate_judge(const struct gate *gate, const struct json_doc *answer, bool own_cap,
                              struct arena *arena) {
    struct gate_run run = {.gate = gate, .arena = arena};
    enum config_escalation reason = GATE_NONE;
    if (gate == NULL || gate_is_pending(gate->endpoint, answer))
        return ended(&run, GATE_NONE);
    struct gate_reader reader = {.endpoint = gate->endpoint, .doc = answer, .arena = arena};
    struct gate_choice choice;
    while (reason == GATE_NONE && gate_next_choice(&reader, &choice))
        reason = judge_choice(&run, &choice, own_cap);
    return ended(&run, reason);
}

struct gate_result gate_judge_text(const struct gate *gate, struct slice text,
                                   struct arena *arena) {
    struct gate_run run = {.gate = gate, .arena = arena};
    if (gate == NULL || gate_is_blank(text))
        return ended(&run, GATE_NONE);
    if (gate_looks_for(gate, CONFIG_ESCALATE_REFUSAL) && gate_is_refusal(&run, text))
        return ended(&run, CONFIG_ESCALATE_REFUSAL);
    if (gate_looks_for(gate, CONFIG_ESCALATE_REPETITION) && gate_repeats(&run, text, true))
        return ended(&run, CONFIG_ESCALATE_REPETITION);
    // Before a call there may be any text.
    enum config_escalation reason = gate->format != GATE_TEXT && !gate->offers_tools
                                        ? gate_judge_json_head(&run, text)
                                        : GATE_NONE;
    if (reason != GATE_NONE)
        return ended(&run, reason);
    if (gate_looks_for(gate, CONFIG_ESCALATE_LANGUAGE) && gate->format == GATE_TEXT &&
        gate_is_in_wrong_script(&run, text))
        return ended(&run, CONFIG_ESCALATE_LANGUAGE);
    if (gate_looks_for(gate, CONFIG_ESCALATE_PATTERN) && gate_has_forbidden_match(&run, text))
        return ended(&run, CONFIG_ESCALATE_PATTERN);
    return ended(&run, GATE_NONE);
}
