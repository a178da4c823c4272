// The endpoints of the API address, in one table.
#include "farthing/api.h"

struct endpoint {
    const char *name; // as the cost row spells it
    const char *path;
    bool cacheable;
};

static const struct endpoint endpoints[API_ENDPOINT_COUNT] = {
    [API_CHAT_COMPLETIONS] = {"chat.completions", "/v1/chat/completions", true},
    [API_COMPLETIONS] = {"completions", "/v1/completions", true},
    [API_RESPONSES] = {"responses", "/v1/responses", true},
    [API_EMBEDDINGS] = {"embeddings", "/v1/embeddings", true},
    [API_MESSAGES] = {"messages", "/v1/messages", true},
    [API_MODELS] = {"models", "/v1/models", false},
    [API_OTHER] = {"other", NULL, false},
};

const char *api_endpoint_name(enum api_endpoint e) {
    return endpoints[e].name;
}

const char *api_endpoint_path(enum api_endpoint e) {
    return endpoints[e].path;
}

bool api_endpoint_is_cacheable(enum api_endpoint e) {
    return endpoints[e].cacheable;
}

static bool is_models_path(struct slice path) {
    struct slice models = slice_of(endpoints[API_MODELS].path);
    if (!slice_starts_with(path, models))
        return false;
    return path.len == models.len || path.ptr[models.len] == '/';
}

bool api_endpoint_find(struct slice method, struct slice path, enum api_endpoint *out) {
    if (!slice_starts_with(path, SLICE("/v1/")))
        return false;
    *out = API_OTHER;
    if (slice_equal(method, SLICE("POST"))) {
        for (int e = API_CHAT_COMPLETIONS; e <= API_MESSAGES; e++)
            if (slice_equal(path, slice_of(endpoints[e].path)))
                *out = (enum api_endpoint)e;
    } else if (is_models_path(path) &&
               (slice_equal(method, SLICE("GET")) || slice_equal(method, SLICE("HEAD")))) {
        // A DELETE of a fine-tuned model is the provider's affair, not a list.
        *out = API_MODELS;
    }
    return true;
}
