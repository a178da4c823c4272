// Any JSON as a request under context budgets, which the first bytes choose. What
// goes upstream is JSON, measures what was said of it, keeps what it must, and is
// never more than what came.
#include "../check.h"
#include "farthing/estimate.h"
#include "farthing/route.h"

enum { HEAD_BYTES = 4 };

static const struct slice marker_list[] = {{"<doc", 4}, {"\xC3\xA9", 2}};

static struct route_context apply(const struct config_route *route, enum api_endpoint e,
                                  struct slice text, struct arena *arena, struct slice *edited,
                                  struct route_context_result *result) {
    struct json_doc *doc = json_doc_new();
    struct error err;
    CHECK(json_parse(doc, text, NULL, &err));
    struct json_edits *edits = json_edits_new(doc, arena);
    route_context_apply(route, e, doc, 1000, edits, result);
    CHECK(json_edits_empty(edits) == (result->verdict != ROUTE_CONTEXT_TRIMMED));
    *edited = arena_copy(arena, json_edits_apply(edits));
    CHECK(result->before.tokens[CONFIG_CONTEXT_TOTAL] >= estimate_input(e, doc));
    json_doc_free(doc);
    return result->before;
}

static void check(enum api_endpoint e, const uint8_t *head, struct slice text) {
    struct config_context budgets[] = {
        {.part = CONFIG_CONTEXT_HISTORY, .max_tokens = head[1], .keep_turns = head[3] & 3},
        {.part = CONFIG_CONTEXT_RETRIEVED,
         .max_tokens = head[2],
         .action = CONFIG_CONTEXT_WARN,
         .markers = {marker_list, FARTHING_COUNT(marker_list)}},
        {.part = CONFIG_CONTEXT_TOTAL, .max_tokens = head[2] * 2, .keep_turns = head[3] >> 2 & 3},
    };
    budgets[0].action = budgets[2].action = CONFIG_CONTEXT_TRIM_OLDEST;
    const struct config_route route = {.contexts = budgets,
                                       .context_count = FARTHING_COUNT(budgets)};
    struct arena *arena = arena_new(256);
    struct slice edited, again;
    struct route_context_result result, second;
    apply(&route, e, text, arena, &edited, &result);
    for (size_t i = 0; i < CONFIG_CONTEXT_PART_COUNT; i++)
        CHECK(result.after.tokens[i] >= 0 && result.after.tokens[i] <= result.before.tokens[i]);
    CHECK(edited.len <= text.len);
    struct route_context left = apply(&route, e, edited, arena, &again, &second);
    CHECK(memcmp(&left, &result.after, sizeof left) == 0);
    if (result.verdict == ROUTE_CONTEXT_TRIMMED)
        CHECK(second.verdict <= ROUTE_CONTEXT_WARNS && slice_equal(again, edited));
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD_BYTES)
        return 0;
    struct slice text = slice_make(data + HEAD_BYTES, size - HEAD_BYTES);
    struct json_doc *doc = json_doc_new();
    struct error err;
    bool valid = json_parse(doc, text, NULL, &err);
    json_doc_free(doc);
    CHECK(estimate_text(text) >= 0);
    if (valid)
        check((enum api_endpoint)(data[0] % API_ENDPOINT_COUNT), data, text);
    return 0;
}
