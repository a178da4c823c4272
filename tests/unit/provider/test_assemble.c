// The whole answer out of a stream: equal to what the provider would have sent
// to a request without `stream`, or none.
#include "assembling.h"

#define HEAD "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
#define WHOLE(message, rest)                                                                       \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","                  \
    "\"choices\":[{\"index\":0,\"message\":" message rest "}]}"
#define CHUNK(delta) EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":" delta "}]}")
#define FINISH(reason)                                                                             \
    EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}") DONE
#define STOPPED ",\"finish_reason\":\"stop\""
#define CALLED  ",\"finish_reason\":\"tool_calls\""
#define ROLE    CHUNK("{\"role\":\"assistant\",\"content\":\"\"}")

static const struct sample chats[] = {
    {"OpenAI's stream", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD
           "\"service_tier\":\"default\",\"system_fingerprint\":\"fp\",\"choices\":[{\"index\":"
           "0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
           "\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"xx\"}")
         EVENT(HEAD "\"service_tier\":\"default\",\"system_fingerprint\":\"fp\",\"choices\":[{"
                    "\"index\":0,\"delta\":{\"content\":\"Hel\"},\"logprobs\":null,"
                    "\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"y\"}")
             EVENT(
                 HEAD
                 "\"service_tier\":\"default\",\"system_fingerprint\":\"fp\",\"choices\":[{"
                 "\"index\":0,\"delta\":{\"content\":\"lo\\n\\u20ac\\ud83d\\ude00 \xe2\x82\xac\"},"
                 "\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}")
                 EVENT(HEAD
                       "\"service_tier\":\"default\",\"system_fingerprint\":\"fp\",\"choices\":"
                       "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":"
                       "\"stop\"}],\"usage\":null}")
                     EVENT(HEAD "\"service_tier\":\"default\",\"system_fingerprint\":\"fp\","
                                "\"choices\":[],\"usage\":{\"prompt_tokens\":1}}") DONE,
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","
     "\"service_tier\":\"default\",\"system_fingerprint\":\"fp\",\"choices\":[{\"index\":0,"
     "\"message\":{\"role\":\"assistant\",\"content\":\"Hello\\n\\u20ac\\ud83d\\ude00 "
     "\xe2\x82\xac\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
     "\"usage\":{\"prompt_tokens\":1}}"},
    {"content only", API_CHAT_COMPLETIONS, 1, CHUNK("{\"content\":\"a\"}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
    {"the role in every chunk", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}")
         CHUNK("{\"role\":\"assistant\",\"content\":\"b\"}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"ab\"}", STOPPED)},
    {"the role is empty later", API_CHAT_COMPLETIONS, 1,
     ROLE CHUNK("{\"role\":\"\",\"content\":\"b\"}") CHUNK("{\"role\":null}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"b\"}", STOPPED)},
    {"an empty answer", API_CHAT_COMPLETIONS, 1, ROLE FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"\"}", STOPPED)},
    {"content null", API_CHAT_COMPLETIONS, 1, CHUNK("{\"content\":null}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":null}", STOPPED)},
    {"only a reason", API_CHAT_COMPLETIONS, 1, FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":null}", STOPPED)},
    {"without [DONE]", API_CHAT_COMPLETIONS, 1,
     ROLE EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":"
                     "\"stop\"}]}"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
    {"an event unended", API_CHAT_COMPLETIONS, 1,
     ROLE "data: " HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":"
          "\"stop\"}]}",
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
    {"a refusal", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}")
         CHUNK("{\"refusal\":\"I can\"}") CHUNK("{\"refusal\":\"not\"}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"I cannot\"}", STOPPED)},
    {"an empty refusal", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"a\",\"refusal\":\"\"}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\",\"refusal\":null}", STOPPED)},
    {"reasoning", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"h\"}")
         CHUNK("{\"content\":null,\"reasoning_content\":\"m\"}")
             CHUNK("{\"content\":\"a\",\"reasoning_content\":null}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"hm\"}", STOPPED)},
    {"OpenRouter's reasoning details", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"reasoning_details\":[{\"type\":"
           "\"reasoning.text\",\"text\":\"h\",\"format\":\"f-v1\",\"index\":0}]}")
         CHUNK("{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"m\",\"format\":"
               "\"f-v1\",\"index\":0,\"signature\":\"s\"}]}") CHUNK("{\"content\":\"a\"}")
             FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_details\":[{\"type\":"
           "\"reasoning.text\",\"text\":\"hm\",\"format\":\"f-v1\",\"index\":0,\"signature\":"
           "\"s\"}]}",
           STOPPED)},
    {"unknown members", API_CHAT_COMPLETIONS, 1,
     EVENT("{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"provider\":\"P\",\"x\":{\"y\":[1,{}]},"
           "\"nothing\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\",\"flag\":true,"
           "\"list\":[1],\"audio\":null},\"native_finish_reason\":null,\"finish_reason\":null}]}")
         EVENT("{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"provider\":\"P\",\"choices\":[{"
               "\"index\":0,\"delta\":{\"list\":[2]},\"native_finish_reason\":\"STOP\","
               "\"finish_reason\":\"stop\"}]}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"provider\":"
     "\"P\","
     "\"x\":{\"y\":[1,{}]},\"nothing\":null,\"choices\":[{\"index\":0,\"message\":{\"role\":"
     "\"assistant\",\"content\":\"a\",\"flag\":true,\"list\":[1,2],\"audio\":null},"
     "\"native_finish_reason\":\"STOP\",\"finish_reason\":\"stop\"}]}"},
    {"Azure's filters, repeated", API_CHAT_COMPLETIONS, 1,
     EVENT("{\"id\":\"\",\"created\":0,\"model\":\"\",\"object\":\"\",\"choices\":[],"
           "\"prompt_filter_results\":[{\"prompt_index\":0}]}")
         EVENT(HEAD
               "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},"
               "\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}"
               "}}]}")
             EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},"
                        "\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":"
                        "\"safe\"}},\"finish_reason\":\"stop\"}]}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","
     "\"prompt_filter_results\":[{\"prompt_index\":0}],\"choices\":[{\"index\":0,\"message\":{"
     "\"role\":\"assistant\",\"content\":\"ab\"},\"content_filter_results\":{\"hate\":{"
     "\"filtered\":false,\"severity\":\"safe\"}},\"finish_reason\":\"stop\"}]}"},
    {"Perplexity's message beside the delta", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD "\"citations\":[\"u\"],\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                "\"content\":\"a\"},\"message\":{\"role\":\"assistant\",\"content\":\"a\"}}]}")
         EVENT(HEAD "\"citations\":[\"u\",\"v\"],\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                    "\"b\"},\"message\":{\"role\":\"assistant\",\"content\":\"ab\"},"
                    "\"finish_reason\":\"stop\"}]}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"citations\":["
     "\"u\",\"v\"],\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
     "\"ab\"},\"finish_reason\":\"stop\"}]}"},
    {"Groq's member", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"x_groq\":{\"id\":"
                "\"r\"}}")
         EVENT(HEAD
               "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
               "\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":1,\"queue_time\":0.5}}}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"usage\":{"
     "\"prompt_tokens\":1,\"queue_time\":0.5},\"x_groq\":{\"id\":\"r\"},\"choices\":[{\"index\":0,"
     "\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"},
    {"Groq's member, of usage only, beside usage", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD
           "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]"
           ",\"usage\":{\"prompt_tokens\":1},\"x_groq\":{\"usage\":{\"prompt_tokens\":2}}}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"usage\":{"
     "\"prompt_tokens\":1},\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
     "\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"},
    {"Groq's member, repeated", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD "\"choices\":[],\"x_groq\":{\"id\":\"r\",\"more\":\"s\"}}")
         EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":"
                    "\"stop\"}],\"x_groq\":{\"id\":\"r\",\"more\":\"s\"}}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"x_groq\":{"
     "\"id\":\"r\",\"more\":\"s\"},\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
     "\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"},
    {"Moonshot's usage", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD
           "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\","
           "\"usage\":{\"prompt_tokens\":1}}]}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"usage\":{"
     "\"prompt_tokens\":1},\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
     "\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"},
    {"cumulative usage", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":{"
                "\"prompt_tokens\":1,\"completion_tokens\":1}}")
         EVENT(HEAD
               "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{"
               "\"prompt_tokens\":1,\"completion_tokens\":2}}"),
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"usage\":{"
     "\"prompt_tokens\":1,\"completion_tokens\":2},\"choices\":[{\"index\":0,\"message\":{"
     "\"role\":\"assistant\",\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"},
    {"an id for each chunk: the first", API_CHAT_COMPLETIONS, 1,
     EVENT("{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{"
           "\"content\":\"a\"}}]}")
         EVENT("{\"id\":\"d\",\"created\":2,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},"
               "\"finish_reason\":\"stop\"}]}"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
    {"an empty reason until the last", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}")
         FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
    {"no index", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD "\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
    {"log probabilities", API_CHAT_COMPLETIONS, 1,
     EVENT(HEAD
           "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":["
           "{\"token\":\"a\",\"logprob\":-0.10,\"bytes\":[97],\"top_logprobs\":[]}],"
           "\"refusal\":null}}]}")
         EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"bc\"},\"logprobs\":{"
                    "\"content\":[{\"token\":\"b\"},{\"token\":\"c\"}],\"refusal\":null}}]}")
             EVENT(HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"
                        "\"finish_reason\":\"stop\"}]}"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"abc\"}",
           ",\"logprobs\":{\"content\":[{\"token\":\"a\",\"logprob\":-0.10,\"bytes\":[97],"
           "\"top_logprobs\":[]},{\"token\":\"b\"},{\"token\":\"c\"}],\"refusal\":null}" STOPPED)},
    {"audio", API_CHAT_COMPLETIONS, 1,
     CHUNK(
         "{\"role\":\"assistant\",\"content\":null,\"audio\":{\"id\":\"au\",\"transcript\":\"a\"}}")
         CHUNK("{\"audio\":{\"data\":\"AAAA\"}}") CHUNK("{\"audio\":{\"data\":\"BBB=\"}}")
             CHUNK("{\"audio\":{\"transcript\":\"b\",\"expires_at\":5}}") FINISH("stop"),
     WHOLE(
         "{\"role\":\"assistant\",\"content\":null,\"audio\":{\"id\":\"au\",\"transcript\":\"ab\","
         "\"data\":\"AAAABBB=\",\"expires_at\":5}}",
         STOPPED)},
    {"audio whose pieces are padded", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"audio\":{\"data\":\"AAA=\"}}") CHUNK("{\"audio\":{\"data\":\"BBB=\"}}")
         FINISH("stop"),
     NULL},
    {"signs of life between", API_CHAT_COMPLETIONS, 1,
     ": ping\n\n" ROLE "data:\n\n" CHUNK("{\"content\":\"a\"}") ":\n\n" FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
    {"data over several lines", API_CHAT_COMPLETIONS, 1,
     "data: {\"id\":\"c\",\"created\":1,\ndata: \"model\":\"m\",\"choices\":[{\"index\":0,\r\n"
     "data:\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\r\n\r\n",
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\"}", STOPPED)},
};

#define TOOLS(calls) CHUNK("{\"tool_calls\":[" calls "]}")
#define CALLS(calls)                                                                               \
    WHOLE("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[" calls "]}", CALLED)

static const struct sample tools[] = {
    {"one call in pieces", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":\"k\","
           "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}")
         TOOLS("{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\"\"}}") TOOLS(
             "{\"index\":0,\"function\":{\"arguments\":\":\\\"\\\\n\\\"}\"}}") FINISH("tool_calls"),
     CALLS("{\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
           "\"{\\\"a\\\":\\\"\\\\n\\\"}\"}}")},
    {"content empty before", API_CHAT_COMPLETIONS, 1,
     ROLE TOOLS("{\"index\":0,\"id\":\"k\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
         FINISH("tool_calls"),
     CALLS("{\"id\":\"k\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")},
    {"content and a call", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"a\"}") TOOLS("{\"index\":0,\"id\":\"k\"}")
         FINISH("tool_calls"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[{\"id\":\"k\"}]}", CALLED)},
    {"interleaved, out of order", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"index\":1,\"id\":\"k1\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}")
         TOOLS("{\"index\":0,\"id\":\"k0\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}},"
               "{\"index\":1,\"function\":{\"arguments\":\"[\"}}")
             TOOLS("{\"index\":1,\"function\":{\"arguments\":\"]\"}}")
                 TOOLS("{\"index\":0,\"function\":{\"arguments\":\"}\"}}") FINISH("tool_calls"),
     CALLS("{\"id\":\"k0\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"k1\","
           "\"function\":{\"name\":\"g\",\"arguments\":\"[]\"}}")},
    {"an empty list before", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[]}")
         TOOLS("{\"index\":0,\"id\":\"k\"}") CHUNK("{\"tool_calls\":[]}") FINISH("tool_calls"),
     CALLS("{\"id\":\"k\"}")},
    {"only an empty list", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[]}") FINISH("stop"),
     WHOLE("{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[]}", STOPPED)},
    {"id, type and name in every piece", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"index\":0,\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":\"f\","
           "\"arguments\":\"{\"}}")
         TOOLS("{\"index\":0,\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":\"f\","
               "\"arguments\":\"}\"}}") FINISH("tool_calls"),
     CALLS("{\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
           "\"{}\"}}")},
    {"id and name empty or null later", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"index\":0,\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":\"f\","
           "\"arguments\":null}}")
         TOOLS("{\"index\":0,\"id\":\"\",\"type\":\"function\",\"function\":{\"name\":null,"
               "\"arguments\":\"{}\"}}") FINISH("tool_calls"),
     CALLS("{\"id\":\"k\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
           "\"{}\"}}")},
    {"whole calls without an index", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"id\":\"k\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}") TOOLS(
         "{\"id\":\"l\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}") FINISH("tool_calls"),
     CALLS("{\"id\":\"k\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"l\","
           "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}")},
    {"two calls under one index", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"index\":0,\"id\":\"k\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
         TOOLS("{\"index\":0,\"id\":\"l\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}")
             FINISH("tool_calls"),
     NULL},
    {"with and without an index", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"index\":0,\"id\":\"k\"}") TOOLS("{\"id\":\"l\"}") FINISH("tool_calls"), NULL},
    {"without and with an index", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"id\":\"k\"}") TOOLS("{\"index\":0,\"id\":\"l\"}") FINISH("tool_calls"), NULL},
    {"an index that is negative", API_CHAT_COMPLETIONS, 1,
     TOOLS("{\"index\":0,\"id\":\"k\"},{\"index\":-1,\"id\":\"l\"}") FINISH("tool_calls"), NULL},
    {"the older function call", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{\"name\":\"f\","
           "\"arguments\":\"\"}}") CHUNK("{\"function_call\":{\"arguments\":\"{}\"}}")
         FINISH("function_call"),
     WHOLE("{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\","
           "\"arguments\":\"{}\"}}",
           ",\"finish_reason\":\"function_call\"")},
};

#define TWO(first, second)                                                                         \
    "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":["     \
    "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"" first "\"}" STOPPED "},"     \
    "{\"index\":1,\"message\":{\"role\":\"assistant\",\"content\":\"" second "\"}" STOPPED "}]}"
#define OF(index, delta, reason)                                                                   \
    EVENT(HEAD "\"choices\":[{\"index\":" #index ",\"delta\":" delta ",\"finish_reason\":" reason  \
               "}]}")

static const struct sample others[] = {
    {"two choices, interleaved, out of order", API_CHAT_COMPLETIONS, 2,
     OF(1, "{\"content\":\"x\"}", "null") OF(0, "{\"content\":\"a\"}", "null")
         OF(1, "{\"content\":\"y\"}", "null") OF(0, "{\"content\":\"b\"}", "\"stop\"")
             OF(1, "{}", "\"stop\"") DONE,
     TWO("ab", "xy")},
    {"one of two choices missing", API_CHAT_COMPLETIONS, 2,
     OF(0, "{\"content\":\"a\"}", "\"stop\"") DONE, NULL},
    {"one of two choices unfinished", API_CHAT_COMPLETIONS, 2,
     OF(0, "{\"content\":\"a\"}", "\"stop\"") OF(1, "{\"content\":\"a\"}", "null") DONE, NULL},
    {"a text completion", API_COMPLETIONS, 1,
     EVENT(
         "{\"id\":\"c\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":["
         "{\"text\":\"a\\n\",\"index\":0,\"logprobs\":{\"tokens\":[\"a\"],\"token_logprobs\":["
         "-0.5],\"top_logprobs\":[{\"index\":0}],\"text_offset\":[0]},\"finish_reason\":null}]}")
         EVENT("{\"id\":\"c\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\","
               "\"choices\":[{\"text\":\"b\",\"index\":0,\"logprobs\":{\"tokens\":[\"b\"],"
               "\"token_logprobs\":[null],\"top_logprobs\":[{\"index\":0}],\"text_offset\":[2]},"
               "\"finish_reason\":\"length\"}]}")
             EVENT("{\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}") DONE,
     "{\"id\":\"c\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
     "\"text\":\"a\\nb\",\"index\":0,\"logprobs\":{\"tokens\":[\"a\",\"b\"],\"token_logprobs\":["
     "-0.5,null],\"top_logprobs\":[{\"index\":0},{\"index\":0}],\"text_offset\":[0,2]},"
     "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1}}"},
    {"a text completion without text", API_COMPLETIONS, 1,
     EVENT("{\"id\":\"c\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}") DONE,
     "{\"id\":\"c\",\"object\":\"text_completion\",\"choices\":[{\"text\":\"\",\"index\":0,"
     "\"finish_reason\":\"stop\"}]}"},
    {"a response", API_RESPONSES, 1,
     EVENT("{\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}")
         EVENT("{\"type\":\"response.output_item.done\",\"item\":{}}")
             EVENT("{\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":"
                   "\"completed\",\"output\":[{\"type\":\"message\"}],\"x\":1.50}}"),
     "{\"id\":\"r\",\"status\":\"completed\",\"output\":[{\"type\":\"message\"}],\"x\":1.50}"},
    {"a response that ends twice", API_RESPONSES, 1,
     EVENT("{\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[]}}")
         EVENT("{\"type\":\"response.completed\",\"response\":{\"id\":\"s\",\"output\":[]}}"),
     "{\"id\":\"r\",\"output\":[]}"},
    {"a response whose last event has no output", API_RESPONSES, 1,
     EVENT("{\"type\":\"response.output_item.done\",\"item\":{}}")
         EVENT("{\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[]}}"),
     NULL},
    {"an incomplete response", API_RESPONSES, 1,
     EVENT("{\"type\":\"response.incomplete\",\"response\":{\"id\":\"r\"}}"), NULL},
    {"a failed response", API_RESPONSES, 1,
     EVENT("{\"type\":\"response.failed\",\"response\":{\"id\":\"r\"}}"), NULL},
    {"embeddings have no streams", API_EMBEDDINGS, 1, EVENT("{\"data\":[1]}") DONE, NULL},
};

static const struct sample unfit[] = {
    {"no JSON between", API_CHAT_COMPLETIONS, 1, ROLE "data: {\n\n" FINISH("stop"), NULL},
    {"no object between", API_CHAT_COMPLETIONS, 1, ROLE EVENT("[1]") FINISH("stop"), NULL},
    {"an error between", API_CHAT_COMPLETIONS, 1,
     ROLE EVENT("{\"error\":{\"message\":\"m\"}}") FINISH("stop"), NULL},
    {"a name that is escaped", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"con\\u0074ent\":\"a\"}") FINISH("stop"), NULL},
    {"a member that is escaped", API_CHAT_COMPLETIONS, 1,
     EVENT("{\"\\u0069d\":\"c\",\"choices\":[]}") FINISH("stop"), NULL},
    {"content that becomes a list", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"content\":\"a\"}") CHUNK("{\"content\":[{\"type\":\"text\"}]}") FINISH("stop"),
     NULL},
    {"content that becomes a text", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"content\":[{\"type\":\"thinking\"}]}") CHUNK("{\"content\":\"a\"}") FINISH("stop"),
     NULL},
    {"an object that becomes a list", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"x\":{\"a\":1}}") CHUNK("{\"x\":[{\"index\":0}]}") FINISH("stop"), NULL},
    {"a list that becomes an object", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"x\":[{\"index\":0}]}") CHUNK("{\"x\":{\"a\":1}}") FINISH("stop"), NULL},
    {"a number that becomes an object", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"x\":1}") CHUNK("{\"x\":{\"a\":1}}") FINISH("stop"), NULL},
    {"a delta that is no object", API_CHAT_COMPLETIONS, 1, CHUNK("\"a\"") FINISH("stop"), NULL},
    {"a choice without a delta", API_CHAT_COMPLETIONS, 1,
     EVENT("{\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"stop\"}]}") DONE, NULL},
    {"choices that are no objects", API_CHAT_COMPLETIONS, 1,
     EVENT("{\"choices\":[1]}") FINISH("stop"), NULL},
    {"nested too deeply", API_CHAT_COMPLETIONS, 1,
     CHUNK("{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\":{}}}}}}}}}}")
         FINISH("stop"),
     NULL},
};

static void messages_of_chats(void **state) {
    (void)state;
    CHECK_SAMPLES(chats);
}

static void tool_calls(void **state) {
    (void)state;
    CHECK_SAMPLES(tools);
}

static void several_choices_and_other_endpoints(void **state) {
    (void)state;
    CHECK_SAMPLES(others);
}

static void what_cannot_be_put_together(void **state) {
    (void)state;
    CHECK_SAMPLES(unfit);
}

static void only_when_asked(void **state) {
    (void)state;
    const struct provider_stream_options options = {.endpoint = API_CHAT_COMPLETIONS};
    struct hearing h = hear_all(&options, slice_of(chats[0].stream), 0);
    struct buffer answer = {0};
    assert_true(heard(&h)->answer.complete);
    assert_false(provider_stream_answer(h.stream, &answer));
    hearing_free(&h);
}

// ------------------------------------------------------------------ bounds

// A chat of so many chunks, each with a word, and with a further member of its
// own where `names`.
static struct buffer long_chat(size_t chunks, bool names) {
    struct buffer text = {0};
    for (size_t i = 0; i < chunks; i++)
        if (names)
            buffer_printf(&text, EVENT("{\"choices\":[{\"index\":0,\"delta\":{\"k%zu\":1}}]}"), i);
        else
            BUFFER_LITERAL(&text, CHUNK("{\"content\":\"0123456789\"}"));
    BUFFER_LITERAL(&text, FINISH("stop"));
    return text;
}

static bool fits(const struct buffer *text, size_t limit) {
    const struct provider_stream_options options = {
        .endpoint = API_CHAT_COMPLETIONS, .assemble = true, .max_answer_bytes = limit};
    struct hearing h = hear_all(&options, buffer_slice(text), 4096);
    struct buffer answer = {0};
    bool ok = provider_stream_answer(h.stream, &answer);
    // Assembled or not: forwarding does not change.
    assert_bytes(buffer_slice(&h.bytes), buffer_slice(text), "forwarded");
    assert_true(heard(&h)->done);
    buffer_free(&answer);
    hearing_free(&h);
    return ok;
}

static void the_bound_is_of_the_answer_not_of_its_chunks(void **state) {
    (void)state;
    struct buffer text = long_chat(5000, false); // 50,000 bytes of content
    assert_true(fits(&text, 60000));
    assert_false(fits(&text, 49000));
    assert_true(fits(&text, 0));
    buffer_free(&text);
}

static void members_are_bounded(void **state) {
    (void)state;
    struct buffer few = long_chat(1000, true), many = long_chat(1100, true);
    assert_true(fits(&few, 0));
    assert_false(fits(&many, 0));
    buffer_free(&few);
    buffer_free(&many);
}

static void a_response_is_bounded(void **state) {
    (void)state;
    const struct provider_stream_options options = {
        .endpoint = API_RESPONSES, .assemble = true, .max_answer_bytes = 10};
    struct hearing h =
        hear_all(&options,
                 SLICE(EVENT("{\"type\":\"response.completed\",\"response\":{\"output\":[]}}")), 0);
    struct buffer answer = {0};
    assert_true(heard(&h)->answer.complete);
    assert_false(provider_stream_answer(h.stream, &answer));
    hearing_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_chats),
        cmocka_unit_test(tool_calls),
        cmocka_unit_test(several_choices_and_other_endpoints),
        cmocka_unit_test(what_cannot_be_put_together),
        cmocka_unit_test(only_when_asked),
        cmocka_unit_test(the_bound_is_of_the_answer_not_of_its_chunks),
        cmocka_unit_test(members_are_bounded),
        cmocka_unit_test(a_response_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
