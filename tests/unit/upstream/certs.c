#include "certs.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static void extend(X509 *x, int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    if (extension == NULL || X509_add_ext(x, extension, -1) != 1)
        abort();
    X509_EXTENSION_free(extension);
}

struct cert cert_make(const char *host, const struct cert *issuer, int days) {
    static long serial = 1;
    struct cert c = {EVP_EC_gen("P-256"), X509_new()};
    X509_set_version(c.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), -86400);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), (days - 1) * 86400L);
    X509_set_pubkey(c.x509, c.key);
    char common_name[64];
    snprintf(common_name, sizeof common_name, "farthing test %ld", serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x509), "CN", MBSTRING_ASC,
                               (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(c.x509, X509_get_subject_name(issuer != NULL ? issuer->x509 : c.x509));
    if (host[0] == '\0') {
        extend(c.x509, NID_basic_constraints, "critical,CA:TRUE");
        extend(c.x509, NID_key_usage, "critical,keyCertSign");
    } else {
        char name[64];
        snprintf(name, sizeof name, "IP:%s", host);
        extend(c.x509, NID_subject_alt_name, name);
    }
    if (X509_sign(c.x509, issuer != NULL ? issuer->key : c.key, EVP_sha256()) == 0)
        abort();
    return c;
}

void cert_free(struct cert *c) {
    EVP_PKEY_free(c->key);
    X509_free(c->x509);
}

void cert_write(const struct cert *c, const char *cert_path, const char *key_path) {
    FILE *f = fopen(cert_path, "w");
    if (f == NULL || PEM_write_X509(f, c->x509) != 1)
        abort();
    fclose(f);
    if (key_path == NULL)
        return;
    f = fopen(key_path, "w");
    if (f == NULL || PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL) != 1)
        abort();
    fclose(f);
}

SSL_CTX *cert_server(const struct cert *c) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate(context, c->x509) != 1 ||
        SSL_CTX_use_PrivateKey(context, c->key) != 1)
        abort();
    return context;
}
