// cache: the key of a request, and the answers already bought.
#ifndef FARTHING_CACHE_H
#define FARTHING_CACHE_H

#include "farthing/api.h"
#include "farthing/base.h"
#include "farthing/json.h"
#include "farthing/store.h"

// ------------------------------------------------------------------- key

struct cache_key {
    uint8_t bytes[DIGEST_LEN];
};

// What a known request field means for the key, in one table. A field without
// a row, or unknown to the endpoint, is kept: it may change the answer.
enum cache_field_rule { CACHE_FIELD_UNKNOWN, CACHE_FIELD_KEEP, CACHE_FIELD_DROP };
#define CACHE_FIELD_ENDPOINTS (API_MESSAGES + 1)
struct cache_field {
    struct slice name;
    enum cache_field_rule rule[CACHE_FIELD_ENDPOINTS]; // by API_CHAT_COMPLETIONS .. API_MESSAGES
    const char *why;
};
const struct cache_field *cache_fields(size_t *count);

struct cache_key_parts {
    enum api_endpoint endpoint;
    struct slice tenant;
    struct slice user; // only when the route's scope is user
    struct slice prompt_version, corpus_version;
    struct slice requested_model; // as the client wrote it: independent of the route
    struct slice variant; // what selects another answer outside of the body: query, beta headers
};

// SHA-256 over the parts (each length-prefixed) and the canonical request.
// False for a duplicate key in the request, in what is dropped too: Farthing
// reads `model`, `stream`, `metadata`, and the provider may read the other one.
bool cache_key_compute(const struct cache_key_parts *parts, const struct json_doc *request,
                       struct cache_key *out, struct error *err) FARTHING_MUST_CHECK;

// ------------------------------------------------------------------ tags

// What an answer belongs to, and may be purged by. Its key is a tag, too, but
// does not stand in it.
enum cache_tag {
    CACHE_TAG_TENANT,
    CACHE_TAG_FEATURE,
    CACHE_TAG_PROMPT_VERSION,
    CACHE_TAG_CORPUS_VERSION,
    CACHE_TAG_ROUTE,
    CACHE_TAG_KEY,
    CACHE_TAG_COUNT
};
// Of the kind and the value, so that a tenant and a feature of one name are two
// tags. Empty: 0, no tag. Of CACHE_TAG_KEY the value is a key's bytes.
uint64_t cache_tag_of(enum cache_tag kind, struct slice value);

// The purges that were known when a request began. What it buys is purged by
// all later ones, also by those that come while it is being bought.
struct cache_birth {
    uint64_t born;  // the number of the last purge
    uint64_t local; // how many had been ordered here, whoever knows of them
};

// --------------------------------------------------------------- entries

// One bought answer; immutable once inserted; reference-counted.
struct cache_answer {
    enum api_endpoint endpoint;
    int status;        // HTTP; 0 stands for 200. Not above CACHE_STATUS_MAX
    struct slice body; // the whole answer (JSON)
    struct slice content_type;
    struct slice provider, model, tier, finish_reason;
    struct slice request_id; // of the request that bought it; may be empty
    struct api_usage usage;
    bool cost_known;
    int64_t cost_pico; // what it cost to buy
    int64_t created_ms, expires_ms;
    // Of what was asked, where the key does not say it already (a client's
    // Idempotency-Key); otherwise zeros.
    uint8_t fingerprint[DIGEST_LEN];
    struct cache_birth birth;
    uint64_t tags[CACHE_TAG_KEY];
};
enum { CACHE_STATUS_MAX = 999 };
struct cache_entry;
const struct cache_answer *cache_entry_answer(const struct cache_entry *e);
void cache_entry_release(struct cache_entry *e); // any thread

// ----------------------------------------------------------------- cache

// Memory, shared by all loops (sharded, one small lock a shard, never held
// over I/O), in front of the store. Eviction: see cache/memory.c. Several may
// stand before one store, each with a space of its own.
struct cache;
struct cache_options {
    int64_t memory_bytes;
    // Of answer and overhead; 0: memory_bytes / 8. What is over the half of a
    // shard's memory is kept in the store alone.
    int64_t max_entry_bytes;
    struct store *store; // NULL: memory only; closed after the cache is freed
    const char *space;   // the store's, a constant; NULL: "cache"
    // Can answers be purged by their tags? For one cache of a process: purges are
    // kept in the store, with nothing that says of which space. See purges.h.
    bool has_purges;
};
struct cache *cache_new(const struct cache_options *options);
// Entries still held by others stay valid; no look-up may be pending.
void cache_free(struct cache *c);
void cache_resize(struct cache *c, int64_t memory_bytes); // reload

// From memory only. NULL: not there. The caller releases.
struct cache_entry *cache_peek(struct cache *c, const struct cache_key *key, int64_t now_ms)
    FARTHING_MUST_CHECK;

// From the store behind it, on this loop; fills memory on success. entry NULL:
// not there (or the store failed, or it expired). The callback owns one reference.
struct cache_lookup;
typedef void cache_found(void *arg, struct cache_entry *entry);
struct cache_lookup *cache_lookup_start(struct cache *c, struct store_client *client,
                                        const struct cache_key *key, int64_t now_ms,
                                        cache_found *found, void *arg); // NULL: nothing behind
void cache_lookup_cancel(struct cache_lookup *l);

// Copies the answer into memory and queues it for the store, in place of what
// stood under the key. An answer over max_entry_bytes only removes that.
void cache_insert(struct cache *c, const struct cache_key *key, const struct cache_answer *answer);
void cache_remove(struct cache *c, const struct cache_key *key);
void cache_purge(struct cache *c); // all, memory and store

// ---------------------------------------------------------------- purges

// What a request that begins now is to give its answer.
struct cache_birth cache_birth_now(const struct cache *c);
// What has all of these tags is not there any more: from now on here, and within
// a second for all who share the store. One operation, whatever it holds. All 0:
// as cache_purge. Any thread.
struct cache_purge_tags {
    uint64_t of[CACHE_TAG_COUNT]; // 0: any
};
void cache_purge_by(struct cache *c, const struct cache_purge_tags *tags);
// With a shared store: hears of others' purges and tells them of its own, on this
// loop, from here to cache_unshare_purges. Waits for the store's first answer;
// without one, what is in the store is not used until it has answered. With an
// embedded store nothing is done.
void cache_share_purges(struct cache *c, struct store_client *client, struct event_base *loop);
void cache_unshare_purges(struct cache *c); // before the client is freed

struct cache_purges_view {
    int64_t last_ms; // Unix ms, about; 0: never
    int64_t marks;   // that are kept
    int64_t untold;  // of them those that the shared store has not taken yet
};
void cache_purges_get(struct cache *c, struct cache_purges_view *out); // any thread

struct cache_stats {
    int64_t entries, bytes, hits, misses, insertions, evictions;
    int64_t purged; // answers that were met, and had been purged
};
void cache_stats_get(const struct cache *c, struct cache_stats *out);

#endif
