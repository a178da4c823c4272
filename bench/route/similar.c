// What similarity costs a request: the vector of its text, by the source of vectors and
// the size of the text, and looking for the nearest of many examples. Processor time of
// the best of some rounds. All of it must stay well under 5 ms, whatever the text.
//
// With the paths of a model.safetensors and its tokenizer.json as arguments, these are
// measured; else a table of 30,000 rows of 256 numbers that is made here.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "farthing/classify.h"
#include "../seconds.h"

enum { ROUNDS = 21, WORDS = 30000, WIDTH = 256 };

static const size_t sizes[] = {100, 2048, 8192};
static const size_t example_counts[] = {20, 1000, 4000};

static void append_word(struct buffer *out, uint64_t n) {
    for (n += 100; n > 0; n /= 26)
        buffer_append_char(out, (char)('a' + n % 26));
}

// ------------------------------------------------------------------- a table

static void write_file(const char *path, const struct buffer *bytes) {
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(bytes->ptr, 1, bytes->len, f) != bytes->len || fclose(f) != 0)
        exit(1);
}

static void make_tokenizer(const char *path) {
    struct buffer out = {0};
    BUFFER_LITERAL(&out,
                   "{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":"
                   "\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\","
                   "\"vocab\":{\"?\":0");
    for (uint64_t i = 1; i < WORDS; i++) {
        buffer_printf(&out, ",\"%s", i % 4 == 0 ? "##" : "");
        append_word(&out, i);
        buffer_printf(&out, "\":%u", (unsigned)i);
    }
    BUFFER_LITERAL(&out, "}}}");
    write_file(path, &out);
    buffer_free(&out);
}

static void make_table(const char *path) {
    struct buffer out = {0}, header = {0};
    buffer_printf(&header,
                  "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]}}",
                  WORDS, WIDTH, WORDS * WIDTH * 4);
    uint64_t len = header.len; // little-endian, as this machine is
    buffer_append(&out, slice_make(&len, sizeof len));
    buffer_append(&out, buffer_slice(&header));
    for (size_t i = 0; i < (size_t)WORDS * WIDTH; i++) {
        float value = (float)random_below(2000) / 1000 - 1;
        buffer_append(&out, slice_make(&value, sizeof value));
    }
    write_file(path, &out);
    buffer_free(&header);
    buffer_free(&out);
}

// ------------------------------------------------------------------- asking

static void append_text(struct buffer *out, size_t bytes) {
    size_t end = out->len + bytes;
    while (out->len < end) {
        append_word(out, random_below(WORDS));
        BUFFER_LITERAL(out, " ");
    }
    out->len = end;
}

static struct classifier *make_classifier(const char *table, const char *tokenizer, size_t count) {
    struct buffer text = {0}, messages = {0};
    BUFFER_LITERAL(&text, "provider \"p\" { base_url = \"http://h/v1\" }\n"
                          "tier \"small\" { models = {\"p/a\"} }\n"
                          "tier \"large\" { models = {\"p/b\"} }\nclassifier {\n");
    if (table != NULL)
        buffer_printf(&text, "embedding_table = \"%s\" embedding_tokenizer = \"%s\"\n", table,
                      tokenizer);
    BUFFER_LITERAL(&text, "category \"c\" { tier = large examples = {\"hello\"");
    for (size_t i = 1; i < count; i++) {
        BUFFER_LITERAL(&text, ", \"");
        append_text(&text, 60);
        BUFFER_LITERAL(&text, "\"");
    }
    BUFFER_LITERAL(&text, "} } }\n");
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

// Microseconds of all of classifying, and of it without similarity.
static double ask(const struct classifier *c, const struct json_doc *doc, bool similar) {
    double best = 1e9;
    for (int n = 0; n < ROUNDS; n++) {
        struct arena *arena = arena_new(32768);
        struct classify_result result;
        struct classify_input in = {.arena = arena,
                                    .past_success_percent = CONFIG_UNSET,
                                    // "best" decides before examples are looked at
                                    .quality = similar ? CLASSIFY_BALANCED : CLASSIFY_BEST};
        double start = seconds();
        classify_request(c, NULL, API_CHAT_COMPLETIONS, doc, &in, &result);
        double took = seconds() - start;
        best = took < best ? took : best;
        arena_free(arena);
    }
    return best * 1e6;
}

static void measure(const char *what, const char *table, const char *tokenizer) {
    for (size_t k = 0; k < FARTHING_COUNT(example_counts); k++) {
        double start = seconds();
        struct classifier *c = make_classifier(table, tokenizer, example_counts[k]);
        printf("%-8s %5zu examples, read in %6.1f ms:", what, example_counts[k],
               (seconds() - start) * 1e3);
        for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
            struct json_doc *doc = json_doc_new();
            struct buffer body = {0};
            BUFFER_LITERAL(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
            append_text(&body, sizes[i]);
            BUFFER_LITERAL(&body, "\"}]}");
            if (!json_parse(doc, buffer_slice(&body), NULL, NULL))
                exit(1);
            printf("  %5zu bytes %7.1f us", sizes[i], ask(c, doc, true) - ask(c, doc, false));
            json_doc_free(doc);
            buffer_free(&body);
        }
        printf("\n");
        classifier_unref(c);
    }
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/farthing-bench-XXXXXX", table[64], tokenizer[64];
    random_seed(1);
    measure("n-grams", NULL, NULL);
    if (argc == 3) {
        measure("table", argv[1], argv[2]);
        return 0;
    }
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(table, sizeof table, "%s/model.safetensors", folder);
    snprintf(tokenizer, sizeof tokenizer, "%s/tokenizer.json", folder);
    make_table(table);
    make_tokenizer(tokenizer);
    measure("table", table, tokenizer);
    return unlink(table) != 0 || unlink(tokenizer) != 0 || rmdir(folder) != 0;
}
