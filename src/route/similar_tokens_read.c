// Reading a tokenizer.json. What is in it is trusted in nothing: types, ids and numbers
// are looked at, and what is not supported is told, not guessed.
#include <math.h>
#include <stdlib.h>

#include "similar_tokens.h"

enum {
    IDS_MAX = 1 << 24, // a vocabulary has some hundred thousands
    LENGTH_MAX = 255,  // of a token in characters, for their median
    WORD_MAX = 1 << 20,
};
// sentencepiece's: what is unknown is so much less likely than the rarest token.
static const double UNKNOWN_PENALTY = 10;

struct reader {
    struct tokens *t;
    struct json_doc *doc;
    struct arena *arena; // what is decoded; gone when reading is done
    struct error *err;
    struct trie_word *words; // of the model's vocabulary
    size_t word_count;
    size_t lengths[LENGTH_MAX + 1]; // how many tokens are so long
};

static json_ref member(const struct reader *r, json_ref at, const char *name) {
    return json_get(r->doc, at, slice_of(name));
}

static bool is(const struct reader *r, json_ref at, enum json_type type) {
    return at != JSON_NONE && json_type_of(r->doc, at) == type;
}

static struct slice text_of(const struct reader *r, json_ref at) {
    return at != JSON_NONE ? json_string(r->doc, at, r->arena) : SLICE_NONE;
}

// For a message: not longer than it needs to be.
static int shown(struct slice text) {
    return (int)(text.len < 40 ? text.len : 40);
}

static bool read_id(struct reader *r, json_ref at, uint32_t *id) {
    int64_t value = -1;
    if (at == JSON_NONE || !json_i64(r->doc, at, &value) || value < 0 || value >= IDS_MAX)
        return false;
    *id = (uint32_t)value;
    if (*id >= r->t->count)
        r->t->count = *id + 1;
    return true;
}

static void count_length(struct reader *r, struct slice text) {
    size_t length = 0;
    for (size_t i = 0; i < text.len; i++)
        length += ((uint8_t)text.ptr[i] & 0xC0) != 0x80;
    r->lengths[length < LENGTH_MAX ? length : LENGTH_MAX]++;
}

// As numpy has it: between two, their mean, and that without its fraction.
static size_t median_of(const size_t lengths[LENGTH_MAX + 1]) {
    size_t total = 0, seen = 0, low = LENGTH_MAX + 1;
    for (size_t i = 0; i <= LENGTH_MAX; i++)
        total += lengths[i];
    for (size_t i = 0; i <= LENGTH_MAX; i++) {
        seen += lengths[i];
        if (low > LENGTH_MAX && seen >= (total + 1) / 2)
            low = i;
        if (seen >= total / 2 + 1)
            return (low + i) / 2;
    }
    return 1;
}

// --------------------------------------------------------------- vocabulary

static uint32_t id_of(const struct reader *r, struct slice text) {
    uint32_t node = text.len > 0 ? trie_walk(&r->t->words, TRIE_ROOT, text) : TRIE_NONE;
    return node != TRIE_NONE ? r->t->words.nodes[node].id : TRIE_NONE;
}

// {"the": 12, "##s": 13, ...}
static bool read_words(struct reader *r, json_ref vocab) {
    if (!is(r, vocab, JSON_OBJECT))
        return error_set(r->err, "model: vocab is no object");
    r->words = base_calloc(json_count(r->doc, vocab) + 1, sizeof *r->words);
    for (json_ref k = json_first(r->doc, vocab); k != JSON_NONE; k = json_next(r->doc, vocab, k)) {
        struct trie_word *word = &r->words[r->word_count++];
        word->text = text_of(r, k);
        if (!read_id(r, json_value_of(k), &word->id))
            return error_set(r->err, "model: the id of \"%.*s\" is not from 0 to %d",
                             shown(word->text), word->text.ptr, IDS_MAX - 1);
        count_length(r, word->text);
    }
    return true;
}

// [["the", -3.2], ...]
static bool read_scores(struct reader *r, json_ref vocab) {
    double least = INFINITY;
    size_t count = is(r, vocab, JSON_ARRAY) ? json_count(r->doc, vocab) : 0;
    if (count == 0 || count > IDS_MAX)
        return error_set(r->err, "model: vocab is no list of tokens");
    r->words = base_calloc(count, sizeof *r->words);
    r->t->scores = base_calloc(count, sizeof(double));
    r->t->count = count;
    for (json_ref i = json_first(r->doc, vocab); i != JSON_NONE; i = json_next(r->doc, vocab, i)) {
        uint32_t id = (uint32_t)r->word_count;
        json_ref first = is(r, i, JSON_ARRAY) ? json_first(r->doc, i) : JSON_NONE;
        json_ref second = first != JSON_NONE ? json_next(r->doc, i, first) : JSON_NONE;
        struct slice text = text_of(r, first);
        double score;
        if (text.ptr == NULL || second == JSON_NONE || !json_double(r->doc, second, &score))
            return error_set(r->err, "model: entry %u of vocab is no token with a score", id);
        r->t->scores[id] = score;
        least = score < least ? score : least;
        r->words[r->word_count++] = (struct trie_word){text, id};
        count_length(r, text);
    }
    r->t->unknown_score = least - UNKNOWN_PENALTY;
    return true;
}

// -------------------------------------------------------------------- model

static bool read_wordpiece(struct reader *r, json_ref model) {
    struct slice inner = text_of(r, member(r, model, "continuing_subword_prefix"));
    json_ref longest = member(r, model, "max_input_chars_per_word");
    struct tokens *t = r->t;
    t->word_max = 100;
    if (!read_words(r, member(r, model, "vocab")))
        return false;
    if (!json_is_absent(r->doc, longest) &&
        (!json_i64(r->doc, longest, &t->word_max) || t->word_max < 0 || t->word_max > WORD_MAX))
        return error_set(r->err, "model: max_input_chars_per_word is not from 0 to %d", WORD_MAX);
    trie_build(&t->words, r->words, r->word_count);
    t->inner = trie_walk(&t->words, TRIE_ROOT, inner.ptr != NULL ? inner : SLICE("##"));
    return true;
}

static bool read_wordlevel(struct reader *r, json_ref model) {
    if (!read_words(r, member(r, model, "vocab")))
        return false;
    trie_build(&r->t->words, r->words, r->word_count);
    return true;
}

static bool read_unigram(struct reader *r, json_ref model) {
    json_ref unknown = member(r, model, "unk_id");
    if (json_is_true(r->doc, member(r, model, "byte_fallback")))
        return error_set(r->err, "model: byte_fallback is not supported");
    if (!read_scores(r, member(r, model, "vocab")))
        return false;
    size_t count = r->t->count;
    if (!json_is_absent(r->doc, unknown) &&
        (!read_id(r, unknown, &r->t->unknown) || r->t->unknown >= count))
        return error_set(r->err, "model: unk_id is not in the vocabulary");
    trie_build(&r->t->words, r->words, r->word_count);
    return true;
}

static bool read_model(struct reader *r, json_ref model) {
    static const struct {
        const char *name;
        enum tokens_model model;
        bool (*read)(struct reader *r, json_ref model);
    } kinds[] = {{"WordPiece", TOKENS_WORDPIECE, read_wordpiece},
                 {"WordLevel", TOKENS_WORDLEVEL, read_wordlevel},
                 {"Unigram", TOKENS_UNIGRAM, read_unigram}};
    struct slice type = text_of(r, member(r, model, "type"));
    r->t->unknown = TRIE_NONE;
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++)
        if (slice_equal(type, slice_of(kinds[i].name))) {
            r->t->model = kinds[i].model;
            return kinds[i].read(r, model);
        }
    return error_set(r->err,
                     "model \"%.*s\" is not supported: WordPiece, WordLevel and Unigram are",
                     shown(type), type.ptr != NULL ? type.ptr : "");
}

// ------------------------------------------------------------- added tokens

struct added_words {
    struct trie_word *items;
    size_t count;
};

static bool read_added_token(struct reader *r, json_ref at, size_t place, struct added_words *raw,
                             struct added_words *normalized) {
    struct slice text = text_of(r, member(r, at, "content"));
    struct tokens_added *a = &r->t->added[place];
    if (text.ptr == NULL || !read_id(r, member(r, at, "id"), &a->id))
        return error_set(r->err, "added_tokens: entry %zu has no content, or no id from 0 to %d",
                         place, IDS_MAX - 1);
    if (id_of(r, text) == TRIE_NONE)
        count_length(r, text);
    a->single_word = json_is_true(r->doc, member(r, at, "single_word"));
    a->lstrip = json_is_true(r->doc, member(r, at, "lstrip"));
    a->rstrip = json_is_true(r->doc, member(r, at, "rstrip"));
    struct added_words *list = raw;
    if (json_is_true(r->doc, member(r, at, "normalized"))) {
        struct buffer out = {0};
        normal_apply(&r->t->normal, text, &out);
        text = arena_copy(r->arena, buffer_slice(&out));
        buffer_free(&out);
        list = normalized;
    }
    list->items[list->count++] = (struct trie_word){text, (uint32_t)place};
    return true;
}

static bool read_added(struct reader *r, json_ref list) {
    size_t count = is(r, list, JSON_ARRAY) ? json_count(r->doc, list) : 0, place = 0;
    struct added_words raw = {.items = base_calloc(count + 1, sizeof *raw.items)};
    struct added_words normalized = {.items = base_calloc(count + 1, sizeof *normalized.items)};
    bool ok = true;
    r->t->added = base_calloc(count + 1, sizeof *r->t->added);
    for (json_ref i = count > 0 ? json_first(r->doc, list) : JSON_NONE; ok && i != JSON_NONE;
         i = json_next(r->doc, list, i))
        ok = read_added_token(r, i, place++, &raw, &normalized);
    trie_build(&r->t->raw, raw.items, raw.count);
    trie_build(&r->t->normalized, normalized.items, normalized.count);
    free(raw.items);
    free(normalized.items);
    return ok;
}

// Its name, which may also be that of an added token.
static void find_unknown(struct reader *r, json_ref model) {
    struct slice name = text_of(r, member(r, model, "unk_token"));
    if (r->t->model == TOKENS_UNIGRAM || name.ptr == NULL)
        return;
    r->t->unknown = id_of(r, name);
    uint32_t node = trie_walk(&r->t->raw, TRIE_ROOT, name);
    if (r->t->unknown == TRIE_NONE && node != TRIE_NONE && r->t->raw.nodes[node].id != TRIE_NONE)
        r->t->unknown = r->t->added[r->t->raw.nodes[node].id].id;
}

// ------------------------------------------------------------ pre-tokenizer

static bool add_step(struct reader *r, struct tokens_step step) {
    if (r->t->step_count == TOKENS_STEPS_MAX)
        return error_set(r->err, "pre_tokenizer: more than %d steps", TOKENS_STEPS_MAX);
    r->t->steps[r->t->step_count++] = step;
    return true;
}

static bool read_metaspace(struct reader *r, json_ref at) {
    struct tokens_step step = {.cut = TOKENS_CUT_METASPACE};
    struct slice blank = text_of(r, member(r, at, "replacement"));
    json_ref scheme = member(r, at, "prepend_scheme"), prefix = member(r, at, "add_prefix_space");
    json_ref split = member(r, at, "split");
    if (blank.len == 0 || slice_utf8(blank) != blank.len || memchr(blank.ptr, 0, blank.len))
        return error_set(r->err, "pre_tokenizer Metaspace: replacement is no character");
    memcpy(step.blank, blank.ptr, blank.len);
    bool unset = json_is_absent(r->doc, scheme);
    step.first = !unset && json_string_is(r->doc, scheme, SLICE("first"));
    step.always = unset || json_string_is(r->doc, scheme, SLICE("always"));
    if (!json_is_absent(r->doc, prefix) && !json_is_true(r->doc, prefix))
        step.first = step.always = false;
    step.split = json_is_absent(r->doc, split) || json_is_true(r->doc, split);
    return add_step(r, step);
}

static bool read_punctuation(struct reader *r, json_ref at) {
    json_ref behavior = member(r, at, "behavior");
    if (!json_is_absent(r->doc, behavior) && !json_string_is(r->doc, behavior, SLICE("Isolated")))
        return error_set(r->err, "pre_tokenizer Punctuation: only behavior Isolated is supported");
    return add_step(r, (struct tokens_step){.cut = TOKENS_CUT_PUNCTUATION});
}

static bool read_cut(struct reader *r, json_ref at) {
    struct slice type = text_of(r, member(r, at, "type"));
    if (slice_equal(type, SLICE("BertPreTokenizer")))
        return add_step(r, (struct tokens_step){.cut = TOKENS_CUT_SPACES}) &&
               add_step(r, (struct tokens_step){.cut = TOKENS_CUT_PUNCTUATION});
    if (slice_equal(type, SLICE("WhitespaceSplit")))
        return add_step(r, (struct tokens_step){.cut = TOKENS_CUT_SPACES});
    if (slice_equal(type, SLICE("Whitespace")))
        return add_step(r, (struct tokens_step){.cut = TOKENS_CUT_WORDS});
    if (slice_equal(type, SLICE("Punctuation")))
        return read_punctuation(r, at);
    if (slice_equal(type, SLICE("Metaspace")))
        return read_metaspace(r, at);
    return error_set(r->err,
                     "pre_tokenizer \"%.*s\" is not supported: BertPreTokenizer, Whitespace, "
                     "WhitespaceSplit, Punctuation, Metaspace and Sequence are",
                     shown(type), type.ptr != NULL ? type.ptr : "");
}

static bool read_cuts(struct reader *r, json_ref at) {
    if (json_is_absent(r->doc, at))
        return true;
    json_ref list = member(r, at, "pretokenizers");
    if (!slice_equal(text_of(r, member(r, at, "type")), SLICE("Sequence")))
        return read_cut(r, at);
    if (!is(r, list, JSON_ARRAY))
        return error_set(r->err, "pre_tokenizer Sequence: it has no list");
    for (json_ref i = json_first(r->doc, list); i != JSON_NONE; i = json_next(r->doc, list, i))
        if (!read_cut(r, i))
            return false;
    return true;
}

// --------------------------------------------------------------------- file

static bool read_all(struct reader *r) {
    json_ref model = member(r, JSON_ROOT, "model");
    if (!is(r, model, JSON_OBJECT))
        return error_set(r->err, "this is no tokenizer: it has no \"model\"");
    if (!normal_parse(&r->t->normal, r->doc, member(r, JSON_ROOT, "normalizer"), r->err) ||
        !read_cuts(r, member(r, JSON_ROOT, "pre_tokenizer")) || !read_model(r, model) ||
        !read_added(r, member(r, JSON_ROOT, "added_tokens")))
        return false;
    find_unknown(r, model);
    r->t->median = median_of(r->lengths);
    return r->t->count > 0 || error_set(r->err, "model: the vocabulary is empty");
}

struct tokens *tokens_parse(struct slice json, struct error *err) {
    static const struct json_limits limits = {.depth = 32};
    struct reader r = {.doc = json_doc_new(), .arena = arena_new(64 * 1024), .err = err};
    r.t = base_calloc(1, sizeof *r.t);
    if (!json_parse(r.doc, json, &limits, err) || !read_all(&r)) {
        tokens_free(r.t);
        r.t = NULL;
    }
    free(r.words);
    arena_free(r.arena);
    json_doc_free(r.doc);
    return r.t;
}
