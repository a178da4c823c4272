// provider: dialects: how each provider spells a request, an answer, a stream
// event, usage, an error. Pure: bytes in, bytes and facts out, no I/O.
#ifndef FARTHING_PROVIDER_H
#define FARTHING_PROVIDER_H

#include "farthing/api.h"
#include "farthing/base.h"
#include "farthing/json.h"

enum provider_dialect { PROVIDER_OPENAI, PROVIDER_ANTHROPIC };

bool provider_dialect_find(struct slice name, enum provider_dialect *out) FARTHING_MUST_CHECK;

// -------------------------------------------------------------- requests

// The path below base_url for a client's path: base_url already ends in /v1,
// so "/v1/chat/completions" becomes "/chat/completions".
struct slice provider_path(enum provider_dialect d, struct slice client_path);
// Credentials as header fields: at most two. `key` empty: none.
size_t provider_auth(enum provider_dialect d, struct slice key, struct arena *arena,
                     struct api_header out[2]);
// May a client's request header go to a provider? (Not hop-by-hop, no
// x-farthing-*, no credentials, no Host/Content-Length/Accept-Encoding/Expect,
// no cookies; openai-*, anthropic-*, x-stainless-*, user-agent, accept,
// content-type, traceparent, idempotency-key … yes.)
bool provider_request_header_passes(struct slice name);
// May a provider's answer header go to the client? (x-request-id, openai-*,
// anthropic-*, x-ratelimit-*, retry-after, retry-after-ms, x-should-retry,
// content-type, request-id, cf-ray …; not set-cookie, hop-by-hop, date, server.)
bool provider_answer_header_passes(struct slice name);
// Splices stream_options.include_usage = true into a streamed chat or
// completions request that does not ask for it. True when it added it: then
// the usage event is Farthing's, and swallowed.
bool provider_ask_usage(enum provider_dialect d, enum api_endpoint e, const struct json_doc *doc,
                        struct json_edits *edits);

// What a request says of its own size, read so that it is never too little:
// where a key stands twice or two spellings are there, which of them a server
// obeys is the server's affair, so the highest counts; and digits in a string
// count as the number, because servers that validate leniently take them so.
#define PROVIDER_SIZE_MAX (((int64_t)1 << 53) - 1) // everything above reads as this
struct provider_request {
    // Tokens of one choice; -1: none said. (Of completions the API's default is
    // then 16; other servers have others.) What some servers take as "no limit",
    // a negative number, or as who knows what, a text: PROVIDER_SIZE_MAX.
    int64_t output_cap;
    // What is billed: choices times prompts, of completions the larger of n and
    // best_of times prompts; 1 when it does not say. A text that is no number:
    // PROVIDER_SIZE_MAX, which no limit lets through.
    int64_t n;
    int64_t tools; // offered, `functions` included
};
void provider_read_request(enum api_endpoint e, const struct json_doc *doc,
                           struct provider_request *out);
// Prompts of completions, inputs of embeddings; 1 elsewhere, and never below. One
// list of tokens is one prompt.
int64_t provider_count_prompts(enum api_endpoint e, const struct json_doc *doc);
// Which field asks for a cap where the request has none (chat; elsewhere the
// endpoint knows one only).
enum provider_output_field { PROVIDER_MAX_TOKENS, PROVIDER_MAX_COMPLETION_TOKENS };
// By the name of the model, with or without its provider's: OpenAI's reasoning
// models refuse max_tokens.
enum provider_output_field provider_output_field_of(struct slice model);
// Does it think at "medium" or above when it is told nothing, and take a word on
// how much? By its name, so only for models that are well known; a model's
// section can say `reasoning` in the file.
bool provider_model_reasons(struct slice model);
// Lowers every spelling of the output cap that the request has to `cap`, adds
// one where it has none; never raises. The cap is for each choice. *before: what
// it was, as output_cap above. False: nothing to change.
//
// Negative numbers and texts are lowered too, being no limit as far as is known;
// zero and what is neither number nor text are left to the provider to judge.
// Where thinking.budget_tokens (messages) then no longer fits below the cap, it
// keeps its share of the whole, at least Anthropic's minimum of 1024; where even
// that does not fit, thinking is disabled.
bool provider_cap_output(enum api_endpoint e, const struct json_doc *doc, int64_t cap,
                         enum provider_output_field field, struct json_edits *edits,
                         struct arena *arena, int64_t *before);
// Adds an instruction where this endpoint takes one: after the system messages
// of chat, behind `instructions` of responses, behind `system` of messages.
// False: it takes none (completions, embeddings), has it already, or has
// something else in its place. `arena`: the edits' own, or one that lives as long.
bool provider_add_instruction(enum api_endpoint e, const struct json_doc *doc, struct slice text,
                              struct json_edits *edits, struct arena *arena);
// Lowers reasoning_effort (chat) or reasoning.effort (responses) to `ceiling`
// ("none", "minimal", "low", "medium", "high", "xhigh"); adds it for a model that
// reasons and was told nothing, where `ceiling` is below "medium", its default.
// Words that are not known are left alone. *before: what the request said, or
// empty. False: nothing to change.
bool provider_cap_effort(enum api_endpoint e, const struct json_doc *doc, struct slice ceiling,
                         bool model_reasons, struct json_edits *edits, struct slice *before);

// ----------------------------------------------------------- whole answers

struct provider_answer {
    struct api_usage usage;
    struct slice finish_reason; // of the first choice; "stop", "length", "tool_calls", ... or empty
    struct slice model;         // as the provider names it
    struct slice id;
    struct slice service_tier;
    bool complete;   // every choice is there and finished: may be cached
    bool is_error;   // an error object, whatever the status
    struct slice error_message;
    struct slice error_code;
};

// Reads what a whole answer says. Strings point into doc's text or the arena.
// `n` is the number of choices asked for (1 when the request does not say).
void provider_read_answer(enum provider_dialect d, enum api_endpoint e, const struct json_doc *doc,
                          int64_t n, struct arena *arena, struct provider_answer *out);
// A usage object in any spelling that OpenAI-compatible servers use.
void provider_read_usage(const struct json_doc *doc, json_ref usage, struct api_usage *out);

// ------------------------------------------------------------------- SSE

// Server-sent events (WHATWG HTML 9.2.6), incremental: feed bytes, get whole
// events, each with its exact bytes including the blank line that ends it.
struct sse_event {
    struct slice raw;  // all bytes
    struct slice name; // `event:` field or empty
    struct slice data; // joined `data:` lines
    bool has_data;     // false: comment or other fields only
    bool is_late_lf;   // no event: the LF of a CRLF whose CR ended the one before
};
struct sse;
struct sse *sse_new(size_t max_event_bytes); // over it: sse_feed fails
void sse_free(struct sse *s);
typedef void sse_on_event(void *arg, const struct sse_event *event);
// Slices in the event are valid during the call. False: event too large.
bool sse_feed(struct sse *s, struct slice bytes, sse_on_event *on_event, void *arg) FARTHING_MUST_CHECK;
struct slice sse_rest(const struct sse *s); // bytes of an event that has not ended

// --------------------------------------------------------------- streams

enum provider_emit {
    PROVIDER_EMIT_EVENT, // bytes for the client, exactly as the provider sent them
    PROVIDER_EMIT_DONE,  // the final `data: [DONE]` (or the dialect's last event)
};
typedef void provider_on_emit(void *arg, enum provider_emit kind, struct slice bytes);

struct provider_stream_options {
    enum provider_dialect dialect;
    enum api_endpoint endpoint;
    bool swallow_usage;     // the usage event was asked for by Farthing, not by the client
    bool assemble;          // build the whole answer for the cache
    int64_t n;              // choices asked for
    size_t max_event_bytes; // 0: 8 MiB
    size_t max_answer_bytes; // of the assembled answer, over it assembling stops; 0: 16 MiB
};

// Reads a provider's stream as it passes. Forwarding needs no understanding:
// an event that cannot be understood is passed on all the same.
struct provider_stream;
struct provider_stream *provider_stream_new(const struct provider_stream_options *options);
void provider_stream_free(struct provider_stream *s);
bool provider_stream_feed(struct provider_stream *s, struct slice bytes, provider_on_emit *on_emit,
                          void *arg, struct error *err) FARTHING_MUST_CHECK;
// After the provider's last byte: emits what is left of an unended event.
void provider_stream_end(struct provider_stream *s, provider_on_emit *on_emit, void *arg);

struct provider_stream_state {
    struct provider_answer answer; // usage: the last that was reported
    bool done;       // [DONE], response.completed, message_stop: the stream is whole
    bool first_token; // some content, tool call or refusal has come
    bool is_error;   // an error event came
    int64_t output_bytes; // of content seen: for an estimate when no usage came
};
// Valid until the next feed or free.
const struct provider_stream_state *provider_stream_state(const struct provider_stream *s);
// The whole answer that a non-streamed request would have got, complete
// streams only. False: cannot be assembled (too large, unknown shape, cut).
bool provider_stream_answer(struct provider_stream *s, struct buffer *out) FARTHING_MUST_CHECK;

// What the model has said in these events of a stream, as far as they have come;
// of the first choice. In the arena.
struct slice provider_stream_text(struct slice events, struct arena *arena);

// A whole answer of the cache as a well-formed stream of its endpoint: role
// first, content split at sensible places, tool calls, finish reason, usage
// when asked for, [DONE]. False: an answer of this endpoint has no stream form.
bool provider_replay(enum api_endpoint e, struct slice answer, bool include_usage,
                     struct buffer *out, struct error *err) FARTHING_MUST_CHECK;

// `event: error` / data with OpenAI's error object, in the form that the
// endpoint's SDKs raise as an error, to end a broken stream visibly.
void provider_stream_error(enum api_endpoint e, enum api_error error, struct slice message,
                           struct buffer *out);

// A rough count from bytes, never below 1, for where no usage comes.
int64_t provider_estimate_tokens(int64_t bytes);

#endif
