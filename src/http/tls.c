// TLS for the listener: 1.2 and up, ALPN http/1.1.
#include <openssl/err.h>
#include <stdlib.h>

#include "conn.h"

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg) {
    (void)ssl;
    (void)arg;
    static const unsigned char http_1_1[] = "\x08http/1.1";
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, http_1_1,
                                 sizeof http_1_1 - 1, in, in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL; // RFC 7301 3.2
}

static bool fail(struct error *err, const char *what, const char *file) {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return error_set(err, "cannot use the %s \"%s\": %s", what, file, text);
}

struct http_tls *http_tls_new(const char *certificate_chain_file, const char *key_file,
                              struct error *err) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    // Buffers of idle connections go back; a write may be repeated from
    // another place in memory.
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    bool ok = SSL_CTX_use_certificate_chain_file(ctx, certificate_chain_file) == 1 ||
              fail(err, "certificate", certificate_chain_file);
    ok = ok && (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1 ||
                fail(err, "key", key_file));
    ok = ok && (SSL_CTX_check_private_key(ctx) == 1 || fail(err, "key", key_file));
    if (!ok) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    struct http_tls *tls = base_calloc(1, sizeof *tls);
    tls->ctx = ctx;
    tls->references = 1;
    return tls;
}

struct http_tls *http_tls_ref(struct http_tls *tls) {
    atomic_fetch_add(&tls->references, 1);
    return tls;
}

void http_tls_unref(struct http_tls *tls) {
    if (tls == NULL || atomic_fetch_sub(&tls->references, 1) != 1)
        return;
    SSL_CTX_free(tls->ctx);
    free(tls);
}
