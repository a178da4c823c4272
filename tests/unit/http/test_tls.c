// TLS, with a certificate that is made when the test runs: large bodies both
// ways, pipelining beyond what is held, back-pressure, endings.
#include "scene.h"

#include "conn.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char certificate_path[] = "/tmp/farthing-test-cert-XXXXXX";
static char key_path[] = "/tmp/farthing-test-key-XXXXXX";

// -------------------------------------------------------------- certificates

static FILE *open_new(char *path) {
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL)
        abort();
    return f;
}

static int make_certificate(void **state) {
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    bool ok = X509_sign(x, key, EVP_sha256()) != 0;
    FILE *f = open_new(certificate_path);
    ok = PEM_write_X509(f, x) == 1 && ok;
    ok = fclose(f) == 0 && ok;
    f = open_new(key_path);
    ok = PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && ok;
    ok = fclose(f) == 0 && ok;
    X509_free(x);
    EVP_PKEY_free(key);
    return ok ? 0 : -1;
}

static int remove_certificate(void **state) {
    (void)state;
    unlink(certificate_path);
    unlink(key_path);
    return 0;
}

static int secure_make(void **state) {
    scene_make(state);
    struct scene *s = *state;
    struct error err;
    s->tls = http_tls_new(certificate_path, key_path, &err);
    s->client_tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(s->client_tls,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return s->tls != NULL ? 0 : -1;
}

// --------------------------------------------------------------------- bodies

static void large_bodies_go_both_ways(void **state) {
    struct scene *s = *state;
    enum { SIZE = 3000000 };
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    s->act = act_echo;
    scene_start(s);
    for (size_t i = 0; i < FARTHING_COUNT(versions); i++) {
        SSL_CTX_set_min_proto_version(s->client_tls, versions[i]);
        SSL_CTX_set_max_proto_version(s->client_tls, versions[i]);
        struct buffer request = {0};
        buffer_printf(&request, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SIZE);
        size_t head = request.len;
        for (size_t k = 0; k < SIZE; k++)
            buffer_append_char(&request, (char)('a' + k % 23));
        struct client *c = client_open(s);
        client_send(c, buffer_slice(&request));
        UNTIL(s, client_body(c).len == SIZE);
        assert_int_equal(SSL_version(c->ssl), versions[i]);
        assert_true(slice_equal(client_body(c), slice_from(buffer_slice(&request), head)));
        buffer_free(&request);
        UNTIL(s, s->seen[i].ends == 1);
        assert_int_equal(s->seen[i].how, HTTP_END_SENT);
    }
}

static void chunked_bodies_arrive_whole(void **state) {
    struct scene *s = *state;
    enum { CHUNKS = 300, CHUNK = 1000 };
    s->act = act_echo;
    scene_start(s);
    struct buffer request = {0}, body = {0};
    BUFFER_LITERAL(&request, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < CHUNKS; i++) {
        char chunk[CHUNK];
        memset(chunk, 'a' + i % 26, sizeof chunk);
        buffer_append(&body, slice_make(chunk, sizeof chunk));
        buffer_printf(&request, "%x\r\n", CHUNK);
        buffer_append(&request, slice_make(chunk, sizeof chunk));
        BUFFER_LITERAL(&request, "\r\n");
    }
    BUFFER_LITERAL(&request, "0\r\n\r\n");
    struct client *c = client_open(s);
    client_send(c, buffer_slice(&request));
    UNTIL(s, client_body(c).len == body.len);
    assert_true(slice_equal(client_body(c), buffer_slice(&body)));
    buffer_free(&request);
    buffer_free(&body);
    UNTIL(s, s->seen[0].ends == 1);
}

// Reading pauses while decrypted bytes wait inside OpenSSL, where no poll sees
// them; the last request must not wait for ever.
static void pipelining_beyond_what_is_held_goes_on(void **state) {
    struct scene *s = *state;
    enum { COUNT = 40 };
    // The records end at other places each time.
    for (int size = 2000; size <= 14000; size += 3000) {
        scene_start(s);
        s->seen_count = 0;
        struct buffer all = {0};
        for (int i = 0; i < COUNT; i++) {
            buffer_printf(&all, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size);
            for (int k = 0; k < size; k++)
                buffer_append_char(&all, 'x');
        }
        struct client *c = client_open(s);
        client_send(c, buffer_slice(&all));
        buffer_free(&all);
        UNTIL(s, s->seen_count == 1);
        for (int turn = 0; turn < 20; turn++)
            scene_step(s);
        for (size_t i = 0; i < COUNT; i++) {
            UNTIL(s, s->seen_count == i + 1);
            act_ok(&s->seen[i]);
        }
        UNTIL(s, client_count(c, "\r\n\r\nok") == COUNT && http_server_active(s->server) == 0);
        for (size_t i = 0; i < COUNT; i++) {
            buffer_free(&s->seen[i].method);
            buffer_free(&s->seen[i].path);
            buffer_free(&s->seen[i].query);
            buffer_free(&s->seen[i].body);
            s->seen[i] = (struct seen){0};
        }
        s->seen_count = 0;
        client_close(c);
        scene_stop(s);
    }
}

// ------------------------------------------------------------------- streams

static char block[16384];

static size_t fill(struct seen *seen) {
    size_t given = sizeof block;
    for (; http_reply_write(seen->request, slice_make(block, sizeof block)); given += sizeof block)
        assert_true(given < 64 << 20);
    return given;
}

static struct seen *begin(struct scene *s, struct client *c) {
    client_send(c, GET("/"));
    size_t at = s->seen_count;
    UNTIL(s, s->seen_count == at + 1);
    http_reply_begin(s->seen[at].request, 200, NULL, 0);
    return &s->seen[at];
}

static void a_slow_reader_is_waited_for(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open_slow(s, 65536);
    struct seen *seen = begin(s, c);
    size_t given = fill(seen);
    c->is_slow = false;
    UNTIL(s, seen->drains == 1);
    http_reply_finish(seen->request);
    struct buffer got = {0};
    UNTIL(s, client_dechunk(c, &got));
    assert_int_equal(got.len, given);
    buffer_free(&got);
    UNTIL(s, seen->ends == 1);
    assert_int_equal(seen->how, HTTP_END_SENT);
}

static void refill(struct seen *seen) {
    if (seen->drains < 10)
        fill(seen);
}

// A client that reads slowly and sends all the time: its requests wait with it.
static void a_full_socket_does_not_open_the_way_in(void **state) {
    struct scene *s = *state;
    scene_start(s);
    struct client *c = client_open_slow(s, 65536);
    struct seen *seen = begin(s, c);
    size_t sent = 0;
    seen->on_drain = refill;
    fill(seen);
    for (; c->out.len == 0 && sent < 32 << 20; sent += sizeof block) {
        client_send(c, slice_make(block, sizeof block));
        scene_step(s);
    }
    assert_true(c->out.len > 0); // paused at last
    for (int turn = 0; turn < 20; turn++)
        scene_step(s);
    size_t held = input_held(seen->request->conn);
    assert_true(held >= INPUT_HELD_MAX);
    c->is_slow = false;
    UNTIL(s, seen->drains >= 10 && output_unsent(seen->request->conn) == 0);
    assert_int_equal(input_held(seen->request->conn), held); // paused still
    http_reply_finish(seen->request);
    UNTIL(s, seen->ends == 1);
    assert_int_equal(seen->how, HTTP_END_SENT);
}

static void endings_are_told_apart(void **state) {
    struct scene *s = *state;
    scene_start(s);
    // Its goodbye, and none.
    for (size_t i = 0; i < 2; i++) {
        struct client *c = client_open(s);
        struct seen *seen = begin(s, c);
        UNTIL(s, client_has(c, "\r\n\r\n"));
        if (i == 0)
            SSL_shutdown(c->ssl);
        client_close(c);
        UNTIL(s, seen->ends == 1);
        assert_int_equal(seen->how, HTTP_END_CLIENT_GONE);
    }
    // An abort: no last chunk, but what was written.
    struct client *c = client_open(s);
    struct seen *seen = begin(s, c);
    http_reply_write(seen->request, SLICE("last words"));
    http_reply_abort(seen->request);
    UNTIL(s, c->ended);
    assert_true(client_is(c, "a\r\nlast words\r\n"));
    UNTIL(s, seen->ends == 1);
    assert_int_equal(seen->how, HTTP_END_ABORTED);
    // The server's end.
    c = client_open(s);
    seen = begin(s, c);
    scene_stop(s);
    assert_int_equal(seen->how, HTTP_END_SHUTDOWN);
    UNTIL(s, client_gone(c));
}

// ---------------------------------------------------------------- handshakes

static void handshakes_that_fail_leave_nothing(void **state) {
    struct scene *s = *state;
    scene_start(s);
    SSL_CTX *context = s->client_tls;
    s->client_tls = NULL;
    struct client *plain = client_open(s), *silent = client_open(s);
    client_send(plain, GET("/"));
    UNTIL(s, client_gone(plain));
    s->client_tls = context;
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
    struct client *other = client_open(s);
    UNTIL(s, other->broken);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    struct client *both = client_open(s);
    client_send(both, GET("/"));
    UNTIL(s, s->seen_count == 1);
    const unsigned char *chosen;
    unsigned length;
    SSL_get0_alpn_selected(both->ssl, &chosen, &length);
    assert_true(slice_equal(slice_make(chosen, length), SLICE("http/1.1")));
    act_ok(&s->seen[0]);
    UNTIL(s, client_is(both, "ok") && s->seen[0].ends == 1);
    assert_false(client_gone(silent));
    http_server_drain(s->server); // a handshake is nothing to wait for
    UNTIL(s, client_gone(silent) && client_gone(both));
}

static void old_versions_are_refused(void **state) {
    struct scene *s = *state;
    scene_start(s);
    SSL_CTX_set_security_level(s->client_tls, 0);
    SSL_CTX_set_min_proto_version(s->client_tls, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(s->client_tls, TLS1_1_VERSION);
    struct client *c = client_open(s);
    UNTIL(s, c->broken);
    assert_int_equal(s->seen_count, 0);
}

static void a_handshake_has_a_deadline(void **state) {
    struct scene *s = *state;
    s->limits.header_timeout_ms = 40;
    clock_freeze(0, 1000000);
    scene_start(s);
    s->limits.header_timeout_ms = 60000;
    SSL_CTX_free(s->client_tls);
    s->client_tls = NULL;
    struct client *c = client_open(s);
    client_send(c, SLICE("\x16\x03\x01"));
    scene_step(s);
    clock_freeze(40, 41000000);
    UNTIL(s, client_gone(c));
    assert_int_equal(c->in.len, 0); // no HTTP to who speaks none
}

static void unusable_files_are_named(void **state) {
    (void)state;
    struct error err = {""};
    assert_null(http_tls_new("/nowhere/cert.pem", key_path, &err));
    assert_non_null(strstr(err.text, "/nowhere/cert.pem"));
    assert_null(http_tls_new(certificate_path, "/nowhere/key.pem", &err));
    assert_non_null(strstr(err.text, "/nowhere/key.pem"));
    assert_null(http_tls_new(key_path, certificate_path, &err));
    assert_non_null(strstr(err.text, key_path));
    http_tls_unref(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, secure_make, scene_end)

int main(void) {
    memset(block, 'x', sizeof block);
    const struct CMUnitTest tests[] = {
        TEST(large_bodies_go_both_ways),
        TEST(chunked_bodies_arrive_whole),
        TEST(pipelining_beyond_what_is_held_goes_on),
        TEST(a_slow_reader_is_waited_for),
        TEST(a_full_socket_does_not_open_the_way_in),
        TEST(endings_are_told_apart),
        TEST(handshakes_that_fail_leave_nothing),
        TEST(old_versions_are_refused),
        TEST(a_handshake_has_a_deadline),
        cmocka_unit_test(unusable_files_are_named),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
