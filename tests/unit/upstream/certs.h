// Throw-away certificates, made when a test runs.
#ifndef FARTHING_TEST_UPSTREAM_CERTS_H
#define FARTHING_TEST_UPSTREAM_CERTS_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct cert {
    EVP_PKEY *key;
    X509 *x509;
};

// For the host 127.0.0.1 (or another one's address, or "" for an authority),
// signed by `issuer` (NULL: by itself), valid from now - 1 day for so many days.
struct cert cert_make(const char *host, const struct cert *issuer, int days);
void cert_free(struct cert *c);
void cert_write(const struct cert *c, const char *cert_path, const char *key_path); // NULL: not
SSL_CTX *cert_server(const struct cert *c);

#endif
