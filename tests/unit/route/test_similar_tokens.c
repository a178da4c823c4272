// Tokenizers: which ids a text has. What is expected was compared with Hugging Face's
// tokenizers.
#include "similar_fixture.h"

struct row {
    const char *text, *ids;
};

static void check(const char *json, const struct row *rows, size_t count) {
    struct tokens *t = tokens_of(json);
    for (size_t i = 0; i < count; i++)
        assert_ids(t, slice_of(rows[i].text), rows[i].ids);
    tokens_free(t);
}

static void words_in_pieces(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", ""},
        {"  \t\n ", ""},
        {"hello", "2 "},
        {"Hello, WORLD!", "2 3 5 "}, // the comma is unknown, and left out
        {"worlds worldly words", "3 4 3 8 "},
        {"world!!s", "3 5 5 "}, // a piece of a word does not begin one
        {"hello world worldx", "2 3 "},
        {"worlds", "3 4 "},
        {"worly", "9 8 "}, // the longest beginning that lets the rest be known is not sought
        {"\xE4\xBD\xA0hello\xE4\xBD\xA0\xE4\xBD\xA0", "7 2 7 7 "},
        {"caf\xC3\xA9 CAF\xC3\x89 cafe\xCC\x81", "6 6 6 "},
        {"h\xC2\xAD"
         "ello\x01 w\xE2\x80\x8B"
         "orld",
         "2 3 "}, // what is not seen is not there
        {"hello\xC2\xA0world\xE3\x80\x80hello", "2 3 2 "},
        {"hello\xFF world\xC3", "2 3 "}, // no UTF-8
        {"[CLS] [UNK]", ""},             // as text, where they are not added tokens
        {"a\xE2\x80\x94"
         "a",
         "10 10 "},
    };
    check(BERT, rows, FARTHING_COUNT(rows));
}

static void long_words_are_unknown(void **state) {
    (void)state;
    char text[128];
    struct tokens *t = tokens_of(BERT);
    memset(text, 'a', 101);
    struct buffer ids = {0};
    ids_of(t, slice_make(text, 100), &ids);
    assert_int_equal(ids.len, 3 * 100);
    assert_ids(t, slice_make(text, 101), "");
    buffer_free(&ids);
    tokens_free(t);
    t = tokens_of(TOKENIZER("null", BERT_NORMALIZER, BERT_CUTS,
                            "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
                            "\"max_input_chars_per_word\":2,\"continuing_subword_prefix\":\"\","
                            "\"vocab\":{\"a\":0,\"[UNK]\":1,\"\xC3\xB8\":2}}"));
    assert_ids(t, SLICE("a aa aaa"), "0 0 0 ");
    assert_ids(t, SLICE("\xC3\xB8\xC3\xB8 \xC3\xB8\xC3\xB8\xC3\xB8"), "2 2 "); // characters
    tokens_free(t);
}

// 512 tokens, the unknown counted.
static void a_text_is_read_to_its_512th_token(void **state) {
    (void)state;
    struct tokens *t = tokens_of(BERT);
    struct buffer text = {0}, ids = {0};
    for (int i = 0; i < 2000; i++)
        BUFFER_LITERAL(&text, "! ");
    ids_of(t, buffer_slice(&text), &ids);
    assert_int_equal(ids.len, 2 * TOKENS_MAX);
    buffer_clear(&text);
    for (int i = 0; i < 2000; i++)
        BUFFER_LITERAL(&text, "! ? ");
    ids_of(t, buffer_slice(&text), &ids);
    assert_int_equal(ids.len, TOKENS_MAX);
    // And to the 512 * 3rd character: 3 is the middle of these tokens' lengths, 3 and 4.
    buffer_clear(&text);
    for (int i = 0; i < 600; i++)
        BUFFER_LITERAL(&text, "hello ");
    ids_of(t, buffer_slice(&text), &ids);
    assert_int_equal(ids.len, 2 * (TOKENS_MAX * 3 / 6));
    buffer_free(&text);
    buffer_free(&ids);
    tokens_free(t);
}

#define ADDED(id, content, more) "{\"id\":" #id ",\"content\":\"" content "\"" more "}"

static void added_tokens_come_first(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"[CLS] hello[CLS]world", "12 2 12 3 "},
        {"[cls]", ""},
        {"hello New York world", "2 14 3 "},
        {"NEW YORK", "14 "}, // normalized, and so is what it is looked for in
        {"hellos", "2 4 "},
        {"hi hi, ahi hi", "15 15 15 "}, // only by itself
        {"hello <m>  world <m>", "2 16 3 16 "},
        {"[CLS][CLS]!", "12 12 5 "},
        {"[UNK]!", "5 "},
    };
    check(TOKENIZER(
              "[" ADDED(12, "[CLS]", "") "," ADDED(1, "[UNK]", "") "," ADDED(
                  14, "New York",
                  ",\"normalized\":true") "," ADDED(15, "hi",
                                                    ",\"single_word\":true") "," ADDED(16, "<m>",
                                                                                       ",\"lstrip\""
                                                                                       ":true,"
                                                                                       "\"rstrip\":"
                                                                                       "true") "]",
              BERT_NORMALIZER, BERT_CUTS, WORDPIECE),
          rows, FARTHING_COUNT(rows));
}

#define LEVEL                                                                                      \
    "{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"ab\":1,\"c_d\":2,"           \
    "\"...\":3,\".\":4,\"ab...\":5,\"x\":6}}"

static void cuts(void **state) {
    (void)state;
    static const struct {
        const char *cuts, *text, *ids;
    } rows[] = {
        {"{\"type\":\"Whitespace\"}", "ab... c_d x", "1 3 2 6 "},
        {"{\"type\":\"WhitespaceSplit\"}", "ab... c_d \t ab ...", "5 2 1 3 "},
        {"{\"type\":\"Punctuation\"}", "ab...x", "1 4 4 4 6 "},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
         "{\"type\":\"Punctuation\",\"behavior\":\"Isolated\"}]}",
         "ab. x", "1 4 6 "},
        {"null", "ab...", "5 "},
        {"null", "ab x", ""},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[]}", "ab", "1 "},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer json = {0};
        buffer_printf(&json, "{\"pre_tokenizer\":%s,\"model\":" LEVEL "}%c", rows[i].cuts, '\0');
        struct tokens *t = tokens_of(json.ptr);
        assert_ids(t, slice_of(rows[i].text), rows[i].ids);
        tokens_free(t);
        buffer_free(&json);
    }
}

// _ is the character for blanks here.
#define UNIGRAM                                                                                    \
    "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"_\",-3],[\"a\",-2],[\"b\",-2],"    \
    "[\"ab\",-3],[\"_a\",-2.5],[\"abc\",-20],[\"c\",-4],[\"bb\",-5],[\"\xC3\xA9\",-1]]}"
#define METASPACE(more) "{\"type\":\"Metaspace\",\"replacement\":\"_\"" more "}"

static void unigrams(void **state) {
    (void)state;
    static const struct {
        const char *cuts, *text, *ids;
    } rows[] = {
        {METASPACE(""), "a", "5 "},
        {METASPACE(""), "ab", "5 3 "},    // -4.5, and _ with ab -6
        {METASPACE(""), "abc", "5 3 7 "}, // and not abc, which is rare
        {METASPACE(""), "a  b", "5 1 1 3 "},
        {METASPACE(""), " a", "5 "},
        {METASPACE(""), "bb\xC3\xA9", "1 3 3 9 "}, // b b is likelier than bb
        {METASPACE(""), "xxa", "1 2 "},            // x is unknown
        {METASPACE(",\"prepend_scheme\":\"never\""), "a a", "2 5 "},
        {METASPACE(",\"prepend_scheme\":\"first\",\"split\":false"), "b a", "1 3 5 "},
        {METASPACE(",\"add_prefix_space\":false"), "ab", "4 "},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," METASPACE(
             "") "]}",
         "a \t a", "5 5 "},
        {"null", "ab", "4 "},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer json = {0};
        buffer_printf(&json, "{\"pre_tokenizer\":%s,\"model\":" UNIGRAM "}%c", rows[i].cuts, '\0');
        struct tokens *t = tokens_of(json.ptr);
        assert_int_equal(tokens_count(t), 10);
        assert_ids(t, slice_of(rows[i].text), rows[i].ids);
        tokens_free(t);
        buffer_free(&json);
    }
}

static void what_is_damaged_or_not_supported_is_told(void **state) {
    (void)state;
    static const struct {
        const char *json, *part;
    } rows[] = {
        {"", "byte 0"},
        {"[]", "no \"model\""},
        {"{\"model\":{}}", "model \"\" is not supported: WordPiece"},
        {"{\"model\":{\"type\":\"BPE\"}}", "model \"BPE\" is not supported"},
        {"{\"model\":{\"type\":\"WordPiece\"}}", "vocab is no object"},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "vocabulary is empty"},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":-1}}}", "the id of \"a\""},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":\"b\"}}}", "the id of \"a\""},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":16777216}}}", "to 16777215"},
        {"{\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":-1,"
         "\"vocab\":{\"a\":1}}}",
         "max_input_chars_per_word"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":{}}}", "no list of tokens"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[]]}}", "entry 0 of vocab"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1],[\"b\"]]}}", "entry 1 of vocab"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e999]]}}", "entry 0 of vocab"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",1]]}}", "unk_id"},
        {"{\"model\":{\"type\":\"Unigram\",\"byte_fallback\":true,\"vocab\":[[\"a\",1]]}}",
         "byte_fallback is not supported"},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"model\":" LEVEL "}",
         "pre_tokenizer \"ByteLevel\" is not supported"},
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\"},\"model\":" LEVEL "}", "it has no list"},
        {"{\"pre_tokenizer\":{\"type\":\"Punctuation\",\"behavior\":\"Removed\"},\"model\":" LEVEL
         "}",
         "only behavior Isolated"},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"},\"model\":" LEVEL "}",
         "replacement is no character"},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u0000\"},\"model\":" LEVEL
         "}",
         "replacement is no character"},
        {"{\"added_tokens\":[{\"id\":1}],\"model\":" LEVEL "}", "entry 0 has no content"},
        {"{\"added_tokens\":[{\"content\":\"a\"}],\"model\":" LEVEL "}", "no id"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_refused(rows[i].json, rows[i].part);
    struct buffer many = {0};
    BUFFER_LITERAL(&many, "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (int i = 0; i < 9; i++)
        buffer_printf(&many, "%s{\"type\":\"Whitespace\"}", i > 0 ? "," : "");
    buffer_printf(&many, "]},\"model\":" LEVEL "}%c", '\0');
    assert_refused(many.ptr, "more than 8 steps");
    buffer_free(&many);
}

// Of tokens that are spelled alike, the later counts; the empty one is nowhere.
static void strange_vocabularies(void **state) {
    (void)state;
    struct tokens *t = tokens_of("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"\",0],[\"a\",-1],"
                                 "[\"a\",-1]]}}");
    assert_ids(t, SLICE("axa"), "2 2 "); // without an unknown token, what is unknown is nothing
    tokens_free(t);
    t = tokens_of(
        "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"gone\",\"vocab\":{\"a\":0}}}");
    assert_ids(t, SLICE("a"), "0 ");
    assert_ids(t, SLICE("ab"), "");
    tokens_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_in_pieces),
        cmocka_unit_test(long_words_are_unknown),
        cmocka_unit_test(a_text_is_read_to_its_512th_token),
        cmocka_unit_test(added_tokens_come_first),
        cmocka_unit_test(cuts),
        cmocka_unit_test(unigrams),
        cmocka_unit_test(what_is_damaged_or_not_supported_is_told),
        cmocka_unit_test(strange_vocabularies),
    };
    return cmocka_run_group_tests_name("route/similar_tokens", tests, NULL, NULL);
}
