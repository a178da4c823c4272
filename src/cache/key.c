// The key: SHA-256 over who may share the answer, what was asked for, and the
// canonical request. Each part carries its length, so that no two lists of
// parts read alike.
#include "fields.h"

#include "farthing/cache.h"

// A change of what goes into the key makes a new family of keys.
static const char version[] = "farthing-key-2";

struct dropper {
    const struct json_doc *request;
    enum api_endpoint endpoint;
    uint32_t seen; // rows of the table that were dropped already
    struct slice duplicate;
};
_Static_assert(FIELDS_DROPPED <= 32, "a bit of `seen` for each row that is dropped");

// The canonical form refuses a duplicate among what it is given; what is
// dropped before has to be looked at here.
static void note_dropped(struct dropper *d, size_t row, struct slice name, json_ref value) {
    if ((d->seen & 1u << row) != 0)
        d->duplicate = name;
    d->seen |= 1u << row;
    if (json_type_of(d->request, value) == JSON_OBJECT) {
        json_ref inside = json_duplicate_key(d->request, value);
        if (inside != JSON_NONE)
            d->duplicate = json_raw(d->request, inside);
    }
}

static bool is_dropped(void *arg, struct slice name, json_ref value) {
    struct dropper *d = arg;
    size_t count;
    const struct cache_field *all = cache_fields(&count);
    if (d->endpoint >= CACHE_FIELD_ENDPOINTS)
        return false;
    for (size_t i = 0; i < FIELDS_DROPPED; i++)
        if (all[i].rule[d->endpoint] == CACHE_FIELD_DROP && slice_equal(name, all[i].name)) {
            note_dropped(d, i, all[i].name, value);
            return true;
        }
    return false;
}

static void sink(void *arg, struct slice piece) {
    digest_update(arg, piece);
}

bool cache_key_compute(const struct cache_key_parts *parts, const struct json_doc *request,
                       struct cache_key *out, struct error *err) {
    struct digest *digest = digest_of_thread();
    digest_update_part(digest, slice_of(version));
    digest_update_part(digest, slice_of(api_endpoint_name(parts->endpoint)));
    digest_update_part(digest, parts->tenant);
    digest_update_part(digest, parts->user);
    digest_update_part(digest, parts->prompt_version);
    digest_update_part(digest, parts->corpus_version);
    digest_update_part(digest, parts->requested_model);
    if (parts->variant.len > 0) // a length cannot be taken for the body's first byte
        digest_update_part(digest, parts->variant);
    struct dropper d = {.request = request, .endpoint = parts->endpoint};
    bool ok = json_canonical(request, JSON_ROOT, is_dropped, &d, sink, digest, err);
    digest_finish(digest, out->bytes); // also on failure: it is reset for the next
    if (ok && d.duplicate.ptr != NULL)
        return error_set(err, "the key %.*s stands twice in one object",
                         (int)(d.duplicate.len < 80 ? d.duplicate.len : 80), d.duplicate.ptr);
    return ok;
}
