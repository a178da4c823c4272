// What each known request field means for the key, in one table. The fields
// and what they do are those of OpenAI's API description (chat completions,
// completions, responses, embeddings) and of Anthropic's messages.
//
// Dropped is what cannot change the answer: how it is delivered (stream), who
// asks (user, metadata), what is kept of it (store), how it is paid for or
// routed at the provider (service_tier, prompt cache hints). In doubt a field
// is kept: that costs a purchase, the contrary a wrong answer. So
// `inference_geo` is kept (who asks for a place must get it), and so is
// `prediction` (it is meant to change speed only, but changes usage and price).
#include "fields.h"

#include "farthing/cache.h"

#define U CACHE_FIELD_UNKNOWN
#define K CACHE_FIELD_KEEP
#define D CACHE_FIELD_DROP

// name, {chat, completions, responses, embeddings, messages}, why
#define ROW(name, chat, comp, resp, embed, mess, why) \
    { SLICE(name), {chat, comp, resp, embed, mess}, why }

static const struct cache_field fields[] = {
    // Dropped by some endpoint: FIELDS_DROPPED rows.
    ROW("cache_control", U, U, U, U, D, "a hint to the provider's prompt cache"),
    // On every endpoint, documented or not: Farthing's attributes stand in it,
    // and a run's or step's name must not make each request another one.
    ROW("metadata", D, D, D, D, D, "labels for the dashboard, and Farthing's attributes"),
    ROW("model", D, D, D, D, D, "a part of the key by itself, as the client asked for it"),
    ROW("prompt_cache_key", D, U, D, U, U, "a hint to the provider's prompt cache"),
    ROW("prompt_cache_options", D, U, D, U, U, "a hint to the provider's prompt cache"),
    ROW("prompt_cache_retention", D, U, D, U, U, "a hint to the provider's prompt cache"),
    ROW("safety_identifier", D, U, D, U, U, "who asks, for abuse detection"),
    // "auto", "default", "flex", "priority": documented as processing of the
    // same model, in another order and at another price. From the cache the
    // answer comes at once and costs nothing, which honours each of them.
    ROW("service_tier", D, U, D, U, D, "latency and price of the same model"),
    // Where the provider keeps its copy. (A response that was bought with false
    // cannot be continued by its id; who mixes both in one tenant and continues
    // by ids asks with x-farthing-cache: bypass.)
    ROW("store", D, U, D, U, U, "what the provider keeps"),
    ROW("stream", D, D, D, U, D, "how the answer is delivered"),
    ROW("stream_options", D, D, D, U, U, "how the answer is delivered"),
    // Replaced by safety_identifier and prompt_cache_key, and means the same.
    ROW("user", D, D, D, D, U, "who asks; in the key where the route's scope says so"),

    ROW("audio", K, U, U, U, U, "voice and format of the answer"),
    ROW("background", U, U, K, U, U, "the answer's form: queued instead of complete"),
    ROW("best_of", U, K, U, U, U, "which of several candidates is answered"),
    ROW("container", U, U, U, U, K, "what tools find where they run"),
    ROW("context_management", U, U, K, U, K, "what of the context the model sees"),
    ROW("conversation", U, U, K, U, U, "what of the context the model sees"),
    ROW("dimensions", U, U, U, K, U, "length of the vector"),
    ROW("echo", U, K, U, U, U, "the prompt is part of the answer"),
    ROW("encoding_format", U, U, U, K, U, "spelling of the vector"),
    ROW("frequency_penalty", K, K, U, U, U, "sampling"),
    ROW("function_call", K, U, U, U, U, "what may be called"),
    ROW("functions", K, U, U, U, U, "what may be called"),
    ROW("include", U, U, K, U, U, "what the answer holds"),
    ROW("inference_geo", U, U, U, U, K, "where the model runs"),
    ROW("input", U, U, K, K, U, "the question"),
    ROW("instructions", U, U, K, U, U, "the question"),
    ROW("logit_bias", K, K, U, U, U, "sampling"),
    ROW("logprobs", K, K, U, U, U, "what the answer holds"),
    ROW("max_completion_tokens", K, U, U, U, U, "where the answer ends"),
    ROW("max_output_tokens", U, U, K, U, U, "where the answer ends"),
    ROW("max_tokens", K, K, U, U, K, "where the answer ends"),
    ROW("max_tool_calls", U, U, K, U, U, "what may be called"),
    ROW("mcp_servers", U, U, U, U, K, "what may be called"),
    ROW("messages", K, U, U, U, K, "the question"),
    ROW("modalities", K, U, U, U, U, "what the answer holds"),
    ROW("moderation", K, U, K, U, U, "whether the answer is withheld, and what it reports"),
    ROW("n", K, K, U, U, U, "how many answers"),
    ROW("output_config", U, U, U, U, K, "the answer's form and effort"),
    ROW("output_format", U, U, U, U, K, "the answer's form"),
    ROW("parallel_tool_calls", K, U, K, U, U, "what may be called"),
    ROW("prediction", K, U, U, U, U, "what the model is given; usage tells of it"),
    ROW("presence_penalty", K, K, U, U, U, "sampling"),
    ROW("previous_response_id", U, U, K, U, U, "what of the context the model sees"),
    ROW("prompt", U, K, K, U, U, "the question"),
    ROW("reasoning", U, U, K, U, U, "how long the model thinks"),
    ROW("reasoning_effort", K, U, U, U, U, "how long the model thinks"),
    ROW("response_format", K, U, U, U, U, "the answer's form"),
    ROW("seed", K, K, U, U, U, "sampling"),
    ROW("stop", K, K, U, U, U, "where the answer ends"),
    ROW("stop_sequences", U, U, U, U, K, "where the answer ends"),
    ROW("suffix", U, K, U, U, U, "the question"),
    ROW("system", U, U, U, U, K, "the question"),
    ROW("temperature", K, K, K, U, K, "sampling"),
    ROW("text", U, U, K, U, U, "the answer's form"),
    ROW("thinking", U, U, U, U, K, "how long the model thinks"),
    ROW("tool_choice", K, U, K, U, K, "what may be called"),
    ROW("tools", K, U, K, U, K, "what may be called"),
    ROW("top_k", U, U, U, U, K, "sampling"),
    ROW("top_logprobs", K, U, K, U, U, "what the answer holds"),
    ROW("top_p", K, K, K, U, K, "sampling"),
    ROW("truncation", U, U, K, U, U, "what of the context the model sees"),
    ROW("verbosity", K, U, U, U, U, "how long the answer is"),
    ROW("web_search_options", K, U, U, U, U, "what may be called"),
};

const struct cache_field *cache_fields(size_t *count) {
    *count = FARTHING_COUNT(fields);
    return fields;
}
