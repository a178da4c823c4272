// Whom an attempt trusts: with a throw-away authority of its own.
#include <unistd.h>

#include "certs.h"
#include "scene.h"

static const struct step answer_ok[] = {READ, WRITE(ANSWER_OK), AGAIN};
static const struct step *const always_ok[] = {answer_ok};

static struct cert authority, other_authority;
static char authority_path[] = "farthing-ca-XXXXXX", other_path[] = "farthing-ca-XXXXXX";

static int make_authorities(void **state) {
    (void)state;
    authority = cert_make("", NULL, 10);
    other_authority = cert_make("", NULL, 10);
    close(mkstemp(authority_path));
    close(mkstemp(other_path));
    cert_write(&authority, authority_path, NULL);
    cert_write(&other_authority, other_path, NULL);
    return 0;
}

static int remove_authorities(void **state) {
    (void)state;
    cert_free(&authority);
    cert_free(&other_authority);
    unlink(authority_path);
    unlink(other_path);
    return 0;
}

static void start(struct probe *p, struct scene *s, const char *url, const char *ca, bool verify) {
    struct upstream_target target = target_of(url);
    char path[64];
    snprintf(path, sizeof path, "%s", ca);
    target.ca_file = slice_of(path);
    target.tls_verify = verify;
    struct attempt_request request = {.target = &target,
                                      .method = SLICE("POST"),
                                      .path = SLICE("/x"),
                                      .body = SLICE("{\"secret\":1}")};
    probe_start(p, s, &request);
    memset(path, '?', sizeof path - 1); // only read during the call
}

static void get(struct scene *s, struct server *server, const char *ca, bool verify,
                enum attempt_end end, const char *what) {
    int requests = server->requests;
    struct probe p = {0};
    start(&p, s, server->url, ca, verify);
    probe_wait(&p);
    assert_end(&p, end, what);
    if (end != ATTEMPT_OK) { // not a byte of the request has left
        assert_false(p.result.sent);
        assert_int_equal(server->requests, requests);
        assert_true(p.result.detail.len > 0);
        assert_null(strstr(p.detail, "secret"));
    }
    probe_free(&p);
}

static void test_certificates(void **state) {
    (void)state;
    enum who { SIGNED, WRONG_HOST, EXPIRED, SELF_SIGNED };
    static const struct {
        const char *name;
        enum who who;
        bool trusted, verify; // by the authority's file, or with libcurl's own
        enum attempt_end end;
    } rows[] = {
        {"signed", SIGNED, true, true, ATTEMPT_OK},
        {"wrong host", WRONG_HOST, true, true, ATTEMPT_TLS_FAILED},
        {"expired", EXPIRED, true, true, ATTEMPT_TLS_FAILED},
        {"self-signed", SELF_SIGNED, true, true, ATTEMPT_TLS_FAILED},
        {"unknown authority", SIGNED, false, true, ATTEMPT_TLS_FAILED},
        {"self-signed, not looked at", SELF_SIGNED, false, false, ATTEMPT_OK},
        {"wrong host, not looked at", WRONG_HOST, true, false, ATTEMPT_OK},
        {"expired, not looked at", EXPIRED, true, false, ATTEMPT_OK},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct cert c = cert_make(rows[i].who == WRONG_HOST ? "127.0.0.2" : "127.0.0.1",
                                  rows[i].who == SELF_SIGNED ? NULL : &authority,
                                  rows[i].who == EXPIRED ? 0 : 10);
        SSL_CTX *tls = cert_server(&c);
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open(&server, always_ok, 1, tls);
        get(&s, &server, rows[i].trusted ? authority_path : "", rows[i].verify, rows[i].end,
            rows[i].name);
        scene_close(&s);
        server_close(&server);
        SSL_CTX_free(tls);
        cert_free(&c);
    }
}

// A server of one certificate that the authority signed.
struct place {
    struct cert cert;
    SSL_CTX *tls;
    struct scene scene;
    struct server server;
};

static void place_open(struct place *p, const struct step *const *script) {
    p->cert = cert_make("127.0.0.1", &authority, 10);
    p->tls = cert_server(&p->cert);
    scene_open(&p->scene);
    server_open(&p->server, script, 1, p->tls);
}

static void place_close(struct place *p) {
    scene_close(&p->scene);
    server_close(&p->server);
    SSL_CTX_free(p->tls);
    cert_free(&p->cert);
}

// Trust is a target's own: neither handle nor connection carries it over.
static void test_trust_does_not_stick(void **state) {
    (void)state;
    struct place p;
    place_open(&p, always_ok);
    struct {
        const char *ca;
        bool verify;
        enum attempt_end end;
    } rows[] = {
        {authority_path, true, ATTEMPT_OK},
        {other_path, true, ATTEMPT_TLS_FAILED},
        {authority_path, true, ATTEMPT_OK},
        {"", true, ATTEMPT_TLS_FAILED},
        {other_path, false, ATTEMPT_OK},
        {other_path, true, ATTEMPT_TLS_FAILED},
        {"", false, ATTEMPT_OK},
        {"", true, ATTEMPT_TLS_FAILED},
        {authority_path, true, ATTEMPT_OK},
        {"/nowhere/ca.pem", true, ATTEMPT_TLS_FAILED},
        {authority_path, true, ATTEMPT_OK},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        get(&p.scene, &p.server, rows[i].ca, rows[i].verify, rows[i].end, rows[i].ca);
    place_close(&p);
}

static void test_connections_are_reused(void **state) {
    (void)state;
    struct place p;
    place_open(&p, always_ok);
    for (int i = 0; i < 10; i++)
        get(&p.scene, &p.server, authority_path, true, ATTEMPT_OK, "reused");
    assert_int_equal(p.server.accepted, 1);
    // HTTP/1.1 is all it speaks: as many connections as are needed at once.
    struct probe many[8] = {{0}};
    for (size_t i = 0; i < FARTHING_COUNT(many); i++)
        start(&many[i], &p.scene, p.server.url, authority_path, true);
    for (size_t i = 0; i < FARTHING_COUNT(many); i++) {
        probe_wait(&many[i]);
        assert_end(&many[i], ATTEMPT_OK, "one of many");
        probe_free(&many[i]);
    }
    place_close(&p);
}

static void test_old_versions_are_refused(void **state) {
    (void)state;
    static const struct {
        int version;
        bool good;
    } rows[] = {{TLS1_VERSION, false},
                {TLS1_1_VERSION, false},
                {TLS1_2_VERSION, true},
                {TLS1_3_VERSION, true}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct cert c = cert_make("127.0.0.1", &authority, 10);
        SSL_CTX *tls = cert_server(&c);
        SSL_CTX_set_security_level(tls, 0);
        SSL_CTX_set_min_proto_version(tls, rows[i].version);
        SSL_CTX_set_max_proto_version(tls, rows[i].version);
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open(&server, always_ok, 1, tls);
        struct probe p = {0};
        start(&p, &s, server.url, authority_path, true);
        probe_wait(&p);
        assert_int_equal(p.result.end == ATTEMPT_OK, rows[i].good);
        assert_int_equal(p.result.sent, rows[i].good);
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
        SSL_CTX_free(tls);
        cert_free(&c);
    }
}

// Not a matter of trust: another try may well succeed.
static void test_handshake_that_breaks_off(void **state) {
    (void)state;
    static const struct step resets[] = {RESET};
    static const struct step closes[] = {END};
    static const struct step plain[] = {WRITE("HTTP/1.1 400 Bad Request\r\n\r\n"), END};
    static const struct step *const kinds[] = {resets, closes, plain};
    for (size_t i = 0; i < FARTHING_COUNT(kinds); i++) {
        struct scene s;
        struct server server;
        scene_open(&s);
        server_open_one(&server, &kinds[i]);
        struct buffer url = {0};
        buffer_printf(&url, "https%s", server.url + strlen("http"));
        buffer_append_char(&url, '\0');
        struct probe p = {0};
        start(&p, &s, url.ptr, authority_path, true);
        probe_wait(&p);
        assert_end(&p, ATTEMPT_CONNECT_FAILED, "handshake");
        assert_false(p.result.sent);
        buffer_free(&url);
        probe_free(&p);
        scene_close(&s);
        server_close(&server);
    }
}

static void test_cancel_amid_the_handshake(void **state) {
    (void)state;
    struct place place;
    place_open(&place, always_ok);
    for (int turns = 1; turns < 12; turns++) {
        struct probe p = {0};
        start(&p, &place.scene, place.server.url, authority_path, true);
        scene_turn(&place.scene, turns);
        if (p.attempt != NULL)
            probe_cancel(&p);
        scene_turn(&place.scene, 3);
        probe_free(&p);
    }
    assert_int_equal(upstream_inflight(place.scene.shared, SLICE("mock")), 0);
    place_close(&place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_trust_does_not_stick),
        cmocka_unit_test(test_connections_are_reused),
        cmocka_unit_test(test_old_versions_are_refused),
        cmocka_unit_test(test_handshake_that_breaks_off),
        cmocka_unit_test(test_cancel_amid_the_handshake),
    };
    return cmocka_run_group_tests(tests, make_authorities, remove_authorities);
}
