// The estimate of whole requests: what counts, what does not, and what is counted
// where it stands.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/estimate.h"

#define LONG                                                                                       \
    "The quick brown fox jumps over the lazy dog, and then it does so again, because nobody "      \
    "has told it that once would have been enough for a typist."
#define BASE64                                                                                     \
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FABJADveWkH6o"

static struct json_doc *parse_new(struct slice text) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (!json_parse(doc, text, NULL, &err))
        fail_msg("%s: %.*s", err.text, SLICE_ARG(text));
    return doc;
}

static int64_t input(enum api_endpoint e, const char *text) {
    struct json_doc *doc = parse_new(slice_of(text));
    int64_t tokens = estimate_input(e, doc);
    json_doc_free(doc);
    return tokens;
}

static int64_t value(const char *text) {
    struct json_doc *doc = parse_new(slice_of(text));
    int64_t tokens = estimate_value(doc, JSON_ROOT);
    json_doc_free(doc);
    return tokens;
}

#define CHAT             API_CHAT_COMPLETIONS
#define CHAT_OF(content) "{\"messages\":[{\"role\":\"user\",\"content\":" content "}]}"
#define ASK(content)     "{\"role\":\"user\",\"content\":" content "}"

// A request has about the tokens of its texts, and so many besides at most.
static const struct {
    const char *what;
    enum api_endpoint endpoint;
    const char *request;
    const char *texts;
    int64_t most_besides;
} sums[] = {
    {"chat", CHAT, CHAT_OF("\"" LONG "\""), LONG, 7},
    {"chat in parts", CHAT, CHAT_OF("[{\"type\":\"text\",\"text\":\"" LONG "\"}]"), LONG, 8},
    {"a system prompt", CHAT,
     "{\"messages\":[{\"role\":\"system\",\"content\":\"" LONG "\"}," ASK("\"Hi\"") "]}",
     LONG " Hi", 12},
    {"a name", CHAT,
     "{\"messages\":[{\"role\":\"user\",\"name\":\"ada\",\"content\":\"" LONG "\"}]}", LONG " ada",
     8},
    {"calls of tools", CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_"
     "8f2a91c7d3e5\","
     "\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"" LONG "\"}}]}]}",
     LONG " look", 24},
    {"results of tools", CHAT,
     "{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"call_8f2a91c7d3e5\",\"content\":\"" LONG
     "\"}]}",
     LONG, 8},
    {"tools", CHAT,
     "{\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"look\","
     "\"description\":\"" LONG "\"}}]}",
     LONG " look", 56},
    {"old functions", CHAT, "{\"functions\":[{\"name\":\"look\",\"description\":\"" LONG "\"}]}",
     LONG " look", 48},
    {"a schema", CHAT,
     "{\"messages\":[],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
     "\"x\","
     "\"schema\":{\"description\":\"" LONG "\"}}}}",
     LONG, 40},
    {"parameters and metadata", CHAT,
     "{\"model\":\"gpt-4o\",\"metadata\":{\"note\":\"" LONG "\"},\"user\":\"" LONG
     "\",\"stop\":[\"" LONG "\"],\"messages\":[" ASK("\"Hi\"") "]}",
     "Hi", 8},
    {"members that stand twice", CHAT,
     "{\"messages\":[" ASK("\"" LONG "\"") "],\"messages\":[" ASK("\"" LONG "\"") "]}",
     LONG " " LONG, 12},
    {"completions", API_COMPLETIONS, "{\"prompt\":\"" LONG "\",\"suffix\":\"Hi\"}", LONG " Hi", 4},
    {"several prompts", API_COMPLETIONS, "{\"prompt\":[\"" LONG "\",\"" LONG "\"]}", LONG " " LONG,
     5},
    {"a response", API_RESPONSES, "{\"input\":\"" LONG "\"}", LONG, 4},
    {"items, instructions, format", API_RESPONSES,
     "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"" LONG
     "\"}]}],"
     "\"instructions\":\"" LONG "\",\"text\":{\"format\":{\"type\":\"text\"}}}",
     LONG " " LONG, 24},
    {"output of a function", API_RESPONSES,
     "{\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"" LONG "\"}]}",
     LONG, 12},
    {"an embedding", API_EMBEDDINGS, "{\"input\":\"" LONG "\"}", LONG, 1},
    {"embeddings", API_EMBEDDINGS, "{\"input\":[\"" LONG "\",\"Hi\"]}", LONG " Hi", 2},
    {"messages", API_MESSAGES,
     "{\"system\":[{\"type\":\"text\",\"text\":\"" LONG
     "\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
     "\"messages\":[" ASK("\"Hi\"") "]}",
     LONG " Hi", 9},
    {"results in messages", API_MESSAGES,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
     "\"t\","
     "\"content\":[{\"type\":\"text\",\"text\":\"" LONG "\"}]}]}]}",
     LONG, 16},
    {"thinking without its signature", API_MESSAGES,
     "{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
     "\"" LONG "\",\"signature\":\"" BASE64 BASE64 BASE64 "\"}]}]}",
     LONG, 10},
    {"a document of text", API_MESSAGES,
     "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"title\":\"Hi\","
     "\"source\":"
     "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"" LONG "\"}}]}]}",
     LONG " Hi", 10},
    {"unknown parts are text", CHAT, CHAT_OF("[{\"type\":\"new\",\"story\":\"" LONG "\"}]"), LONG,
     16},
    {"unknown endpoints", API_OTHER, "{\"model\":\"m\",\"input\":\"" LONG "\"}", LONG, 4},
};

static void requests_are_the_sum_of_their_texts(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < FARTHING_COUNT(sums); i++) {
        int64_t got = input(sums[i].endpoint, sums[i].request);
        int64_t texts = estimate_text(slice_of(sums[i].texts));
        if (got >= texts - 2 && got <= texts + sums[i].most_besides)
            continue;
        print_error("%s: %lld tokens, %lld of text\n", sums[i].what, (long long)got,
                    (long long)texts);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

// Exact figures, where there are such.
static const struct {
    enum api_endpoint endpoint;
    const char *request;
    int64_t tokens;
} exact[] = {
    {CHAT, "{}", 0},
    {CHAT, "[1,2]", 0},
    {CHAT, "null", 0},
    {CHAT, "{\"messages\":null}", 0},
    {API_EMBEDDINGS, "{\"input\":[1,2,3,40000]}", 4},
    {API_EMBEDDINGS, "{\"input\":[[1,2],[3],[]]}", 3},
    {API_COMPLETIONS, "{\"prompt\":[15496,11,995]}", 3 + 3},
    {API_COMPLETIONS, "{\"prompt\":[[[[1,2,3,4,5]]]]}", 1 + 3}, // nobody takes that
    {API_MODELS, "{\"input\":\"text\"}", 0},
    {CHAT,
     CHAT_OF("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/"
             "y.png\",\"detail\":\"low\"}}]"),
     85 + 7},
};

static void some_requests_can_be_told_exactly(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(exact); i++)
        if (input(exact[i].endpoint, exact[i].request) != exact[i].tokens)
            fail_msg("%s: %lld", exact[i].request,
                     (long long)input(exact[i].endpoint, exact[i].request));
}

// What is not text is found in every place and spelling, and not taken for text.
#define PNG "data:image/png;base64," BASE64
static const struct {
    const char *value;
    int64_t tokens;
} media[] = {
    // 10 x 10 pixels: one tile.
    {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG "\"}}", 255},
    {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG "\",\"detail\":\"low\"}}", 85},
    {"{\"type\":\"image_url\",\"image_url\":\"" PNG "\"}", 255},
    {"{\"type\":\"input_image\",\"image_url\":\"" PNG "\",\"detail\":\"auto\"}", 255},
    {"{\"type\":\"input_image\",\"image_url\":\"" PNG "\",\"detail\":\"low\"}", 85},
    {"{\"type\":\"input_image\",\"file_id\":\"file-1\"}", 1600},
    {"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
     "png\",\"data\":\"" BASE64 "\"}}",
     255},
    {"{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/y.png\"}}", 1600},
    {"{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
     "\"data\":\"" BASE64 "\"}}]}",
     8 + 255},
    {"{\"type\":\"computer_call_output\",\"output\":{\"type\":\"computer_screenshot\",\"image_"
     "url\":\"" PNG "\"}}",
     2 + 255},
    {"{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}", 20000},
    {"{\"type\":\"input_file\",\"file_url\":\"https://x/y.pdf\"}", 20000},
    {"{\"type\":\"input_file\",\"filename\":\"a.txt\",\"file_data\":\"data:text/"
     "plain;base64,AAAAAAAAAAAA\"}",
     3},
    {"{\"type\":\"file\",\"file\":{\"filename\":\"a.md\",\"file_data\":\"AAAAAAAAAAAA\"}}", 3},
    {"{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/"
     "pdf\",\"data\":\"" BASE64 "\"}}",
     2 + 1500},
    {"{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}", 2 + 20000},
    {"{\"type\":\"new_thing\",\"still\":\"" PNG "\"}", 2 + 255},
    {"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"mp3\"}}", 1},
    {"{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"AAAAAAAAAAAAAAAAAAAAAAAA\"}",
     2 + 6},
    // And what only looks like it.
    {"{\"type\":\"image_url\"}", 1600},
    {"{\"type\":\"image_url\",\"image_url\":7}", 1600},
    {"{\"type\":\"input_audio\",\"input_audio\":[]}", 0},
};

static void media_are_no_text(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(media); i++)
        if (value(media[i].value) != media[i].tokens)
            fail_msg("%s: %lld", media[i].value, (long long)value(media[i].value));
}

static void tools_of_messages_have_a_prompt_of_their_own(void **state) {
    (void)state;
    int64_t chat = input(CHAT, "{\"messages\":[],\"tools\":[{\"name\":\"look\"}]}");
    int64_t messages = input(API_MESSAGES, "{\"messages\":[],\"tools\":[{\"name\":\"look\"}]}");
    assert_int_equal(messages - chat, 346 - 16);
    assert_int_equal(input(CHAT, "{\"messages\":[],\"tools\":[]}"),
                     input(CHAT, "{\"messages\":[\"\"]}"));
}

static void values_are_measured_alone(void **state) {
    (void)state;
    struct json_doc *doc = parse_new(SLICE("{\"a\":null}"));
    assert_int_equal(estimate_value(doc, JSON_NONE), 0);
    assert_int_equal(estimate_value(doc, json_get(doc, JSON_ROOT, SLICE("a"))), 0);
    json_doc_free(doc);
    assert_int_equal(value("\"\""), 0);
    assert_int_equal(value("\"" LONG "\""), estimate_text(SLICE(LONG)));
    assert_int_equal(value("[" ASK("\"Hi\"") "," ASK("\"Hi\"") "]"), 2 * value(ASK("\"Hi\"")));
}

// However deep it is nested, it is walked to a bounded depth, and all of it counts.
static void depth_is_bounded(void **state) {
    enum { DEPTH = 500 };
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < DEPTH; i++)
        BUFFER_LITERAL(&text, "[{\"content\":");
    BUFFER_LITERAL(&text, "\"" LONG "\"");
    for (int i = 0; i < DEPTH; i++)
        BUFFER_LITERAL(&text, "}]");
    struct json_limits limits = {.depth = 2000};
    struct json_doc *doc = json_doc_new();
    struct error err;
    assert_true(json_parse(doc, buffer_slice(&text), &limits, &err));
    assert_true(estimate_value(doc, JSON_ROOT) > estimate_text(SLICE(LONG)));
    json_doc_free(doc);
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_the_sum_of_their_texts),
        cmocka_unit_test(some_requests_can_be_told_exactly),
        cmocka_unit_test(media_are_no_text),
        cmocka_unit_test(tools_of_messages_have_a_prompt_of_their_own),
        cmocka_unit_test(values_are_measured_alone),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
