// What reading a stream (stream.c) and putting it together (assemble.c) share.
#ifndef FARTHING_PROVIDER_STREAM_H
#define FARTHING_PROVIDER_STREAM_H

#include "merge.h"

struct provider_stream {
    struct provider_stream_options options;
    struct sse *sse;
    struct json_doc *doc; // the event being read
    struct arena *arena;
    struct provider_stream_state state;
    uint64_t finished[16]; // choices, by index
    int64_t finished_count;
    struct api_usage start_usage; // of message_start
    bool assembling;
    struct merge *parts;
    struct merge_budget budget;
    struct buffer whole; // of the responses endpoint: the last event holds it
};

void assemble_chunk(struct provider_stream *s);
bool assembled_chunks(struct provider_stream *s, struct buffer *out);
void assemble_message(struct provider_stream *s, struct slice type);
bool assembled_message(struct provider_stream *s, struct buffer *out);

#endif
