// What each known request field means for the key, in one table.
//
// Dropped is what cannot change the answer: how it is delivered (stream), who
// asks (user, metadata), what is kept of it (store), how it is paid for or
// routed at the provider (service_tier, prompt cache hints). Everything else
// is kept, and so is every field that the table does not know.
#include "farthing/cache.h"

#define K CACHE_FIELD_KEEP
#define D CACHE_FIELD_DROP
// chat, completions, responses, embeddings: known or not
#define ALL {true, true, true, true}
#define CHAT {true, false, false, false}
#define COMP {false, true, false, false}
#define RESP {false, false, true, false}
#define EMBED {false, false, false, true}
#define CHAT_COMP {true, true, false, false}
#define CHAT_RESP {true, false, true, false}
#define CHAT_COMP_RESP {true, true, true, false}
#define KEEP {K, K, K, K}
#define DROP {D, D, D, D}

static const struct cache_field fields[] = {
    {"model", DROP, ALL, "a part of the key by itself, as the client asked for it"},
    {"stream", DROP, CHAT_COMP_RESP, "how the answer is delivered"},
    {"stream_options", DROP, CHAT_COMP_RESP, "how the answer is delivered"},
    {"user", DROP, ALL, "who asks; the route's scope puts it into the key where it matters"},
    {"safety_identifier", DROP, CHAT_RESP, "who asks, for abuse detection"},
    {"metadata", DROP, CHAT_RESP, "labels for the provider's dashboard, and Farthing's attributes"},
    {"store", DROP, CHAT_RESP, "what the provider keeps of it"},
    {"service_tier", DROP, CHAT_RESP, "latency and price of the same model"},
    {"prompt_cache_key", DROP, CHAT_RESP, "a hint to the provider's prompt cache"},
    {"prompt_cache_options", DROP, CHAT_RESP, "a hint to the provider's prompt cache"},
    {"prompt_cache_retention", DROP, CHAT_RESP, "a hint to the provider's prompt cache"},
    {"audio", KEEP, CHAT, "voice and format of the answer"},
    {"background", KEEP, RESP, "the answer's form: queued instead of complete"},
    {"best_of", KEEP, COMP, "which of several candidates is answered"},
    {"context_management", KEEP, RESP, "what of the context the model sees"},
    {"conversation", KEEP, RESP, "what of the context the model sees"},
    {"dimensions", KEEP, EMBED, "length of the vector"},
    {"echo", KEEP, COMP, "the prompt is part of the answer"},
    {"encoding_format", KEEP, EMBED, "spelling of the vector"},
    {"frequency_penalty", KEEP, CHAT_COMP, "sampling"},
    {"function_call", KEEP, CHAT, "what may be called"},
    {"functions", KEEP, CHAT, "what may be called"},
    {"include", KEEP, RESP, "what the answer holds"},
    {"input", KEEP, {false, false, true, true}, "the question"},
    {"instructions", KEEP, RESP, "the question"},
    {"logit_bias", KEEP, CHAT_COMP, "sampling"},
    {"logprobs", KEEP, CHAT_COMP, "what the answer holds"},
    {"max_completion_tokens", KEEP, CHAT, "where the answer ends"},
    {"max_output_tokens", KEEP, RESP, "where the answer ends"},
    {"max_tokens", KEEP, CHAT_COMP, "where the answer ends"},
    {"max_tool_calls", KEEP, RESP, "what may be called"},
    {"messages", KEEP, CHAT, "the question"},
    {"modalities", KEEP, CHAT, "what the answer holds"},
    {"moderation", KEEP, CHAT_RESP, "whether the answer is withheld, and what it reports"},
    {"n", KEEP, CHAT_COMP, "how many answers"},
    {"parallel_tool_calls", KEEP, CHAT_RESP, "what may be called"},
    {"prediction", KEEP, CHAT, "what the model is given"},
    {"presence_penalty", KEEP, CHAT_COMP, "sampling"},
    {"previous_response_id", KEEP, RESP, "what of the context the model sees"},
    {"prompt", KEEP, {false, true, true, false}, "the question"},
    {"reasoning", KEEP, RESP, "how long the model thinks"},
    {"reasoning_effort", KEEP, CHAT, "how long the model thinks"},
    {"response_format", KEEP, CHAT, "the answer's form"},
    {"seed", KEEP, CHAT_COMP, "sampling"},
    {"stop", KEEP, CHAT_COMP, "where the answer ends"},
    {"suffix", KEEP, COMP, "the question"},
    {"temperature", KEEP, CHAT_COMP_RESP, "sampling"},
    {"text", KEEP, RESP, "the answer's form"},
    {"tool_choice", KEEP, CHAT_RESP, "what may be called"},
    {"tools", KEEP, CHAT_RESP, "what may be called"},
    {"top_logprobs", KEEP, CHAT_RESP, "what the answer holds"},
    {"top_p", KEEP, CHAT_COMP_RESP, "sampling"},
    {"truncation", KEEP, RESP, "what of the context the model sees"},
    {"verbosity", KEEP, CHAT, "how long the answer is"},
    {"web_search_options", KEEP, CHAT, "what may be called"},
};

const struct cache_field *cache_fields(size_t *count) {
    *count = FARTHING_COUNT(fields);
    return fields;
}
