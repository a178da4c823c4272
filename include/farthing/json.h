// json: an index over the original bytes, and what is done with it: lookup,
// iteration, decoding, splice edits, canonical form, and a writer.
//
// Strict RFC 8259: one value, UTF-8 checked, no BOM, no comments, no trailing
// comma, lone surrogate escapes refused. The bytes are never copied or
// changed; the index points into them, so they must outlive it. No recursion
// on input depth anywhere.
#ifndef FARTHING_JSON_H
#define FARTHING_JSON_H

#include "farthing/base.h"

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

// A value's place in the index. In an object, a key is a JSON_STRING node
// directly followed by its value's node.
typedef uint32_t json_ref;
#define JSON_NONE ((json_ref)UINT32_MAX)
#define JSON_ROOT ((json_ref)0)

struct json_doc;

struct json_limits {
    uint32_t depth;     // nesting; 0: 512
    size_t bytes;       // 0: 1 GiB (offsets are 32 bits)
};

// A reusable document: parsing again reuses its memory. One thread at a time.
struct json_doc *json_doc_new(void);
void json_doc_free(struct json_doc *doc);

// Indexes `text`. False: err says what and at which byte offset, and the doc
// is empty. limits NULL: defaults.
bool json_parse(struct json_doc *doc, struct slice text, const struct json_limits *limits,
                struct error *err) FARTHING_MUST_CHECK;
struct slice json_text(const struct json_doc *doc); // what was parsed

enum json_type json_type_of(const struct json_doc *doc, json_ref ref);
bool json_is(const struct json_doc *doc, json_ref ref, enum json_type type); // JSON_NONE, of no doc too: false
// The value's own bytes, as they stand (strings with their quotes).
struct slice json_raw(const struct json_doc *doc, json_ref ref);
// Number of elements or members; 0 for scalars. O(children).
size_t json_count(const struct json_doc *doc, json_ref ref);

// First element of an array or first KEY of an object; JSON_NONE when empty.
json_ref json_first(const struct json_doc *doc, json_ref container);
// Next sibling element, or next KEY from a key; JSON_NONE at the end.
json_ref json_next(const struct json_doc *doc, json_ref container, json_ref ref);
static inline json_ref json_value_of(json_ref key) {
    return key + 1;
}

// The value of the member called `name` (compared decoded), or JSON_NONE;
// JSON_NONE also when `object` is JSON_NONE or no object, so look-ups chain.
// With duplicate keys, the first. See json_duplicate_key.
json_ref json_get(const struct json_doc *doc, json_ref object, struct slice name);
json_ref json_at(const struct json_doc *doc, json_ref array, size_t index);
// The first key that stands twice in this one object, or JSON_NONE. Linear.
json_ref json_duplicate_key(const struct json_doc *doc, json_ref object);

// Decoded string: points into the text when it has no escapes, else copied
// into the arena. Not a string: SLICE_NONE (ptr == NULL).
struct slice json_string(const struct json_doc *doc, json_ref ref, struct arena *arena);
bool json_string_is(const struct json_doc *doc, json_ref ref, struct slice text);
// What stands between the quotes of a string or key, escapes as they are. Not a
// string: SLICE_NONE.
struct slice json_inner(const struct json_doc *doc, json_ref ref);
// Whole numbers only, in any spelling (1, 1.0, 1e3); false when out of range,
// with a fraction, or not a number.
bool json_i64(const struct json_doc *doc, json_ref ref, int64_t *out) FARTHING_MUST_CHECK;
// The nearest double; false when it overflows, or is not a number.
bool json_double(const struct json_doc *doc, json_ref ref, double *out) FARTHING_MUST_CHECK;
bool json_is_true(const struct json_doc *doc, json_ref ref); // JSON_NONE: false
// Missing, or null.
bool json_is_absent(const struct json_doc *doc, json_ref ref);

// ------------------------------------------------------------ canonical

// RFC 8785 order (members by UTF-16 code units) and spelling of strings, with
// numbers by value and without loss: digits are compared exactly, so `1`,
// `1.0` and `1e0` are one spelling while 2^53 and 2^53+1 stay two. (RFC 8785
// itself would round both to a double.) Emits the canonical bytes in pieces.
typedef void json_sink(void *arg, struct slice piece);
// True: leave this member of the root object out. `name` is decoded.
typedef bool json_skip(void *arg, struct slice name, json_ref value);

// False only for a duplicate key in any object (err says where).
bool json_canonical(const struct json_doc *doc, json_ref ref, json_skip *skip, void *skip_arg,
                    json_sink *sink, void *sink_arg, struct error *err) FARTHING_MUST_CHECK;

// ----------------------------------------------------------------- edits

// Splice edits against the parsed text, applied in one pass. The doc is not
// changed; the result is new bytes. Edits may be added in any order: of two
// values for one place the later counts, and what lies inside something that is
// replaced or removed goes with it. Strings given to them must live until
// json_edits_apply.
struct json_edits;

struct json_edits *json_edits_new(const struct json_doc *doc, struct arena *arena);
bool json_edits_empty(const struct json_edits *e);
// Sets a member of `object` to raw JSON: replaces its value, or adds the
// member at the end of the object.
void json_edit_set(struct json_edits *e, json_ref object, struct slice name, struct slice raw);
void json_edit_set_string(struct json_edits *e, json_ref object, struct slice name, struct slice text);
void json_edit_remove(struct json_edits *e, json_ref object, struct slice name); // absent: nothing
void json_edit_remove_key(struct json_edits *e, json_ref object, json_ref key);
void json_edit_remove_element(struct json_edits *e, json_ref array, json_ref element);
void json_edit_replace(struct json_edits *e, json_ref value, struct slice raw);
// Inserts raw JSON as an element before the index-th, or at the end.
void json_edit_insert(struct json_edits *e, json_ref array, size_t index, struct slice raw);
// Everything but the edits byte for byte. Returns the arena's bytes, or the
// original slice when there is no edit.
struct slice json_edits_apply(struct json_edits *e);

// ---------------------------------------------------------------- writer

// Appends well-formed JSON to a buffer; commas and quotes are the writer's
// affair. Invalid UTF-8 in strings becomes U+FFFD.
struct json_writer {
    struct buffer *out;
    uint64_t has_member; // one bit a level
    unsigned depth;      // at most 63
    bool after_key;
};

void json_write_start(struct json_writer *w, struct buffer *out);
void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
// Of the outermost, which begins at `start`. False: it is empty, and taken back.
bool json_array_end_or_drop(struct json_writer *w, size_t start);
void json_key(struct json_writer *w, struct slice name);
void json_put_string(struct json_writer *w, struct slice text);
void json_put_i64(struct json_writer *w, int64_t value);
void json_put_u64(struct json_writer *w, uint64_t value);
void json_put_bool(struct json_writer *w, bool value);
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, struct slice raw); // already JSON
// Quoted and escaped, without a writer.
void json_quote(struct buffer *out, struct slice text);

#endif
