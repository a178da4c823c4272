// Any bytes as JSON: the verdict is compared with jansson's, and what is
// accepted is put through everything that is done to a request. The first
// bytes of the input choose which member is edited.
#include <stdio.h>
#include <stdlib.h>

#include "../check.h"
#include "farthing/json.h"
#include "verdict.h"

static void append_piece(void *arg, struct slice piece) {
    buffer_append(arg, piece);
}

static void compare_with_jansson(struct slice text, bool accepted, struct slice why) {
    const char *reason;
    enum verdict verdict = jansson_verdict(text.len > 0 ? text.ptr : "", text.len, &reason);
    // Our depth is bounded at 512, jansson's at 2048.
    if (verdict == VERDICT_UNKNOWN || slice_starts_with(why, SLICE("nested too deeply")))
        return;
    if (accepted != (verdict == VERDICT_ACCEPTED)) {
        fprintf(stderr, "accepted: %d (%.*s), jansson: %s\n", accepted, SLICE_ARG(why), reason);
        abort();
    }
}

// Touches all that the index says, as a reader of the document would.
static void walk(const struct json_doc *doc, struct arena *arena) {
    struct slice text = json_text(doc);
    json_ref container = JSON_ROOT, end = JSON_ROOT + 1;
    for (json_ref r = JSON_ROOT; r < end; r++) {
        struct slice raw = json_raw(doc, r);
        CHECK(raw.len > 0 && raw.ptr >= text.ptr && raw.ptr + raw.len <= text.ptr + text.len);
        for (json_ref child = json_first(doc, r); child != JSON_NONE;
             child = json_next(doc, r, child)) {
            json_ref last = json_type_of(doc, r) == JSON_OBJECT ? json_value_of(child) : child;
            end = last + 1 > end ? last + 1 : end;
        }
        if (json_type_of(doc, r) == JSON_OBJECT)
            container = r;
        int64_t whole;
        double number;
        if (json_i64(doc, r, &whole))
            CHECK(json_double(doc, r, &number));
        struct slice decoded = json_string(doc, r, arena);
        if (decoded.ptr != NULL)
            CHECK(json_string_is(doc, r, decoded));
    }
    (void)json_duplicate_key(doc, container);
}

// The canonical form is JSON, and its own canonical form.
static void check_canonical(struct json_doc *doc) {
    struct buffer once = {0}, twice = {0};
    struct error err;
    if (json_canonical(doc, JSON_ROOT, NULL, NULL, append_piece, &once, &err)) {
        struct json_doc *again = json_doc_new();
        CHECK(json_parse(again, buffer_slice(&once), NULL, &err));
        CHECK(json_canonical(again, JSON_ROOT, NULL, NULL, append_piece, &twice, &err));
        CHECK(slice_equal(buffer_slice(&once), buffer_slice(&twice)));
        json_doc_free(again);
    }
    buffer_free(&once);
    buffer_free(&twice);
}

// Edits on any object or array leave JSON, with what was set in it.
static void check_edits(const struct json_doc *doc, struct arena *arena, unsigned choice) {
    struct json_edits *e = json_edits_new(doc, arena);
    bool object = json_type_of(doc, JSON_ROOT) == JSON_OBJECT;
    size_t count = json_count(doc, JSON_ROOT), removed = 0;
    if (object) {
        unsigned bit = 0;
        for (json_ref key = json_first(doc, JSON_ROOT); key != JSON_NONE;
             key = json_next(doc, JSON_ROOT, key)) {
            unsigned what = choice >> (bit++ % 8 * 2) & 3;
            if (what == 1)
                json_edit_remove_key(e, JSON_ROOT, key);
            else if (what == 2)
                json_edit_replace(e, json_value_of(key), SLICE("[1]"));
            else if (what == 3 && json_type_of(doc, json_value_of(key)) == JSON_OBJECT)
                json_edit_set(e, json_value_of(key), SLICE("in"), SLICE("{}"));
        }
        json_edit_set_string(e, JSON_ROOT, SLICE("n\x01"), SLICE("v\xff"));
    } else if (json_type_of(doc, JSON_ROOT) == JSON_ARRAY) {
        json_edit_insert(e, JSON_ROOT, choice % (count + 1), SLICE("0"));
        if (count > 0)
            json_edit_replace(e, json_at(doc, JSON_ROOT, choice % count), SLICE("null"));
        for (size_t i = 0; i < count && i < 16; i++)
            if ((choice >> i & 1) != 0) {
                json_edit_remove_element(e, JSON_ROOT, json_at(doc, JSON_ROOT, i));
                removed++;
            }
    }
    struct slice edited = json_edits_apply(e);
    struct json_doc *result = json_doc_new();
    CHECK(json_parse(result, edited, NULL, NULL));
    if (object)
        CHECK(json_string_is(result, json_get(result, JSON_ROOT, SLICE("n\x01")),
                             SLICE("v\xef\xbf\xbd")));
    else if (json_type_of(doc, JSON_ROOT) == JSON_ARRAY)
        CHECK(json_count(result, JSON_ROOT) == count + 1 - removed);
    json_doc_free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    unsigned choice = size > 1 ? (unsigned)data[0] << 8 | data[size / 2] : 0;
    struct slice text = slice_make(data, size);
    struct json_doc *doc = json_doc_new();
    struct arena *arena = arena_new(256);
    struct error err = {0};
    bool accepted = json_parse(doc, text, NULL, &err);
    compare_with_jansson(text, accepted, slice_of(err.text));
    if (accepted) {
        walk(doc, arena);
        check_canonical(doc);
        check_edits(doc, arena, choice);
    }
    struct buffer quoted = {0};
    json_quote(&quoted, text);
    CHECK(json_parse(doc, buffer_slice(&quoted), NULL, &err));
    buffer_free(&quoted);
    arena_free(arena);
    json_doc_free(doc);
    return 0;
}
