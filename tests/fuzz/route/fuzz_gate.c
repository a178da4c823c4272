// Any request and any answer, one JSON each, with a NUL byte between: a gate with
// all reasons, on the whole answer and on a text as the head of a stream.
#include "../check.h"
#include "farthing/gate.h"

enum { WORDS_MAX = 8192 };

static const struct slice must[] = {{"a|b", 3}}, must_not[] = {{"(x+)+y", 6}};
static const struct slice scripts[] = {{"latin", 5}, {"han", 3}};
static struct config_route route = {
    .escalate_on = UINT32_MAX,
    .gate = {.must_match = {must, 1}, .must_not_match = {must_not, 1}, .min_characters = 3,
             .scripts = {scripts, 2}},
};

static void check_result(struct gate_result r) {
    CHECK(r.reason <= GATE_NONE);
    CHECK((r.reason == GATE_NONE) == (r.violation.len == 0));
    CHECK(r.violation.len < WORDS_MAX);
    for (size_t at = 0, n; at < r.violation.len; at += n) {
        n = slice_utf8(slice_from(r.violation, at));
        CHECK(n > 0);
    }
}

static void check(const struct gate_book *book, enum api_endpoint e, bool own_cap,
                  struct slice request, struct slice answer) {
    struct arena *arena = arena_new(1024);
    struct json_doc *doc = json_doc_new();
    struct error err;
    if (json_parse(doc, request, NULL, &err)) {
        const struct gate *g = gate_new(book, &route, e, doc, arena);
        if (json_parse(doc, answer, NULL, &err)) {
            check_result(gate_judge(g, doc, own_cap, arena));
            struct slice text = json_string(doc, JSON_ROOT, arena);
            check_result(gate_judge_text(g, text.ptr != NULL ? text : answer, arena));
        }
    }
    json_doc_free(doc);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct gate_book *book;
    if (book == NULL) {
        const struct config config = {.routes = &route, .route_count = 1};
        book = gate_book_new(&config, NULL);
    }
    if (size < 1)
        return 0;
    struct slice rest = slice_make(data + 1, size - 1), request, answer = SLICE("");
    CHECK(slice_split(&rest, '\0', &request));
    if (rest.ptr != NULL)
        answer = rest;
    check(book, (enum api_endpoint)(data[0] % API_ENDPOINT_COUNT), (data[0] & 0x80) != 0, request,
          answer);
    return 0;
}
