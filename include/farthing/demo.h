// demo: a provider without a model. Speaks OpenAI's API deterministically: the
// same question gets the same answer, with usage, streams and realistic delays;
// the model "mock-flaky" fails every third time.
#ifndef FARTHING_DEMO_H
#define FARTHING_DEMO_H

#include "farthing/base.h"
#include "farthing/http.h"

struct event_base;
struct mock;

struct mock_options {
    int64_t delay_ms;       // before the first byte
    int64_t token_delay_ms; // between a stream's events
    int64_t answer_words;   // length of an answer; 0: by the question
};

struct mock *mock_new(struct event_base *loop, const struct mock_options *options);
struct http_handler mock_handler(struct mock *m);
void mock_free(struct mock *m); // after its server

// A routing.conf for the demo, in which `port` is the mock's.
void demo_config(struct buffer *out, uint16_t mock_port, const char *directory);

#endif
