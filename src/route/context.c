// Context budgets: what the parts of a request's input may be, and history that
// is cut when it is more.
#include "context.h"

#include <stdlib.h>

// A request while budgets are applied: its first items may be gone.
struct trial {
    struct context_items items;
    int64_t scale_milli;
    int64_t raw[CONFIG_CONTEXT_PART_COUNT];
    size_t gone; // items from the beginning, but the pinned ones
    bool *cuts;  // NULL: not looked for yet
};

static int64_t scaled(const struct trial *t, int64_t raw) {
    return raw * t->scale_milli / 1000;
}

// An item's tokens into (sign 1) or out of (-1) what its parts sum up to.
static void count(struct trial *t, const struct context_item *item, int sign) {
    int64_t retrieved = item->retrieved < item->tokens ? item->retrieved : item->tokens;
    t->raw[CONFIG_CONTEXT_TOTAL] += sign * item->tokens;
    t->raw[CONFIG_CONTEXT_RETRIEVED] += sign * retrieved;
    if (item->part != CONFIG_CONTEXT_TOTAL)
        t->raw[item->part] += sign * (item->tokens - retrieved);
}

static void measure(struct trial *t) {
    for (size_t i = 0; i < CONFIG_CONTEXT_PART_COUNT; i++)
        t->raw[i] = t->items.rest[i];
    for (size_t i = 0; i < t->items.count; i++)
        count(t, &t->items.items[i], 1);
}

static struct route_context report(const struct trial *t) {
    struct route_context out;
    for (size_t i = 0; i < CONFIG_CONTEXT_PART_COUNT; i++)
        out.tokens[i] = scaled(t, t->raw[i]);
    return out;
}

static bool fits(const struct trial *t, const struct config_context *budget) {
    return scaled(t, t->raw[budget->part]) <= budget->max_tokens;
}

// The first item of the turns that stay; 0 where there are no more than these.
static size_t keep_from(const struct trial *t, int64_t turns) {
    int64_t left = turns > 1 ? turns : 1; // the question is never cut
    for (size_t i = t->items.count; i-- > 0;)
        if (t->items.items[i].begins_turn && --left == 0)
            return i;
    return 0;
}

// Turn by turn from the oldest on, until it fits. False: it will not.
static bool trim(struct trial *t, const struct config_context *budget) {
    size_t end = keep_from(t, budget->keep_turns);
    if (t->cuts == NULL) {
        t->cuts = base_calloc(t->items.count + 1, sizeof *t->cuts);
        context_cuts(&t->items, t->cuts);
    }
    while (t->gone < end) {
        const struct context_item *item = &t->items.items[t->gone++];
        if (!item->pinned)
            count(t, item, -1);
        if (t->cuts[t->gone] && fits(t, budget))
            return true;
    }
    return false;
}

// What the first budget that cannot be kept says; otherwise what was done.
static enum route_context_verdict decide(struct trial *t, const struct config_route *route,
                                         const struct config_context **over) {
    const struct config_context *warned = NULL, *trimmed = NULL;
    for (size_t i = 0; i < route->context_count; i++) {
        const struct config_context *budget = &route->contexts[i];
        if (fits(t, budget))
            continue;
        if (budget->action == CONFIG_CONTEXT_WARN) {
            warned = warned == NULL ? budget : warned;
            continue;
        }
        if (budget->action == CONFIG_CONTEXT_REJECT || !trim(t, budget)) {
            *over = budget;
            return ROUTE_CONTEXT_REJECTED;
        }
        trimmed = trimmed == NULL ? budget : trimmed;
    }
    *over = trimmed != NULL ? trimmed : warned;
    return trimmed != NULL  ? ROUTE_CONTEXT_TRIMMED
           : warned != NULL ? ROUTE_CONTEXT_WARNS
                            : ROUTE_CONTEXT_FITS;
}

static void take_out(const struct trial *t, struct json_edits *edits,
                     struct route_context_result *out) {
    for (size_t i = 0; i < t->gone; i++) {
        if (t->items.items[i].pinned)
            continue;
        json_edit_remove_element(edits, t->items.array, t->items.items[i].ref);
        out->trimmed_messages++;
    }
    out->after = report(t);
    out->trimmed_tokens =
        out->before.tokens[CONFIG_CONTEXT_TOTAL] - out->after.tokens[CONFIG_CONTEXT_TOTAL];
}

static const struct config_slices *markers_of(const struct config_route *route) {
    for (size_t i = 0; i < route->context_count; i++)
        if (route->contexts[i].part == CONFIG_CONTEXT_RETRIEVED)
            return &route->contexts[i].markers;
    return NULL;
}

void route_context_apply(const struct config_route *route, enum api_endpoint e,
                         const struct json_doc *doc, int64_t scale_milli, struct json_edits *edits,
                         struct route_context_result *out) {
    *out = (struct route_context_result){.verdict = ROUTE_CONTEXT_FITS};
    if (route == NULL || route->context_count == 0)
        return; // nobody asked, and long prompts take their time
    struct trial t = {.scale_milli = scale_milli > 0 ? scale_milli : 1000};
    context_items_read(&t.items, e, doc, markers_of(route));
    measure(&t);
    out->before = out->after = report(&t);
    out->verdict = decide(&t, route, &out->over);
    if (out->verdict == ROUTE_CONTEXT_TRIMMED)
        take_out(&t, edits, out);
    free(t.cuts);
    context_items_free(&t.items);
}
