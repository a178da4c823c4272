// Whole answers as providers send them: what the cache keeps, and a stream
// made of it must bring again.
#ifndef FARTHING_TESTS_PROVIDER_ANSWERS_H
#define FARTHING_TESTS_PROVIDER_ANSWERS_H

#include "farthing/provider.h"

#define USAGE_OBJECT                                                                               \
    "{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21,\"prompt_tokens_details\":" \
    "{"                                                                                            \
    "\"cached_tokens\":8},\"completion_tokens_details\":{\"reasoning_tokens\":3}}"
#define CHAT(choices, rest)                                                                        \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":"      \
    "[" choices "],\"usage\":" USAGE_OBJECT rest "}"
#define ONE(message, rest) CHAT("{\"index\":0,\"message\":" message rest "}", "")
#define STOP               ",\"finish_reason\":\"stop\""
#define LONG_TEXT                                                                                                                              \
    "The farthing was the smallest coin of the realm, worth a quarter of a penny; a line\\nof "                                                \
    "text with \\\"quotes\\\", \\u20ac, \\ud83d\\ude00\\uD83D\\uDE00 and "                                                                     \
    "漢字漢字漢字漢字漢字漢字漢字"                                                                                               \
    "漢字漢字漢字漢字漢字 😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀 \\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\" \
    "\\u0041\\u00e9\\t\\/ end"
#define RESPONSE(status, output, rest)                                                             \
    "{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"status\":\"" status "\",\"error\":"  \
    "null,\"model\":\"m\",\"output\":[" output "],\"usage\":{\"input_tokens\":9,"                  \
    "\"output_tokens\":12,\"total_tokens\":21}" rest "}"
#define MESSAGE(content)                                                                           \
    "{\"id\":\"g\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":"       \
    "[" content                                                                                    \
    "],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,"         \
    "\"cache_read_input_tokens\":3,\"output_tokens\":12,\"service_tier\":\"standard\","            \
    "\"server_tool_use\":{\"web_search_requests\":1}}}"

static const struct whole_answer {
    const char *name;
    enum api_endpoint endpoint;
    const char *text;
} whole_answers[] = {
    {"OpenAI's", API_CHAT_COMPLETIONS,
     CHAT("{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" LONG_TEXT
          "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}",
          ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp\"")},
    {"short", API_CHAT_COMPLETIONS, ONE("{\"role\":\"assistant\",\"content\":\"a\"}", STOP)},
    {"empty", API_CHAT_COMPLETIONS, ONE("{\"role\":\"assistant\",\"content\":\"\"}", STOP)},
    {"without usage", API_CHAT_COMPLETIONS,
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
     "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\"}" STOP "}]}"},
    {"cut", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":\"a b\"}", ",\"finish_reason\":\"length\"")},
    {"a refusal", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"" LONG_TEXT "\"}", STOP)},
    {"one call", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"k\",\"type\":"
         "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"" LONG_TEXT
         "\\\"}\"}}]}",
         ",\"finish_reason\":\"tool_calls\"")},
    {"several calls, and content", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":\"let me see\",\"refusal\":null,\"tool_calls\":[{"
         "\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{"
         "\"id\":\"l\",\"type\":\"custom\",\"custom\":{\"name\":\"g\",\"input\":\"x y\"}},{\"id\":"
         "\"n\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}",
         ",\"finish_reason\":\"tool_calls\"")},
    {"an empty list of calls, and nulls", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[],\"function_call\":null,"
         "\"audio\":null,\"reasoning_content\":null}",
         STOP ",\"stop_reason\":null")},
    {"the older function call", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\",\"arguments\":"
         "\"{\\\"a\\\":1}\"}}",
         ",\"finish_reason\":\"function_call\"")},
    {"log probabilities", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":\"" LONG_TEXT "\"}",
         ",\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-0.25,\"bytes\":[97],"
         "\"top_logprobs\":[{\"token\":\"a\",\"logprob\":-0.25,\"bytes\":null}]},{\"token\":\"b\","
         "\"logprob\":-9999.0,\"bytes\":null,\"top_logprobs\":[]}],\"refusal\":null}" STOP)},
    {"log probabilities without content", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":\"\"}", ",\"logprobs\":{\"content\":[]}" STOP)},
    {"reasoning", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"" LONG_TEXT
         "\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"t\",\"format\":\"f\","
         "\"index\":0}]}",
         STOP)},
    {"content in parts", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":"
         "\"text\",\"text\":\"h\"}]},{\"type\":\"text\",\"text\":\"a\"}]}",
         STOP)},
    {"audio", API_CHAT_COMPLETIONS,
     ONE("{\"role\":\"assistant\",\"content\":null,\"audio\":{\"id\":\"au\",\"data\":\"AAA=\","
         "\"transcript\":\"a b\",\"expires_at\":5}}",
         STOP)},
    {"unknown members", API_CHAT_COMPLETIONS,
     CHAT("{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\",\"flag\":true,\"n\":"
          "1.50},\"native_finish_reason\":\"STOP\",\"content_filter_results\":{\"hate\":{"
          "\"severity\":\"safe\"}}" STOP "}",
          ",\"provider\":\"P\",\"citations\":[\"u\"],\"x_groq\":{\"id\":\"r\"},\"nothing\":null")},
    {"three choices", API_CHAT_COMPLETIONS,
     CHAT("{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\"}" STOP "},"
          "{\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":\"b\"}" STOP "},"
          "{\"index\":2,\"message\":{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}"
          ",\"finish_reason\":\"content_filter\"}",
          "")},
    {"a text completion", API_COMPLETIONS,
     "{\"id\":\"c\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
     "\"text\":\"" LONG_TEXT "\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"length\","
     "\"stop_reason\":null}],\"usage\":" USAGE_OBJECT ",\"system_fingerprint\":\"fp\"}"},
    {"text completions with probabilities", API_COMPLETIONS,
     "{\"id\":\"c\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
     "\"text\":\"a\",\"index\":0,\"logprobs\":{\"tokens\":[\"a\"],\"token_logprobs\":[null],"
     "\"top_logprobs\":null,\"text_offset\":[0]},\"finish_reason\":\"stop\"},{\"text\":\"\","
     "\"index\":1,\"finish_reason\":\"stop\"}],\"usage\":" USAGE_OBJECT "}"},
    {"a response", API_RESPONSES,
     RESPONSE(
         "completed",
         "{\"id\":\"rs\",\"type\":\"reasoning\",\"summary\":[]},{\"id\":\"ms\",\"type\":"
         "\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"output_text\",\"text\":\"" LONG_TEXT "\",\"annotations\":[],\"logprobs\":[]},{"
         "\"type\":\"refusal\",\"refusal\":\"no\"},{\"type\":\"new\",\"x\":1}]},{\"id\":\"fc\","
         "\"type\":\"function_call\",\"status\":\"completed\",\"call_id\":\"k\",\"name\":\"f\","
         "\"arguments\":\"{\\\"a\\\":1}\"}",
         ",\"completed_at\":2,\"incomplete_details\":null,\"metadata\":{}")},
    {"a response without output", API_RESPONSES, RESPONSE("completed", "", "")},
    {"a response with little in it", API_RESPONSES,
     "{\"status\":\"completed\",\"output\":[{\"type\":\"message\"},{\"type\":\"function_call\"},{"
     "\"type\":\"message\",\"content\":[{\"type\":\"output_text\"},{}]},{}]}"},
    {"a message", API_MESSAGES, MESSAGE("{\"type\":\"text\",\"text\":\"" LONG_TEXT "\"}")},
    {"a message of everything", API_MESSAGES,
     MESSAGE(
         "{\"type\":\"thinking\",\"thinking\":\"" LONG_TEXT "\",\"signature\":\"S==\"},{"
         "\"type\":\"redacted_thinking\",\"data\":\"x\"},{\"type\":\"text\",\"text\":\"a\","
         "\"citations\":[{\"url\":\"u\"}]},{\"type\":\"text\",\"text\":\"\",\"citations\":null}"
         ",{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":\"" LONG_TEXT
         "\"}},{\"type\":\"tool_use\",\"id\":\"u\",\"name\":\"g\",\"input\":{}},{\"type\":"
         "\"server_tool_use\",\"id\":\"v\",\"name\":\"web_search\",\"input\":{\"query\":\"q\"}},"
         "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"v\",\"content\":[{\"url\":"
         "\"u\"}]}")},
    {"an empty message", API_MESSAGES, MESSAGE("")},
    {"a message with little in it", API_MESSAGES,
     "{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"tool_use\"},{}],"
     "\"stop_reason\":\"end_turn\"}"},
};

#endif
