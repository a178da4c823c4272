// What the files of the gate share.
#ifndef FARTHING_ROUTE_GATE_ROOM_H
#define FARTHING_ROUTE_GATE_ROOM_H

#include "farthing/gate.h"
#include "pattern.h"

struct gate_pattern_list {
    struct pattern **items; // NULL: does not compile
    size_t count;
};

// Of one route.
struct gate_patterns {
    struct gate_pattern_list refusals; // none: the built-in ones
    struct gate_pattern_list must_match, must_not_match;
};

struct gate_book {
    struct gate_patterns *routes; // by their index
    size_t route_count;
    struct gate_pattern_list builtin_refusals;
};

enum gate_format { GATE_TEXT, GATE_JSON_OBJECT, GATE_JSON_SCHEMA };

struct gate_tool {
    struct slice name;
    struct slice parameters; // its schema's text; empty: free text, or anything
};

struct gate {
    const struct config_route *route;
    const struct gate_patterns *patterns;             // NULL: none
    const struct gate_pattern_list *builtin_refusals; // NULL: none
    enum api_endpoint endpoint;
    uint32_t reasons; // that are looked for
    uint32_t scripts; // bits of enum config_script; 0: any will do
    enum gate_format format;
    struct slice schema; // its text; empty: none
    const struct gate_tool *tools;
    size_t tool_count;
    bool any_tool;               // there may be tools that the request does not show
    bool must_call;              // a tool
    struct slice must_call_name; // this one; empty: any
    bool stops;                  // the client set stop sequences of its own
    bool offers_tools;
};

static inline bool gate_looks_for(const struct gate *g, enum config_escalation reason) {
    return (g->reasons & 1u << reason) != 0;
}

// ---- gate_request.c

void gate_read_request(struct gate *g, const struct json_doc *request, struct arena *arena);

// ---- gate_answer.c

enum gate_finish {
    GATE_FINISH_OTHER,
    GATE_FINISH_LENGTH, // the cap on output
    GATE_FINISH_WINDOW, // the model's own window
    GATE_FINISH_FILTER,
    GATE_FINISH_STOP, // an end, or a stop sequence
    GATE_FINISH_STOP_SEQUENCE,
};

struct gate_call {
    struct slice name;
    bool free_text;    // a custom tool's input
    struct slice text; // the arguments as a text
    json_ref value;    // or as a value of the answer; else JSON_NONE
};

struct gate_choice {
    const struct json_doc *doc;
    struct slice text; // all of it, joined
    enum gate_finish finish;
    bool refused; // says so itself, in a field of its own
    bool speaks;  // has something else to give: audio, an image, a hosted tool's result
    struct gate_call *calls;
    size_t call_count;
};

// The choices of an answer, one after the other: chat and completions have
// several. *cursor: JSON_NONE at the start. False: no more.
struct gate_reader {
    enum api_endpoint endpoint;
    const struct json_doc *doc;
    struct arena *arena;
    json_ref at; // the last choice
    bool begun;
};
bool gate_next_choice(struct gate_reader *r, struct gate_choice *out);
// There is no answer yet (a response in the background).
bool gate_is_pending(enum api_endpoint e, const struct json_doc *doc);

// ---- checks: each returns whether the choice is bad, and then says why

// What one judgement works with.
struct gate_run {
    const struct gate *gate;
    struct arena *arena;
    struct buffer words; // of the violation
    bool forgiven;       // it was ended as the client ordered
};

bool gate_is_blank(struct slice text);
bool gate_is_refusal(struct gate_run *run, struct slice text);      // gate_text.c
bool gate_is_in_wrong_script(struct gate_run *run, struct slice text);
bool gate_lacks_match(struct gate_run *run, struct slice text);
bool gate_has_forbidden_match(struct gate_run *run, struct slice text);
bool gate_is_too_short(struct gate_run *run, struct slice text);
bool gate_repeats(struct gate_run *run, struct slice text, bool cut_off); // gate_repeat.c
bool gate_tools_are_wrong(struct gate_run *run, const struct gate_choice *choice); // gate_json.c
// GATE_NONE, JSON or JSON_SCHEMA.
enum config_escalation gate_judge_json(struct gate_run *run, struct slice text);
// The same for the beginning of a text: can it become JSON?
enum config_escalation gate_judge_json_head(struct gate_run *run, struct slice head);

// At most `max` bytes, cut at a character's end.
struct slice gate_cut(struct slice s, size_t max);

#endif
