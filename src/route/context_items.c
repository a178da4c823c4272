// A request taken apart for the context budgets: which message is which part of
// it, where turns begin, and where calls and their results hold together.
#include "context.h"

#include <stdlib.h>

#include "farthing/estimate.h"

static json_ref items_of(enum api_endpoint e, const struct json_doc *doc) {
    json_ref list = JSON_NONE;
    if (e == API_CHAT_COMPLETIONS || e == API_MESSAGES)
        list = json_get(doc, JSON_ROOT, SLICE("messages"));
    else if (e == API_RESPONSES)
        list = json_get(doc, JSON_ROOT, SLICE("input"));
    return json_first(doc, list) != JSON_NONE && json_type_of(doc, list) == JSON_ARRAY ? list
                                                                                       : JSON_NONE;
}

static bool member_is(const struct json_doc *doc, json_ref object, const char *name,
                      const char *text) {
    return json_string_is(doc, json_get(doc, object, slice_of(name)), slice_of(text));
}

static bool one_of(const struct json_doc *doc, json_ref string, const char *const *words,
                   size_t count) {
    for (size_t i = 0; i < count; i++)
        if (json_string_is(doc, string, slice_of(words[i])))
            return true;
    return false;
}

// A type as it stands; no type that is known needs an escape.
static struct slice type_of(const struct json_doc *doc, json_ref object) {
    return json_inner(doc, json_get(doc, object, SLICE("type")));
}

// ------------------------------------------------------------------- retrieved

static bool is_marked(const struct json_doc *doc, json_ref text,
                      const struct config_slices *markers) {
    for (size_t i = 0; i < markers->count; i++)
        if (context_begins_with(doc, text, markers->items[i]))
            return true;
    return false;
}

// Of content in parts: those whose text is marked.
static int64_t marked_parts(const struct json_doc *doc, json_ref content,
                            const struct config_slices *markers) {
    int64_t tokens = 0;
    if (json_first(doc, content) == JSON_NONE || json_type_of(doc, content) != JSON_ARRAY)
        return 0;
    for (json_ref r = json_first(doc, content); r != JSON_NONE; r = json_next(doc, content, r))
        if (is_marked(doc, json_get(doc, r, SLICE("text")), markers))
            tokens += estimate_value(doc, r);
    return tokens;
}

static int64_t retrieved_of(const struct json_doc *doc, const struct context_item *item,
                            const struct config_slices *markers) {
    static const char *const names[] = {"retrieved", "context", "documents"};
    json_ref content = json_get(doc, item->ref, SLICE("content"));
    if (content == JSON_NONE)
        content = json_get(doc, item->ref, SLICE("output"));
    // A tool's result has the tool's name.
    bool named = item->part != CONFIG_CONTEXT_TOOL_RESULTS &&
                 one_of(doc, json_get(doc, item->ref, SLICE("name")), names, FARTHING_COUNT(names));
    if (named || is_marked(doc, content, markers))
        return item->tokens;
    return marked_parts(doc, content, markers);
}

// ----------------------------------------------------------------------- items

static bool has_tool_result(const struct json_doc *doc, json_ref message) {
    json_ref content = json_get(doc, message, SLICE("content"));
    for (json_ref r = json_first(doc, content); r != JSON_NONE; r = json_next(doc, content, r))
        if (json_type_of(doc, content) == JSON_ARRAY && member_is(doc, r, "type", "tool_result"))
            return true;
    return false;
}

static enum config_context_part part_of(enum api_endpoint e, const struct json_doc *doc,
                                        json_ref item) {
    static const char *const tools[] = {"tool", "function"};
    json_ref role = json_get(doc, item, SLICE("role"));
    if (json_string_is(doc, role, SLICE("system")))
        return CONFIG_CONTEXT_SYSTEM;
    if (json_string_is(doc, role, SLICE("developer")))
        return CONFIG_CONTEXT_DEVELOPER;
    if (one_of(doc, role, tools, FARTHING_COUNT(tools)) ||
        (role == JSON_NONE && slice_ends_with(type_of(doc, item), SLICE("_output"))) ||
        (e == API_MESSAGES && has_tool_result(doc, item)))
        return CONFIG_CONTEXT_TOOL_RESULTS;
    return CONFIG_CONTEXT_HISTORY;
}

static void add(struct context_items *c, json_ref ref, const struct config_slices *markers) {
    if (c->count == c->cap) {
        c->cap = c->cap == 0 ? 32 : c->cap * 2;
        c->items = base_realloc(c->items, c->cap * sizeof *c->items);
    }
    struct context_item *item = &c->items[c->count++];
    *item = (struct context_item){
        .ref = ref,
        .part = part_of(c->endpoint, c->doc, ref),
        .tokens = estimate_value(c->doc, ref),
    };
    item->pinned = item->part == CONFIG_CONTEXT_SYSTEM || item->part == CONFIG_CONTEXT_DEVELOPER;
    if (markers != NULL)
        item->retrieved = retrieved_of(c->doc, item, markers);
}

// A turn begins with a user's message, or with several in a row; the question is
// what the last turn begins with.
static void find_turns(struct context_items *c) {
    bool asking = false;
    size_t last = c->count;
    for (size_t i = 0; i < c->count; i++) {
        struct context_item *item = &c->items[i];
        if (item->pinned)
            continue;
        bool user =
            item->part == CONFIG_CONTEXT_HISTORY && member_is(c->doc, item->ref, "role", "user");
        item->begins_turn = user && !asking;
        if (item->begins_turn)
            last = i;
        asking = user;
    }
    for (size_t i = last; i < c->count; i++) {
        struct context_item *item = &c->items[i];
        if (item->pinned)
            continue;
        if (item->part != CONFIG_CONTEXT_HISTORY || !member_is(c->doc, item->ref, "role", "user"))
            break;
        item->part = CONFIG_CONTEXT_TOTAL;
    }
}

static void read_rest(struct context_items *c, const struct config_slices *markers) {
    json_ref system = JSON_NONE;
    if (c->endpoint == API_MESSAGES)
        system = json_get(c->doc, JSON_ROOT, SLICE("system"));
    else if (c->endpoint == API_RESPONSES)
        system = json_get(c->doc, JSON_ROOT, SLICE("instructions"));
    int64_t tokens = json_is_absent(c->doc, system) ? 0 : estimate_value(c->doc, system);
    int64_t retrieved = 0;
    if (markers != NULL && tokens > 0)
        retrieved =
            is_marked(c->doc, system, markers) ? tokens : marked_parts(c->doc, system, markers);
    int64_t all = estimate_input_without(c->endpoint, c->doc, c->array);
    c->rest[CONFIG_CONTEXT_RETRIEVED] = retrieved;
    c->rest[CONFIG_CONTEXT_SYSTEM] = tokens - retrieved;
    c->rest[CONFIG_CONTEXT_TOTAL] = all;
}

void context_items_read(struct context_items *c, enum api_endpoint e, const struct json_doc *doc,
                        const struct config_slices *markers) {
    c->endpoint = e;
    c->doc = doc;
    c->array = items_of(e, doc);
    if (c->array != JSON_NONE)
        for (json_ref r = json_first(doc, c->array); r != JSON_NONE;
             r = json_next(doc, c->array, r))
            add(c, r, markers);
    find_turns(c);
    read_rest(c, markers);
}

void context_items_free(struct context_items *c) {
    free(c->items);
    *c = (struct context_items){0};
}

// ----------------------------------------------------------------------- pairs

struct pairs {
    const struct json_doc *doc;
    struct arena *arena; // decoded ids
    struct table *calls; // id to index of its item + 1
    int32_t *open;       // change of the number of pairs that are open before an item
};

static void note_call(struct pairs *p, json_ref id, size_t index) {
    struct slice key = json_string(p->doc, id, p->arena);
    if (key.len > 0)
        (void)table_put(p->calls, key, (void *)(uintptr_t)(index + 1));
}

static void note_answer(struct pairs *p, json_ref id, size_t index) {
    struct slice key = json_string(p->doc, id, p->arena);
    uintptr_t call = key.len > 0 ? (uintptr_t)table_get(p->calls, key) : 0;
    if (call == 0)
        return;
    p->open[call]++;      // no cut before any item from the one behind the call
    p->open[index + 1]--; // to the answer
}

// Chat's tool_calls and Anthropic's blocks.
static void note_list(struct pairs *p, json_ref list, size_t index) {
    for (json_ref r = json_first(p->doc, list); r != JSON_NONE; r = json_next(p->doc, list, r)) {
        if (json_type_of(p->doc, list) != JSON_ARRAY)
            return;
        json_ref answered = json_get(p->doc, r, SLICE("tool_use_id"));
        if (answered != JSON_NONE)
            note_answer(p, answered, index);
        else
            note_call(p, json_get(p->doc, r, SLICE("id")), index);
    }
}

static void note_item(struct pairs *p, json_ref item, size_t index) {
    json_ref call = json_get(p->doc, item, SLICE("call_id"));
    note_answer(p, json_get(p->doc, item, SLICE("tool_call_id")), index);
    note_answer(p, json_get(p->doc, item, SLICE("approval_request_id")), index);
    if (slice_ends_with(type_of(p->doc, item), SLICE("_output")))
        note_answer(p, call, index);
    else
        note_call(p, call, index);
    if (slice_equal(type_of(p->doc, item), SLICE("mcp_approval_request")))
        note_call(p, json_get(p->doc, item, SLICE("id")), index);
    note_list(p, json_get(p->doc, item, SLICE("tool_calls")), index);
    note_list(p, json_get(p->doc, item, SLICE("content")), index);
}

void context_cuts(const struct context_items *c, bool *cuts) {
    struct pairs p = {.doc = c->doc,
                      .arena = arena_new(1024),
                      .calls = table_new(),
                      .open = base_calloc(c->count + 2, sizeof *p.open)};
    for (size_t i = 0; i < c->count; i++)
        if (!c->items[i].pinned)
            note_item(&p, c->items[i].ref, i);
    int64_t open = 0;
    for (size_t i = 0; i < c->count; i++) {
        open += p.open[i];
        cuts[i] = c->items[i].begins_turn && open == 0;
    }
    free(p.open);
    table_free(p.calls);
    arena_free(p.arena);
}
