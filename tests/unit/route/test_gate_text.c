// Gates that read an answer's text: refusals, scripts, patterns, length; whole
// and as the head of a stream.
#include "gate_fixture.h"

static const char *judged_as(struct bench *b, const char *text) {
    return judged_text(b, "{}", slice_of(text), "stop");
}

static void check_all(uint32_t reasons, const char *const *texts, size_t count,
                      const char *reason) {
    struct config_route route = every_reason();
    route.escalate_on = reasons;
    struct bench b;
    bench_begin(&b, route);
    for (size_t i = 0; i < count; i++)
        if (strcmp(judged_as(&b, texts[i]), reason) != 0)
            fail_msg("not %s: %s", reason, texts[i]);
    bench_end(&b);
}

static void refusals_are_told_in_many_languages(void **state) {
    (void)state;
    static const char *const texts[] = {
        "I can't help with that.",
        "I cannot assist with this request.",
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I can’t help with that.",
        "Sorry, I am unable to comply with this.",
        "I apologize, but I cannot provide instructions for that.",
        "Unfortunately, I'm not able to help you with this.",
        "As an AI language model, I cannot engage in such conversations.",
        "I must respectfully decline.",
        "I will not write that story.",
        "I'm not going to do this.",
        "  **I'm sorry**, but I can't help with that.",
        "> \"I cannot comply.\"",
        "I decline to answer.",
        "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
        "Tut mir leid, ich kann dir bei dieser Anfrage nicht weiterhelfen.",
        "Leider kann ich diese Anfrage nicht erfüllen.",
        "Je suis désolé, mais je ne peux pas vous aider avec cela.",
        "Désolée, je ne suis pas en mesure de répondre à cette demande.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "No puedo cumplir con esa solicitud.",
        "Desculpe, mas não posso ajudar com isso.",
        "Mi dispiace, ma non posso aiutarti con questo.",
        "Sorry, maar daar kan ik je niet mee helpen.",
        "Przykro mi, ale nie mogę w tym pomóc.",
        "Üzgünüm, bu konuda yardımcı olamam.",
        "Извините, но я не могу помочь с этим.",
        "К сожалению, я не могу выполнить этот запрос.",
        "عذرًا، لا أستطيع مساعدتك في ذلك.",
        "抱歉，我无法提供帮助。",
        "很抱歉，但我不能协助您。",
        "申し訳ありませんが、そのご要望にはお応えできません。",
        "죄송합니다. 그 요청은 도와드릴 수 없습니다.",
    };
    check_all(ONLY(REFUSAL), texts, FARTHING_COUNT(texts), "refusal");
}

static void what_only_sounds_like_a_refusal_passes(void **state) {
    (void)state;
    static const char *const texts[] = {
        "I can't help but notice that the loop never ends.",
        "I cannot help feeling that the second plan is better.",
        "I'm sorry to hear that your order is late. It will arrive tomorrow.",
        "I'm sorry for the confusion. The answer is 42.",
        "Sorry for the delay: here is the list.",
        "Unfortunately, the file cannot be opened because it is damaged.",
        "I cannot find any error in this code.",
        "I can't see a difference between the two versions.",
        "I can't provide an exact figure, but about 40 % is likely.",
        "I will not be there on Monday, so let us meet on Tuesday.",
        "As an AI language model, I have no taste, but many people like the blue one.",
        "You can't help with that while the server is down.",
        "I can help with that.",
        "\"I can help you,\" said the fox. \"I can't assist with that,\" said the hen.",
        "Here is the letter:\n\nDear Sir,\nI'm sorry, but I can't help with that.",
        "Es tut mir leid, dass die Lieferung zu spät kam.",
        "Ich kann keinen Fehler finden.",
        "Ich kann nicht glauben, dass er dir helfen will.",
        "Ik kan niet geloven, dat zij ons helpen.",
        "Je ne peux pas trouver d'erreur.",
        "No puedo encontrar el archivo.",
        "Извините за задержку. Вот ответ.",
        "我无法找到错误，但是可以改进这段代码。",
        "申し訳ありません。修正しました。",
        "죄송합니다. 수정했습니다.",
    };
    check_all(ONLY(REFUSAL), texts, FARTHING_COUNT(texts), "none");
}

static void a_routes_own_refusals_replace_the_built_in(void **state) {
    (void)state;
    static const struct slice own[] = {{"no can do", 9}, {"^\\W*nope\\b", 10}};
    struct config_route route = every_reason();
    route.gate.refusals = (struct config_slices){own, 2};
    struct bench b;
    bench_begin(&b, route);
    assert_string_equal(judged_as(&b, "Well, No Can Do."), "refusal");
    assert_string_equal(judged_as(&b, "Nope!"), "refusal");
    assert_string_equal(judged_as(&b, "I can't help with that."), "none");
    struct buffer late = {0}; // a refusal stands at the beginning
    for (int i = 0; i < 100; i++)
        buffer_printf(&late, "Sentence number %d. ", i);
    BUFFER_LITERAL(&late, "No can do.");
    assert_string_equal(judged_text(&b, "{}", buffer_slice(&late), "stop"), "none");
    buffer_free(&late);
    bench_end(&b);
}

// ------------------------------------------------------------------- scripts

static void letters_must_be_mostly_of_the_scripts(void **state) {
    (void)state;
    static const struct {
        const char *script, *other, *text, *reason;
    } rows[] = {
        {"cyrillic", NULL, "Ответ на ваш вопрос: да, это возможно.", "none"},
        {"cyrillic", NULL, "The answer to your question is yes, it is possible.", "language"},
        {"cyrillic", NULL, "Yes: да, это возможно, если Python 3.11 установлен.", "none"},
        {"cyrillic", NULL, "The answer to your question: да.", "language"},
        {"latin", NULL, "Да, это возможно, если он уже установлен.", "language"},
        {"latin", NULL, "Grüße aus Zürich, à bientôt, żółć i łódź!", "none"},
        {"latin", NULL, "这是一个关于法语的完整回答，没有任何拉丁字母在里面。", "language"},
        {"han", "latin", "这是一个关于法语的完整回答，没有任何拉丁字母在里面。", "none"},
        {"hiragana", "han", "これは日本語の文章です。漢字もひらがなも混ざっています。", "none"},
        {"hangul", NULL, "이것은 한국어로 쓰여진 아주 긴 대답입니다. 감사합니다.", "none"},
        {"greek", NULL, "Αυτή είναι μια απάντηση στα ελληνικά, με λίγο English.", "none"},
        {"cyrillic", NULL, "OK: 200", "none"},                  // too little to tell
        {"cyrillic", NULL, "12345678901234567890 !!! ---", "none"}, // no letters
        {"cyrillic", NULL, "Вот код для вас:\n```python\nprint('a very long line of code')\n```",
         "none"},
        {"cyrillic", NULL, "Вызовите `a_function_with_a_long_name()` и посмотрите сюда.", "none"},
        {"cyrillic", NULL, "Смотрите тут: https://example.com/a/long/path/to/a/page", "none"},
        {"cyrillic", NULL, "Код для вас, с началом:\n```python\nprint('never closed, long')",
         "none"},
        {"cyrillic", NULL, "Мы hold here to a happy house of https and hats, however.",
         "language"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct slice scripts[] = {slice_of(rows[i].script), slice_of(rows[i].other)};
        struct config_route route = every_reason();
        route.gate.scripts = (struct config_slices){scripts, rows[i].other != NULL ? 2 : 1};
        struct bench b;
        bench_begin(&b, route);
        if (strcmp(judged_as(&b, rows[i].text), rows[i].reason) != 0)
            fail_msg("not %s: %s", rows[i].reason, rows[i].text);
        bench_end(&b);
    }
}

static void json_and_calls_have_no_language(void **state) {
    (void)state;
    static const struct slice script[] = {{"cyrillic", 8}};
    struct config_route route = every_reason();
    route.gate.scripts = (struct config_slices){script, 1};
    struct bench b;
    bench_begin(&b, route);
    const char *text = "{\"name\":\"a long text in latin letters\"}";
    assert_string_equal(judged_as(&b, text), "language");
    assert_string_equal(judged_text(&b, "{\"response_format\":{\"type\":\"json_object\"}}",
                                    slice_of(text), "stop"), "none");
    bench_end(&b);
}

// ------------------------------------------------------- patterns and length

static void patterns_must_and_must_not_be_found(void **state) {
    (void)state;
    static const struct slice must[] = {{"(?i)conclusion", 14}, {"\\d", 2}};
    static const struct slice must_not[] = {{"TODO|lorem ipsum", 16}};
    static const struct {
        const char *request, *text, *finish, *reason;
    } rows[] = {
        {"{}", "Conclusion: 3.", "stop", "none"},
        {"{}", "Conclusion: three.", "stop", "pattern"},
        {"{}", "3.", "stop", "pattern"},
        {"{}", "Conclusion 3: TODO", "stop", "pattern"},
        {"{}", "Conclusion 3: todo", "stop", "none"},
        // What is ended by the client's stop cannot be held to have all.
        {"{\"stop\":\"x\"}", "3.", "stop", "none"},
        {"{\"stop\":\"x\"}", "TODO", "stop", "pattern"},
    };
    struct config_route route = every_reason();
    route.gate.must_match = (struct config_slices){must, 2};
    route.gate.must_not_match = (struct config_slices){must_not, 1};
    struct bench b;
    bench_begin(&b, route);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        if (strcmp(judged_text(&b, rows[i].request, slice_of(rows[i].text), rows[i].finish),
                   rows[i].reason) != 0)
            fail_msg("not %s: %s", rows[i].reason, rows[i].text);
    assert_string_equal(
        judged(&b, API_CHAT_COMPLETIONS, "{\"tools\":[{\"function\":{\"name\":\"f\"}}]}",
               "{\"choices\":[{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}]}",
               false),
        "none");
    bench_end(&b);
}

static void a_pattern_that_does_not_compile_judges_nothing(void **state) {
    (void)state;
    static const struct slice broken[] = {{"(", 1}, {"b", 1}};
    struct config_route route = every_reason();
    route.gate.must_match = route.gate.must_not_match = route.gate.refusals =
        (struct config_slices){broken, 1};
    struct config config = {.routes = &route, .route_count = 1};
    struct buffer complaints = {0};
    struct gate_book *book = gate_book_new(&config, &complaints);
    gate_book_free(book);
    assert_int_equal(slice_find(buffer_slice(&complaints),
                                SLICE("f:1: route \"r\": gate: refusals: the pattern \"(\": ")), 0);
    size_t lines = 0;
    for (size_t i = 0; i < complaints.len; i++)
        lines += complaints.ptr[i] == '\n';
    assert_int_equal(lines, 3);
    buffer_free(&complaints);
    struct bench b;
    bench_begin(&b, route);
    assert_string_equal(judged_as(&b, "I can't help with that ((("), "none");
    bench_end(&b);
}

static void characters_are_counted_not_bytes(void **state) {
    (void)state;
    struct config_route route = every_reason();
    route.gate.min_characters = 5;
    struct bench b;
    bench_begin(&b, route);
    assert_string_equal(judged_as(&b, "éééé"), "too_short");
    assert_string_equal(judged_as(&b, "ééééé"), "none");
    assert_string_equal(judged_as(&b, "\n  abcd  \n"), "too_short");
    assert_string_equal(judged_text(&b, "{\"stop\":\"x\"}", SLICE("ab"), "stop"), "none");
    bench_end(&b);
}

// ------------------------------------------------------------------ the head

static void the_head_of_a_stream_shows_some_reasons(void **state) {
    (void)state;
    static const struct slice must[] = {{"conclusion", 10}}, must_not[] = {{"TODO", 4}};
    static const struct slice script[] = {{"latin", 5}};
    static const char object[] = "{\"response_format\":{\"type\":\"json_object\"}}";
    static const char schema[] = "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
                                 "{\"schema\":{\"type\":\"array\"}}}}";
    static const struct {
        const char *request, *text, *reason;
    } rows[] = {
        {"{}", "", "none"}, // nothing yet
        {"{}", "\n", "none"},
        {"{}", "So far, so", "none"}, // neither short nor lacking anything yet
        {"{}", "I'm sorry, but I can't help with", "refusal"},
        {"{}", "TODO", "pattern"},
        {"{}", "Это начало ответа на русском языке", "language"},
        {object, " {\"a", "none"},
        {object, "Sure! Here", "json"},
        {object, "```json\n{", "json"},
        {object, "[1", "json"},
        {schema, "[1", "none"},
        {schema, "{\"a\"", "none"}, // only the whole is held against the schema
        {schema, "Sure", "json"},
        {"{\"tools\":[{}],\"response_format\":{\"type\":\"json_object\"}}", "Let me see", "none"},
    };
    struct config_route route = every_reason();
    route.gate.must_match = (struct config_slices){must, 1};
    route.gate.must_not_match = (struct config_slices){must_not, 1};
    route.gate.scripts = (struct config_slices){script, 1};
    route.gate.min_characters = 1000;
    struct bench b;
    bench_begin(&b, route);
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct gate *g = gate_for(&b, API_CHAT_COMPLETIONS, rows[i].request);
        struct gate_result r = gate_judge_text(g, slice_of(rows[i].text), b.arena);
        if (strcmp(gate_reason_name(r.reason), rows[i].reason) != 0)
            fail_msg("not %s: %s", rows[i].reason, rows[i].text);
        assert_int_equal(r.violation.len > 0, r.reason != GATE_NONE);
    }
    bench_end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_told_in_many_languages),
        cmocka_unit_test(what_only_sounds_like_a_refusal_passes),
        cmocka_unit_test(a_routes_own_refusals_replace_the_built_in),
        cmocka_unit_test(letters_must_be_mostly_of_the_scripts),
        cmocka_unit_test(json_and_calls_have_no_language),
        cmocka_unit_test(patterns_must_and_must_not_be_found),
        cmocka_unit_test(a_pattern_that_does_not_compile_judges_nothing),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(the_head_of_a_stream_shows_some_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
