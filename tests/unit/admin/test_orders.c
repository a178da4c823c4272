// What an operator may change: who is let in, what a body must be, blocking
// keys, and the audit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "scene.h"

#define BLOCK   "/keys/block"
#define UNBLOCK "/keys/unblock"
#define BY_A    "{\"key\":\"sha256:" SCENE_A "\"}"

static bool is_blocked(struct scene *s, const char *hex, const char *tenant) {
    uint8_t digest[DIGEST_LEN];
    assert_true(digest_unhex(slice_of(hex), digest, DIGEST_LEN));
    return key_blocks_check(s->blocks, digest, slice_of(tenant));
}

// ------------------------------------------------------------------------- guard

static void pages_of_a_browser_are_refused(void **state) {
    struct scene *s = *state;
    static const char *const headers[] = {
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://x\r\n",
        "Origin:\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    };
    for (size_t i = 0; i < FARTHING_COUNT(headers); i++) {
        scene_expect(scene_post(s, BLOCK, headers[i], BY_A), "403", "web page");
        assert_false(is_blocked(s, SCENE_A, "acme"));
    }
    scene_expect(scene_post(s, BLOCK, "Sec-Fetch-Site: none\r\n", BY_A), "200", "keys.block");
    assert_true(is_blocked(s, SCENE_A, "acme"));
}

static char *post_as(struct scene *s, const char *type, const char *body) {
    char request[512];
    snprintf(request, sizeof request,
             "POST " BLOCK
             " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
             type, strlen(body), body);
    return loopback_fetch(s->loop, s->port, request);
}

static void a_body_is_json(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *header, *status;
    } cases[] = {
        {"Content-Type: text/plain\r\n", "415"},
        {"Content-Type: application/x-www-form-urlencoded\r\n", "415"},
        {"Content-Type: application/jsonx\r\n", "415"},
        {"Content-Type:\r\n", "415"},
        {"Content-Encoding: gzip\r\n", "415"},
        {"", "200"},
        {"Content-Type: application/json\r\n", "200"},
        {"Content-Type: Application/JSON ; charset=utf-8\r\n", "200"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        scene_expect(post_as(s, cases[i].header, BY_A), cases[i].status, "");
}

static void a_body_is_small(void **state) {
    struct scene *s = *state;
    struct buffer body = {0};
    BUFFER_LITERAL(&body, "{\"tenant\":\"acme\"");
    while (body.len < 64 * 1024)
        buffer_append_char(&body, ' ');
    buffer_append(&body, slice_make("}", 2));
    scene_expect_order(s, BLOCK, body.ptr, "413", "request_too_large");
    body.ptr[64 * 1024 - 1] = '}';
    body.ptr[64 * 1024] = '\0';
    scene_expect_order(s, BLOCK, body.ptr, "200", "keys.block");
    buffer_free(&body);
}

static void what_is_wrong_with_a_body_is_said(void **state) {
    static const struct {
        const char *body, *status, *text;
    } cases[] = {
        {"", "400", "not valid JSON"},
        {"{", "400", "not valid JSON"},
        {"[]", "400", "must be a JSON object"},
        {"\"x\"", "400", "must be a JSON object"},
        {"{\"tenant\":\"acme\",\"tenant\":\"acme\"}", "400", "twice"},
        {"{}", "400", "either"},
        {"{\"key\":null,\"tenant\":\"\"}", "400", "either"},
        {"{\"tenant\":\"acme\",\"key\":\"sha256:" SCENE_A "\"}", "400", "either"},
        {"{\"tenant\":5}", "400", "must be a string"},
        {"{\"tenant\":[\"acme\"]}", "400", "must be a string"},
        {"{\"tenant\":\"acme\",\"secret\":\"x\"}", "400",
         "There is no member \\\"secret\\\" here, only tenant, key, reason."},
        {"{\"tenant\":\"acme\",\"amount\":\"1\"}", "400", "There is no member \\\"amount\\\""},
        {"{\"tenant\":\"acne\"}", "404", "did you mean \\\"acme\\\"?"},
        {"{\"tenant\":\"something else\"}", "404", "There is no tenant"},
        {"{\"key\":\"" SCENE_A "\"}", "400", "must be \\\"sha256:\\\""},
        {"{\"key\":\"sha256:\"}", "400", "never the key itself"},
        {"{\"key\":\"sha256:d4b6b8cb04e\"}", "400", "the first 12"},
        {"{\"key\":\"sha256:" SCENE_A "00\"}", "400", "all 64"},
        {"{\"key\":\"sha256:d4b6b8cb04eg\"}", "400", "hex"},
        {"{\"key\":\"sha256:d4b6b8cb04ed\"}", "404", "Several keys"},
        {"{\"key\":\"sha256:ffffffffffff\"}", "404", "No key"},
        {"{\"tenant\":\"\\ud800\"}", "400", "not valid JSON"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++)
        scene_expect_order(*state, BLOCK, cases[i].body, cases[i].status, cases[i].text);
    scene_expect_page(*state, "/keys", "200", "\"blocked\":false");
}

// Whoever pastes a key in place of its hash does not find it in an answer.
static void a_key_in_clear_is_not_repeated(void **state) {
    char *got = scene_post(*state, BLOCK, "", "{\"key\":\"sk-hush-hush\"}");
    assert_null(strstr(got, "hush"));
    scene_expect(got, "400", "never the key itself");
}

static void long_text_is_refused(void **state) {
    struct buffer body = {0};
    BUFFER_LITERAL(&body, "{\"tenant\":\"acme\",\"reason\":\"");
    for (int i = 0; i < KEY_BLOCK_TEXT_MAX + 1; i++)
        buffer_append_char(&body, 'r');
    buffer_append(&body, slice_make("\"}", 3));
    scene_expect_order(*state, BLOCK, body.ptr, "400", "at most 256 bytes, not 257");
    buffer_free(&body);
}

// ---------------------------------------------------------------------- blocking

static void a_key_is_blocked_and_unblocked(void **state) {
    struct scene *s = *state;
    scene_expect_order(
        s, BLOCK, "{\"key\":\"sha256:" SCENE_A "\",\"reason\":\"leaked\"}", "200",
        "{\"action\":\"keys.block\",\"what\":\"sha256:d4b6b8cb04ed of acme\","
        "\"before\":{\"blocked\":false},\"after\":{\"blocked\":true},\"saved\":true}");
    assert_true(is_blocked(s, SCENE_A, "acme"));
    assert_false(is_blocked(s, SCENE_B, "acme"));
    scene_expect_page(
        s, "/keys", "200",
        "\"tenant\":\"acme\",\"in_file\":true,\"blocked\":true,\"blocked_by\":\"key\"");
    scene_expect_page(s, "/keys", "200", "\"who\":\"127.0.0.1\",\"reason\":\"leaked\"");
    scene_expect_order(
        s, UNBLOCK, BY_A, "200",
        "\"before\":{\"blocked\":true},\"after\":{\"blocked\":false},\"saved\":true");
    assert_false(is_blocked(s, SCENE_A, "acme"));
}

static void a_tenant_is_blocked_and_unblocked(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, BLOCK, "{\"tenant\":\"b/c & d\"}", "200", "\"what\":\"tenant b/c & d\"");
    assert_true(is_blocked(s, SCENE_C, "b/c & d"));
    assert_false(is_blocked(s, SCENE_A, "acme"));
    scene_expect_page(s, "/keys?tenant=b%2Fc%20%26%20d", "200", "\"blocked_by\":\"tenant\"");
    scene_expect_page(s, "/keys", "200", "{\"key\":null,\"tenant\":\"b/c & d\",\"in_file\":true,");
    scene_expect_order(s, UNBLOCK, "{\"tenant\":\"b/c & d\"}", "200",
                       "\"after\":{\"blocked\":false}");
    assert_false(is_blocked(s, SCENE_C, "b/c & d"));
}

static void a_hash_may_be_given_in_part(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, BLOCK, "{\"key\":\"sha256:0123456789AB\"}", "200", "of b/c & d");
    assert_true(is_blocked(s, SCENE_C, "x"));
    char part[128]; // all but the last digit, which is where two keys differ
    snprintf(part, sizeof part, "{\"key\":\"sha256:%.63s\"}", SCENE_A);
    scene_expect_order(s, BLOCK, part, "404", "Several keys");
}

// A key that the file does not have (any more) may come back with the next reload.
static void a_key_of_nobody_can_be_blocked(void **state) {
    struct scene *s = *state;
    const char *other = "00000000000000000000000000000000000000000000000000000000000000ff";
    char body[128];
    snprintf(body, sizeof body, "{\"key\":\"sha256:%s\"}", other);
    scene_expect_order(s, BLOCK, body, "200", "\"what\":\"sha256:000000000000\"");
    assert_true(is_blocked(s, other, "acme"));
    scene_expect_page(
        s, "/keys", "200",
        "{\"key\":\"sha256:000000000000\",\"tenant\":null,\"in_file\":false,\"blocked\":true");
    scene_expect_order(s, UNBLOCK, "{\"key\":\"sha256:000000000000\"}", "200", "keys.unblock");
    assert_false(is_blocked(s, other, "acme"));
}

static void blocks_are_there_after_a_restart(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, BLOCK, BY_A, "200", "\"saved\":true");
    scene_close(s);
    s->store = NULL;
    scene_open(s, true);
    assert_true(is_blocked(s, SCENE_A, "acme"));
    scene_expect_page(s, "/audit", "200", "keys.block");
}

static void without_a_store_it_says_so(void **state) {
    struct scene *s = *state;
    scene_expect_order(s, BLOCK, BY_A, "200", "\"saved\":false");
    assert_true(is_blocked(s, SCENE_A, "acme"));
    scene_expect_page(s, "/audit", "404", "in the log only");
}

// ------------------------------------------------------------------------- audit

static void the_audit_says_who_did_what(void **state) {
    struct scene *s = *state;
    scene_expect_page(s, "/audit", "200", "{\"audit\":[]}");
    scene_expect(scene_post(s, BLOCK,
                            "x-farthing-operator: jane\xff"
                            "\r\n",
                            "{\"tenant\":\"acme\",\"reason\":\"a \\\"quoted\\\"\\nreason\"}"),
                 "200", "saved");
    scene_expect_order(s, UNBLOCK, "{\"tenant\":\"acme\"}", "200", "saved");
    char *got = scene_ask(s, "GET", "/audit");
    const char *newest = strstr(got, "\"action\":\"keys.unblock\"");
    const char *oldest = strstr(got, "\"action\":\"keys.block\"");
    assert_true(newest != NULL && oldest != NULL && newest < oldest);
    scene_expect(got, "200",
                 "\"who\":\"127.0.0.1\",\"operator\":\"jane?\",\"what\":\"tenant acme\","
                 "\"before\":{\"blocked\":false},\"after\":{\"blocked\":true},"
                 "\"reason\":\"a \\\"quoted\\\"\\nreason\"");
}

static void what_was_refused_is_not_in_the_audit(void **state) {
    scene_expect_order(*state, BLOCK, "{\"tenant\":\"acne\"}", "404", "acme");
    scene_expect_page(*state, "/audit", "200", "{\"audit\":[]}");
}

static void the_audit_shows_the_last_hundred(void **state) {
    struct scene *s = *state;
    size_t count = 0;
    for (int i = 0; i < 103; i++)
        scene_expect_order(s, i % 2 == 0 ? BLOCK : UNBLOCK, "{\"tenant\":\"acme\"}", "200",
                           "saved");
    char *got = scene_ask(s, "GET", "/audit");
    for (const char *at = got; (at = strstr(at, "\"action\"")) != NULL; at++)
        count++;
    assert_int_equal(count, 100);
    free(got);
}

// The client of an order leaves before the store has answered.
static void a_client_that_leaves_harms_nothing(void **state) {
    struct scene *s = *state;
    for (int i = 0; i < 20; i++) {
        char *request = loopback_post(BLOCK, "", BY_A);
        int fd = loopback_connect(s->port);
        loopback_send(fd, request);
        if (i % 2 == 0)
            loopback_turn(s->loop);
        close(fd);
        loopback_turn(s->loop);
        free(request);
    }
    scene_expect_page(s, "/keys", "200", "acme");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SCENE(pages_of_a_browser_are_refused),
        SCENE(a_body_is_json),
        SCENE(a_body_is_small),
        SCENE(what_is_wrong_with_a_body_is_said),
        SCENE(a_key_in_clear_is_not_repeated),
        SCENE(long_text_is_refused),
        SCENE(a_key_is_blocked_and_unblocked),
        SCENE(a_tenant_is_blocked_and_unblocked),
        SCENE(a_hash_may_be_given_in_part),
        SCENE(a_key_of_nobody_can_be_blocked),
        SCENE(blocks_are_there_after_a_restart),
        SCENE_WITHOUT_STORE(without_a_store_it_says_so),
        SCENE(the_audit_says_who_did_what),
        SCENE(what_was_refused_is_not_in_the_audit),
        SCENE(the_audit_shows_the_last_hundred),
        SCENE(a_client_that_leaves_harms_nothing),
    };
    return cmocka_run_group_tests_name("admin/orders", tests, NULL, NULL);
}
