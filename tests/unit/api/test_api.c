// The tables of the contract: endpoints, errors, header classes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "farthing/api.h"

static void endpoints_are_found_by_method_and_path(void **state) {
    (void)state;
    static const struct {
        const char *method, *path;
        bool found;
        enum api_endpoint endpoint;
    } cases[] = {
        {"POST", "/v1/chat/completions", true, API_CHAT_COMPLETIONS},
        {"POST", "/v1/completions", true, API_COMPLETIONS},
        {"POST", "/v1/responses", true, API_RESPONSES},
        {"POST", "/v1/embeddings", true, API_EMBEDDINGS},
        {"POST", "/v1/messages", true, API_MESSAGES},
        {"GET", "/v1/models", true, API_MODELS},
        {"GET", "/v1/models/openai/gpt-4o", true, API_MODELS},
        {"DELETE", "/v1/models/ft:x", true, API_OTHER},
        {"GET", "/v1/modelsx", true, API_OTHER},
        {"GET", "/v1/chat/completions", true, API_OTHER},
        {"GET", "/v1/responses/resp_1", true, API_OTHER},
        {"POST", "/v1/files", true, API_OTHER},
        {"POST", "/v2/files", false, API_OTHER},
        {"GET", "/v1", false, API_OTHER},
        {"GET", "/", false, API_OTHER},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        enum api_endpoint e = API_OTHER;
        bool found = api_endpoint_find(slice_of(cases[i].method), slice_of(cases[i].path), &e);
        assert_int_equal(found, cases[i].found);
        if (found)
            assert_int_equal(e, cases[i].endpoint);
    }
}

static void every_error_has_a_code_and_a_status(void **state) {
    (void)state;
    for (int e = API_ERROR_NONE + 1; e < API_ERROR_COUNT; e++) {
        const struct api_error_info *info = api_error_info((enum api_error)e);
        assert_non_null(info->code);
        assert_true(info->code[0] != '\0');
        assert_true(info->type[0] != '\0');
        assert_in_range(info->status, 400, 599);
    }
}

static void errors_have_openais_shape(void **state) {
    (void)state;
    struct buffer out = {0};
    api_error_write(&out, API_ERROR_INVALID_REQUEST, SLICE("no \"model\"\n"), SLICE("model"));
    assert_true(slice_equal(buffer_slice(&out),
                            SLICE("{\"error\":{\"message\":\"no \\\"model\\\"\\n\","
                                  "\"type\":\"invalid_request_error\",\"param\":\"model\","
                                  "\"code\":\"invalid_request\"}}")));
    buffer_clear(&out);
    api_error_write(&out, API_ERROR_SHUTTING_DOWN, SLICE("x"), SLICE_NONE);
    assert_true(slice_find(buffer_slice(&out), SLICE("\"param\":null")) > 0);
    buffer_free(&out);
}

static void header_classes(void **state) {
    (void)state;
    assert_true(api_header_is_hop_by_hop(SLICE("Transfer-Encoding")));
    assert_true(api_header_is_hop_by_hop(SLICE("KEEP-ALIVE")));
    assert_false(api_header_is_hop_by_hop(SLICE("content-type")));
    assert_true(api_header_is_farthing(SLICE("X-Farthing-Run")));
    assert_false(api_header_is_farthing(SLICE("x-farthing")));
    const struct api_header headers[] = {{SLICE("A"), SLICE("1")}, {SLICE("b"), SLICE("2")}};
    assert_true(slice_equal(api_header_find(headers, 2, SLICE("B")), SLICE("2")));
    assert_null(api_header_find(headers, 2, SLICE("c")).ptr);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_found_by_method_and_path),
        cmocka_unit_test(every_error_has_a_code_and_a_status),
        cmocka_unit_test(errors_have_openais_shape),
        cmocka_unit_test(header_classes),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
