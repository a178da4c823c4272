// What is reserved, counted, booked and written down, on paths where it is easily
// wrong: one row of a table is one configuration, one provider's answer, and one
// request, and what its row in the ledger must say.
#include "money_scene.h"

static const struct {
    const char *name, *file, *tenant, *method, *path, *body, *answer;
    int status;
    const char *row;
} cases[] = {
    {"what is read again was paid for when it was made", "", BUDGET("1"), "GET",
     "/v1/responses/resp_1", "", "{\"id\":\"resp_1\",\"model\":\"m\"," USAGE "}", 200,
     "\"usage_source\":null,\"cost_usd\":\"0\""},
    {"what is made there is booked", "", BUDGET("1"), "POST", "/v1/images/generations",
     "{\"model\":\"p/m\",\"prompt\":\"x\"}", "{" USAGE "}", 200, "\"cost_usd\":\"0.00057\""},
    {"a list of models costs nothing", "", BUDGET("0"), "GET", "/v1/models", "", "{\"data\":[]}", 200,
     "\"refused_by\":null"},
    {"half a price is none", "", BUDGET("1"), "POST", "/v1/chat/completions",
     "{\"model\":\"p/half\",\"messages\":[]}", ANSWER, 429, "\"refused_by\":\"unpriced\""},
    {"half a price counts nothing where that is allowed", "", BUDGET("1") "unpriced = \"allow\"",
     "POST", "/v1/chat/completions", "{\"model\":\"p/half\",\"messages\":[]}", ANSWER, 200,
     "\"cost_usd\":null"},
    {"nothing is reserved without a price", "", BUDGET("1") "unpriced = \"allow\"", "POST",
     "/v1/chat/completions", "{\"model\":\"p/half\",\"messages\":[]}", ANSWER, 200,
     "\"reserved_usd\":\"0\""},
    {"results of the provider's tools are input", "", BUDGET("0.1"), "POST", "/v1/chat/completions",
     CHAT(",\"max_tokens\":10,\"web_search_options\":{}"), ANSWER, 429, "\"refused_by\":\"budget:b\""},
    {"results of tools of its own", "", BUDGET("0.1"), "POST", "/v1/responses",
     "{\"model\":\"p/m\",\"input\":\"x\",\"max_output_tokens\":10,\"tools\":[{\"type\":\"mcp\"}]}",
     ANSWER, 429, "\"refused_by\":\"budget:b\""},
    {"what is made in the background may take all", "", BUDGET("1"), "POST", "/v1/responses",
     "{\"model\":\"p/m\",\"input\":\"\",\"max_output_tokens\":100,\"background\":true}",
     "{\"object\":\"response\",\"status\":\"queued\",\"output\":[],\"usage\":null}", 200,
     "\"usage_source\":\"estimated\",\"cost_usd\":\"0.0001\""},
    {"not of the client's tools", "", BUDGET("0.1"), "POST", "/v1/chat/completions",
     CHAT(",\"max_tokens\":10,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"),
     ANSWER, 200, "\"refused_by\":null"},
    {"an instruction that is added is input", "route \"r\" { concise = true concise_text = \"" TEXT "\" }",
     BUDGET("0.00006"), "POST", "/v1/chat/completions", CHAT(",\"max_tokens\":10"), ANSWER, 429,
     "\"refused_by\":\"budget:b\""},
    {"without it the same fits", "", BUDGET("0.00006"), "POST", "/v1/chat/completions",
     CHAT(",\"max_tokens\":10"), ANSWER, 200, "\"refused_by\":null"},
    {"a service tier that is paid dearer has the file's price too", "", BUDGET("1"), "POST",
     "/v1/chat/completions", CHAT(",\"max_tokens\":10,\"service_tier\":\"priority\""), ANSWER, 200,
     "\"refused_by\":null"},
    {"a cap below the least answer is not blamed on the input", "", "max_cost = \"0.00002 usd\"",
     "POST", "/v1/chat/completions", CHAT(",\"max_tokens\":100"), ANSWER, 400,
     "\"refused_by\":\"max_cost\""},
    {"an embedding has no output", "", "tokens = \"100/min\" max_output_tokens = 90", "POST",
     "/v1/embeddings", "{\"model\":\"p/m\",\"input\":\"some words that are more than one token each\"}",
     "{\"data\":[],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9}}", 200, "\"refused_by\":null"},
    {"money first: what it refuses is no attempt", "", "run { max_attempts = 5 }" BUDGET("0.000001"),
     "POST", "/v1/chat/completions", CHAT(""), ANSWER, 429, "\"refused_by\":\"budget:b\""},
};

static void every_path_costs_what_it_should(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct world *w = world_new(cases[i].file, cases[i].tenant);
        w->answer = cases[i].answer;
        int status = fetch(w, cases[i].method, cases[i].path, cases[i].body);
        if (status != cases[i].status)
            fail_msg("%s: %d", cases[i].name, status);
        assert_row(w, cases[i].name, cases[i].row);
        world_free(w);
    }
}

// --------------------------------------------------------------------- others

// 60,000 bytes: a quarter of them would be tokens.
static void a_file_is_no_prompt(void **state) {
    (void)state;
    char *file = base_calloc(60001, 1);
    memset(file, 'x', 60000);
    const char *const limits_of_tokens[] = {"tokens = \"1000/min\"", "run { max_tokens = 1000 }"};
    for (size_t i = 0; i < FARTHING_COUNT(limits_of_tokens); i++) {
        struct world *w = world_new("", limits_of_tokens[i]);
        w->answer = "{\"id\":\"file_1\"}";
        assert_int_equal(fetch(w, "POST", "/v1/files", file), 200);
        world_free(w);
    }
    free(file);
}

static void count_attempts(void *arg, const struct run_view *view) {
    *(int64_t *)arg += view->attempts;
}

static void a_refused_attempt_is_none(void **state) {
    (void)state;
    struct world *w = world_new("", "run { max_attempts = 5 }" BUDGET("0.000001"));
    int64_t attempts = 0;
    w->answer = ANSWER;
    for (int i = 0; i < 7; i++)
        assert_int_equal(chat(w, CHAT("")), 429);
    runs_visit(w->shared.runs, count_attempts, &attempts);
    assert_int_equal(attempts, 0);
    assert_int_equal(w->requests, 0);
    world_free(w);
}

static void a_retry_that_the_run_has_no_more_of_is_told(void **state) {
    (void)state;
    struct world *w = world_new("", "run { max_attempts = 2 }");
    w->answer = "{\"error\":{\"message\":\"no\"}}";
    w->status = 500;
    assert_int_equal(chat(w, CHAT("")), 500);
    assert_int_equal(w->requests, 2);
    assert_row(w, "retry", "\"refused_by\":\"run.max_attempts\"");
    world_free(w);
}

// The cap is lowered to the money that is left, and the run's tokens hold only that.
static void a_lowered_cap_is_what_a_run_reserves(void **state) {
    (void)state;
    struct world *w = world_new("route \"r\" { budget_fit = \"lower_cap\" }",
                                "run { max_tokens = 1000 }" BUDGET("0.0002"));
    w->answer = ANSWER;
    assert_int_equal(chat(w, CHAT(",\"max_tokens\":5000")), 200);
    world_free(w);
}

static char *image_request(void) {
    struct buffer text = {0};
    BUFFER_LITERAL(&text, "{\"model\":\"p/m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                          "\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,");
    for (int i = 0; i < 400000; i++)
        buffer_append_char(&text, 'A');
    BUFFER_LITERAL(&text, "\"}}]}]}");
    buffer_append_char(&text, '\0');
    return text.ptr;
}

// By its bytes it would be 100,000 tokens.
static void an_image_is_an_image_where_nobody_counts(void **state) {
    (void)state;
    char *body = image_request();
    struct world *w = world_new("", "");
    w->answer = "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}";
    assert_int_equal(chat(w, CHAT("")), 200); // the first of some is estimated anyway
    assert_int_equal(chat(w, body), 200);
    assert_row(w, "image", "\"usage_source\":\"estimated\"");
    assert_in_range(number_of_row(w, "input_tokens"), 1, 20000);
    world_free(w);
    free(body);
}

static void nor_when_its_client_goes(void **state) {
    (void)state;
    char *body = image_request();
    char *request = request_of("POST", "/v1/chat/completions", "application/json", body);
    struct world *w = world_new("", "");
    w->answer = ANSWER;
    assert_int_equal(chat(w, CHAT("")), 200); // as above
    w->answer = NULL;
    int fd = loopback_connect(w->port);
    size_t sent = 0, len = strlen(request);
    while (sent < len || w->requests < 2) {
        ssize_t n = send(fd, request + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        loopback_turn(w->loop);
    }
    close(fd);
    while (flow_running(w->flow) > 0)
        loopback_turn(w->loop);
    assert_row(w, "client", "\"ended_by\":\"client\"");
    assert_in_range(number_of_row(w, "input_tokens"), 1, 20000);
    world_free(w);
    free(request);
    free(body);
}

// Anthropic counts one token when it begins.
static void what_came_of_a_cut_stream_is_booked(void **state) {
    (void)state;
    struct world *w = world_new("", BUDGET("1"));
    w->streams = true;
    w->answer =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":"
        "{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
        "{\"type\":\"text_delta\",\"text\":\"one two three four five six seven eight nine ten\"}}\n\n";
    (void)fetch(w, "POST", "/v1/messages",
                "{\"model\":\"p/m\",\"max_tokens\":50,\"messages\":[],\"stream\":true}");
    assert_row(w, "cut", "\"usage_source\":\"estimated\"");
    assert_in_range(number_of_row(w, "output_tokens"), 5, 50);
    world_free(w);
}

// ---------------------------------------------------------------------- the key

static const struct {
    const char *name, *model, *file; // what a reload changes
    bool shared;
} reloads[] = {
    {"nothing", "", "", true},
    {"a cap that lowers nothing", "", "route \"r\" { max_output_tokens = 60 }", true},
    {"a cap that lowers", "", "route \"r\" { max_output_tokens = 40 }", false},
    {"a model's cap that lowers nothing", "max_output_tokens = 50", "", true},
    {"a model's cap that lowers", "max_output_tokens = 49", "", false},
    {"another model's cap", "", "model \"p/n\" { max_output_tokens = 5 }", true},
    {"an instruction", "", "route \"r\" { concise = true }", false},
    {"trimming", "", "route \"r\" { context \"history\" { max_tokens = 100 action = \"trim_oldest\" } }",
     false},
    {"a context budget that only refuses", "", "route \"r\" { context \"total\" { max_tokens = 100 } }",
     true},
};

static void what_the_file_changes_is_part_of_the_key(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(reloads); i++) {
        struct world *w = world_new("", "");
        w->answer = ANSWER;
        assert_int_equal(chat(w, CHAT(COLD)), 200);
        struct http_server *other = w->provider;
        uint16_t port;
        w->provider = serve(w, (struct http_handler){on_request, NULL, w}, &port);
        const struct config *after = configure(port, reloads[i].model, reloads[i].file, "");
        flow_reload(w->flow, after);
        config_unref(w->config);
        w->config = after;
        assert_int_equal(chat(w, CHAT(COLD)), 200);
        if ((w->requests == 1) != reloads[i].shared)
            fail_msg("%s: %d purchases", reloads[i].name, w->requests);
        http_server_free(other);
        world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_costs_what_it_should),
        cmocka_unit_test(a_file_is_no_prompt),
        cmocka_unit_test(a_refused_attempt_is_none),
        cmocka_unit_test(a_retry_that_the_run_has_no_more_of_is_told),
        cmocka_unit_test(a_lowered_cap_is_what_a_run_reserves),
        cmocka_unit_test(an_image_is_an_image_where_nobody_counts),
        cmocka_unit_test(nor_when_its_client_goes),
        cmocka_unit_test(what_came_of_a_cut_stream_is_booked),
        cmocka_unit_test(what_the_file_changes_is_part_of_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
