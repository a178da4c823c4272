// Tenants by the SHA-256 of their keys.
//
// A hash table finds the bucket, a constant-time comparison decides. What an
// attacker could learn from the time of a look-up is bits of a digest whose
// preimage is still out of reach; the comparison leaves not even that.
#include "farthing/tenant.h"

#include <stdlib.h>

struct key {
    const uint8_t *digest;
    const struct config_tenant *tenant;
    struct key *next; // same bucket
};

struct tenant_directory {
    const struct config_tenant *only; // no tenant section: everybody
    struct key *keys;
    struct key **buckets;
    size_t mask;
};

static size_t bucket_of(const struct tenant_directory *d, const uint8_t *digest) {
    // A SHA-256 is as good as random: its first bytes are the hash.
    uint64_t head;
    memcpy(&head, digest, sizeof head);
    return (size_t)head & d->mask;
}

struct tenant_directory *tenant_directory_new(const struct config *config) {
    struct tenant_directory *d = base_calloc(1, sizeof *d);
    if (!config->has_tenant_sections) {
        d->only = &config->tenants[0];
        return d;
    }
    size_t count = 0;
    for (size_t t = 0; t < config->tenant_count; t++)
        count += config->tenants[t].key_count;
    size_t buckets = 16;
    while (buckets < count * 2)
        buckets *= 2;
    d->mask = buckets - 1;
    d->buckets = base_calloc(buckets, sizeof *d->buckets);
    d->keys = base_calloc(count + 1, sizeof *d->keys);
    struct key *next = d->keys;
    for (size_t t = 0; t < config->tenant_count; t++) {
        const struct config_tenant *tenant = &config->tenants[t];
        for (size_t k = 0; k < tenant->key_count; k++) {
            struct key **bucket = &d->buckets[bucket_of(d, tenant->key_digests[k])];
            *next = (struct key){tenant->key_digests[k], tenant, *bucket};
            *bucket = next++;
        }
    }
    return d;
}

void tenant_directory_free(struct tenant_directory *d) {
    if (d == NULL)
        return;
    free(d->keys);
    free(d->buckets);
    free(d);
}

const struct config_tenant *tenant_identify(const struct tenant_directory *d,
                                            const uint8_t key_digest[DIGEST_LEN]) {
    if (d->only != NULL)
        return d->only;
    if (key_digest == NULL)
        return NULL;
    const struct config_tenant *found = NULL;
    for (const struct key *k = d->buckets[bucket_of(d, key_digest)]; k != NULL; k = k->next)
        if (digest_equal(k->digest, key_digest, DIGEST_LEN))
            found = k->tenant;
    return found;
}

struct slice tenant_bearer(struct slice authorization) {
    struct slice scheme = SLICE("bearer ");
    if (authorization.len < scheme.len ||
        !slice_equal_nocase(slice_make(authorization.ptr, scheme.len), scheme))
        return SLICE_NONE;
    return slice_trim(slice_from(authorization, scheme.len));
}
