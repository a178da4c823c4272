// History that is cut: which turns go, what stays, and that it stays as it was.
#include "context_fixture.h"

#define NAMED(n)                                                                                   \
    "{\"role\":\"user\",\"name\":\"documents\",\"content\":\"Paper number " n ".\"}"
#define GREETING       ROLE("assistant", "Good morning, how can I help?")
#define MESSAGES(list) "{\"model\":\"m\",\"messages\":[" list "],\"n\":1}"
#define INPUT(list)    "{\"model\":\"m\",\"input\":[" list "],\"n\":1}"
#define FUNCTION_CALL(id)                                                                          \
    "{\"type\":\"function_call\",\"call_id\":\"" id "\",\"name\":\"look\",\"arguments\":\"{}\"}"
#define FUNCTION_OUTPUT(id)                                                                        \
    "{\"type\":\"function_call_output\",\"call_id\":\"" id "\",\"output\":\"it is 42\"}"
#define SAYS(role, parts) "{\"role\":\"" role "\",\"content\":[" parts "]}"
#define USE(id)                                                                                    \
    SAYS("assistant", "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"x\",\"input\":{}}")
#define USED(id)                                                                                   \
    SAYS("user", "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":\"it is 42\"}")

// The budget is what `part` is in the request that should be left; one token
// less, and it should not be.
static const struct {
    const char *what;
    enum api_endpoint endpoint;
    enum config_context_part part;
    int64_t keep_turns;
    const char *request;
    const char *left; // NULL: rejected, with a budget of one token
} trims[] = {
    {"the oldest turn goes", CHAT, CONFIG_CONTEXT_HISTORY, 1,
     MESSAGES(SYSTEM
              "," USER("1") "," ASSISTANT("1") "," USER("2") "," ASSISTANT("2") "," USER("3")),
     MESSAGES(SYSTEM "," USER("2") "," ASSISTANT("2") "," USER("3"))},
    {"all go but the question", CHAT, CONFIG_CONTEXT_HISTORY, 1,
     MESSAGES(USER("1") "," ASSISTANT("1") "," USER("2") "," ASSISTANT("2") "," USER("3")),
     MESSAGES(USER("3"))},
    {"keep_turns 0 is 1", CHAT, CONFIG_CONTEXT_TOTAL, 0,
     MESSAGES(USER("1") "," ASSISTANT("1") "," USER("2")), MESSAGES(USER("2"))},
    {"the last turns stay", CHAT, CONFIG_CONTEXT_TOTAL, 2,
     MESSAGES(USER("1") "," ASSISTANT("1") "," USER("2") "," ASSISTANT("2") "," USER("3")),
     MESSAGES(USER("2") "," ASSISTANT("2") "," USER("3"))},
    {"when they are too much, it is rejected", CHAT, CONFIG_CONTEXT_TOTAL, 3,
     MESSAGES(USER("1") "," ASSISTANT("1") "," USER("2") "," ASSISTANT("2") "," USER("3")), NULL},
    {"a question alone", CHAT, CONFIG_CONTEXT_TOTAL, 1, MESSAGES(USER("1")), NULL},
    {"no messages", CHAT, CONFIG_CONTEXT_TOTAL, 1, "{\"tools\":[{\"a\":\"long enough\"}]}", NULL},
    {"system and developer messages stay where they are", CHAT, CONFIG_CONTEXT_TOTAL, 1,
     MESSAGES(SYSTEM "," USER("1") "," DEVELOPER "," ASSISTANT("1") "," SYSTEM "," USER("2")),
     MESSAGES(SYSTEM "," DEVELOPER "," SYSTEM "," USER("2"))},
    {"a turn goes with its calls and results", CHAT, CONFIG_CONTEXT_TOTAL, 1,
     MESSAGES(USER("1") "," CALL("a") "," RESULT("a") "," CALL("b") "," RESULT("b") "," ASSISTANT(
         "1") "," USER("2") "," CALL("c") "," RESULT("c")),
     MESSAGES(USER("2") "," CALL("c") "," RESULT("c"))},
    {"the turn that goes on stays", CHAT, CONFIG_CONTEXT_HISTORY, 1,
     MESSAGES(USER("1") "," CALL("a") "," RESULT("a") "," CALL("b") "," RESULT("b")), NULL},
    {"what comes before the first turn goes first", CHAT, CONFIG_CONTEXT_HISTORY, 2,
     MESSAGES(SYSTEM "," GREETING "," USER("1") "," ASSISTANT("1") "," USER("2")),
     MESSAGES(SYSTEM "," USER("1") "," ASSISTANT("1") "," USER("2"))},
    {"users' messages in a row are one turn", CHAT, CONFIG_CONTEXT_TOTAL, 1,
     MESSAGES(USER("1") "," NAMED("1") "," ASSISTANT("1") "," NAMED("2") "," USER("2")),
     MESSAGES(NAMED("2") "," USER("2"))},
    {"no cut between a call and its late result", CHAT, CONFIG_CONTEXT_TOTAL, 1,
     MESSAGES(
         USER("1") "," CALL("a") "," USER("2") "," RESULT("a") "," ASSISTANT("2") "," USER("3")),
     MESSAGES(USER("3"))},
    {"and none is made when that is kept", CHAT, CONFIG_CONTEXT_TOTAL, 2,
     MESSAGES(
         USER("1") "," CALL("a") "," USER("2") "," RESULT("a") "," ASSISTANT("2") "," USER("3")),
     NULL},
    {"an id that is used again is the last call's", CHAT, CONFIG_CONTEXT_TOTAL, 1,
     MESSAGES(USER("1") "," CALL("a") "," RESULT("a") "," USER("2") "," CALL("a") "," RESULT("a")),
     MESSAGES(USER("2") "," CALL("a") "," RESULT("a"))},
    {"white space around the others stays", CHAT, CONFIG_CONTEXT_HISTORY, 1,
     "{ \"messages\" : [ " USER("1") " ,\n " ASSISTANT("1") " ,\n " USER("2") " ] }",
     "{ \"messages\" : [ " USER("2") " ] }"},
    {"responses", API_RESPONSES, CONFIG_CONTEXT_TOTAL, 1,
     INPUT(SYSTEM "," USER("1") "," FUNCTION_CALL("a") "," FUNCTION_OUTPUT("a") "," ASSISTANT(
         "1") "," USER("2")),
     INPUT(SYSTEM "," USER("2"))},
    {"responses: a late output", API_RESPONSES, CONFIG_CONTEXT_TOTAL, 1,
     INPUT(USER("1") "," FUNCTION_CALL("a") "," FUNCTION_CALL("b") "," FUNCTION_OUTPUT(
         "b") "," USER("2") "," FUNCTION_OUTPUT("a") "," ASSISTANT("2") "," USER("3")),
     INPUT(USER("3"))},
    {"messages: a result does not begin a turn", API_MESSAGES, CONFIG_CONTEXT_TOTAL, 1,
     MESSAGES(USER("1") "," USE("a") "," USED("a") "," ASSISTANT("1") "," USER("2") "," USE(
         "b") "," USED("b")),
     MESSAGES(USER("2") "," USE("b") "," USED("b"))},
    {"messages: and cannot be the first", API_MESSAGES, CONFIG_CONTEXT_TOTAL, 1,
     MESSAGES(USER("1") "," USE("a") "," USED("a")), NULL},
};

static struct scene trimmed_to(enum api_endpoint e, const char *request,
                               enum config_context_part part, int64_t max_tokens, int64_t keep) {
    const struct config_context budget = {.part = part,
                                          .max_tokens = max_tokens,
                                          .action = CONFIG_CONTEXT_TRIM_OLDEST,
                                          .keep_turns = keep};
    return scene_of(e, slice_of(request), &budget, 1);
}

static size_t messages_in(enum api_endpoint e, struct slice text) {
    struct json_doc *doc = parse_new(text);
    size_t count = json_count(
        doc, json_get(doc, JSON_ROOT, e == API_RESPONSES ? SLICE("input") : SLICE("messages")));
    json_doc_free(doc);
    return count;
}

static void the_oldest_turns_go(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(trims); i++) {
        enum api_endpoint e = trims[i].endpoint;
        struct slice left = slice_of(trims[i].left != NULL ? trims[i].left : trims[i].request);
        struct route_context wanted = measured(e, left, NULL);
        int64_t max = trims[i].left != NULL ? wanted.tokens[trims[i].part] : 1;
        struct scene s = trimmed_to(e, trims[i].request, trims[i].part, max, trims[i].keep_turns);
        assert_int_equal(s.result.verdict,
                         trims[i].left != NULL ? ROUTE_CONTEXT_TRIMMED : ROUTE_CONTEXT_REJECTED);
        if (!slice_equal(s.edited, left))
            fail_msg("%s: left [%.*s]", trims[i].what, SLICE_ARG(s.edited));
        assert_memory_equal(&s.result.after, &wanted, sizeof wanted);
        assert_int_equal(s.result.trimmed_messages,
                         messages_in(e, slice_of(trims[i].request)) - messages_in(e, left));
        assert_int_equal(s.result.trimmed_tokens, s.result.before.tokens[CONFIG_CONTEXT_TOTAL] -
                                                      wanted.tokens[CONFIG_CONTEXT_TOTAL]);
        scene_end(&s);
        if (trims[i].left == NULL || max == 0)
            continue;
        s = trimmed_to(e, trims[i].request, trims[i].part, max - 1, trims[i].keep_turns);
        assert_false(slice_equal(s.edited, left));
        scene_end(&s);
    }
}

// A budget for history and one for the total: the second goes on where the first
// has stopped.
static void two_budgets_trim_one_after_the_other(void **state) {
    (void)state;
    struct slice text = SLICE(MESSAGES(USER("1") "," ASSISTANT("1") "," USER("2") "," ASSISTANT(
        "2") "," USER("3") "," ASSISTANT("3") "," USER("4")));
    struct slice first = SLICE(
        MESSAGES(USER("2") "," ASSISTANT("2") "," USER("3") "," ASSISTANT("3") "," USER("4")));
    struct slice second = SLICE(MESSAGES(USER("3") "," ASSISTANT("3") "," USER("4")));
    struct config_context budgets[] = {
        {.part = CONFIG_CONTEXT_HISTORY, .action = CONFIG_CONTEXT_TRIM_OLDEST, .keep_turns = 1},
        {.part = CONFIG_CONTEXT_TOTAL, .action = CONFIG_CONTEXT_TRIM_OLDEST, .keep_turns = 1},
    };
    budgets[0].max_tokens = measured(CHAT, first, NULL).tokens[CONFIG_CONTEXT_HISTORY];
    budgets[1].max_tokens = measured(CHAT, second, NULL).tokens[CONFIG_CONTEXT_TOTAL];
    struct scene s = scene_of(CHAT, text, budgets, 2);
    assert_true(slice_equal(s.edited, second));
    assert_ptr_equal(s.result.over, &budgets[0]);
    assert_int_equal(s.result.trimmed_messages, 4);
    scene_end(&s);
    budgets[1].max_tokens = 1; // what the first has trimmed is not trimmed then either
    s = scene_of(CHAT, text, budgets, 2);
    assert_int_equal(s.result.verdict, ROUTE_CONTEXT_REJECTED);
    assert_true(slice_equal(s.edited, text));
    scene_end(&s);
}

// ------------------------------------------------------------ any conversation

// Conversations by chance: calls with results at once, late, or never; system and
// developer messages anywhere.
struct talk {
    enum api_endpoint endpoint;
    struct buffer text;
    unsigned calls, answered; // ids are numbers; those from `answered` on are open
};

static void say(struct talk *t, struct slice message) {
    if (t->text.ptr[t->text.len - 1] != '[')
        buffer_append_char(&t->text, random_below(4) == 0 ? ' ' : ',');
    if (t->text.ptr[t->text.len - 1] == ' ')
        BUFFER_LITERAL(&t->text, ",\n ");
    buffer_append(&t->text, message);
}

// How endpoints write calls and results: an id stands between the halves.
static const struct spelling {
    const char *call[2], *answer[2];
} spellings[API_ENDPOINT_COUNT] = {
    [API_CHAT_COMPLETIONS] = {{"{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c", "\"}]}"},
                              {"{\"role\":\"tool\",\"tool_call_id\":\"c",
                               "\",\"content\":\"ok\"}"}},
    [API_RESPONSES] = {{"{\"type\":\"function_call\",\"call_id\":\"c", "\"}"},
                       {"{\"type\":\"function_call_output\",\"call_id\":\"\\u0063", "\"}"}},
    [API_MESSAGES] =
        {{"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c", "\"}]}"},
         {"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c",
          "\"}]}"}},
};

// The caller frees it.
static struct buffer spelled(const char *const halves[2], unsigned id) {
    struct buffer out = {0};
    buffer_printf(&out, "%s%u%s", halves[0], id, halves[1]);
    return out;
}

static void say_call(struct talk *t, bool answer) {
    const struct spelling *s = &spellings[t->endpoint];
    struct buffer message =
        spelled(answer ? s->answer : s->call, answer ? t->answered++ : t->calls++);
    say(t, buffer_slice(&message));
    buffer_free(&message);
}

static struct talk talk_new(enum api_endpoint e) {
    struct talk t = {.endpoint = e};
    buffer_printf(&t.text, "{\"%s\":[", e == API_RESPONSES ? "input" : "messages");
    for (uint64_t n = random_below(40); n > 0; n--)
        switch (random_below(7)) {
        case 0:
            say(&t, random_below(2) == 0 ? SLICE(SYSTEM) : SLICE(DEVELOPER));
            break;
        case 1:
        case 2:
            say(&t, SLICE(USER("1")));
            break;
        case 3:
            say(&t, SLICE(ASSISTANT("1")));
            break;
        case 4:
            say_call(&t, false);
            break;
        default:
            say_call(&t, t.answered < t.calls);
            break;
        }
    BUFFER_LITERAL(&t.text, "]}");
    return t;
}

// Each call that has a result is in the text with it, or neither is.
static void check_pairs(const struct talk *t, struct slice left) {
    for (unsigned i = 0; i < t->answered; i++) {
        struct buffer call = spelled(spellings[t->endpoint].call, i);
        struct buffer answer = spelled(spellings[t->endpoint].answer, i);
        assert_int_equal(slice_find(left, buffer_slice(&call)) >= 0,
                         slice_find(left, buffer_slice(&answer)) >= 0);
        buffer_free(&call);
        buffer_free(&answer);
    }
}

static json_ref list_of(const struct talk *t, const struct json_doc *doc) {
    return json_get(doc, JSON_ROOT,
                    t->endpoint == API_RESPONSES ? SLICE("input") : SLICE("messages"));
}

static bool is_role(const struct json_doc *doc, json_ref item, struct slice role) {
    return json_string_is(doc, json_get(doc, item, SLICE("role")), role);
}

// What is left is what was, in order; of it only system and developer messages
// come from before the cut, and behind the cut nothing is missing.
static void check_order(const struct talk *t, const struct json_doc *was,
                        const struct json_doc *is) {
    json_ref old_list = list_of(t, was), new_list = list_of(t, is);
    size_t gone = json_count(was, old_list) - json_count(is, new_list);
    json_ref b = json_first(is, new_list);
    bool first = true;
    for (json_ref a = json_first(was, old_list); a != JSON_NONE; a = json_next(was, old_list, a)) {
        bool pinned = is_role(was, a, SLICE("system")) || is_role(was, a, SLICE("developer"));
        if (gone > 0 && !pinned) {
            gone--;
            continue;
        }
        assert_true(b != JSON_NONE && slice_equal(json_raw(was, a), json_raw(is, b)));
        if (!pinned && first)
            assert_true(is_role(is, b, SLICE("user")));
        first = first && pinned;
        b = json_next(is, new_list, b);
    }
    assert_true(b == JSON_NONE);
}

static void no_pair_is_ever_cut(void **state) {
    enum { TALKS = 3000 };
    static const enum api_endpoint endpoints[] = {CHAT, API_RESPONSES, API_MESSAGES};
    (void)state;
    unsigned trimmed = 0;
    random_seed(20251121);
    for (unsigned i = 0; i < TALKS; i++) {
        struct talk t = talk_new(endpoints[i % FARTHING_COUNT(endpoints)]);
        struct slice text = buffer_slice(&t.text);
        int64_t total = measured(t.endpoint, text, NULL).tokens[CONFIG_CONTEXT_TOTAL];
        const struct config_context budget = {
            .part = i % 2 == 0 ? CONFIG_CONTEXT_HISTORY : CONFIG_CONTEXT_TOTAL,
            .max_tokens = (int64_t)random_below((uint64_t)total + 1),
            .action = CONFIG_CONTEXT_TRIM_OLDEST,
            .keep_turns = (int64_t)random_below(4),
        };
        struct scene s = scene_of(t.endpoint, text, &budget, 1);
        if (s.result.verdict == ROUTE_CONTEXT_TRIMMED) {
            struct json_doc *left = parse_new(s.edited);
            struct route_context again = measured(t.endpoint, s.edited, NULL);
            assert_memory_equal(&again, &s.result.after, sizeof again);
            assert_true(again.tokens[budget.part] <= budget.max_tokens);
            check_order(&t, s.doc, left);
            check_pairs(&t, s.edited);
            json_doc_free(left);
            trimmed++;
        } else {
            assert_true(slice_equal(s.edited, text));
        }
        scene_end(&s);
        buffer_free(&t.text);
    }
    assert_in_range(trimmed, TALKS / 10, TALKS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_turns_go),
        cmocka_unit_test(two_budgets_trim_one_after_the_other),
        cmocka_unit_test(no_pair_is_ever_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
