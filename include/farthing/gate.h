// gate: is an answer good enough to be given? What the request asked for (JSON, a
// schema, tools) and what its route demands, held against a whole answer, or
// against the head of one that streams. docs/gates.md says what each reason means.
//
// Pure, any thread, linear in the answer. In doubt an answer passes: to buy a
// second one that nobody needs is the dearer mistake.
#ifndef FARTHING_GATE_H
#define FARTHING_GATE_H

#include "farthing/api.h"
#include "farthing/config.h"

// ------------------------------------------------------------------ patterns

// The compiled patterns of all routes of a snapshot. Immutable, any number of
// threads; must be freed before the snapshot is.
struct gate_book;

// Never NULL. What does not compile is told in `complaints` (NULL is fine), a line
// each, "FILE:LINE: ...", and judges nothing: `farthing -t` makes errors of them.
struct gate_book *gate_book_new(const struct config *config, struct buffer *complaints);
void gate_book_free(struct gate_book *book); // NULL is fine

// ------------------------------------------------------------------- judging

// What one request's answers are held against. In the arena, and independent of
// the request's document; book and route must outlive it.
struct gate;

// NULL where nothing can be wrong with an answer: no route, none of a gate's
// reasons in its escalate_on, or another endpoint than chat.completions,
// completions, responses and messages. `book` may be NULL: no patterns then.
const struct gate *gate_new(const struct gate_book *book, const struct config_route *route,
                            enum api_endpoint e, const struct json_doc *request,
                            struct arena *arena);

#define GATE_NONE CONFIG_ESCALATE_COUNT

struct gate_result {
    enum config_escalation reason; // GATE_NONE: good enough
    // What is wrong, a sentence or two for the model that is asked next; in the
    // arena. Quotes the answer in short pieces: it is content, not for logs.
    struct slice violation;
};

// Judges a whole answer in the endpoint's own shape; with several choices, the
// first bad one decides. Only reasons of the route's escalate_on are found.
// `own_cap`: the cap on output that was sent is the client's own, so where the
// answer was cut off by it, that is as ordered, and what being cut off entails
// (empty, too short, broken JSON) is no fault either. `gate` may be NULL.
struct gate_result gate_judge(const struct gate *gate, const struct json_doc *answer, bool own_cap,
                              struct arena *arena);

// Judges the beginning of an answer's text (gate_streams = "head N") for what it
// shows already: refusal, script, repetition, a pattern that must not be there, and
// text that cannot become JSON where JSON was asked for. An empty text is good so far.
struct gate_result gate_judge_text(const struct gate *gate, struct slice text,
                                   struct arena *arena);

// "length", "json_schema": the word of routing.conf, of rows and of metrics.
const char *gate_reason_name(enum config_escalation reason);

#endif
