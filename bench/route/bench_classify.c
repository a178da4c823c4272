// What classifying costs: signals alone, then with rules of thousands of keywords,
// then with a learned model, by the size of the prompt and by its kind. Processor time
// of the best of some rounds; the aims for 2 KiB are 5 us, 15 us with 5,000 keywords,
// and 30 us with all, and linear.
#include <stdio.h>
#include <stdlib.h>

#include "farthing/classify.h"
#include "../seconds.h"

enum { ROUNDS = 15, KEYWORDS = 5000 };

static const struct {
    const char *what, *text;
} kinds[] = {
    {"prose",
     "Some years ago, never mind how long precisely, having little or no money in my "
     "purse, I thought I would sail about a little and see the watery part of the world. "},
    {"lines", "Dear support,\\nmy order 8412 has not arrived. Where is it?\\n\\n"},
    {"code", "```c\\nfor (size_t i = 0; i < n; i++)\\n    total += list[i];\\n```\\nand x = 2 \\n"},
    {"Russian",
     "\xD0\x93\xD0\xB4\xD0\xB5 \xD0\xBC\xD0\xBE\xD0\xB9 "
     "\xD0\xB7\xD0\xB0\xD0\xBA\xD0\xB0\xD0\xB7? "},
    {"Chinese",
     "\xE8\xAF\xB7\xE7\x94\xA8\xE4\xB8\xA4\xE5\x8F\xA5\xE8\xAF\x9D\xE6\x80\xBB\xE7\xBB\x93"},
};

static const char *const syllables[] = {"ca", "re", "mo", "ti", "sol", "ver", "in", "den",
                                        "pa", "lu", "gra", "ste", "tor", "nia", "wo", "ke"};

static void append_keyword(struct buffer *out, unsigned n) {
    unsigned count = 2 + n % 3;
    for (unsigned i = 0; i < count; i++, n = n / 16 + n * 7)
        buffer_append(out, slice_of(syllables[n % FARTHING_COUNT(syllables)]));
    buffer_printf(out, "%s", n % 5 == 0 ? " now" : "");
}

static struct classifier *make_classifier(void) {
    struct buffer text = {0}, messages = {0};
    BUFFER_LITERAL(&text, "provider \"p\" { base_url = \"http://h/v1\" }\n"
                          "tier \"small\" { models = {\"p/a\"} }\n"
                          "tier \"large\" { models = {\"p/b\"} }\n"
                          "classifier {\n");
    for (unsigned rule = 0; rule < 10; rule++) {
        buffer_printf(&text, "rule \"r%u\" { tier = large keywords = {\"keyword\"", rule);
        for (unsigned i = 0; i < KEYWORDS / 10; i++) {
            BUFFER_LITERAL(&text, ", \"");
            append_keyword(&text, rule * 7919 + i * 31);
            buffer_printf(&text, "%u\"", i % 4 == 0 ? i : 1);
        }
        BUFFER_LITERAL(&text, "} }\n");
    }
    BUFFER_LITERAL(&text, "rule \"math\" { min_math = 100000 score = 0.2 } }\n");
    const struct config *config = config_load_text(buffer_slice(&text), "bench", &messages);
    struct classifier *c = config != NULL ? classifier_new(config, &messages) : NULL;
    if (c == NULL) {
        fprintf(stderr, "%.*s", SLICE_ARG(buffer_slice(&messages)));
        exit(1);
    }
    config_unref(config);
    buffer_free(&text);
    buffer_free(&messages);
    return c;
}

static struct json_doc *make_request(struct buffer *body, const char *text, size_t bytes) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    buffer_clear(body);
    BUFFER_LITERAL(body, "{\"model\":\"auto\",\"messages\":[{\"role\":\"system\",\"content\":\"Be "
                         "brief.\"},{\"role\":\"user\",\"content\":\"");
    while (body->len < bytes)
        buffer_append(body, slice_of(text));
    BUFFER_LITERAL(body, "\"}],\"max_tokens\":200}");
    if (!json_parse(doc, buffer_slice(body), NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return doc;
}

// From a handful of rows: what it says does not matter here, what it costs is the same.
static struct learn_model *make_model(void) {
    struct learn_rows *rows = learn_rows_new();
    struct error err;
    for (size_t i = 0; i < 4 * FARTHING_COUNT(kinds); i++) {
        learn_rows_text(rows, slice_of(kinds[i % FARTHING_COUNT(kinds)].text));
        if (!learn_rows_end(rows, i % 3 != 0, i % 5 != 0))
            exit(1);
    }
    struct learn_model *m = learn_train(rows, NULL, 0, &err);
    if (m == NULL) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    learn_rows_free(rows);
    return m;
}

static double measure(const struct classifier *c, const struct learn_model *model,
                      const struct json_doc *doc, size_t bytes) {
    double best = 1e9;
    size_t calls = ((size_t)4 << 20) / bytes + 1;
    for (int n = 0; n < ROUNDS; n++) {
        double start = seconds();
        for (size_t i = 0; i < calls; i++) {
            struct classify_result result;
            struct arena *arena = arena_new(8192);
            struct classify_input in = {.arena = arena, .input_tokens = 500};
            if (c != NULL)
                classify_request(c, model, API_CHAT_COMPLETIONS, doc, &in, &result);
            else
                classify_signals(API_CHAT_COMPLETIONS, doc, 500, arena, &result.signals,
                                 &result.texts);
            arena_free(arena);
        }
        double took = (seconds() - start) / (double)calls;
        best = took < best ? took : best;
    }
    return best * 1e6;
}

int main(void) {
    static const size_t sizes[] = {2048, 16384, 262144};
    double start = seconds();
    struct classifier *c = make_classifier();
    printf("%d keywords, read and compiled in %.0f ms\n", KEYWORDS, (seconds() - start) * 1e3);
    struct learn_model *model = make_model();
    printf("%-10s %10s %12s %12s %12s\n", "", "bytes", "signals", "+ rules", "+ model");
    struct buffer body = {0};
    for (size_t k = 0; k < FARTHING_COUNT(kinds); k++)
        for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
            struct json_doc *doc = make_request(&body, kinds[k].text, sizes[i]);
            printf("%-10s %10zu %9.2f us %9.2f us %9.2f us\n", kinds[k].what, body.len,
                   measure(NULL, NULL, doc, body.len), measure(c, NULL, doc, body.len),
                   measure(c, model, doc, body.len));
            json_doc_free(doc);
        }
    buffer_free(&body);
    learn_model_unref(model);
    classifier_unref(c);
    return 0;
}
