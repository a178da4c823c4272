// The key: SHA-256 over who may share the answer, what was asked for, and the
// canonical request. Each part carries its length, so that no two lists of
// parts read alike.
#include "farthing/cache.h"

// A change of what goes into the key makes a new family of keys.
static const char version[] = "farthing-key-1";

static bool is_dropped(void *arg, struct slice name, json_ref value) {
    (void)value;
    const enum api_endpoint *endpoint = arg;
    size_t count;
    const struct cache_field *all = cache_fields(&count);
    // Anthropic's requests share OpenAI's names where they share the meaning.
    size_t column = *endpoint <= API_EMBEDDINGS ? (size_t)*endpoint : API_CHAT_COMPLETIONS;
    for (size_t i = 0; i < count; i++)
        if (all[i].rule[column] == CACHE_FIELD_DROP && all[i].known[column] &&
            slice_equal(name, slice_of(all[i].name)))
            return true;
    return false;
}

static void add_part(struct digest *d, struct slice part) {
    uint64_t length = part.len;
    digest_update(d, slice_make(&length, sizeof length));
    digest_update(d, part);
}

static void sink(void *arg, struct slice piece) {
    digest_update(arg, piece);
}

bool cache_key_compute(const struct cache_key_parts *parts, const struct json_doc *request,
                       struct cache_key *out, struct error *err) {
    struct digest *digest = digest_of_thread();
    enum api_endpoint endpoint = parts->endpoint;
    add_part(digest, slice_of(version));
    add_part(digest, slice_of(api_endpoint_name(endpoint)));
    add_part(digest, parts->tenant);
    add_part(digest, parts->user);
    add_part(digest, parts->prompt_version);
    add_part(digest, parts->corpus_version);
    add_part(digest, parts->requested_model);
    bool ok = json_canonical(request, JSON_ROOT, is_dropped, &endpoint, sink, digest, err);
    digest_finish(digest, out->bytes);
    return ok;
}
