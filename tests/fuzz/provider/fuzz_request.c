// Any JSON document as a request. What is read of it is within bounds; what is
// done to it leaves JSON whose cap holds and to which nothing more is to do.
#include "../check.h"
#include "farthing/provider.h"

// The first two bytes.
struct choice {
    enum api_endpoint endpoint;
    enum provider_output_field field;
    bool reasons;
    struct slice ceiling;
    int64_t cap;
};

static struct choice choice_of(uint8_t a, uint8_t b) {
    static const enum api_endpoint endpoints[] = {API_CHAT_COMPLETIONS, API_COMPLETIONS,
                                                  API_RESPONSES, API_MESSAGES, API_EMBEDDINGS,
                                                  API_OTHER};
    static const char *const ceilings[] = {"none", "low", "medium", "xhigh"};
    static const int64_t caps[] = {1, 300, 1024, 1025, 4000, 1000000, INT64_MAX - 1, INT64_MAX};
    return (struct choice){
        .endpoint = endpoints[a % FARTHING_COUNT(endpoints)],
        .field = (b & 1) != 0 ? PROVIDER_MAX_COMPLETION_TOKENS : PROVIDER_MAX_TOKENS,
        .reasons = (b & 2) != 0,
        .ceiling = slice_of(ceilings[b >> 2 & 3]),
        .cap = caps[b >> 4 & 7],
    };
}

static struct provider_request read_size(const struct choice *c, const struct json_doc *doc) {
    struct provider_request r;
    provider_read_request(c->endpoint, doc, &r);
    CHECK(r.output_cap == -1 || (r.output_cap > 0 && r.output_cap <= PROVIDER_SIZE_MAX));
    CHECK(r.n >= 1 && r.n <= PROVIDER_SIZE_MAX && r.tools >= 0);
    CHECK(r.n >= provider_count_prompts(c->endpoint, doc) || c->endpoint == API_EMBEDDINGS);
    return r;
}

// The request after all that can be done to it; *changed says whether anything was.
static struct slice shape(const struct choice *c, const struct json_doc *doc, struct arena *arena,
                          bool *changed) {
    struct json_edits *edits = json_edits_new(doc, arena);
    struct provider_request r = read_size(c, doc);
    struct slice effort;
    int64_t before = 0;
    *changed = provider_add_instruction(c->endpoint, doc, SLICE("Say \"less\".\n"), edits, arena);
    *changed |= provider_cap_effort(c->endpoint, doc, c->ceiling, c->reasons, edits, &effort);
    *changed |= provider_cap_output(c->endpoint, doc, c->cap, c->field, edits, arena, &before);
    CHECK(before == r.output_cap);
    CHECK(*changed == !json_edits_empty(edits));
    return json_edits_apply(edits);
}

static void check_names(struct slice name) {
    enum provider_output_field field = provider_output_field_of(name);
    CHECK(field == PROVIDER_MAX_TOKENS || field == PROVIDER_MAX_COMPLETION_TOKENS);
    (void)provider_model_reasons(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct choice choice = choice_of(data[0], data[1]);
    struct slice text = slice_make(data + 2, size - 2);
    check_names(text);
    struct json_doc *doc = json_doc_new(), *after = json_doc_new();
    struct arena *arena = arena_new(1024);
    struct error err;
    bool changed, again;
    if (json_parse(doc, text, NULL, &err)) {
        struct slice result = shape(&choice, doc, arena, &changed);
        CHECK(json_parse(after, result, NULL, &err));
        CHECK(read_size(&choice, after).output_cap <= choice.cap);
        struct slice twice = shape(&choice, after, arena, &again);
        CHECK(!again && slice_equal(result, twice));
        // Nothing but the caps has to do with the size.
        CHECK(read_size(&choice, after).n == read_size(&choice, doc).n);
        CHECK(read_size(&choice, after).tools == read_size(&choice, doc).tools);
    }
    arena_free(arena);
    json_doc_free(doc);
    json_doc_free(after);
    return 0;
}
