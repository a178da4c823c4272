// The built-in mock provider: deterministic, capped, streamed, failing on
// purpose; and the demo's configuration is one that the product accepts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/config.h"
#include "farthing/demo.h"
#include "loopback.h"

struct world {
    struct event_base *loop;
    struct mock *mock;
    struct http_server *server;
    uint16_t port;
};

static int set_up(void **state) {
    struct world *w = base_calloc(1, sizeof *w);
    struct error err;
    w->loop = event_base_new();
    w->mock = mock_new(w->loop, &(struct mock_options){.token_delay_ms = 1});
    const struct http_limits limits = {1 << 20, 8192, 50, 1000, 1000, 1000, 1000, 65536, 0};
    struct http_handler handler = mock_handler(w->mock);
    w->server = http_server_new(w->loop, &limits, &handler);
    w->port = http_server_listen(w->server, SLICE("127.0.0.1:0"), NULL, false, &err);
    assert_int_not_equal(w->port, 0);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    http_server_free(w->server);
    mock_free(w->mock);
    event_base_free(w->loop);
    free(w);
    return 0;
}

// The answer's body; chunked ones are left as they are.
static char *ask(struct world *w, const char *path, const char *body) {
    char *request = loopback_post(path, "", body);
    char *got = loopback_fetch(w->loop, w->port, request);
    char *start = strstr(got, "\r\n\r\n");
    assert_non_null(start);
    char *copy = slice_dup(slice_of(start + 4));
    free(request);
    free(got);
    return copy;
}

static void the_same_question_has_the_same_answer(void **state) {
    static const char *const body = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    char *first = ask(*state, "/v1/chat/completions", body);
    char *second = ask(*state, "/v1/chat/completions", body);
    char *other = ask(*state, "/v1/chat/completions", "{\"model\":\"m\",\"messages\":[]}");
    assert_string_equal(first, second);
    assert_string_not_equal(first, other);
    assert_non_null(strstr(first, "\"finish_reason\":\"stop\""));
    free(first);
    free(second);
    free(other);
}

static void caps_are_obeyed(void **state) {
    static const char *const caps[] = {"max_tokens", "max_completion_tokens"};
    for (size_t i = 0; i < FARTHING_COUNT(caps); i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[],\"%s\":3}", caps[i]);
        char *got = ask(*state, "/v1/chat/completions", body);
        assert_non_null(strstr(got, "\"completion_tokens\":3"));
        assert_non_null(strstr(got, "\"finish_reason\":\"length\""));
        free(got);
    }
}

static void a_stream_is_well_formed(void **state) {
    char *got = ask(*state, "/v1/chat/completions",
                    "{\"model\":\"m\",\"messages\":[],\"stream\":true,"
                    "\"stream_options\":{\"include_usage\":true}}");
    assert_non_null(strstr(got, "\"role\":\"assistant\""));
    assert_non_null(strstr(got, "\"choices\":[],\"usage\":{"));
    assert_non_null(strstr(got, "data: [DONE]\n\n"));
    free(got);
}

static void some_fail_at_times(void **state) {
    static const char *const body = "{\"model\":\"mock-flaky\",\"messages\":[]}";
    int failed = 0;
    for (int i = 0; i < 6; i++) {
        char *got = ask(*state, "/v1/chat/completions", body);
        failed += strstr(got, "internal_error") != NULL;
        free(got);
    }
    assert_int_equal(failed, 2);
}

static void other_endpoints_answer_in_their_shapes(void **state) {
    static const struct {
        const char *path, *body, *expected;
    } cases[] = {
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}", "\"embedding\":["},
        {"/v1/responses", "{\"model\":\"m\",\"input\":\"x\"}", "\"object\":\"response\""},
        {"/v1/models", "", "\"object\":\"list\""},
        {"/v1/chat/completions", "no JSON", "\"object\":\"chat.completion\""},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        char *got = ask(*state, cases[i].path, cases[i].body);
        assert_non_null(strstr(got, cases[i].expected));
        free(got);
    }
}

static void the_demo_configuration_is_valid(void **state) {
    (void)state;
    struct buffer text = {0}, messages = {0};
    demo_config(&text, 4242, "/tmp/demo");
    const struct config *config = config_load_text(buffer_slice(&text), "demo.conf", &messages);
    assert_non_null(config);
    assert_int_equal(config->warnings.count, 0);
    config_unref(config);
    buffer_free(&messages);
    buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_question_has_the_same_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(caps_are_obeyed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stream_is_well_formed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(some_fail_at_times, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_endpoints_answer_in_their_shapes, set_up, tear_down),
        cmocka_unit_test(the_demo_configuration_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
