// The whole answer out of a stream of Anthropic's messages.
#include "assembling.h"

#define MESSAGE_START                                                                              \
    NAMED("message_start",                                                                         \
          "{\"type\":\"message_start\",\"message\":{\"id\":\"g\",\"type\":\"message\",\"role\":"   \
          "\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":"   \
          "null,\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":3,\"output_tokens\":1,"  \
          "\"service_tier\":\"standard\"}}}")
#define BLOCK_START(index, block)                                                                  \
    NAMED("content_block_start",                                                                   \
          "{\"type\":\"content_block_start\",\"index\":" #index ",\"content_block\":" block "}")
#define BLOCK_DELTA(index, delta)                                                                  \
    NAMED("content_block_delta",                                                                   \
          "{\"type\":\"content_block_delta\",\"index\":" #index ",\"delta\":" delta "}")
#define BLOCK_STOP(index)                                                                          \
    NAMED("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":" #index "}")
#define MESSAGE_END(reason)                                                                        \
    NAMED("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason      \
                           "\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":null,"          \
                           "\"output_tokens\":9,\"service_tier\":\"standard\"}}")                  \
    NAMED("message_stop", "{\"type\":\"message_stop\"}")
#define MESSAGE(content, reason)                                                                   \
    "{\"id\":\"g\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":"       \
    "[" content "],\"stop_reason\":\"" reason "\",\"stop_sequence\":null,\"usage\":{"              \
    "\"input_tokens\":5,\"cache_read_input_tokens\":3,\"output_tokens\":9,\"service_tier\":"       \
    "\"standard\"}}"
#define TEXT_BLOCK(index, text)                                                                    \
    BLOCK_START(index, "{\"type\":\"text\",\"text\":\"\"}")                                        \
    BLOCK_DELTA(index, "{\"type\":\"text_delta\",\"text\":\"" text "\"}") BLOCK_STOP(index)
#define TOOL_START        "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"
#define INPUT_DELTA(json) "{\"type\":\"input_json_delta\",\"partial_json\":\"" json "\"}"

static const struct sample messages[] = {
    {"text", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, "{\"type\":\"text\",\"text\":\"\"}") NAMED(
         "ping", "{\"type\":\"ping\"}") BLOCK_DELTA(0, "{\"type\":\"text_delta\",\"text\":\"Hel\"}")
         BLOCK_DELTA(0, "{\"type\":\"text_delta\",\"text\":\"lo\\n\\u20ac\"}") BLOCK_STOP(0)
             MESSAGE_END("end_turn"),
     MESSAGE("{\"type\":\"text\",\"text\":\"Hello\\n\\u20ac\"}", "end_turn")},
    {"no content", API_MESSAGES, 1, MESSAGE_START MESSAGE_END("end_turn"), MESSAGE("", "end_turn")},
    {"two blocks, out of order", API_MESSAGES, 1,
     MESSAGE_START TEXT_BLOCK(1, "b") TEXT_BLOCK(0, "a") MESSAGE_END("end_turn"),
     MESSAGE("{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}", "end_turn")},
    {"thinking", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
         BLOCK_DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"h\"}")
             BLOCK_DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"m\"}")
                 BLOCK_DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"S=\"}") BLOCK_STOP(0)
                     BLOCK_START(1, "{\"type\":\"redacted_thinking\",\"data\":\"x\"}") BLOCK_STOP(1)
                         TEXT_BLOCK(2, "a") MESSAGE_END("end_turn"),
     MESSAGE("{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"S=\"},{\"type\":"
             "\"redacted_thinking\",\"data\":\"x\"},{\"type\":\"text\",\"text\":\"a\"}",
             "end_turn")},
    {"a tool", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, TOOL_START) BLOCK_DELTA(0, INPUT_DELTA(""))
         BLOCK_DELTA(0, INPUT_DELTA("{\\\"a\\\": \\\"\\\\n"))
             BLOCK_DELTA(0, INPUT_DELTA("\\u20ac\\\"}")) BLOCK_STOP(0) MESSAGE_END("tool_use"),
     MESSAGE("{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":"
             "\"\\n\xe2\x82\xac\"}}",
             "tool_use")},
    {"a tool without input", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, TOOL_START) BLOCK_DELTA(0, INPUT_DELTA("")) BLOCK_STOP(0)
         MESSAGE_END("tool_use"),
     MESSAGE(TOOL_START, "tool_use")},
    {"tools, interleaved", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, TOOL_START) BLOCK_START(1, TOOL_START)
         BLOCK_DELTA(1, INPUT_DELTA("{\\\"b\\\":")) BLOCK_DELTA(0, INPUT_DELTA("{\\\"a\\\":1}"))
             BLOCK_DELTA(1, INPUT_DELTA("2}")) MESSAGE_END("tool_use"),
     MESSAGE("{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}},{\"type\":"
             "\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"b\":2}}",
             "tool_use")},
    {"input that is no JSON", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, TOOL_START) BLOCK_DELTA(0, INPUT_DELTA("{\\\"a\\\":"))
         MESSAGE_END("max_tokens"),
     NULL},
    {"input that would be two members", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, TOOL_START) BLOCK_DELTA(0, INPUT_DELTA("{},\\\"x\\\":1"))
         MESSAGE_END("tool_use"),
     NULL},
    {"citations", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, "{\"type\":\"text\",\"text\":\"\",\"citations\":[]}")
         BLOCK_DELTA(0, "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"u\"}}")
             BLOCK_DELTA(0, "{\"type\":\"text_delta\",\"text\":\"a\"}")
                 BLOCK_DELTA(0, "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"v\"}}")
                     MESSAGE_END("end_turn"),
     MESSAGE("{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"url\":\"u\"},{\"url\":\"v\"}]}",
             "end_turn")},
    {"citations where there were none", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, "{\"type\":\"text\",\"text\":\"\",\"citations\":null}")
         BLOCK_DELTA(0, "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"u\"}}")
             MESSAGE_END("end_turn"),
     MESSAGE("{\"type\":\"text\",\"text\":\"\",\"citations\":[{\"url\":\"u\"}]}", "end_turn")},
    {"a search's result, whole", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"t\","
                                  "\"content\":[{\"index\":4,\"a\":{\"b\":[1]}}]}")
         MESSAGE_END("end_turn"),
     MESSAGE("{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"t\",\"content\":[{\"index\":4,"
             "\"a\":{\"b\":[1]}}]}",
             "end_turn")},
    {"a delta that is unknown", API_MESSAGES, 1,
     MESSAGE_START BLOCK_START(0, "{\"type\":\"text\",\"text\":\"\"}")
         BLOCK_DELTA(0, "{\"type\":\"new_delta\",\"x\":\"a\"}") MESSAGE_END("end_turn"),
     NULL},
    {"a delta without its block's number", API_MESSAGES, 1,
     MESSAGE_START NAMED("content_block_delta",
                         "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\","
                         "\"text\":\"a\"}}") MESSAGE_END("end_turn"),
     NULL},
    {"a block that starts twice", API_MESSAGES, 1,
     MESSAGE_START TEXT_BLOCK(0, "a") TEXT_BLOCK(0, "b") MESSAGE_END("end_turn"), NULL},
    {"no start", API_MESSAGES, 1,
     TEXT_BLOCK(0, "a") NAMED("message_stop", "{\"type\":\"message_stop\"}"), NULL},
    {"changes beside the delta", API_MESSAGES, 1,
     NAMED("message_start",
           "{\"type\":\"message_start\",\"message\":{\"id\":\"g\",\"content\":[]}}")
         NAMED("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
                                "\"end_turn\",\"container\":{\"id\":\"x\"}},"
                                "\"context_management\":{\"applied_edits\":[]},\"usage\":{"
                                "\"output_tokens\":1}}")
             NAMED("message_stop", "{\"type\":\"message_stop\"}"),
     "{\"id\":\"g\",\"content\":[],\"stop_reason\":\"end_turn\",\"container\":{\"id\":\"x\"},"
     "\"context_management\":{\"applied_edits\":[]},\"usage\":{\"output_tokens\":1}}"},
};

static void every_message(void **state) {
    (void)state;
    CHECK_SAMPLES(messages);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
