// What forwarding a stream (stream.c), reading its events (events.c) and
// putting them together (assemble.c) share.
#ifndef FARTHING_PROVIDER_STREAM_H
#define FARTHING_PROVIDER_STREAM_H

#include "merge.h"
#include "usage.h"

enum { STREAM_CHOICES_MAX = 1024 }; // OpenAI allows 128

// A bit for each choice.
struct choice_set {
    uint64_t bits[STREAM_CHOICES_MAX / 64];
    int64_t count;
};

// Texts of the state, which outlive the event that they came in.
enum kept_text { KEPT_ID, KEPT_MODEL, KEPT_TIER, KEPT_REASON, KEPT_MESSAGE, KEPT_CODE, KEPT_COUNT };

// What becomes of an event on the client's side.
enum passing { PASS_EVENT, PASS_DONE, PASS_NOT };

struct provider_stream {
    struct provider_stream_options options;
    struct sse *sse;
    struct json_doc *doc;  // the event being read
    struct arena *scratch; // of the event being read
    struct provider_stream_state state;
    struct buffer kept[KEPT_COUNT];
    enum passing last_passing;
    bool last_is_whole; // within provider_stream_end: not broken off amid its data
    struct usage_report usage;
    struct choice_set seen, finished;
    bool broke_off;      // a choice ended by the provider's failure
    size_t output_items; // of the responses endpoint, that were done
    bool assembling;
    struct merge *parts;
    struct merge_budget budget;
    struct buffer whole; // of the responses endpoint: the last event holds it
};

enum passing stream_read_event(struct provider_stream *s, const struct sse_event *e);

void assemble_chunk(struct provider_stream *s);
bool assembled_chunks(struct provider_stream *s, struct buffer *out);
void assemble_response(struct provider_stream *s, json_ref response);
void assemble_message(struct provider_stream *s, struct slice type); // assemble_messages.c
bool assembled_message(struct provider_stream *s, struct buffer *out);
// ,"name":value, without the comma when it is the first. NULL: null.
void assemble_put(struct buffer *out, bool *first, struct slice name, const struct merge *value);

#endif
