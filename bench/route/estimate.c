// What the estimate of tokens costs: of text by its kind, of a whole request, and
// what asking and learning cost. Processor time of the best of some rounds; the
// aim is under 1 us for each KiB.
//
// With a number as its argument it only estimates 1 MiB of prose that many times,
// for counting instructions (valgrind --tool=callgrind).
#include <stdio.h>
#include <stdlib.h>

#include "farthing/estimate.h"
#include "../seconds.h"

enum { TEXT_BYTES = 1 << 20, ROUNDS = 15, CALLS = 1000000 };

static const struct {
    const char *what, *text;
} kinds[] = {
    {"prose",
     "Some years ago, never mind how long precisely, having little or no money in my "
     "purse, I thought I would sail about a little and see the watery part of the world. "},
    {"code as JSON",
     "static int64_t sum(const int *list, size_t n) {\\n    int64_t total = 0;\\n    "
     "for (size_t i = 0; i < n; i++)\\n        total += list[i];\\n    return "
     "total;\\n}\\n"},
    {"JSON in JSON",
     "{\\\"id\\\":8412,\\\"name\\\":\\\"Ada\\\",\\\"tags\\\":[\\\"new\\\",\\\"urgent\\\"]},"},
    {"figures", "2024-01-05,1840,17.25,0.0031 "},
    {"Chinese",
     "\xE8\xAF\xB7\xE7\x94\xA8\xE4\xB8\xA4\xE5\x8F\xA5\xE8\xAF\x9D\xE6\x80\xBB\xE7\xBB\x93"},
    {"Chinese, escaped", "\\u8bf7\\u7528\\u4e24\\u53e5\\u8bdd\\u603b\\u7ed3"},
};

static struct buffer filled(const char *text) {
    struct buffer out = {0};
    while (out.len < TEXT_BYTES)
        buffer_append(&out, slice_of(text));
    return out;
}

static void report(const char *what, double took, size_t bytes, int64_t tokens) {
    printf("%-20s %8.3f us/KiB %8.2f bytes a token\n", what, took * 1e6 * 1024 / (double)bytes,
           (double)bytes / (double)tokens);
}

static void measure_texts(void) {
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        struct buffer text = filled(kinds[i].text);
        double best = 1e9;
        int64_t tokens = 0;
        for (int n = 0; n < ROUNDS; n++) {
            double start = seconds();
            tokens = estimate_text(buffer_slice(&text));
            double took = seconds() - start;
            best = took < best ? took : best;
        }
        report(kinds[i].what, best, text.len, tokens);
        buffer_free(&text);
    }
}

// An agent's turn of some 200 messages, 300 KB.
static void measure_request(void) {
    struct buffer body = {0};
    BUFFER_LITERAL(&body, "{\"model\":\"m\",\"messages\":[");
    for (int n = 0; n < 200; n++) {
        buffer_printf(&body, "%s{\"role\":\"%s\",\"content\":\"", n > 0 ? "," : "",
                      n % 2 == 0 ? "user" : "assistant");
        for (int k = 0; k < 9; k++)
            buffer_append(&body, slice_of(kinds[k % 2].text));
        BUFFER_LITERAL(&body, "\"}");
    }
    BUFFER_LITERAL(&body, "]}");
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (!json_parse(doc, buffer_slice(&body), NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    double best = 1e9;
    int64_t tokens = 0;
    for (int n = 0; n < ROUNDS; n++) {
        double start = seconds();
        tokens = estimate_input(API_CHAT_COMPLETIONS, doc);
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    report("a request of 300 KB", best, body.len, tokens);
    json_doc_free(doc);
    buffer_free(&body);
}

static void measure_learning(void) {
    struct estimator *e = estimator_new();
    struct slice model = SLICE("openai/gpt-4o-mini");
    int64_t sum = 0;
    double start = seconds();
    for (int64_t n = 0; n < CALLS; n++)
        estimator_learn(e, model, 1000 + n % 64, 800 + n % 64);
    double learned = seconds();
    for (int64_t n = 0; n < CALLS; n++)
        sum += estimator_ask(e, model, n).most;
    double asked = seconds();
    printf("%-20s %8.1f ns\n%-20s %8.1f ns (%lld)\n", "learn", (learned - start) * 1e9 / CALLS,
           "ask", (asked - learned) * 1e9 / CALLS, (long long)(sum & 1));
    estimator_free(e);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        struct buffer text = filled(kinds[0].text);
        int64_t tokens = 0;
        for (long n = strtol(argv[1], NULL, 10); n > 0; n--)
            tokens += estimate_text(buffer_slice(&text));
        printf("%lld tokens\n", (long long)tokens);
        buffer_free(&text);
        return 0;
    }
    measure_texts();
    measure_request();
    measure_learning();
    return 0;
}
