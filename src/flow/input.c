// How much a request brings: its input in tokens, by estimate, which is made when it
// is first asked for, and what of it cannot be seen here.
#include "exchange.h"

// Of what was sent, when the parsed request is given back: a rare need, where a
// provider counts nothing or a client has gone. By its bytes alone an image would
// be a million tokens.
static int64_t estimate_sent(struct exchange *x) {
    bool readable = x->request != NULL || x->body_is_own;
    struct json_doc *doc = readable ? flow_take_doc(x->flow) : NULL;
    struct error ignored;
    int64_t tokens = provider_estimate_tokens((int64_t)x->body.len);
    if (readable && json_parse(doc, x->body, NULL, &ignored))
        tokens = estimate_input(x->endpoint, doc);
    flow_give_doc(x->flow, doc);
    x->added_input = 0; // is in it
    return tokens;
}

static int64_t raw_input_of(struct exchange *x) {
    if (x->body_is_json)
        return x->doc != NULL ? estimate_input(x->endpoint, x->doc) : estimate_sent(x);
    return provider_estimate_tokens(x->request != NULL ? (int64_t)http_request_body(x->request).len
                                                       : (int64_t)x->body.len);
}

const struct provider_request *input_asked(struct exchange *x) {
    if (!x->asked_is_read)
        provider_read_request(x->endpoint, x->doc, &x->asked);
    x->asked_is_read = true;
    return &x->asked;
}

struct estimate input_estimate(struct exchange *x, struct slice model) {
    if (x->raw_input < 0)
        x->raw_input = raw_input_of(x);
    return estimator_ask(x->flow->shared.estimator, model, x->raw_input + x->added_input);
}

void input_keep_before_leaving(struct exchange *x) {
    if (x->attempt != NULL && x->raw_input < 0 && x->body_is_json && !x->body_is_own &&
        api_endpoint_is_cacheable(x->endpoint))
        x->raw_input = estimate_sent(x);
}

// Tools that the client runs itself. The results of all others the provider fetches
// by its own, as input that no byte of the request tells of.
static bool is_client_tool(struct slice type) {
    static const char *const types[] = {"function", "custom",       "local_shell", "apply_patch",
                                        "computer", "text_editor_", "bash_",       "memory_"};
    for (size_t i = 0; i < FARTHING_COUNT(types); i++)
        if (slice_starts_with(type, slice_of(types[i])))
            return true;
    return type.len == 0; // Anthropic's, by default
}

static bool has_server_tools(const struct exchange *x) {
    json_ref tools = json_get(x->doc, JSON_ROOT, SLICE("tools"));
    if (!json_is(x->doc, tools, JSON_ARRAY))
        return false;
    for (json_ref t = json_first(x->doc, tools); t != JSON_NONE; t = json_next(x->doc, tools, t)) {
        json_ref type = json_get(x->doc, t, SLICE("type"));
        if (json_is(x->doc, type, JSON_STRING) &&
            !is_client_tool(json_string(x->doc, type, x->arena)))
            return true;
    }
    return false;
}

// Input that lies at the provider: an earlier response, a conversation, a stored
// prompt, what its own tools find. No byte of the request says how long it is.
bool input_is_unseen(const struct exchange *x) {
    enum { MEMBERS_MAX = 3 };
    static const char *const members[API_ENDPOINT_COUNT][MEMBERS_MAX] = {
        [API_RESPONSES] = {"previous_response_id", "conversation", "prompt"},
        [API_CHAT_COMPLETIONS] = {"web_search_options", "search_parameters"}, // OpenAI's, xAI's
        [API_MESSAGES] = {"mcp_servers"},
    };
    for (size_t i = 0; i < MEMBERS_MAX && members[x->endpoint][i] != NULL; i++)
        if (!json_is_absent(x->doc,
                            json_get(x->doc, JSON_ROOT, slice_of(members[x->endpoint][i]))))
            return true;
    return has_server_tools(x);
}

// One in some is estimated although nobody needs it, so that the estimate is
// good when somebody does.
void input_estimate_to_learn(struct exchange *x) {
    enum { ONE_IN = 16 };
    if (x->raw_input < 0 && x->body_is_json && x->flow->unestimated++ % ONE_IN == 0)
        x->raw_input = estimate_input(x->endpoint, x->doc);
}
