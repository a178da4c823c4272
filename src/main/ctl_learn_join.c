// Outcomes of live traffic: what gates said of a request's answers, what a shadow
// found out, what people said afterwards. Three kinds of lines, joined by request_id,
// in any order and over any number of files.
//
// A request's labels are those of the first and the last tier of its chain:
// - from its own outcomes, of the attempts that it made;
// - feedback is about the answer that the client got, so it takes the place of what
//   the gate said of the last one; the newest feedback counts (by ts, else by place);
// - what is still not known, a shadow of the request may know.
// A row whose first tier is not known teaches nothing. Where only the last tier is not
// known, its answer is taken as good: it was not asked because the first one's was good
// enough for the gate, and without an escalation there is nobody to say otherwise.
//
// Memory: prompts are not kept, which is why files are read twice; only what is known of
// each request is, some 150 bytes. REQUESTS_MAX bounds it, at about 600 MB.
#include "ctl_learn_join.h"

#include <stdlib.h>

enum { REQUESTS_MAX = 4000000, TS_LEN = 24 };

enum known { UNKNOWN, BAD, GOOD };
enum place { NEITHER, SMALL, LARGE, PLACES };

struct request {
    uint8_t own[PLACES], shadow[PLACES]; // enum known
    uint8_t feedback;                    // enum known
    uint8_t last;                        // enum place, of the answer that the client got
    bool has_line, used;
    char feedback_ts[TS_LEN]; // of RFC 3339, so they compare as bytes; zeroes: it said none
};

struct ctl_join {
    struct table *requests;
    struct arena *arena;
};

struct ctl_join *ctl_join_new(void) {
    struct ctl_join *j = base_calloc(1, sizeof *j);
    j->requests = table_new();
    j->arena = arena_new(1 << 16);
    return j;
}

void ctl_join_free(struct ctl_join *j) {
    if (j == NULL)
        return;
    table_free(j->requests);
    arena_free(j->arena);
    free(j);
}

// --------------------------------------------------------------------- lines

static bool has(const struct json_doc *doc, struct slice name) {
    return !json_is_absent(doc, json_get(doc, JSON_ROOT, name));
}

static struct slice text_of(const struct json_doc *doc, struct slice name, struct arena *arena) {
    return json_string(doc, json_get(doc, JSON_ROOT, name), arena);
}

static enum known known_of(const struct json_doc *doc, json_ref value) {
    if (json_is_true(doc, value))
        return GOOD;
    return value != JSON_NONE && json_type_of(doc, value) == JSON_FALSE ? BAD : UNKNOWN;
}

bool ctl_join_is_for(const struct json_doc *doc) {
    return (has(doc, SLICE("outcomes")) || has(doc, SLICE("feedback"))) &&
           !has(doc, SLICE("small_ok")) && !has(doc, SLICE("large_ok"));
}

// Feedback and shadows are about a request that is elsewhere.
static bool is_own(const struct json_doc *doc) {
    return has(doc, SLICE("outcomes")) && !has(doc, SLICE("shadow_of"));
}

// Whose it is; empty: it does not say.
static struct slice request_of(const struct json_doc *doc, struct arena *arena) {
    return text_of(doc, has(doc, SLICE("shadow_of")) ? SLICE("shadow_of") : SLICE("request_id"),
                   arena);
}

// Of a chain of one there is nothing to choose; a tier that is not of the chain says no
// place.
static enum place place_of(const struct json_doc *doc, json_ref outcome) {
    int64_t place, places;
    if (!json_i64(doc, json_get(doc, outcome, SLICE("place")), &place) ||
        !json_i64(doc, json_get(doc, outcome, SLICE("places")), &places) || places < 2)
        return NEITHER;
    return place == 0 ? SMALL : place == places - 1 ? LARGE : NEITHER;
}

// A tier may have been tried twice, with two of its models: the later one is what it could
// do. Returns the place of the last.
static enum place read_outcomes(const struct json_doc *doc, uint8_t out[PLACES]) {
    json_ref list = json_get(doc, JSON_ROOT, SLICE("outcomes"));
    enum place last = NEITHER;
    if (list == JSON_NONE || json_type_of(doc, list) != JSON_ARRAY)
        return last;
    for (json_ref at = json_first(doc, list); at != JSON_NONE; at = json_next(doc, list, at)) {
        enum known ok = known_of(doc, json_get(doc, at, SLICE("ok")));
        last = place_of(doc, at);
        if (last != NEITHER && ok != UNKNOWN)
            out[last] = (uint8_t)ok;
    }
    return last;
}

static void read_feedback(struct request *r, const struct json_doc *doc, struct arena *arena) {
    enum known said = known_of(doc, json_get(doc, JSON_ROOT, SLICE("feedback")));
    struct slice ts = text_of(doc, SLICE("ts"), arena);
    char when[TS_LEN] = {0};
    if (said == UNKNOWN)
        return;
    if (ts.len == TS_LEN)
        memcpy(when, ts.ptr, TS_LEN);
    bool both = when[0] != '\0' && r->feedback_ts[0] != '\0';
    if (both && memcmp(when, r->feedback_ts, TS_LEN) < 0)
        return;
    r->feedback = (uint8_t)said;
    memcpy(r->feedback_ts, when, TS_LEN);
}

static struct request *find_or_add(struct ctl_join *j, struct slice id) {
    struct request *r = table_get(j->requests, id);
    if (r != NULL || table_count(j->requests) >= REQUESTS_MAX)
        return r;
    r = arena_calloc(j->arena, sizeof *r);
    table_put(j->requests, id, r);
    return r;
}

void ctl_join_note(struct ctl_join *j, const struct json_doc *doc, struct arena *arena) {
    struct slice id = request_of(doc, arena);
    struct request *r = id.len > 0 ? find_or_add(j, id) : NULL;
    if (r == NULL)
        return;
    if (is_own(doc)) {
        r->last = (uint8_t)read_outcomes(doc, r->own);
        r->has_line = true;
    } else if (has(doc, SLICE("outcomes"))) {
        (void)read_outcomes(doc, r->shadow);
    } else {
        read_feedback(r, doc, arena);
    }
}

// -------------------------------------------------------------------- labels

static enum known label_of(const struct request *r, enum place place) {
    if (r->feedback != UNKNOWN && r->last == place)
        return r->feedback;
    return r->own[place] != UNKNOWN ? r->own[place] : r->shadow[place];
}

enum ctl_row_state ctl_join_row(struct ctl_join *j, const struct json_doc *doc,
                                struct arena *arena, struct ctl_row *row) {
    struct slice id = request_of(doc, arena);
    if (id.len == 0)
        return CTL_ROW_NO_REQUEST;
    struct request *r = table_get(j->requests, id);
    if (r == NULL) // there were too many, or its line was still being written at first
        return table_count(j->requests) >= REQUESTS_MAX ? CTL_ROW_LEFT_OUT : CTL_ROW_NO_OUTCOME;
    if (!is_own(doc))
        return r->has_line ? CTL_ROW_JOINED : CTL_ROW_ALONE;
    if (r->used)
        return CTL_ROW_REPEATED;
    enum known small = label_of(r, SMALL), large = label_of(r, LARGE);
    if (small == UNKNOWN)
        return CTL_ROW_NO_OUTCOME;
    r->used = true;
    row->small_ok = small == GOOD;
    row->large_ok = large != BAD;
    row->assumed = large == UNKNOWN;
    return CTL_ROW_GOOD;
}
