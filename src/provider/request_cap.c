// Caps that are spliced into a request: on its output, and on its effort. They
// only ever lower.
//
// Every place that a server might read is capped: each spelling, and a key that
// stands twice both times, because parsers differ on which of the two counts.
#include "request.h"

// ------------------------------------------------------------------- output

enum { THINKING_MIN = 1024 }; // Anthropic refuses a smaller budget_tokens

struct capping {
    const struct json_doc *doc;
    struct json_edits *edits;
    struct arena *arena;
    int64_t cap;
    struct slice cap_text; // made when it is first needed
    int64_t before;        // the highest; -1: none
    bool said, changed;
};

static struct slice cap_text(struct capping *c) {
    if (c->cap_text.len == 0)
        c->cap_text = arena_printf(c->arena, "%lld", (long long)c->cap);
    return c->cap_text;
}

static void cap_spelling(struct capping *c, json_ref value) {
    struct request_number n = request_number_of(c->doc, value);
    int64_t cap = request_cap_of(n);
    c->before = request_highest(c->before, cap);
    c->said |= n.kind != REQUEST_NULL;
    if (cap <= c->cap)
        return;
    json_edit_replace(c->edits, value, cap_text(c));
    c->changed = true;
}

static struct slice field_for(enum api_endpoint e, enum provider_output_field field) {
    if (e == API_RESPONSES)
        return SLICE("max_output_tokens");
    return e == API_CHAT_COMPLETIONS && field == PROVIDER_MAX_COMPLETION_TOKENS
               ? SLICE("max_completion_tokens")
               : SLICE("max_tokens");
}

// Anthropic wants budget_tokens below max_tokens. The thinking keeps the share of
// the whole that the client gave it: one token less than the cap would be
// allowed, and would buy thoughts without an answer. A budget that was not below
// max_tokens before is left: either the provider refuses it, or the request is
// one with interleaved thinking, where it may be larger.
static void fit_thinking(struct capping *c, json_ref thinking) {
    const struct json_doc *doc = c->doc;
    if (!json_string_is(doc, json_get(doc, thinking, SLICE("type")), SLICE("enabled")))
        return;
    json_ref budget = json_get(doc, thinking, SLICE("budget_tokens"));
    int64_t tokens;
    bool share_known = c->before > 0 && c->before < INT64_MAX;
    if (budget == JSON_NONE || !json_i64(doc, budget, &tokens) || tokens < c->cap ||
        (share_known && c->before <= tokens))
        return;
    if (c->cap <= THINKING_MIN) {
        json_edit_replace(c->edits, thinking, SLICE("{\"type\":\"disabled\"}"));
        return;
    }
    // Both are shares of the cap, thus below it.
    int64_t fits =
        share_known ? (int64_t)((__int128)tokens * c->cap / c->before) : c->cap / 2;
    json_edit_replace(c->edits, budget,
                      arena_printf(c->arena, "%lld",
                                   (long long)(fits > THINKING_MIN ? fits : THINKING_MIN)));
}

bool provider_cap_output(enum api_endpoint e, const struct json_doc *doc, int64_t cap,
                         enum provider_output_field field, struct json_edits *edits,
                         struct arena *arena, int64_t *before) {
    struct capping c = {.doc = doc, .edits = edits, .arena = arena, .cap = cap,
                        .before = -1};
    *before = -1;
    bool takes_one = e == API_CHAT_COMPLETIONS || e == API_COMPLETIONS || e == API_RESPONSES ||
                     e == API_MESSAGES;
    if (!takes_one || cap < 1 || !json_is(doc, JSON_ROOT, JSON_OBJECT))
        return false;
    json_ref thinking = JSON_NONE;
    enum request_field found;
    for (json_ref key = request_next(e, doc, JSON_NONE, &found); key != JSON_NONE;
         key = request_next(e, doc, key, &found)) {
        if (found == REQUEST_CAP)
            cap_spelling(&c, json_value_of(key));
        else if (found == REQUEST_THINKING)
            thinking = json_value_of(key);
    }
    *before = request_clamp(c.before);
    if (!c.said) {
        json_edit_set(edits, JSON_ROOT, field_for(e, field), cap_text(&c));
        c.changed = true;
    }
    if (c.changed && thinking != JSON_NONE)
        fit_thinking(&c, thinking);
    return c.changed;
}

// ------------------------------------------------------------------- effort

// From the least to the most. "max" is some providers' word above "xhigh"; a
// ceiling cannot be set to it, because it would be none.
#define WORD(word) {word, "\"" word "\"", "{\"effort\":\"" word "\"}"}
static const struct {
    const char *word, *quoted, *object;
} efforts[] = {
    WORD("none"), WORD("minimal"), WORD("low"), WORD("medium"), WORD("high"), WORD("xhigh"),
    WORD("max"),
};
enum { EFFORT_UNKNOWN = -1, EFFORT_MEDIUM = 3, EFFORT_XHIGH = 5 };

static int rank_of_ceiling(struct slice word) {
    for (int i = 0; i <= EFFORT_XHIGH; i++)
        if (slice_equal(word, slice_of(efforts[i].word)))
            return i;
    return EFFORT_UNKNOWN;
}

static int rank_of_value(const struct json_doc *doc, json_ref value) {
    for (int i = 0; i < (int)FARTHING_COUNT(efforts); i++)
        if (json_string_is(doc, value, slice_of(efforts[i].word)))
            return i;
    return EFFORT_UNKNOWN;
}

struct lowering {
    const struct json_doc *doc;
    struct json_edits *edits;
    int ceiling;
    struct slice before;
    bool said, changed;
};

static void lower_effort(struct lowering *l, json_ref value) {
    if (json_is_absent(l->doc, value))
        return;
    l->said = true;
    if (json_type_of(l->doc, value) != JSON_STRING)
        return;
    int rank = rank_of_value(l->doc, value);
    l->before = rank != EFFORT_UNKNOWN ? slice_of(efforts[rank].word) : json_inner(l->doc, value);
    if (rank <= l->ceiling)
        return;
    json_edit_replace(l->edits, value, slice_of(efforts[l->ceiling].quoted));
    l->changed = true;
}

// Each member of the object that has this name, whatever is said twice.
static json_ref next_named(const struct json_doc *doc, json_ref object, json_ref key,
                           struct slice name) {
    key = key == JSON_NONE ? json_first(doc, object) : json_next(doc, object, key);
    while (key != JSON_NONE && !json_string_is(doc, key, name))
        key = json_next(doc, object, key);
    return key;
}

static void lower_members(struct lowering *l, json_ref object, struct slice name) {
    for (json_ref key = next_named(l->doc, object, JSON_NONE, name); key != JSON_NONE;
         key = next_named(l->doc, object, key, name))
        lower_effort(l, json_value_of(key));
}

// Where `reasoning` is neither object nor null, the provider will say so.
static void lower_responses(struct lowering *l, json_ref *reasoning) {
    struct slice name = SLICE("reasoning");
    for (json_ref key = next_named(l->doc, JSON_ROOT, JSON_NONE, name); key != JSON_NONE;
         key = next_named(l->doc, JSON_ROOT, key, name)) {
        *reasoning = json_value_of(key);
        if (json_is(l->doc, *reasoning, JSON_OBJECT))
            lower_members(l, *reasoning, SLICE("effort"));
        else
            l->said |= !json_is_absent(l->doc, *reasoning);
    }
}

static void add_effort(struct lowering *l, enum api_endpoint e, json_ref reasoning) {
    struct slice word = slice_of(efforts[l->ceiling].quoted);
    if (e == API_CHAT_COMPLETIONS)
        json_edit_set(l->edits, JSON_ROOT, SLICE("reasoning_effort"), word);
    else if (json_is_absent(l->doc, reasoning))
        json_edit_set(l->edits, JSON_ROOT, SLICE("reasoning"),
                      slice_of(efforts[l->ceiling].object));
    else
        json_edit_set(l->edits, reasoning, SLICE("effort"), word);
    l->changed = true;
}

bool provider_cap_effort(enum api_endpoint e, const struct json_doc *doc, struct slice ceiling,
                         bool model_reasons, struct json_edits *edits, struct slice *before) {
    struct lowering l = {.doc = doc, .edits = edits, .ceiling = rank_of_ceiling(ceiling)};
    *before = SLICE_NONE;
    if ((e != API_CHAT_COMPLETIONS && e != API_RESPONSES) || l.ceiling == EFFORT_UNKNOWN ||
        !json_is(doc, JSON_ROOT, JSON_OBJECT))
        return false;
    json_ref reasoning = JSON_NONE;
    if (e == API_CHAT_COMPLETIONS)
        lower_members(&l, JSON_ROOT, SLICE("reasoning_effort"));
    else
        lower_responses(&l, &reasoning);
    if (!l.said && model_reasons && l.ceiling < EFFORT_MEDIUM)
        add_effort(&l, e, reasoning);
    *before = l.before;
    return l.changed;
}
