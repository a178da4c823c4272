// How fast is a request of 1 MB indexed and hashed in its canonical form? That
// is what every prompt costs before it is looked up. Prints MB/s (10^6 bytes)
// for the index alone, for the canonical form alone, and for both with SHA-256,
// which is the work of a real key; SHA-256 of the bare bytes stands beside it.
//
//   build/bench/json/bench_json
//
// The best of several rounds counts: the others were disturbed.
#include <stdio.h>

#include "farthing/json.h"

enum { TEXT_BYTES = 1000000, ROUNDS = 40 };

// ---------------------------------------------------------------- requests

static const char english[] =
    "The quick brown fox jumps over the lazy dog while the committee deliberates on the merits of "
    "a longer sentence, which, as everybody knows, is what prompts are made of.\\n\\n"
    "She said: \\\"Count every farthing.\\\" ";
static const char code[] = "static int add(int a, int b) {\\n\\tif (a == 0)\\n\\t\\treturn "
                           "b;\\n\\tprintf(\\\"%d\\\\n\\\", a);\\n"
                           "\\treturn a + b; /* plain */\\n}\\n\\n";
static const char chinese[] = "\xe6\xaf\x8f\xe4\xb8\x80\xe5\x88\x86\xe9\x92\xb1\xe9\x83\xbd\xe8\xa6"
                              "\x81\xe6\x95\xb0\xe6\xb8\x85\xe6\xa5\x9a\xef\xbc\x8c";
static const char escaped[] =
    "\\u6bcf\\u4e00\\u5206\\u94b1\\u90fd\\u8981 caf\\u00e9 \\ud83d\\ude00 ";
static const char mixed[] = "Les \xc3\xa9l\xc3\xa8ves fran\xc3\xa7"
                            "ais d\xc3\xa9jeunent l\xc3\xa0-bas; ";

static void open_request(struct buffer *out) {
    BUFFER_LITERAL(out, "{\"model\":\"gpt-4o\",\"temperature\":0.7,\"stream\":true,\"messages\":[");
}

// Messages of about `length` bytes of one text, as SDKs write them.
static void chat(struct buffer *out, const char *text, size_t length) {
    open_request(out);
    for (size_t i = 0; out->len < TEXT_BYTES; i++) {
        buffer_append(out, i > 0 ? SLICE(", ") : SLICE(""));
        buffer_printf(out, "{\"role\": \"%s\", \"content\": \"", i % 2 == 0 ? "user" : "assistant");
        size_t end = out->len + length;
        while (out->len < end && out->len < TEXT_BYTES)
            buffer_append(out, slice_of(text));
        BUFFER_LITERAL(out, "\"}");
    }
    BUFFER_LITERAL(out, "]}");
}

static void english_prompt(struct buffer *out) {
    chat(out, english, TEXT_BYTES);
}

static void english_turns(struct buffer *out) {
    chat(out, english, 800);
}

static void source_code(struct buffer *out) {
    chat(out, code, 20000);
}

static void chinese_text(struct buffer *out) {
    chat(out, chinese, 3000);
}

static void french_text(struct buffer *out) {
    chat(out, mixed, 3000);
}

static void escaped_text(struct buffer *out) {
    chat(out, escaped, 3000);
}

// An agent's turn: tool definitions, calls and their results.
static void tool_calls(struct buffer *out) {
    open_request(out);
    for (int i = 0; out->len < TEXT_BYTES; i++)
        buffer_printf(
            out,
            "%s{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_%06d\","
            "\"type\":\"function\",\"function\":{\"name\":\"read_file\",\"arguments\":"
            "\"{\\\"path\\\": \\\"src/%d.c\\\", \\\"limit\\\": 200}\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"call_%06d\",\"content\":\"%s%s%s%s\"}",
            i > 0 ? "," : "", i, i, i, code, code, code, english);
    BUFFER_LITERAL(out, "]}");
}

static void token_numbers(struct buffer *out) {
    BUFFER_LITERAL(out, "{\"model\":\"text-embedding-3-small\",\"input\":[0");
    for (unsigned i = 1; out->len < TEXT_BYTES; i++)
        buffer_printf(out, ", %u", i * 2654435761u % 100277);
    BUFFER_LITERAL(out, "]}");
}

static void vectors(struct buffer *out) {
    BUFFER_LITERAL(out, "{\"data\":[{\"embedding\":[0");
    for (unsigned i = 1; out->len < TEXT_BYTES; i++)
        buffer_printf(out, ",%.9f", (double)(int32_t)(i * 2654435761u) / 4e9);
    BUFFER_LITERAL(out, "]}]}");
}

static const struct {
    const char *name;
    void (*make)(struct buffer *out);
} requests[] = {
    {"one English prompt", english_prompt},
    {"English turns", english_turns},
    {"source code", source_code},
    {"tool calls", tool_calls},
    {"Chinese", chinese_text},
    {"French", french_text},
    {"\\u escapes", escaped_text},
    {"token numbers", token_numbers},
    {"vectors", vectors},
};

// ---------------------------------------------------------------- measuring

struct subject {
    struct slice text;
    struct json_doc *doc;
    uint8_t hash[DIGEST_LEN];
};

static void update(void *arg, struct slice piece) {
    digest_update(arg, piece);
}

static void count(void *arg, struct slice piece) {
    *(size_t *)arg += piece.len;
}

static bool index_it(struct subject *s) {
    return json_parse(s->doc, s->text, NULL, NULL);
}

static bool canonicalize(struct subject *s) {
    size_t bytes = 0;
    return json_canonical(s->doc, JSON_ROOT, NULL, NULL, count, &bytes, NULL) && bytes > 0;
}

static bool hash_bytes(struct subject *s) {
    digest_sha256(s->text, s->hash);
    return true;
}

static bool key_it(struct subject *s) {
    struct digest *d = digest_of_thread();
    bool ok = index_it(s) && json_duplicate_key(s->doc, JSON_ROOT) == JSON_NONE &&
              json_canonical(s->doc, JSON_ROOT, NULL, NULL, update, d, NULL);
    digest_finish(d, s->hash);
    return ok;
}

static double megabytes_per_second(struct subject *s, bool (*work)(struct subject *s)) {
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = clock_mono_ns();
        if (!work(s))
            return 0;
        uint64_t took = clock_mono_ns() - start;
        best = took < best ? took : best;
    }
    return (double)s->text.len * 1e3 / (double)best;
}

int main(void) {
    printf("%-20s %10s %10s %10s %12s\n", "MB/s", "index", "canonical", "SHA-256", "whole key");
    for (size_t i = 0; i < FARTHING_COUNT(requests); i++) {
        struct buffer text = {0};
        requests[i].make(&text);
        struct subject s = {.text = buffer_slice(&text), .doc = json_doc_new()};
        double whole = megabytes_per_second(&s, key_it); // first: it makes the index
        printf("%-20s %10.0f %10.0f %10.0f %12.0f\n", requests[i].name,
               megabytes_per_second(&s, index_it), megabytes_per_second(&s, canonicalize),
               megabytes_per_second(&s, hash_bytes), whole);
        json_doc_free(s.doc);
        buffer_free(&text);
    }
    return 0;
}
