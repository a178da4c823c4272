// Any JSON as a request, any bytes as a text and as keywords. The first bytes choose
// the endpoint and cut the rest. What the automaton finds is what a plain search
// finds, signals are within their bounds, and a classifier of every kind of rule gets
// through.
#include "../check.h"
#include "farthing/classify.h"
#include "keywords.h"
#include "signals.h"

enum { HEAD_BYTES = 2, WORDS_MAX = 8 };

static const char rules_text[] =
    "provider \"p\" { base_url = \"http://h/v1\" }\n"
    "tier \"small\" { models = {\"p/a\"} }\n"
    "tier \"large\" { models = {\"p/b\"} }\n"
    "classifier {\n"
    "rule \"words\" { keywords = {\"refund\", \"a\", \"C++\"} contains = {\"b\", \"\xD0\xB6\"}\n"
    "  tier = large }\n"
    "rule \"pattern\" { patterns = {\"(a|b)+c\", \"\\\\d{3}\"} tier = small }\n"
    "rule \"counts\" { min_questions = 1 max_numbers = 3 min_math = 1 score = 0.5 }\n"
    "rule \"code\" { min_code_lines = 1 no_tools = true json = false score = -0.5 }\n"
    "rule \"script\" { scripts = {\"han\", \"other\"} tier = small } }\n";

static struct slice stream_of(struct slice text, bool whole, struct arena *arena) {
    struct buffer stream = {0};
    keywords_stream(text, whole, &stream);
    struct slice copy = arena_copy(arena, buffer_slice(&stream));
    buffer_free(&stream);
    return copy;
}

static bool is_blank(struct slice stream) {
    return stream.len == 0 || slice_equal(stream, SLICE(" "));
}

// The text's lines but the last are keywords, each whole and anywhere.
static void check_keywords(struct slice text, struct arena *arena) {
    struct keyword words[WORDS_MAX * 2];
    struct slice line, rest = text;
    uint32_t count = 0;
    while (count < WORDS_MAX * 2 && slice_split(&rest, '\n', &line) && rest.ptr != NULL) {
        words[count] = (struct keyword){line, true, count};
        words[count + 1] = (struct keyword){line, false, count + 1};
        count += 2;
        text = rest;
    }
    struct keywords *k = keywords_new(words, count, count);
    struct keywords_found found = keywords_begin(k, arena);
    keywords_search(k, text, &found);
    struct slice stream = stream_of(text, true, arena);
    for (uint32_t i = 0; i < count; i++) {
        struct slice word = stream_of(words[i].text, words[i].whole, arena);
        bool plain = !is_blank(word) && slice_find(stream, word) >= 0;
        // The plain search's text has lost the blanks at its ends, no more.
        bool edge = slice_starts_with(word, SLICE(" ")) || slice_ends_with(word, SLICE(" "));
        CHECK(keywords_raised(&found, i) == plain || (edge && !plain));
    }
    keywords_free(k);
}

static void check_signals(struct slice text) {
    struct classify_signals s = {0};
    signals_count_text(text, &s);
    for (size_t i = 0; i < CONFIG_SIGNAL_COUNT; i++)
        CHECK(s.values[i] >= 0 && s.values[i] <= (int64_t)text.len);
    CHECK(s.values[CONFIG_SIGNAL_CODE_LINES] == 0 || s.values[CONFIG_SIGNAL_CODE_BLOCKS] > 0);
    CHECK(s.scripts >> CONFIG_SCRIPT_COUNT == 0);
}

static struct classifier *classifier(void) {
    static struct classifier *c;
    struct buffer messages = {0};
    if (c == NULL) {
        const struct config *config = config_load_text(SLICE(rules_text), "fuzz", &messages);
        CHECK(config != NULL);
        c = classifier_new(config, &messages);
        CHECK(c != NULL && messages.len == 0);
        config_unref(config);
    }
    return c;
}

static void check_request(enum api_endpoint e, uint8_t quality, const struct json_doc *doc,
                          struct arena *arena) {
    struct classify_input in = {.arena = arena, .quality = (enum classify_quality)(quality % 3)};
    struct classify_result out;
    classify_request(classifier(), NULL, e, doc, &in, &out);
    CHECK(out.tier != NULL && out.by < CLASSIFY_BY_COUNT);
    size_t bytes = 0;
    for (size_t i = 0; i < out.texts.count; i++)
        bytes += out.texts.items[i].len;
    CHECK(bytes == out.texts.bytes && bytes <= json_text(doc).len);
    struct buffer row = {0};
    classify_signals_write(&out.signals, &row);
    struct json_doc *again = json_doc_new();
    struct error err;
    CHECK(json_parse(again, buffer_slice(&row), NULL, &err));
    json_doc_free(again);
    buffer_free(&row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD_BYTES)
        return 0;
    struct slice text = slice_make(data + HEAD_BYTES, size - HEAD_BYTES);
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(1024);
    struct error err;
    check_signals(text);
    check_keywords(text, arena);
    if (json_parse(doc, text, NULL, &err))
        check_request((enum api_endpoint)(data[0] % API_ENDPOINT_COUNT), data[1], doc, arena);
    arena_free(arena);
    json_doc_free(doc);
    return 0;
}
