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

// ------------------------------------------------------------- blocked keys

// Keys, and whole tenants, that an operator has blocked: in force on every loop
// when key_blocks_set returns, and after a restart. Kept apart from the
// configuration: a reload changes nothing here.
struct store;
struct key_blocks; // the process's; any thread

enum { KEY_BLOCK_TEXT_MAX = 256, KEY_BLOCKS_MAX = 50000 };

struct key_block {
    const uint8_t *digest; // of the key; NULL: all keys of `tenant`
    struct slice tenant;   // with a digest only told to the operator; may be empty then
    bool blocked;
    int64_t at_ms;    // Unix; of the last change
    struct slice who; // changed it; at most KEY_BLOCK_TEXT_MAX bytes, as are the others
    struct slice reason;
};

// Reads what earlier processes left (blocks; before the loops run). store NULL:
// in memory only. NULL with err when the table cannot be read: what was blocked
// would be open again.
struct key_blocks *key_blocks_open(struct store *store, struct error *err);
void key_blocks_close(struct key_blocks *b); // after all loops, before the store; NULL is fine

// Blocks, or unblocks. A key and its tenant are apart: to unblock one leaves the
// other as it is. On disk soon; does not wait for it. at_ms 0: now. False, and
// nothing is changed, where the text is too long or KEY_BLOCKS_MAX is reached.
bool key_blocks_set(struct key_blocks *b, const struct key_block *block,
                    struct error *err) FARTHING_MUST_CHECK;
// Is this key, or this tenant, blocked? Takes no lock. digest may be NULL (no key was
// given), as may b.
bool key_blocks_check(const struct key_blocks *b, const uint8_t *digest, struct slice tenant);
// With a shared store: hears of other instances' orders and tells them of its own, on
// this loop, from here to key_blocks_unshare; the newest order about a key counts
// everywhere. Waits for the store's first answers; without one it goes on with what
// this instance knew, and learns the rest when the store is there. Otherwise nothing.
struct store_client;
struct event_base;
void key_blocks_share(struct key_blocks *b, struct store_client *client, struct event_base *loop);
void key_blocks_unshare(struct key_blocks *b); // before the client is freed; NULL is fine
// All that was ever blocked, also what is unblocked again; oldest first. The
// slices live as long as the key_blocks. Called without a lock.
typedef void key_blocks_visitor(void *arg, const struct key_block *block);
void key_blocks_visit(struct key_blocks *b, key_blocks_visitor *visit, void *arg);

#endif
