// Any bytes as a provider's stream, in pieces whose length the input's first
// byte chooses. What passes must be what came, however it is split; what is put
// together must be JSON, and must have a stream of its own that says the same.
#include <stdlib.h>

#include "../check.h"
#include "farthing/provider.h"

// The second byte.
struct choice {
    enum api_endpoint endpoint;
    bool swallow_usage;
    int64_t n;
};

static struct choice choice_of(uint8_t byte) {
    static const enum api_endpoint endpoints[] = {API_CHAT_COMPLETIONS, API_COMPLETIONS,
                                                  API_RESPONSES, API_MESSAGES};
    return (struct choice){
        .endpoint = endpoints[byte % 4],
        .swallow_usage = (byte & 4) != 0,
        .n = 1 + (byte >> 3) % 3,
    };
}

struct heard {
    struct buffer bytes;
    size_t done;
};

static void on_emit(void *arg, enum provider_emit kind, struct slice bytes) {
    struct heard *h = arg;
    CHECK(bytes.len > 0);
    h->done += kind == PROVIDER_EMIT_DONE ? 1 : 0;
    buffer_append(&h->bytes, bytes);
}

// Each piece from memory of its own, gone after the call.
static struct provider_stream *feed_all(const struct choice *choice, struct slice text,
                                        size_t piece, struct heard *h) {
    const struct provider_stream_options options = {
        .endpoint = choice->endpoint,
        .swallow_usage = choice->swallow_usage,
        .n = choice->n,
        .assemble = true,
    };
    struct provider_stream *s = provider_stream_new(&options);
    struct error err;
    for (size_t at = 0; at < text.len; at += piece) {
        size_t len = text.len - at < piece ? text.len - at : piece;
        char *own = base_alloc(len);
        memcpy(own, text.ptr + at, len);
        CHECK(provider_stream_feed(s, slice_make(own, len), on_emit, h, &err));
        free(own);
    }
    provider_stream_end(s, on_emit, h);
    CHECK(h->done <= 1 && (h->done == 1) == provider_stream_state(s)->done);
    return s;
}

static void check_usage(const struct api_usage *u) {
    CHECK(u->input_tokens >= 0 && u->output_tokens >= 0 && u->cached_tokens >= 0);
    CHECK(u->cached_tokens <= u->input_tokens && u->reasoning_tokens <= u->output_tokens);
    CHECK(u->known || u->input_tokens + u->output_tokens == 0);
}

static bool is_json(struct slice text) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    bool ok = json_parse(doc, text, NULL, &err);
    json_doc_free(doc);
    return ok;
}

static void append_piece(void *arg, struct slice piece) {
    buffer_append(arg, piece);
}

// False: the same key twice, of which no form is canonical.
static bool canonical(struct slice text, struct buffer *out) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    bool ok = json_parse(doc, text, NULL, &err) &&
              json_canonical(doc, JSON_ROOT, NULL, NULL, append_piece, out, &err);
    json_doc_free(doc);
    return ok;
}

// Once put together and sent again, an answer does not change any more.
static void check_replay(const struct choice *choice, struct slice answer) {
    struct buffer stream = {0}, again = {0}, second = {0}, third = {0}, a = {0}, b = {0};
    struct error err;
    struct heard h = {0};
    if (provider_replay(choice->endpoint, answer, true, &stream, &err)) {
        struct provider_stream *s = feed_all(choice, buffer_slice(&stream), 1 << 20, &h);
        CHECK(h.done == 1);
        if (provider_stream_answer(s, &again)) {
            CHECK(is_json(buffer_slice(&again)));
            CHECK(provider_replay(choice->endpoint, buffer_slice(&again), true, &second, &err));
            struct heard h2 = {0};
            struct provider_stream *t = feed_all(choice, buffer_slice(&second), 1 << 20, &h2);
            CHECK(provider_stream_answer(t, &third));
            if (canonical(buffer_slice(&again), &a) && canonical(buffer_slice(&third), &b))
                CHECK(slice_equal(buffer_slice(&a), buffer_slice(&b)));
            provider_stream_free(t);
            buffer_free(&h2.bytes);
        }
        provider_stream_free(s);
    }
    struct buffer *all[] = {&stream, &again, &second, &third, &a, &b, &h.bytes};
    for (size_t i = 0; i < FARTHING_COUNT(all); i++)
        buffer_free(all[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct choice choice = choice_of(data[1]);
    struct slice text = slice_make(data + 2, size - 2);
    struct heard pieces = {0}, whole = {0};
    struct buffer from_pieces = {0}, from_whole = {0};
    struct provider_stream *a = feed_all(&choice, text, 1u + data[0], &pieces);
    struct provider_stream *b = feed_all(&choice, text, size, &whole);
    CHECK(slice_equal(buffer_slice(&pieces.bytes), buffer_slice(&whole.bytes)));
    if (!choice.swallow_usage)
        CHECK(slice_starts_with(text, buffer_slice(&whole.bytes))); // but for half an event
    check_usage(&provider_stream_state(a)->answer.usage);
    CHECK(provider_stream_state(a)->output_bytes == provider_stream_state(b)->output_bytes);
    bool assembled = provider_stream_answer(a, &from_pieces);
    CHECK(assembled == provider_stream_answer(b, &from_whole));
    if (assembled) {
        CHECK(slice_equal(buffer_slice(&from_pieces), buffer_slice(&from_whole)));
        CHECK(is_json(buffer_slice(&from_pieces)));
        check_replay(&choice, buffer_slice(&from_pieces));
    }
    check_replay(&choice, text); // the same bytes as a whole answer
    provider_stream_free(a);
    provider_stream_free(b);
    buffer_free(&pieces.bytes);
    buffer_free(&whole.bytes);
    buffer_free(&from_pieces);
    buffer_free(&from_whole);
    return 0;
}
