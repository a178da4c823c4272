// The mock provider.
#include "farthing/demo.h"

#include <event2/event.h>
#include <stdlib.h>

#include "farthing/json.h"

struct mock {
    struct event_base *loop;
    struct mock_options options;
    struct json_doc *doc;
    uint64_t flaky_count;
};

// One answer on its way.
struct call {
    struct mock *mock;
    struct http_request *request;
    struct event *timer;
    struct buffer pieces; // a stream's events, one after the other
    size_t sent;
    bool stream, begun, failing;
    struct buffer whole;
};

static const char *const words[] = {
    "a",      "farthing", "was",    "the",    "smallest", "coin",  "of",     "the",
    "realm,", "and",      "every",  "one",    "counted;", "so",    "does",   "each",
    "token",  "here,",    "bought", "once,",  "kept",     "whole,", "and",   "written",
    "down",   "to",       "the",    "last",   "unit",     "by",     "those", "who",
};

// ------------------------------------------------------------------- answers

struct question {
    struct slice model, text;
    bool stream, include_usage, embeddings, responses;
    int64_t input_tokens, output_tokens;
    const char *finish;
    uint64_t seed;
};

// The caps on output of the three APIs; a longer answer ends with "length".
static void apply_cap(const struct mock *m, struct question *q) {
    static const char *const caps[] = {"max_tokens", "max_completion_tokens", "max_output_tokens"};
    for (size_t i = 0; i < FARTHING_COUNT(caps); i++) {
        int64_t cap;
        json_ref value = json_get(m->doc, JSON_ROOT, slice_of(caps[i]));
        if (value == JSON_NONE || !json_i64(m->doc, value, &cap) || cap < 1 ||
            cap >= q->output_tokens)
            continue;
        q->output_tokens = cap;
        q->finish = "length";
    }
}

static void read_question(struct mock *m, struct http_request *request, struct question *q,
                          struct arena *arena) {
    struct slice body = http_request_body(request);
    struct error ignored;
    *q = (struct question){.model = SLICE("mock")};
    uint8_t digest[DIGEST_LEN];
    struct slice asked = body;
    bool parsed = json_parse(m->doc, body, NULL, &ignored);
    if (parsed) {
        json_ref model = json_get(m->doc, JSON_ROOT, SLICE("model"));
        if (model != JSON_NONE)
            q->model = arena_copy(arena, json_string(m->doc, model, arena));
        q->stream = json_is_true(m->doc, json_get(m->doc, JSON_ROOT, SLICE("stream")));
        json_ref options = json_get(m->doc, JSON_ROOT, SLICE("stream_options"));
        q->include_usage = json_is_true(m->doc, json_get(m->doc, options, SLICE("include_usage")));
        json_ref messages = json_get(m->doc, JSON_ROOT, SLICE("messages"));
        if (messages == JSON_NONE)
            messages = json_get(m->doc, JSON_ROOT, SLICE("input"));
        if (messages != JSON_NONE)
            asked = json_raw(m->doc, messages); // not how it is delivered
    }
    digest_sha256(asked, digest);
    memcpy(&q->seed, digest, sizeof q->seed);
    q->embeddings = slice_ends_with(http_request_path(request), SLICE("/embeddings"));
    q->responses = slice_ends_with(http_request_path(request), SLICE("/responses"));
    q->input_tokens = (int64_t)(asked.len + 3) / 4;
    q->output_tokens = m->options.answer_words > 0 ? m->options.answer_words
                                                   : 8 + (int64_t)(q->seed % 24);
    q->finish = "stop";
    if (parsed)
        apply_cap(m, q);
}

static const char *word_at(const struct question *q, int64_t i) {
    return words[((uint64_t)i + q->seed) % FARTHING_COUNT(words)];
}

static void put_text(const struct question *q, struct buffer *out) {
    for (int64_t i = 0; i < q->output_tokens; i++)
        buffer_printf(out, "%s%s", i > 0 ? " " : "", word_at(q, i));
}

static void put_usage(const struct question *q, struct buffer *out) {
    buffer_printf(out,
                  "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
                  "\"prompt_tokens_details\":{\"cached_tokens\":0},"
                  "\"completion_tokens_details\":{\"reasoning_tokens\":0}}",
                  (long long)q->input_tokens, (long long)q->output_tokens,
                  (long long)(q->input_tokens + q->output_tokens));
}

static void put_chat(const struct question *q, struct buffer *out) {
    buffer_printf(out, "{\"id\":\"chatcmpl-%016llx\",\"object\":\"chat.completion\",\"created\":1700000000,"
                       "\"model\":",
                  (unsigned long long)q->seed);
    json_quote(out, q->model);
    BUFFER_LITERAL(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    put_text(q, out);
    buffer_printf(out, "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":",
                  q->finish);
    put_usage(q, out);
    BUFFER_LITERAL(out, "}");
}

static void put_chunk(const struct question *q, struct buffer *out, struct slice choices,
                      bool with_usage) {
    buffer_printf(out, "data: {\"id\":\"chatcmpl-%016llx\",\"object\":\"chat.completion.chunk\","
                       "\"created\":1700000000,\"model\":",
                  (unsigned long long)q->seed);
    json_quote(out, q->model);
    BUFFER_LITERAL(out, ",\"choices\":[");
    buffer_append(out, choices);
    BUFFER_LITERAL(out, "]");
    if (with_usage) {
        BUFFER_LITERAL(out, ",\"usage\":");
        put_usage(q, out);
    }
    BUFFER_LITERAL(out, "}\n\n");
}

static void put_stream(const struct question *q, struct buffer *out) {
    put_chunk(q, out, SLICE("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                            "\"logprobs\":null,\"finish_reason\":null}"), false);
    for (int64_t i = 0; i < q->output_tokens; i++) {
        struct buffer choice = {0};
        buffer_printf(&choice, "{\"index\":0,\"delta\":{\"content\":\"%s%s\"},\"logprobs\":null,"
                               "\"finish_reason\":null}",
                      i > 0 ? " " : "", word_at(q, i));
        put_chunk(q, out, buffer_slice(&choice), false);
        buffer_free(&choice);
    }
    struct buffer last = {0};
    buffer_printf(&last, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"%s\"}", q->finish);
    put_chunk(q, out, buffer_slice(&last), false);
    buffer_free(&last);
    if (q->include_usage)
        put_chunk(q, out, SLICE_NONE, true);
    BUFFER_LITERAL(out, "data: [DONE]\n\n");
}

// Equal texts have equal vectors.
static void put_vector(struct slice text, int64_t index, struct buffer *out) {
    uint8_t digest[DIGEST_LEN];
    digest_sha256(text, digest);
    buffer_printf(out, "%s{\"object\":\"embedding\",\"index\":%lld,\"embedding\":[",
                  index > 0 ? "," : "", (long long)index);
    for (int i = 0; i < 8; i++)
        buffer_printf(out, "%s0.%03u", i > 0 ? "," : "", 1 + digest[i] * 3u);
    BUFFER_LITERAL(out, "]}");
}

static void put_embeddings(const struct mock *m, const struct question *q, struct buffer *out) {
    json_ref input = json_get(m->doc, JSON_ROOT, SLICE("input"));
    int64_t count = 0;
    BUFFER_LITERAL(out, "{\"object\":\"list\",\"data\":[");
    if (json_is(m->doc, input, JSON_ARRAY))
        for (json_ref t = json_first(m->doc, input); t != JSON_NONE; t = json_next(m->doc, input, t))
            put_vector(json_raw(m->doc, t), count++, out);
    else if (input != JSON_NONE)
        put_vector(json_raw(m->doc, input), count++, out);
    BUFFER_LITERAL(out, "],\"model\":");
    json_quote(out, q->model);
    buffer_printf(out, ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}",
                  (long long)q->input_tokens, (long long)q->input_tokens);
}

static void put_response(const struct question *q, struct buffer *out) {
    buffer_printf(out, "{\"id\":\"resp_%016llx\",\"object\":\"response\",\"created_at\":1700000000,"
                       "\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,"
                       "\"instructions\":null,\"parallel_tool_calls\":true,\"tool_choice\":\"auto\","
                       "\"tools\":[],\"model\":",
                  (unsigned long long)q->seed);
    json_quote(out, q->model);
    buffer_printf(out, ",\"output\":[{\"type\":\"message\",\"id\":\"msg_%016llx\",\"status\":\"completed\","
                       "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"",
                  (unsigned long long)q->seed);
    put_text(q, out);
    buffer_printf(out, "\",\"annotations\":[]}]}],\"usage\":{\"input_tokens\":%lld,"
                       "\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":%lld,"
                       "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":%lld}}",
                  (long long)q->input_tokens, (long long)q->output_tokens,
                  (long long)(q->input_tokens + q->output_tokens));
}

// ------------------------------------------------------------------- sending

static void call_free(struct call *c) {
    if (c->timer != NULL)
        event_free(c->timer);
    buffer_free(&c->pieces);
    buffer_free(&c->whole);
    free(c);
}

static void on_end(void *arg, enum http_end how) {
    (void)how;
    call_free(arg);
}

static void wait(struct call *c, int64_t ms) {
    struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    evtimer_add(c->timer, &pause);
}

static void send_events(struct call *c) {
    int64_t pause = c->mock->options.token_delay_ms;
    for (;;) {
        struct slice rest = slice_from(buffer_slice(&c->pieces), c->sent);
        ptrdiff_t end = slice_find(rest, SLICE("\n\n"));
        if (end < 0)
            break;
        // Without a pause between them, all that there is goes at once.
        size_t n = pause > 0 ? (size_t)end + 2 : rest.len;
        c->sent += n;
        http_reply_write(c->request, slice_make(rest.ptr, n));
        if (pause > 0) {
            wait(c, pause);
            return;
        }
    }
    http_reply_finish(c->request);
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct call *c = arg;
    struct api_header type = {SLICE("Content-Type"), SLICE("application/json")};
    if (c->failing) {
        http_reply_error(c->request, API_ERROR_INTERNAL, 500, SLICE("The mock fails at times."),
                         SLICE_NONE, NULL, 0);
        return;
    }
    if (!c->stream) {
        http_reply(c->request, 200, &type, 1, buffer_slice(&c->whole));
        return;
    }
    if (!c->begun) {
        type.value = SLICE("text/event-stream");
        c->begun = true;
        http_reply_begin(c->request, 200, &type, 1);
    }
    send_events(c);
}

static void on_request(struct http_request *request, void *arg) {
    struct mock *m = arg;
    if (slice_ends_with(http_request_path(request), SLICE("/models"))) {
        const struct api_header type = {SLICE("Content-Type"), SLICE("application/json")};
        http_reply(request, 200, &type, 1,
                   SLICE("{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\","
                         "\"created\":0,\"owned_by\":\"mock\"}]}"));
        return;
    }
    struct arena *arena = arena_new(1024);
    struct question q;
    read_question(m, request, &q, arena);
    struct call *c = base_calloc(1, sizeof *c);
    c->mock = m;
    c->request = request;
    c->stream = q.stream && !q.embeddings && !q.responses;
    c->failing = slice_equal(q.model, SLICE("mock-flaky")) && m->flaky_count++ % 3 == 0;
    if (q.embeddings)
        put_embeddings(m, &q, &c->whole);
    else if (q.responses)
        put_response(&q, &c->whole);
    else if (c->stream)
        put_stream(&q, &c->pieces);
    else
        put_chat(&q, &c->whole);
    arena_free(arena);
    c->timer = evtimer_new(m->loop, on_timer, c);
    http_request_on_end(request, on_end, c);
    if (m->options.delay_ms > 0)
        wait(c, m->options.delay_ms);
    else
        on_timer(-1, 0, c);
}

struct mock *mock_new(struct event_base *loop, const struct mock_options *options) {
    struct mock *m = base_calloc(1, sizeof *m);
    m->loop = loop;
    m->options = *options;
    m->doc = json_doc_new();
    return m;
}

struct http_handler mock_handler(struct mock *m) {
    return (struct http_handler){on_request, NULL, m};
}

void mock_free(struct mock *m) {
    if (m == NULL)
        return;
    json_doc_free(m->doc);
    free(m);
}

void demo_config(struct buffer *out, uint16_t mock_port, const char *directory) {
    buffer_printf(out,
                  "server { listen = {\"127.0.0.1:4000\"} admin_listen = \"127.0.0.1:4001\" workers = 1 }\n"
                  "store { path = \"%s\" }\n"
                  "cache { memory = \"64m\" ttl = \"1h\" }\n"
                  "provider \"mock\" { base_url = \"http://127.0.0.1:%u/v1\" api_key = \"none\"\n"
                  "  retry { attempts = 3 backoff = \"100ms\" } }\n"
                  "model \"mock/mock-small\" { input_price = \"0.15 usd\" output_price = \"0.60 usd\" }\n"
                  "model \"mock/mock-large\" { input_price = \"2.50 usd\" output_price = \"10 usd\" }\n"
                  "model \"mock/mock-flaky\" { input_price = \"0.15 usd\" output_price = \"0.60 usd\" }\n"
                  "tier \"small\" { models = {\"mock/mock-small\"} }\n"
                  "tier \"large\" { models = {\"mock/mock-large\"} }\n"
                  "route \"demo\" { match { models = {\"*\"} } stream_summary = true }\n"
                  "log { cost_log = \"%s/cost.jsonl\" level = \"info\" }\n",
                  directory, mock_port, directory);
}
