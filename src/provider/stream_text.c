// What the events of a stream say together, as far as they have come.
#include "farthing/provider.h"

struct reading {
    struct json_doc *doc;
    struct arena *arena;
    struct buffer text;
};

// Of the first choice: chat's content, Anthropic's text, a text completion's, or
// the delta of the responses endpoint, which is a string itself.
static void on_event(void *arg, const struct sse_event *event) {
    struct reading *r = arg;
    struct error ignored;
    if (!event->has_data || !json_parse(r->doc, slice_trim(event->data), NULL, &ignored))
        return;
    json_ref choice = json_at(r->doc, json_get(r->doc, JSON_ROOT, SLICE("choices")), 0);
    json_ref delta =
        json_get(r->doc, choice != JSON_NONE ? choice : JSON_ROOT, SLICE("delta"));
    const json_ref places[] = {json_get(r->doc, delta, SLICE("content")),
                               json_get(r->doc, delta, SLICE("text")),
                               json_get(r->doc, choice, SLICE("text")), delta};
    for (size_t i = 0; i < FARTHING_COUNT(places); i++)
        if (json_is(r->doc, places[i], JSON_STRING)) {
            buffer_append(&r->text, json_string(r->doc, places[i], r->arena));
            return;
        }
}

struct slice provider_stream_text(struct slice events, struct arena *arena) {
    struct reading r = {.doc = json_doc_new(), .arena = arena};
    struct slice end = SLICE("\n\n"); // the last event's may not be there
    struct sse *sse = sse_new(events.len + end.len);
    (void)(sse_feed(sse, events, on_event, &r) && sse_feed(sse, end, on_event, &r));
    struct slice text = arena_copy(arena, buffer_slice(&r.text));
    sse_free(sse);
    json_doc_free(r.doc);
    buffer_free(&r.text);
    return text;
}
