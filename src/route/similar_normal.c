// Normalizers, as Hugging Face's tokenizers do them, as far as models of model2vec use
// them. What is not supported is an error when the file is read: a text that is read
// otherwise than the table was made would lie somewhere else.
#include "similar_normal.h"

#include <stdlib.h>

#include "signals_char.h"
#include "similar_unicode.h"

enum normal_kind {
    NORMAL_CLEAN,   // no control characters; every white space is a blank
    NORMAL_HAN,     // blanks around ideographs
    NORMAL_FORM,    // NFC, NFD, NFKC, NFKD
    NORMAL_ACCENTS, // no marks of category Mn
    NORMAL_MARKS,   // no marks at all
    NORMAL_LOWER,
    NORMAL_STRIP,   // no white space at an end
    NORMAL_REPLACE, // one text by another
    NORMAL_SPACES,  // each run of white space by a text
    NORMAL_BLANKS,  // each run of two or more blanks by a text
    NORMAL_PREPEND,
    NORMAL_CHARSMAP,
};

struct normal_step {
    enum normal_kind kind;
    enum unicode_form form; // FORM
    bool left, right;       // STRIP
    char *from, *to;        // REPLACE and others; owned
    size_t from_len, to_len;
    struct charsmap *map;
};

enum { STEPS_MAX = 256, NESTING_MAX = 8 };

// -------------------------------------------------------------------- steps

static void apply_replace(const struct normal_step *step, struct slice text, struct buffer *out) {
    struct slice from = slice_make(step->from, step->from_len);
    ptrdiff_t at;
    while (out->len <= NORMAL_BYTES_MAX && (at = slice_find(text, from)) >= 0) {
        buffer_append(out, slice_make(text.ptr, (size_t)at));
        buffer_append(out, slice_make(step->to, step->to_len));
        text = slice_from(text, (size_t)at + from.len);
    }
    buffer_append(out, text);
}

static void apply_strip(const struct normal_step *step, struct slice text, struct buffer *out) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    const uint8_t *first = NULL, *last = at; // behind the last that is no white space
    for (unsigned len; at < end; at += len) {
        if ((unicode_class(signals_decode(at, end, &len)) & UNICODE_SPACE) != 0)
            continue;
        first = first != NULL ? first : at;
        last = at + len;
    }
    if (first == NULL) // nothing else
        return;
    const uint8_t *from = step->left ? first : (const uint8_t *)text.ptr;
    buffer_append(out, slice_make(from, (size_t)((step->right ? last : end) - from)));
}

static void apply_runs(const struct normal_step *step, struct slice text, struct buffer *out) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    size_t least = step->kind == NORMAL_BLANKS ? 2 : 1;
    for (unsigned len; at < end && out->len <= NORMAL_BYTES_MAX;) {
        const uint8_t *from = at;
        for (; at < end; at += len) {
            uint32_t code = signals_decode(at, end, &len);
            if (step->kind == NORMAL_BLANKS ? code != ' ' : !(unicode_class(code) & UNICODE_SPACE))
                break;
        }
        if ((size_t)(at - from) >= least)
            buffer_append(out, slice_make(step->to, step->to_len));
        else
            buffer_append(out, slice_make(from, (size_t)(at - from)));
        if (at < end) {
            signals_decode(at, end, &len);
            buffer_append(out, slice_make(at, len));
            at += len;
        }
    }
}

static void put_clean(uint32_t code, uint8_t class, struct buffer *out) {
    bool blank = (class & UNICODE_SPACE) != 0 &&
                 (code == '\t' || code == '\n' || code == '\r' || (class & UNICODE_CONTROL) == 0);
    if (blank)
        buffer_append_char(out, ' ');
    else if (code != 0 && code != 0xFFFD && (class & UNICODE_CONTROL) == 0)
        unicode_put(out, code);
}

static void put_lower(uint32_t code, struct buffer *out) {
    if (code == 0x130) { // the one letter whose lower case is two: i, and a dot above
        BUFFER_LITERAL(out, "i\xCC\x87");
        return;
    }
    unicode_put(out, unicode_lower(code));
}

static void put_han(uint32_t code, struct buffer *out) {
    if (unicode_is_han(code)) {
        buffer_append_char(out, ' ');
        unicode_put(out, code);
        buffer_append_char(out, ' ');
    } else {
        unicode_put(out, code);
    }
}

// The steps that look at one character after the other.
static void apply_each(enum normal_kind kind, struct slice text, struct buffer *out) {
    const uint8_t *at = (const uint8_t *)text.ptr, *end = at + text.len;
    buffer_reserve(out, text.len);
    for (unsigned len; at < end; at += len) {
        uint32_t code = signals_decode(at, end, &len);
        uint8_t class = unicode_class(code);
        if (kind == NORMAL_CLEAN)
            put_clean(code, class, out);
        else if (kind == NORMAL_HAN)
            put_han(code, out);
        else if (kind == NORMAL_LOWER)
            put_lower(code, out);
        else if ((class & (kind == NORMAL_ACCENTS ? UNICODE_ACCENT : UNICODE_MARK)) == 0)
            unicode_put(out, code);
    }
}

static void apply_step(const struct normal_step *step, struct slice text, struct buffer *out) {
    switch (step->kind) {
    case NORMAL_REPLACE:
        apply_replace(step, text, out);
        break;
    case NORMAL_STRIP:
        apply_strip(step, text, out);
        break;
    case NORMAL_SPACES:
    case NORMAL_BLANKS:
        apply_runs(step, text, out);
        break;
    case NORMAL_PREPEND:
        if (text.len > 0)
            buffer_append(out, slice_make(step->to, step->to_len));
        buffer_append(out, text);
        break;
    case NORMAL_CHARSMAP:
        charsmap_apply(step->map, text, out);
        break;
    case NORMAL_FORM:
        unicode_normalize(step->form, text, NORMAL_BYTES_MAX, out);
        break;
    case NORMAL_CLEAN:
    case NORMAL_HAN:
    case NORMAL_ACCENTS:
    case NORMAL_MARKS:
    case NORMAL_LOWER:
        apply_each(step->kind, text, out);
        break;
    }
}

void normal_apply(const struct normal *n, struct slice text, struct buffer *out) {
    struct buffer one = {0}, other = {0};
    for (size_t i = 0; i < n->count && text.len > 0; i++) { // of nothing comes nothing
        apply_step(&n->steps[i], text, &other);
        struct buffer spare = one;
        one = other;
        other = spare;
        buffer_clear(&other);
        text = buffer_slice(&one);
        // A map or a replacement that makes much of little must not go on doing so.
        if (text.len > NORMAL_BYTES_MAX)
            text.len = NORMAL_BYTES_MAX;
    }
    buffer_append(out, text);
    buffer_free(&one);
    buffer_free(&other);
}

// ------------------------------------------------------------------ reading

struct reader {
    struct normal *normal;
    const struct json_doc *doc;
    struct arena *arena;
    struct error *err;
};

static char *keep(struct slice text, size_t *len) {
    *len = text.len;
    return slice_dup(text.ptr != NULL ? text : SLICE(""));
}

static struct normal_step *add(struct reader *r, enum normal_kind kind) {
    struct normal *n = r->normal;
    n->steps = base_realloc(n->steps, (n->count + 1) * sizeof *n->steps);
    n->steps[n->count] = (struct normal_step){.kind = kind};
    return &n->steps[n->count++];
}

static json_ref member(const struct reader *r, json_ref at, const char *name) {
    return json_get(r->doc, at, slice_of(name));
}

// A flag's value, or what holds where it is not said.
static bool flag(const struct reader *r, json_ref at, const char *name, bool otherwise) {
    json_ref value = member(r, at, name);
    return json_is_absent(r->doc, value) ? otherwise : json_is_true(r->doc, value);
}

static bool read_bert(struct reader *r, json_ref at) {
    bool lower = flag(r, at, "lowercase", true);
    if (flag(r, at, "clean_text", true))
        add(r, NORMAL_CLEAN);
    if (flag(r, at, "handle_chinese_chars", true))
        add(r, NORMAL_HAN);
    if (flag(r, at, "strip_accents", lower)) {
        add(r, NORMAL_FORM)->form = UNICODE_NFD;
        add(r, NORMAL_ACCENTS);
    }
    if (lower)
        add(r, NORMAL_LOWER);
    return true;
}

static bool read_replace(struct reader *r, json_ref at) {
    json_ref pattern = member(r, at, "pattern");
    struct slice text = json_string(r->doc, member(r, pattern, "String"), r->arena);
    struct slice regex = json_string(r->doc, member(r, pattern, "Regex"), r->arena);
    struct slice to = json_string(r->doc, member(r, at, "content"), r->arena);
    if (to.ptr == NULL || (text.ptr == NULL && regex.ptr == NULL))
        return error_set(r->err, "normalizer Replace: pattern or content is missing");
    if (text.ptr == NULL && !slice_equal(regex, SLICE("\\s+")) &&
        !slice_equal(regex, SLICE(" {2,}")))
        return error_set(r->err,
                         "normalizer Replace with the regular expression \"%.*s\" is not "
                         "supported: only \"\\s+\" and \" {2,}\" are",
                         (int)(regex.len < 80 ? regex.len : 80), regex.ptr);
    if (text.ptr != NULL && text.len == 0)
        return true; // nothing is replaced
    struct normal_step *step = add(r, text.ptr != NULL                    ? NORMAL_REPLACE
                                      : slice_equal(regex, SLICE("\\s+")) ? NORMAL_SPACES
                                                                          : NORMAL_BLANKS);
    step->from = keep(text, &step->from_len);
    step->to = keep(to, &step->to_len);
    return true;
}

static bool read_charsmap(struct reader *r, json_ref at) {
    struct slice text = json_string(r->doc, member(r, at, "precompiled_charsmap"), r->arena);
    struct charsmap *map = charsmap_parse(text, r->err);
    if (map != NULL)
        add(r, NORMAL_CHARSMAP)->map = map;
    return map != NULL;
}

static bool read_strip(struct reader *r, json_ref at) {
    struct normal_step *step = add(r, NORMAL_STRIP);
    step->left = flag(r, at, "strip_left", true);
    step->right = flag(r, at, "strip_right", true);
    return true;
}

static bool read_prepend(struct reader *r, json_ref at) {
    struct slice to = json_string(r->doc, member(r, at, "prepend"), r->arena);
    struct normal_step *step = add(r, NORMAL_PREPEND);
    step->to = keep(to, &step->to_len);
    return true;
}

static bool read_step(struct reader *r, json_ref at, unsigned nesting);

static bool is_type(const struct reader *r, json_ref at, struct slice type) {
    json_ref value = member(r, at, "type");
    return value != JSON_NONE && json_string_is(r->doc, value, type);
}

static bool read_sequence(struct reader *r, json_ref at, unsigned nesting) {
    json_ref list = member(r, at, "normalizers");
    if (list == JSON_NONE || json_type_of(r->doc, list) != JSON_ARRAY || nesting == NESTING_MAX)
        return error_set(r->err, "normalizer Sequence: it has no list, or is nested too deeply");
    for (json_ref i = json_first(r->doc, list); i != JSON_NONE; i = json_next(r->doc, list, i)) {
        if (!read_step(r, i, nesting + 1))
            return false;
    }
    return true;
}

static bool read_step(struct reader *r, json_ref at, unsigned nesting) {
    static const struct {
        const char *type;
        bool (*read)(struct reader *r, json_ref at);
    } kinds[] = {
        {"BertNormalizer", read_bert}, {"Replace", read_replace}, {"Precompiled", read_charsmap},
        {"Strip", read_strip},         {"Prepend", read_prepend},
    };
    static const struct {
        const char *type;
        struct normal_step step;
    } plain[] = {
        {"NFC", {.kind = NORMAL_FORM, .form = UNICODE_NFC}},
        {"NFD", {.kind = NORMAL_FORM, .form = UNICODE_NFD}},
        {"NFKC", {.kind = NORMAL_FORM, .form = UNICODE_NFKC}},
        {"NFKD", {.kind = NORMAL_FORM, .form = UNICODE_NFKD}},
        {"Lowercase", {.kind = NORMAL_LOWER}},
        {"StripAccents", {.kind = NORMAL_MARKS}},
    };
    if (r->normal->count >= STEPS_MAX)
        return error_set(r->err, "more than %d normalizers", STEPS_MAX);
    if (is_type(r, at, SLICE("Sequence")))
        return read_sequence(r, at, nesting);
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++)
        if (is_type(r, at, slice_of(kinds[i].type)))
            return kinds[i].read(r, at);
    for (size_t i = 0; i < FARTHING_COUNT(plain); i++)
        if (is_type(r, at, slice_of(plain[i].type))) {
            *add(r, plain[i].step.kind) = plain[i].step;
            return true;
        }
    struct slice type = json_string(r->doc, member(r, at, "type"), r->arena);
    return error_set(r->err,
                     "normalizer \"%.*s\" is not supported: BertNormalizer, Sequence, NFC, NFD, "
                     "NFKC, NFKD, Lowercase, StripAccents, Strip, Replace, Prepend and "
                     "Precompiled are",
                     (int)(type.len < 40 ? type.len : 40), type.ptr != NULL ? type.ptr : "");
}

bool normal_parse(struct normal *n, const struct json_doc *doc, json_ref at, struct error *err) {
    *n = (struct normal){0};
    if (json_is_absent(doc, at))
        return true;
    struct reader r = {.normal = n, .doc = doc, .arena = arena_new(4096), .err = err};
    bool ok = read_step(&r, at, 0);
    arena_free(r.arena);
    return ok;
}

void normal_free(struct normal *n) {
    for (size_t i = 0; i < n->count; i++) {
        free(n->steps[i].from);
        free(n->steps[i].to);
        charsmap_free(n->steps[i].map);
    }
    free(n->steps);
    *n = (struct normal){0};
}
