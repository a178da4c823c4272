// An instruction that is added to requests.
#include "shaping.h"

enum { CHAT = API_CHAT_COMPLETIONS, RESP = API_RESPONSES, MSG = API_MESSAGES };

struct row {
    unsigned endpoint;
    const char *text, *request;
    const char *wanted; // NULL: nothing is changed
};

#define SYSTEM(text)    "{\"role\":\"system\",\"content\":\"" text "\"}"
#define DEVELOPER(text) "{\"role\":\"developer\",\"content\":\"" text "\"}"
#define USER(text)      "{\"role\":\"user\",\"content\":\"" text "\"}"
#define MESSAGES(list)  "{\"messages\":[" list "]}"
#define BLOCK(text)     "{\"type\":\"text\",\"text\":\"" text "\"}"

static const struct row chat[] = {
    {CHAT, "Be brief.", MESSAGES(USER("a")), MESSAGES(SYSTEM("Be brief.") "," USER("a"))},
    {CHAT, "Be brief.", MESSAGES(SYSTEM("s") "," USER("a")),
     MESSAGES(SYSTEM("s") "," SYSTEM("Be brief.") "," USER("a"))},
    {CHAT, "Be brief.", MESSAGES(DEVELOPER("s") "," USER("a")),
     MESSAGES(DEVELOPER("s") "," DEVELOPER("Be brief.") "," USER("a"))},
    {CHAT, "Be brief.", MESSAGES(SYSTEM("s") "," SYSTEM("t") "," USER("a")),
     MESSAGES(SYSTEM("s") "," SYSTEM("t") "," SYSTEM("Be brief.") "," USER("a"))},
    {CHAT, "Be brief.", MESSAGES(SYSTEM("s") "," DEVELOPER("t") "," USER("a")),
     MESSAGES(SYSTEM("s") "," DEVELOPER("t") "," DEVELOPER("Be brief.") "," USER("a"))},
    // Only the leading ones count.
    {CHAT, "Be brief.", MESSAGES(USER("a") "," SYSTEM("s")),
     MESSAGES(SYSTEM("Be brief.") "," USER("a") "," SYSTEM("s"))},
    {CHAT, "Be brief.", MESSAGES(SYSTEM("s") "," USER("a") "," DEVELOPER("t")),
     MESSAGES(SYSTEM("s") "," SYSTEM("Be brief.") "," USER("a") "," DEVELOPER("t"))},
    // Nobody but the system speaks.
    {CHAT, "Be brief.", MESSAGES(SYSTEM("s")), MESSAGES(SYSTEM("s") "," SYSTEM("Be brief."))},
    // Other bytes stay.
    {CHAT, "Be brief.",
     "{ \"max_tokens\" : 5 , \"messages\" : [ {\"role\" : \"sys\\u0074em\"} ,\n " USER("a") " ] }",
     "{ \"max_tokens\" : 5 , \"messages\" : [ {\"role\" : \"sys\\u0074em\"} ,\n " SYSTEM(
         "Be brief.") "," USER("a") " ] }"},
    // Text that must be escaped, or must not.
    {CHAT, "say \"hi\"\\\n\t\x01", MESSAGES(USER("a")),
     MESSAGES(SYSTEM("say \\\"hi\\\"\\\\\\n\\t\\u0001") "," USER("a"))},
    {CHAT, "\xc3\xa9 \xf0\x9f\x98\x80", MESSAGES(USER("a")),
     MESSAGES(SYSTEM("\xc3\xa9 \xf0\x9f\x98\x80") "," USER("a"))},
    // Broken text becomes text.
    {CHAT, "\xff!", MESSAGES(USER("a")), MESSAGES(SYSTEM("\xef\xbf\xbd!") "," USER("a"))},
    // It is there.
    {CHAT, "Be brief.", MESSAGES(SYSTEM("Be brief.") "," USER("a")), NULL},
    {CHAT, "Be brief.", MESSAGES(DEVELOPER("s") "," DEVELOPER("Be br\\u0069ef.") "," USER("a")),
     NULL},
    {CHAT, "Be brief.", MESSAGES(SYSTEM("Be brief.") "," SYSTEM("s") "," USER("a")),
     MESSAGES(SYSTEM("Be brief.") "," SYSTEM("s") "," SYSTEM("Be brief.") "," USER("a"))},
    {CHAT, "Be brief.", MESSAGES(USER("Be brief.")),
     MESSAGES(SYSTEM("Be brief.") "," USER("Be brief."))},
    // Messages of other kinds.
    {CHAT, "Be brief.", MESSAGES("5"), MESSAGES(SYSTEM("Be brief.") ",5")},
    {CHAT, "Be brief.", MESSAGES("{\"role\":[\"system\"]}"),
     MESSAGES(SYSTEM("Be brief.") ",{\"role\":[\"system\"]}")},
    {CHAT, "Be brief.", MESSAGES("{\"role\":\"system\",\"content\":[" BLOCK("s") "]}"),
     MESSAGES("{\"role\":\"system\",\"content\":[" BLOCK("s") "]}," SYSTEM("Be brief."))},
    // No place.
    {CHAT, "", MESSAGES(USER("a")), NULL},
    {CHAT, "Be brief.", MESSAGES(""), NULL},
    {CHAT, "Be brief.", "{}", NULL},
    {CHAT, "Be brief.", "{\"messages\":null}", NULL},
    {CHAT, "Be brief.", "{\"messages\":\"hi\"}", NULL},
    {CHAT, "Be brief.", "{\"messages\":{\"role\":\"system\"}}", NULL},
    {CHAT, "Be brief.", "[" USER("a") "]", NULL},
    {CHAT, "Be brief.", "\"messages\"", NULL},
};

#define INSTRUCTIONS(text) "{\"instructions\":\"" text "\"}"

static const struct row members[] = {
    {RESP, "Be brief.", INSTRUCTIONS("Hi."), INSTRUCTIONS("Hi.\\n\\nBe brief.")},
    {RESP, "Be brief.", "{ \"instructions\" : \"Hi.\" , \"input\":\"x\" }",
     "{ \"instructions\" : \"Hi.\\n\\nBe brief.\" , \"input\":\"x\" }"},
    {RESP, "Be brief.", "{\"input\":\"x\"}", "{\"input\":\"x\",\"instructions\":\"Be brief.\"}"},
    {RESP, "Be brief.", "{}", INSTRUCTIONS("Be brief.")},
    {RESP, "Be brief.", "{\"instructions\":null}", INSTRUCTIONS("Be brief.")},
    {RESP, "Be brief.", INSTRUCTIONS(""), INSTRUCTIONS("Be brief.")},
    // Ends that a splice could break.
    {RESP, "Be brief.", INSTRUCTIONS("\\\\"), INSTRUCTIONS("\\\\\\n\\nBe brief.")},
    {RESP, "Be brief.", INSTRUCTIONS("\\\""), INSTRUCTIONS("\\\"\\n\\nBe brief.")},
    {RESP, "Be brief.", INSTRUCTIONS("\\ud83d\\ude00"),
     INSTRUCTIONS("\\ud83d\\ude00\\n\\nBe brief.")},
    {RESP, "Be brief.", INSTRUCTIONS("\xc3\xa9"), INSTRUCTIONS("\xc3\xa9\\n\\nBe brief.")},
    {RESP, "a \"b\"\n\\", INSTRUCTIONS("x"), INSTRUCTIONS("x\\n\\na \\\"b\\\"\\n\\\\")},
    // It is there, or only seems to be.
    {RESP, "Be brief.", INSTRUCTIONS("Be brief."), NULL},
    {RESP, "Be brief.", INSTRUCTIONS("Hi.\\n\\nBe brief."), NULL},
    {RESP, "Be brief.", INSTRUCTIONS("Do not Be brief."),
     INSTRUCTIONS("Do not Be brief.\\n\\nBe brief.")},
    {RESP, "nice", INSTRUCTIONS("x\\nice"), INSTRUCTIONS("x\\nice\\n\\nnice")},
    {RESP, "Be brief.", INSTRUCTIONS("Be brief.\\n\\nx"),
     INSTRUCTIONS("Be brief.\\n\\nx\\n\\nBe brief.")},
    // Neither text nor nothing.
    {RESP, "Be brief.", "{\"instructions\":[\"Hi.\"]}", NULL},
    {RESP, "Be brief.", "{\"instructions\":5}", NULL},
    {RESP, "", "{}", NULL},
    {RESP, "Be brief.", "[]", NULL},
    {RESP, "Be brief.", "{\"system\":\"s\"}", "{\"system\":\"s\",\"instructions\":\"Be brief.\"}"},
    // Messages.
    {MSG, "Be brief.", "{\"system\":\"Hi.\"}", "{\"system\":\"Hi.\\n\\nBe brief.\"}"},
    {MSG, "Be brief.", MESSAGES(USER("a")),
     "{\"messages\":[" USER("a") "],\"system\":\"Be brief.\"}"},
    {MSG, "Be brief.", "{\"system\":null}", "{\"system\":\"Be brief.\"}"},
    {MSG, "Be brief.", "{\"system\":[" BLOCK("a") "]}",
     "{\"system\":[" BLOCK("a") "," BLOCK("Be brief.") "]}"},
    {MSG, "\"", "{\"system\":[ " BLOCK("a") " ]}",
     "{\"system\":[ " BLOCK("a") " ," BLOCK("\\\"") "]}"},
    {MSG, "Be brief.", "{\"system\":[]}", "{\"system\":[" BLOCK("Be brief.") "]}"},
    {MSG, "Be brief.", "{\"system\":[" BLOCK("Be brief.") "]}", NULL},
    {MSG, "Be brief.", "{\"system\":[" BLOCK("Be brief.") "," BLOCK("a") "]}",
     "{\"system\":[" BLOCK("Be brief.") "," BLOCK("a") "," BLOCK("Be brief.") "]}"},
    {MSG, "Be brief.", "{\"system\":[5]}", "{\"system\":[5," BLOCK("Be brief.") "]}"},
    {MSG, "Be brief.", "{\"system\":{\"text\":\"a\"}}", NULL},
    {MSG, "Be brief.", "{\"system\":true}", NULL},
    {MSG, "Be brief.", "[]", NULL},
    // Endpoints that take none.
    {API_COMPLETIONS, "Be brief.", "{\"prompt\":\"a\",\"instructions\":\"b\",\"system\":\"c\"}",
     NULL},
    {API_EMBEDDINGS, "Be brief.", MESSAGES(USER("a")), NULL},
    {API_MODELS, "Be brief.", MESSAGES(USER("a")), NULL},
    {API_OTHER, "Be brief.", MESSAGES(USER("a")), NULL},
};

static bool add(const struct shaping *s, const void *row) {
    const struct row *r = row;
    return provider_add_instruction((enum api_endpoint)r->endpoint, s->doc, slice_of(r->text),
                                    s->edits, s->arena);
}

// Broken text is not what it has become: it is not found again.
static bool is_broken(const char *text) {
    return strchr(text, '\xff') != NULL;
}

static void check(const struct row *row) {
    struct buffer out = {0};
    if (!is_broken(row->text)) {
        assert_shaped(add, row, row->request, row->wanted);
        return;
    }
    assert_true(shaped(add, row, slice_of(row->request), &out));
    assert_bytes(buffer_slice(&out), slice_of(row->wanted), row->request);
    buffer_free(&out);
}

static void behind_the_system_messages(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(chat); i++)
        check(&chat[i]);
    assert_nothing_in_an_empty_document(add, &chat[0]);
}

static void behind_what_a_member_says(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(members); i++)
        check(&members[i]);
    assert_nothing_in_an_empty_document(add, &members[0]);
}

// All that is done to one request goes into one set of edits.
static bool everything(const struct shaping *s, const void *row) {
    (void)row;
    int64_t before;
    struct slice effort;
    bool changed = provider_add_instruction(API_RESPONSES, s->doc, SLICE("T"), s->edits, s->arena);
    changed |= provider_cap_effort(API_RESPONSES, s->doc, SLICE("low"), true, s->edits, &effort);
    changed |= provider_cap_output(API_RESPONSES, s->doc, 9, PROVIDER_MAX_TOKENS, s->edits,
    s->arena,
                                   &before);
    return changed;
}

static void all_at_once(void **state) {
    (void)state;
    assert_shaped(everything, NULL, "{}",
                  "{\"instructions\":\"T\",\"reasoning\":{\"effort\":\"low\"},"
                  "\"max_output_tokens\":9}");
    assert_shaped(everything, NULL,
                  "{\"max_output_tokens\":10, \"reasoning\":{}, \"instructions\":\"a\"}",
                  "{\"max_output_tokens\":9, \"reasoning\":{\"effort\":\"low\"}, "
                  "\"instructions\":\"a\\n\\nT\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behind_the_system_messages),
        cmocka_unit_test(behind_what_a_member_says),
        cmocka_unit_test(all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
