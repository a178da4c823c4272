// What the model has said in events of a stream.
#include "support.h"

#define CONTENT(text) EVENT("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}")
#define BLOCK(text)                                                                                \
    NAMED("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":"        \
                                 "{\"type\":\"text_delta\",\"text\":\"" text "\"}}")

static const struct said {
    const char *events;
    const char *text;
} table[] = {
    {"", ""},
    {CONTENT("I am ") CONTENT("sorry"), "I am sorry"},
    {CONTENT("a\\u00e4\\n") CONTENT("\\\"b\\\""), "a\xc3\xa4\n\"b\""},
    {CONTENT("a") DONE CONTENT("b"), "ab"},
    {": comment\n\n" CONTENT("a") "id: 1\nretry: 5\n\n", "a"},
    // how its lines end, and where the last event does
    {"data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n" CONTENT("b"), "ab"},
    {CONTENT("a") "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}", "ab"},
    {CONTENT("a") "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n", "ab"},
    {"data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"a\"}}]}\n\n", "a"},
    {CONTENT("a") "data: {\"choices\":[{\"delta\":{\"cont", "a"},
    // other endpoints
    {BLOCK("Hel") BLOCK("lo"), "Hello"},
    {EVENT("{\"choices\":[{\"text\":\"Hel\"}]}") EVENT("{\"choices\":[{\"text\":\"lo\"}]}"),
     "Hello"},
    {NAMED("response.output_text.delta", "{\"delta\":\"Hel\"}") EVENT("{\"delta\":\"lo\"}"),
     "Hello"},
    // the first choice only, and nothing that is no text
    {EVENT("{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}"), "a"},
    {EVENT("{\"choices\":[{\"delta\":{\"content\":null,\"role\":\"x\"}}]}") CONTENT("a"), "a"},
    {EVENT("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"x\"}]}}]}"), ""},
    {EVENT("{\"choices\":[]}") EVENT("{\"choices\":7}") EVENT("[1]") EVENT("null"), ""},
    {"data: {\n\ndata: hello\n\ndata: \xff\n\n" CONTENT("a"), "a"},
};

static void all_that_was_said_is_read(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(table); i++) {
        struct arena *arena = arena_new(64);
        struct slice text = provider_stream_text(slice_of(table[i].events), arena);
        assert_bytes(text, slice_of(table[i].text), table[i].events);
        arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_that_was_said_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
