// TLS towards Redis: 1.2 and up, the certificate checked against the host that
// was asked for, a certificate of our own where Redis wants one.
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "redis_link.h"

struct redis_tls {
    SSL_CTX *ctx;
};

static bool fail(struct error *err, const char *what, const char *file) {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return error_set(err, "store: cannot use the %s \"%s\": %s", what, file, text);
}

static bool load_files(SSL_CTX *ctx, const struct store_redis_options *o, struct error *err) {
    if (o->ca_file != NULL && SSL_CTX_load_verify_locations(ctx, o->ca_file, NULL) != 1)
        return fail(err, "ca_file", o->ca_file);
    if (o->ca_file == NULL)
        SSL_CTX_set_default_verify_paths(ctx);
    if (o->certificate == NULL)
        return true;
    if (SSL_CTX_use_certificate_chain_file(ctx, o->certificate) != 1)
        return fail(err, "certificate", o->certificate);
    if (SSL_CTX_use_PrivateKey_file(ctx, o->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return fail(err, "key", o->key);
    return true;
}

struct redis_tls *redis_tls_new(const struct store_redis_options *options, struct error *err) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(ctx, options->tls_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (!load_files(ctx, options, err)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    struct redis_tls *t = base_calloc(1, sizeof *t);
    t->ctx = ctx;
    return t;
}

void redis_tls_free(struct redis_tls *t) {
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

static bool is_address(const char *host) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

// A certificate names hosts and addresses in different fields, and only a host
// may be said before it is seen (RFC 6066 3).
void *redis_tls_session(struct redis_tls *t, const struct store_redis_options *options) {
    SSL *ssl = SSL_new(t->ctx);
    const char *host = options->host;
    bool ok = ssl != NULL;
    if (ok && is_address(host))
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    else if (ok)
        ok = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    if (ok)
        return ssl;
    SSL_free(ssl); // never one that would not check
    return NULL;
}

void redis_tls_explain(void *session, unsigned long code, struct error *out) {
    long verdict = SSL_get_verify_result(session);
    char text[200];
    if (verdict != X509_V_OK && SSL_get_verify_mode(session) != SSL_VERIFY_NONE) {
        error_set(out, "its certificate is not accepted: %s",
                  X509_verify_cert_error_string(verdict));
        return;
    }
    ERR_error_string_n(code, text, sizeof text);
    error_set(out, "TLS: %s", text);
}
