// SHA-256 by OpenSSL. The algorithm is fetched once and contexts are reused:
// in OpenSSL 3 the fetch costs more than hashing a kilobyte.
#include "farthing/base.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

struct digest {
    EVP_MD_CTX *ctx;
};

static EVP_MD *sha256;
static pthread_key_t thread_digest;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// A wrong digest would hand out somebody else's answer: better no process.
static void must(int ok) {
    if (ok != 1)
        abort();
}

static void free_thread_digest(void *d) {
    digest_free(d);
}

static void at_exit(void) {
    // The main thread's destructors do not run by themselves.
    digest_free(pthread_getspecific(thread_digest));
    pthread_setspecific(thread_digest, NULL);
    EVP_MD_free(sha256);
    sha256 = NULL;
}

static void set_up(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256 == NULL || pthread_key_create(&thread_digest, free_thread_digest) != 0)
        abort();
    atexit(at_exit);
}

struct digest *digest_new(void) {
    pthread_once(&once, set_up);
    struct digest *d = base_alloc(sizeof *d);
    d->ctx = EVP_MD_CTX_new();
    must(d->ctx != NULL);
    must(EVP_DigestInit_ex2(d->ctx, sha256, NULL));
    return d;
}

void digest_update(struct digest *d, struct slice s) {
    if (s.len > 0)
        must(EVP_DigestUpdate(d->ctx, s.ptr, s.len));
}

void digest_update_part(struct digest *d, struct slice part) {
    unsigned char length[8];
    for (unsigned i = 0; i < sizeof length; i++)
        length[i] = (unsigned char)((uint64_t)part.len >> 8 * i & 0xff);
    digest_update(d, slice_make(length, sizeof length));
    digest_update(d, part);
}

void digest_finish(struct digest *d, uint8_t out[DIGEST_LEN]) {
    must(EVP_DigestFinal_ex(d->ctx, out, NULL));
    must(EVP_DigestInit_ex2(d->ctx, NULL, NULL));
}

void digest_free(struct digest *d) {
    if (d == NULL)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

struct digest *digest_of_thread(void) {
    pthread_once(&once, set_up);
    struct digest *d = pthread_getspecific(thread_digest);
    if (d == NULL) {
        d = digest_new();
        pthread_setspecific(thread_digest, d);
    }
    return d;
}

void digest_sha256(struct slice s, uint8_t out[DIGEST_LEN]) {
    struct digest *d = digest_of_thread();
    digest_update(d, s);
    digest_finish(d, out);
}

void digest_hex(const uint8_t *bytes, size_t len, char *out) {
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

void digest_sha1(struct slice s, uint8_t out[DIGEST_SHA1_LEN]) {
    must(EVP_Digest(s.ptr, s.len, out, NULL, EVP_sha1(), NULL));
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool digest_unhex(struct slice hex, uint8_t *out, size_t len) {
    if (hex.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex.ptr[2 * i]), low = hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool digest_equal(const uint8_t *a, const uint8_t *b, size_t len) {
    return CRYPTO_memcmp(a, b, len) == 0;
}
