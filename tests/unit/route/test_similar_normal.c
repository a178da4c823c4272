// Normalizers, and sentencepiece's map of characters.
#include "similar_fixture.h"
#include "similar_unicode.h"

struct row {
    const char *normalizer, *text, *wanted;
};

static void assert_normal(const char *normalizer, struct slice text, struct slice wanted) {
    struct json_doc *doc = json_doc_new();
    struct buffer out = {0};
    struct normal n;
    struct error err;
    if (!json_parse(doc, slice_of(normalizer), NULL, &err) ||
        !normal_parse(&n, doc, JSON_ROOT, &err))
        fail_msg("%s: %s", err.text, normalizer);
    normal_apply(&n, text, &out);
    if (!slice_equal(buffer_slice(&out), wanted))
        fail_msg("%s: \"%.*s\" became \"%.*s\", not \"%.*s\"", normalizer, SLICE_ARG(text),
                 SLICE_ARG(buffer_slice(&out)), SLICE_ARG(wanted));
    normal_free(&n);
    buffer_free(&out);
    json_doc_free(doc);
}

static void check(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        assert_normal(rows[i].normalizer, slice_of(rows[i].text), slice_of(rows[i].wanted));
}

#define BERT_WITH(more) "{\"type\":\"BertNormalizer\"," more "}"
#define KEEP            "\"clean_text\":false,\"handle_chinese_chars\":false,"
#define SEQUENCE(list)  "{\"type\":\"Sequence\",\"normalizers\":[" list "]}"

static void berts(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"null", "A\t\xC3\x89", "A\t\xC3\x89"},
        {BERT_NORMALIZER,
         "A\t\xC3\x89\r\n\x7F"
         "B",
         "a e  b"},
        {BERT_WITH("\"lowercase\":false"), "A\xC3\x89", "A\xC3\x89"},
        {BERT_WITH("\"strip_accents\":false"), "A\xC3\x89", "a\xC3\xA9"},
        {BERT_WITH("\"lowercase\":false,\"strip_accents\":true"), "A\xC3\x89", "AE"},
        {BERT_WITH("\"strip_accents\":null"), "\xC3\x89", "e"},
        {BERT_WITH("\"handle_chinese_chars\":true"),
         "a\xE4\xBD\xA0"
         "b",
         "a \xE4\xBD\xA0 b"},
        {BERT_WITH("\"handle_chinese_chars\":false"),
         "a\xE4\xBD\xA0"
         "b",
         "a\xE4\xBD\xA0"
         "b"},
        {BERT_WITH("\"clean_text\":false"), "a\tb\x01", "a\tb\x01"},
        // One that is two, of Hangul, Greek and Indic letters; an old form of an ideograph.
        {BERT_WITH(KEEP "\"strip_accents\":true"), "\xEA\xB0\x80\xEA\xB0\x81",
         "\xE1\x84\x80\xE1\x85\xA1\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"},
        {BERT_WITH(KEEP "\"strip_accents\":true"), "\xE0\xAD\x8B", "\xE0\xAD\x87\xE0\xAC\xBE"},
        {BERT_WITH(KEEP "\"strip_accents\":true"), "\xE1\xBE\x86\xEF\xA4\x80",
         "\xCE\xB1\xE8\xB1\x88"},
        {BERT_WITH(KEEP "\"strip_accents\":false"), "\xCE\xA3\xCF\x82\xC3\x9F\xE1\xBA\x9E",
         "\xCF\x83\xCF\x82\xC3\x9F\xC3\x9F"},
        {BERT_WITH(KEEP "\"strip_accents\":false"), "\xC4\xB0I", "i\xCC\x87i"},
        {BERT_WITH(KEEP "\"strip_accents\":false"), "\xF0\x90\x90\x80\xD0\x81\xEF\xBC\xA1",
         "\xF0\x90\x90\xA8\xD1\x91\xEF\xBD\x81"},
    };
    check(rows, FARTHING_COUNT(rows));
}

static void others(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"type\":\"Lowercase\"}", "\xC3\x89T\xC3\x89", "\xC3\xA9t\xC3\xA9"},
        {"{\"type\":\"StripAccents\"}", "e\xCC\x81\xC3\xA9\xE2\x83\x9D", "e\xC3\xA9"},
        {SEQUENCE("{\"type\":\"NFD\"},{\"type\":\"Lowercase\"},{\"type\":\"StripAccents\"}"),
         "\xC3\x89t\xE1\xBA\xA4", "eta"},
        {SEQUENCE(""), "A", "A"},
        {"{\"type\":\"Strip\"}", " \n a b\xC2\xA0\t", "a b"},
        {"{\"type\":\"Strip\",\"strip_left\":false}", "  a  ", "  a"},
        {"{\"type\":\"Strip\",\"strip_right\":false}", "  a  ", "a  "},
        {"{\"type\":\"Strip\"}", "   ", ""},
        {SEQUENCE("{\"type\":\"Strip\"},{\"type\":\"Lowercase\"},{\"type\":\"NFC\"},"
                  "{\"type\":\"Prepend\",\"prepend\":\"_\"}"),
         "   ", ""},
        {"{\"type\":\"Prepend\",\"prepend\":\"_\"}", "a", "_a"},
        {"{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", ""},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\",\"},\"content\":\" , \"}", "a,,b",
         "a ,  , b"},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"aa\"},\"content\":\"\"}", "aaaba", "aba"},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"x\"}", "ab", "ab"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"}",
         "\ta\n\r b\xC2\xA0", " a b "},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\"_\"}",
         "a b   c  \t ", "a b_c_\t "},
    };
    check(rows, FARTHING_COUNT(rows));
}

#define FORM(name) "{\"type\":\"" name "\"}"

static void forms(void **state) {
    (void)state;
    static const struct row rows[] = {
        {FORM("NFC"), "", ""},
        {FORM("NFC"), "abc", "abc"},
        {FORM("NFC"), "cafe\xCC\x81 e\xCC\x81", "caf\xC3\xA9 \xC3\xA9"},
        {FORM("NFC"),
         "\xCC\x81"
         "e",
         "\xCC\x81"
         "e"},
        {FORM("NFD"), "caf\xC3\xA9s", "cafe\xCC\x81s"},
        {FORM("NFD"), "\xE1\xBE\x86", "\xCE\xB1\xCC\x93\xCD\x82\xCD\x85"}, // one that is four
        // Marks below stand before marks above; equal ones stay in their order.
        {FORM("NFD"), "e\xCC\x81\xCC\xA3", "e\xCC\xA3\xCC\x81"},
        {FORM("NFD"), "e\xCC\x81\xCC\xA3\xCC\x80", "e\xCC\xA3\xCC\x81\xCC\x80"},
        {FORM("NFC"), "a\xCC\x81\xCC\xA3", "\xE1\xBA\xA1\xCC\x81"},
        {FORM("NFC"), "a\xCC\x88\xCC\x81", "\xC3\xA4\xCC\x81"}, // and what stands between bars
        // Hangul's syllables; U+11A7 ends none.
        {FORM("NFC"), "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"},
        {FORM("NFC"), "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA7", "\xEA\xB0\x80\xE1\x86\xA7"},
        {FORM("NFD"), "\xEA\xB0\x81", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"},
        // What never comes back: Devanagari's qa, the sign of Angstrom.
        {FORM("NFC"), "\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC"},
        {FORM("NFC"), "\xE2\x84\xAB", "\xC3\x85"},
        // Compatibility: a ligature, a circle, wide forms, half ones, a sentence.
        {FORM("NFC"), "\xEF\xAC\x81", "\xEF\xAC\x81"},
        {FORM("NFKC"), "\xEF\xAC\x81\xE2\x91\xA0\xEF\xBC\xA1\xC2\xA0x", "fi1A x"},
        {FORM("NFKC"), "\xEF\xBD\xB6\xEF\xBE\x9E", "\xE3\x82\xAC"},
        {FORM("NFKD"), "\xEF\xBD\xB6\xEF\xBE\x9E", "\xE3\x82\xAB\xE3\x82\x99"},
        {FORM("NFKD"), "\xC2\xBD\xC3\xA9",
         "1\xE2\x81\x84"
         "2e\xCC\x81"},
        {FORM("NFKC"), "\xEF\xB7\xBA",
         "\xD8\xB5\xD9\x84\xD9\x89 \xD8\xA7\xD9\x84\xD9\x84\xD9\x87 "
         "\xD8\xB9\xD9\x84\xD9\x8A\xD9\x87 \xD9\x88\xD8\xB3\xD9\x84\xD9\x85"},
        // Beyond the first plane: Kaithi, an ideograph, a note, a letter of mathematics.
        {FORM("NFC"), "\xF0\x91\x82\xA5\xF0\x91\x82\xBA", "\xF0\x91\x82\xAB"},
        {FORM("NFD"), "\xF0\x91\x82\xAB", "\xF0\x91\x82\xA5\xF0\x91\x82\xBA"},
        {FORM("NFC"), "\xF0\xAF\xA0\x80", "\xE4\xB8\xBD"},
        {FORM("NFC"), "\xF0\x9D\x85\x9E", "\xF0\x9D\x85\x97\xF0\x9D\x85\xA5"},
        {FORM("NFKC"), "\xF0\x9D\x94\xB8", "A"},
        {BERT_WITH(KEEP "\"strip_accents\":true"), "\xF0\x91\x82\xAB", "\xF0\x91\x82\xA5"},
        {FORM("Lowercase"), "\xF0\x90\x92\xB0\xF0\x9E\xA4\x80", "\xF0\x90\x93\x98\xF0\x9E\xA4\xA2"},
        // No UTF-8, half of a pair, and beyond Unicode's end.
        {FORM("NFC"), "a\xFFz", "a\xEF\xBF\xBDz"},
        {FORM("NFD"), "\xED\xA0\x80", "\xED\xA0\x80"},
        {FORM("NFKC"), "\xF4\x90\x80\x80\xCC\x81", "\xEF\xBF\xBD\xCC\x81"},
        // With others: NFD may come last, or after what it would have served.
        {SEQUENCE("{\"type\":\"StripAccents\"},{\"type\":\"NFD\"}"), "\xC3\xA9", "e\xCC\x81"},
        {SEQUENCE(FORM("NFKD") "," FORM("StripAccents") "," FORM("NFC")), "\xC3\x89\xEA\xB0\x81",
         "E\xEA\xB0\x81"},
        {SEQUENCE(FORM("NFKC") "," FORM("Lowercase")), "\xEF\xBC\xA1\xCC\x81", "\xC3\xA1"},
    };
    check(rows, FARTHING_COUNT(rows));
}

// A run of marks as long as a text may be, in the worst of orders. (Where each goes to
// its place step by step, it is a minute's work.)
static void marks_in_any_number_are_ordered(void **state) {
    (void)state;
    enum { EACH = NORMAL_BYTES_MAX / 4 - 1 };
    struct buffer text = {0}, wanted = {0};
    BUFFER_LITERAL(&text, "a");
    BUFFER_LITERAL(&wanted, "a");
    for (int i = 0; i < EACH; i++)
        BUFFER_LITERAL(&text, "\xCC\x81"); // above
    for (int i = 0; i < EACH; i++) {
        BUFFER_LITERAL(&text, "\xCC\xA3"); // below
        BUFFER_LITERAL(&wanted, "\xCC\xA3");
    }
    for (int i = 0; i < EACH; i++)
        BUFFER_LITERAL(&wanted, "\xCC\x81");
    assert_normal(FORM("NFD"), buffer_slice(&text), buffer_slice(&wanted));
    buffer_free(&text);
    buffer_free(&wanted);
}

static void what_is_not_supported_is_told(void **state) {
    (void)state;
    static const struct {
        const char *normalizer, *part;
    } rows[] = {
        {"{\"type\":\"Nmt\"}", "normalizer \"Nmt\" is not supported: BertNormalizer"},
        {"{\"type\":\"NFE\"}", "normalizer \"NFE\" is not supported"},
        {SEQUENCE("{\"type\":\"NFD\"},{\"type\":\"ByteLevel\"}"), "\"ByteLevel\" is not supported"},
        {"{}", "normalizer \"\" is not supported"},
        {"3", "normalizer \"\" is not supported"},
        {"{\"type\":\"Sequence\"}", "it has no list"},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}", "pattern or content is missing"},
        {"{\"type\":\"Replace\",\"content\":\"a\"}", "pattern or content is missing"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":\"a\"}",
         "regular expression \"a+\" is not supported"},
        {"{\"type\":\"Precompiled\"}", "is damaged"},
        {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!\"}", "is damaged"},
        {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"////fwAA\"}", "is damaged"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct buffer json = {0};
        buffer_printf(&json, "{\"normalizer\":%s,\"model\":" WORDPIECE "}%c", rows[i].normalizer,
                      '\0');
        assert_refused(json.ptr, rows[i].part);
        buffer_free(&json);
    }
    struct buffer deep = {0};
    BUFFER_LITERAL(&deep, "{\"normalizer\":");
    for (int i = 0; i < 10; i++)
        BUFFER_LITERAL(&deep, "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 10; i++)
        BUFFER_LITERAL(&deep, "]}");
    buffer_printf(&deep, ",\"model\":" WORDPIECE "}%c", '\0');
    assert_refused(deep.ptr, "nested too deeply");
    buffer_free(&deep);
}

// Little may not become much.
static void what_grows_is_cut(void **state) {
    (void)state;
    struct buffer text = {0}, wanted = {0};
    for (int i = 0; i < 200; i++)
        BUFFER_LITERAL(&text, "aaaaaaaaaa");
    for (int i = 0; i < NORMAL_BYTES_MAX; i++)
        BUFFER_LITERAL(&wanted, "a");
#define DOUBLE "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaa\"}"
    assert_normal(SEQUENCE(DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE), buffer_slice(&text),
                  buffer_slice(&wanted));
    // And not by one character that is a sentence of 18: 33 bytes each.
    buffer_clear(&text);
    buffer_clear(&wanted);
    for (int i = 0; i < NORMAL_BYTES_MAX / 3; i++)
        BUFFER_LITERAL(&text, "\xEF\xB7\xBA");
    while (wanted.len < NORMAL_BYTES_MAX)
        BUFFER_LITERAL(&wanted,
                       "\xD8\xB5\xD9\x84\xD9\x89 \xD8\xA7\xD9\x84\xD9\x84\xD9\x87 "
                       "\xD8\xB9\xD9\x84\xD9\x8A\xD9\x87 \xD9\x88\xD8\xB3\xD9\x84\xD9\x85");
    assert_normal(FORM("NFKC"), buffer_slice(&text), slice_make(wanted.ptr, NORMAL_BYTES_MAX));
    buffer_free(&text);
    buffer_free(&wanted);
}

// ------------------------------------------------------------ the charsmap

static void put_base64(struct buffer *out, struct slice bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (i + k < bytes.len ? (uint8_t)bytes.ptr[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buffer_append_char(out, i + k > bytes.len ? '=' : digits[three >> (18 - 6 * k) & 63]);
    }
}

// A double array by hand: A becomes "one"; B with U+0301 becomes "two"; C without more
// would be at a place that is not there.
static void write_charsmap(struct buffer *out, uint32_t wild) {
    enum { UNITS = 1024, HAS_LEAF = 1 << 8 };
    static const char texts[] = "one\0two";
    uint32_t units[UNITS] = {0}, bytes = sizeof units;
    struct buffer raw = {0};
    units[0] = 256u << 10; // its children: 256 ^ byte
    units[256 ^ 'A'] = 'A' | HAS_LEAF | (256u ^ 'A' ^ 512u) << 10;
    units[512] = 1u << 31 | 0;
    units[256 ^ 'B'] = 'B' | (256u ^ 'B' ^ 768u) << 10;
    units[768 ^ 0xCC] = 0xCC | (768u ^ 0xCC ^ 600u) << 10;
    units[600 ^ 0x81] = 0x81 | HAS_LEAF | (600u ^ 0x81 ^ 513u) << 10;
    units[513] = 1u << 31 | 4;
    units[256 ^ 'C'] = 'C' | HAS_LEAF | wild << 10;
    buffer_append(&raw, slice_make(&bytes, sizeof bytes));
    buffer_append(&raw, slice_make(units, sizeof units));
    buffer_append(&raw, slice_make(texts, sizeof texts));
    BUFFER_LITERAL(out, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
    put_base64(out, buffer_slice(&raw));
    buffer_printf(out, "\"}%c", '\0');
    buffer_free(&raw);
}

static void characters_are_mapped(void **state) {
    (void)state;
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"", ""},
        {"xAx", "xonex"},
        {"B", "B"},
        {"B\xCC\x81"
         "A",
         "twoone"},
        // The marks of a character go with it: the shortest that is known decides.
        {"A\xCC\x81"
         "A",
         "oneone"},
        {"A\xCC\x81\xCC\x81\xCC\x81", "one\xCC\x81\xCC\x81\xCC\x81"}, // one by one: too long
        {"B\xCC\x82", "B\xCC\x82"},
        {"C", "C"},
        {"\r\nA", "\r\none"},
        // One character too: with a colour of skin, with a half-width sound mark.
        {"A\xF0\x9F\x8F\xBF", "one"},
        {"A\xEF\xBE\x9E", "one"},
        {"A\xD8\x80"
         "A",
         "one\xD8\x80one"}, // a sign that goes with what follows it
        {"\nA", "\none"},
    };
    struct buffer json = {0};
    write_charsmap(&json, (1u << 20) - 1);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_normal(json.ptr, slice_of(rows[i].text), slice_of(rows[i].wanted));
    buffer_clear(&json);
    write_charsmap(&json, 256u ^ 'C' ^ 1000u); // a place whose text is beyond the texts' end
    assert_normal(json.ptr, SLICE("xC"), SLICE("xone")); // 0: as nothing is there
    buffer_free(&json);
}

// Unicode's classes, of which tokenizers ask: of all planes.
static void classes(void **state) {
    (void)state;
    static const struct {
        uint32_t code;
        uint8_t class;
    } rows[] = {
        {'a', UNICODE_WORD},
        {'_', UNICODE_WORD | UNICODE_PUNCTUATION},
        {'$', UNICODE_PUNCTUATION},
        {'~', UNICODE_PUNCTUATION},
        {' ', UNICODE_SPACE},
        {'\t', UNICODE_SPACE | UNICODE_CONTROL},
        {0x85, UNICODE_SPACE | UNICODE_CONTROL},
        {0x3000, UNICODE_SPACE},
        {0x301, UNICODE_ACCENT | UNICODE_MARK | UNICODE_WORD},
        {0x903, UNICODE_MARK | UNICODE_WORD},
        {0x200B, UNICODE_CONTROL},
        {0xE000, UNICODE_CONTROL},
        {0x3002, UNICODE_PUNCTUATION},
        {0x20AC, 0},
        {0x1F600, 0},
        {0x20000, UNICODE_WORD},
        {0xE0101, UNICODE_ACCENT | UNICODE_MARK | UNICODE_WORD},
        {0xF0000, UNICODE_CONTROL},
        {0x50000, 0},
        {0x1F130, UNICODE_WORD}, // a letter in a square, as those in rings
        {0x24B6, UNICODE_WORD},
        {0x2460, 0}, // digits are none
        {0x200D, UNICODE_CONTROL | UNICODE_WORD},
        {0x16FE4, UNICODE_ACCENT | UNICODE_MARK | UNICODE_WORD},
        {0xA0, UNICODE_SPACE},
        {0x7F, UNICODE_CONTROL},
        {0x80, UNICODE_CONTROL},
        {0xD800, 0},
        {0x10FFFF, 0},
        {0x110000, 0},
        {UINT32_MAX, 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        if (unicode_class(rows[i].code) != rows[i].class)
            fail_msg("U+%04X: %d", rows[i].code, unicode_class(rows[i].code));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(berts),
        cmocka_unit_test(others),
        cmocka_unit_test(forms),
        cmocka_unit_test(marks_in_any_number_are_ordered),
        cmocka_unit_test(what_is_not_supported_is_told),
        cmocka_unit_test(what_grows_is_cut),
        cmocka_unit_test(characters_are_mapped),
        cmocka_unit_test(classes),
    };
    return cmocka_run_group_tests_name("route/similar_normal", tests, NULL, NULL);
}
