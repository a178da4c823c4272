// TLS to a redis-server, with authorities that the test makes: who is believed,
// and who believes us.
#include "redis_scene.h"

static char directory[] = "store-test-XXXXXX";
static char paths[12][64];
static unsigned path_count;
static struct redis_server server;
static unsigned port;

static const char *path(const char *name) {
    char *p = paths[path_count++ % FARTHING_COUNT(paths)];
    snprintf(p, sizeof paths[0], "%s/%s", directory, name);
    return p;
}

// The shell's command, the name wherever it says %s.
static void run(const char *command, const char *name) {
    struct buffer line = {0};
    buffer_printf(&line, "cd %s && (", directory);
    for (const char *c = command; *c != '\0'; c++) {
        if (c[0] != '%') {
            buffer_append_char(&line, *c);
            continue;
        }
        buffer_append(&line, slice_of(name));
        c++;
    }
    buffer_printf(&line, ") >/dev/null 2>&1%c", '\0');
    if (system(line.ptr) != 0) {
        printf("openssl cannot make certificates here: %s\n", line.ptr);
        exit(REDIS_SKIP);
    }
    buffer_free(&line);
}

#define EC "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "

static void make_certificates(void) {
    static const char *const authorities[] = {"ca", "other"};
    for (size_t i = 0; i < FARTHING_COUNT(authorities); i++)
        run("openssl req -x509 " EC "-keyout %s.key -out %s.pem -days 2 -subj /CN=authority",
            authorities[i]);
    run("printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >names", "");
    static const char *const names[] = {"server", "client"};
    for (size_t i = 0; i < FARTHING_COUNT(names); i++) {
        run("openssl req " EC "-keyout %s.key -out %s.csr -subj /CN=x", names[i]);
        run("openssl x509 -req -in %s.csr -out %s.pem -CA ca.pem -CAkey ca.key -CAcreateserial "
            "-days 2 -extfile names",
            names[i]);
    }
}

static int group_set_up(void **state) {
    (void)state;
    static char text[16];
    assert_non_null(mkdtemp(directory));
    make_certificates();
    port = free_port();
    snprintf(text, sizeof text, "%u", port);
    snprintf(server.socket_path, sizeof server.socket_path, "%s/redis", directory);
    const char *const more[] = {"--tls-port",
                                text,
                                "--tls-cert-file",
                                path("server.pem"),
                                "--tls-key-file",
                                path("server.key"),
                                "--tls-ca-cert-file",
                                path("ca.pem"),
                                "--tls-auth-clients",
                                "optional",
                                "--bind",
                                "127.0.0.1"};
    memcpy(server.more, more, sizeof more);
    redis_server_start(&server);
    return 0;
}

static int group_tear_down(void **state) {
    (void)state;
    redis_server_stop(&server);
    directory_remove(directory);
    return 0;
}

static struct store_redis_options trusting(const char *host, const char *ca) {
    return (struct store_redis_options){.host = host,
                                        .port = port,
                                        .tls = true,
                                        .tls_verify = true,
                                        .ca_file = ca,
                                        .connect_timeout_ms = 20000,
                                        .command_timeout_ms = 20000,
                                        .max_value_bytes = 1 << 20};
}

static void test_who_is_believed(void **state) {
    struct redis_scene *r = *state;
    const struct store_redis_options named = trusting("localhost", path("ca.pem"));
    struct store_redis_options addressed = trusting("127.0.0.1", path("ca.pem"));
    struct store_redis_options other = trusting("localhost", path("other.pem"));
    struct store_redis_options nobody = trusting("localhost", NULL);
    struct store_redis_options unnamed = trusting("127.1", path("ca.pem"));
    struct store_redis_options unverified = other;
    unverified.tls_verify = false;
    struct store_redis_options plain = named;
    plain.tls = false;
    plain.ca_file = NULL;
    plain.connect_timeout_ms = 1000;
    struct store_redis_options with_certificate = named;
    with_certificate.certificate = path("client.pem");
    with_certificate.key = path("client.key");
    const struct {
        const struct store_redis_options *options;
        bool works;
    } rows[] = {{&named, true},  {&addressed, true}, {&with_certificate, true}, {&unverified, true},
                {&other, false}, {&nobody, false},   {&unnamed, false},         {&plain, false}};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        metric_reset_for_test();
        r->scene.redis = *rows[i].options;
        fake_open(r);
        if (is_up() != rows[i].works)
            fail_msg("row %zu: %s", i, is_up() ? "works" : "does not work");
        if (rows[i].works) {
            store_put(r->scene.store, "cache", SLICE("k"), SLICE("v"), 0);
            assert_value(&r->scene, "cache", SLICE("k"), SLICE("v"));
        } else {
            assert_int_equal(try_get(&r->scene, SLICE("k")), STORE_FAILED);
        }
        scene_close(&r->scene);
    }
}

static void test_a_server_that_wants_certificates(void **state) {
    struct redis_scene *r = *state;
    redis_server_order(&server, "CONFIG SET tls-auth-clients yes");
    for (unsigned with = 0; with < 2; with++) {
        metric_reset_for_test();
        r->scene.redis = trusting("localhost", path("ca.pem"));
        r->scene.redis.certificate = with ? path("client.pem") : NULL;
        r->scene.redis.key = with ? path("client.key") : NULL;
        fake_open(r);
        assert_int_equal(is_up(), with);
        scene_close(&r->scene);
    }
    redis_server_order(&server, "CONFIG SET tls-auth-clients optional");
}

// Over TLS, too: each record alone, and more than one record.
static void test_large_values(void **state) {
    struct redis_scene *r = *state;
    r->scene.redis = trusting("localhost", path("ca.pem"));
    fake_open(r);
    char *bytes = base_alloc(1 << 20);
    for (size_t i = 0; i < 1 << 20; i++)
        bytes[i] = (char)random_below(256);
    for (size_t len = 1; len <= 1 << 20; len *= 4) {
        store_put(r->scene.store, "cache", SLICE("k"), slice_make(bytes, len), 0);
        assert_value(&r->scene, "cache", SLICE("k"), slice_make(bytes, len));
    }
    free(bytes);
}

static void test_files_that_cannot_be_used(void **state) {
    struct redis_scene *r = *state;
    const struct {
        const char *ca, *certificate, *key, *says;
    } rows[] = {
        {path("none.pem"), NULL, NULL, "ca_file"},
        {path("client.key"), NULL, NULL, "ca_file"},
        {path("ca.pem"), path("none.pem"), path("client.key"), "certificate"},
        {path("ca.pem"), path("client.pem"), path("none.key"), "key"},
        {path("ca.pem"), path("client.pem"), path("server.key"), "key"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct error err = {{0}};
        struct store_redis_options redis = trusting("localhost", rows[i].ca);
        redis.certificate = rows[i].certificate;
        redis.key = rows[i].key;
        const struct store_options options = {r->scene.directory, SCENE_MAX_BYTES};
        assert_false(store_check_redis(&redis, &err));
        assert_non_null(strstr(err.text, rows[i].says));
        assert_null(store_open_redis(&options, &redis, &err));
    }
    struct store_redis_options good = trusting("localhost", path("ca.pem"));
    struct error err;
    assert_true(store_check_redis(&good, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FAKE(test_who_is_believed),
        FAKE(test_a_server_that_wants_certificates),
        FAKE(test_large_values),
        FAKE(test_files_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
