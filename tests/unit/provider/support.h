// What the tests of this room share: documents from literals, comparison by
// canonical form, and a stream that is fed in pieces and heard.
#ifndef FARTHING_TESTS_PROVIDER_SUPPORT_H
#define FARTHING_TESTS_PROVIDER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "farthing/provider.h"

#define EVENT(json)       "data: " json "\n\n"
#define NAMED(name, json) "event: " name "\ndata: " json "\n\n"
#define DONE              "data: [DONE]\n\n"

static inline void assert_bytes(struct slice got, struct slice wanted, const char *what) {
    if (!slice_equal(got, wanted))
        fail_msg("%s:\n got    [%.*s]\n wanted [%.*s]", what, SLICE_ARG(got), SLICE_ARG(wanted));
}

static inline void assert_text(struct slice got, const char *wanted) {
    assert_bytes(got, slice_of(wanted), "text");
}

// ------------------------------------------------------------------- JSON

static inline struct json_doc *parsed(struct slice text) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (!json_parse(doc, text, NULL, &err))
        fail_msg("%.*s: %s", SLICE_ARG(text), err.text);
    return doc;
}

static inline void append_piece(void *arg, struct slice piece) {
    buffer_append(arg, piece);
}

static inline struct buffer canonical_of(struct slice text) {
    struct json_doc *doc = parsed(text);
    struct buffer out = {0};
    struct error err;
    if (!json_canonical(doc, JSON_ROOT, NULL, NULL, append_piece, &out, &err))
        fail_msg("%.*s: %s", SLICE_ARG(text), err.text);
    json_doc_free(doc);
    return out;
}

static inline void assert_same_json(struct slice got, struct slice wanted, const char *what) {
    struct buffer a = canonical_of(got), b = canonical_of(wanted);
    assert_bytes(buffer_slice(&a), buffer_slice(&b), what);
    buffer_free(&a);
    buffer_free(&b);
}

static inline void assert_usage(const struct api_usage *got, const struct api_usage *wanted,
                                const char *what) {
#define SAME(field)                                                                                \
    if (got->field != wanted->field)                                                               \
    fail_msg("%s: " #field " is %lld, wanted %lld", what, (long long)got->field,                   \
             (long long)wanted->field)
    SAME(known);
    SAME(input_tokens);
    SAME(output_tokens);
    SAME(cached_tokens);
    SAME(cache_write_tokens);
    SAME(cache_write_1h_tokens);
    SAME(reasoning_tokens);
    SAME(input_audio_tokens);
    SAME(output_audio_tokens);
    SAME(input_image_tokens);
    SAME(output_image_tokens);
#undef SAME
}

// ---------------------------------------------------------------- streams

struct hearing {
    struct provider_stream *stream;
    struct buffer bytes; // all that was emitted
    size_t done_count;
    size_t emit_count;
    struct buffer done; // bytes of the last PROVIDER_EMIT_DONE
};

static inline void on_heard(void *arg, enum provider_emit kind, struct slice bytes) {
    struct hearing *h = arg;
    assert_true(bytes.len > 0);
    h->emit_count++;
    buffer_append(&h->bytes, bytes);
    if (kind != PROVIDER_EMIT_DONE)
        return;
    h->done_count++;
    buffer_clear(&h->done);
    buffer_append(&h->done, bytes);
}

static inline struct hearing hear(const struct provider_stream_options *options) {
    return (struct hearing){.stream = provider_stream_new(options)};
}

// From memory of its own that is gone afterwards, so that a sanitizer sees a
// read beyond the piece or after the call.
static inline bool feed_piece(struct hearing *h, struct slice piece) {
    char *own = base_alloc(piece.len > 0 ? piece.len : 1);
    struct error err;
    if (piece.len > 0)
        memcpy(own, piece.ptr, piece.len);
    bool ok = provider_stream_feed(h->stream, slice_make(own, piece.len), on_heard, h, &err);
    free(own);
    return ok;
}

static inline void hear_end(struct hearing *h) {
    provider_stream_end(h->stream, on_heard, h);
}

static inline const struct provider_stream_state *heard(const struct hearing *h) {
    return provider_stream_state(h->stream);
}

static inline void hearing_free(struct hearing *h) {
    provider_stream_free(h->stream);
    buffer_free(&h->bytes);
    buffer_free(&h->done);
}

// All of it, in pieces of `piece` bytes, or whole where that is 0.
static inline struct hearing hear_all(const struct provider_stream_options *options,
                                      struct slice text, size_t piece) {
    struct hearing h = hear(options);
    size_t step = piece > 0 ? piece : text.len;
    for (size_t at = 0; at < text.len; at += step) {
        struct slice rest = slice_from(text, at);
        assert_true(feed_piece(&h, slice_make(rest.ptr, rest.len < step ? rest.len : step)));
    }
    hear_end(&h);
    return h;
}

#endif
