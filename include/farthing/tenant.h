// tenant: who is asking. Keys are known only by their SHA-256.
#ifndef FARTHING_TENANT_H
#define FARTHING_TENANT_H

#include "farthing/base.h"
#include "farthing/config.h"

// Every tenant's keys of one config snapshot, for look-up. Immutable; made and
// used on one loop, freed before the snapshot.
struct tenant_directory;

struct tenant_directory *tenant_directory_new(const struct config *config);
void tenant_directory_free(struct tenant_directory *d);

// The tenant that owns the key with this SHA-256, or NULL. Where the file has
// no tenant section, the tenant "default" whatever the key (even none: NULL).
// The time taken does not depend on how much of a digest agrees.
const struct config_tenant *tenant_identify(const struct tenant_directory *d,
                                            const uint8_t key_digest[DIGEST_LEN]);

// The bearer token of an Authorization value, or SLICE_NONE (RFC 6750 2.1; the
// scheme compares without case).
struct slice tenant_bearer(struct slice authorization);

#endif
