// Clients' keys: which there are, which are blocked, and blocking them. A key
// itself is never asked for and never shown, only its SHA-256.
#include <stdio.h>

#include "admin_room.h"

static const struct slice scheme = {"sha256:", 7};

static size_t write_prefix(const uint8_t *digest, char out[7 + 2 * DIGEST_LEN + 1]) {
    memcpy(out, scheme.ptr, scheme.len);
    digest_hex(digest, DIGEST_LEN, out + scheme.len);
    out[scheme.len + KEY_PREFIX_DIGITS] = '\0';
    return scheme.len + KEY_PREFIX_DIGITS;
}

// Whose key it is by the file; empty: nobody's.
static struct slice owner_of(const struct config *config, const uint8_t *digest) {
    for (size_t t = 0; t < config->tenant_count; t++)
        for (size_t k = 0; k < config->tenants[t].key_count; k++)
            if (digest_equal(config->tenants[t].key_digests[k], digest, DIGEST_LEN))
                return config->tenants[t].name;
    return SLICE_NONE;
}

// ----------------------------------------------------------------------- showing

struct listing {
    struct admin *admin;
    struct json_writer *writer;
    struct slice filter;
    struct arena *arena;
    struct table *by_digest; // blocks of keys
    struct table *by_tenant; // and of tenants
    struct tenant_directory *directory;
};

static void put_key(struct listing *l, const uint8_t *digest, struct slice tenant, bool in_file,
                    const struct key_block *block) {
    char text[7 + 2 * DIGEST_LEN + 1];
    struct json_writer *w = l->writer;
    bool blocked = block != NULL && block->blocked;
    json_object_begin(w);
    json_key(w, SLICE("key")); // null: all of the tenant's
    if (digest != NULL)
        json_put_string(w, slice_make(text, write_prefix(digest, text)));
    else
        json_put_null(w);
    admin_put_optional(w, "tenant", tenant);
    admin_put_bool(w, "in_file", in_file);
    admin_put_bool(w, "blocked", blocked);
    json_key(w, SLICE("blocked_by")); // the key's own block, or its tenant's
    if (blocked)
        json_put_string(w, block->digest != NULL ? SLICE("key") : SLICE("tenant"));
    else
        json_put_null(w);
    admin_put_moment(w, "changed", block != NULL ? block->at_ms : 0);
    admin_put_optional(w, "who", block != NULL ? block->who : SLICE_NONE);
    admin_put_optional(w, "reason", block != NULL ? block->reason : SLICE_NONE);
    json_object_end(w);
}

static void collect(void *arg, const struct key_block *block) {
    struct listing *l = arg;
    struct key_block *copy = arena_alloc(l->arena, sizeof *copy);
    *copy = *block;
    if (block->digest != NULL)
        table_put(l->by_digest, slice_make(block->digest, DIGEST_LEN), copy);
    else
        table_put(l->by_tenant, block->tenant, copy);
}

static void put_configured(struct listing *l, const struct config_tenant *tenant) {
    const struct key_block *all = table_get(l->by_tenant, tenant->name);
    for (size_t k = 0; k < tenant->key_count; k++) {
        const uint8_t *digest = tenant->key_digests[k];
        const struct key_block *own = table_get(l->by_digest, slice_make(digest, DIGEST_LEN));
        bool is_all = all != NULL && all->blocked && (own == NULL || !own->blocked);
        put_key(l, digest, tenant->name, true, is_all ? all : own);
    }
}

// Blocks of whole tenants, and of keys that are not in the file (now).
static void put_others(void *arg, const struct key_block *block) {
    struct listing *l = arg;
    const struct config *config = l->admin->config;
    bool in_file = block->digest == NULL ? config_tenant_find(config, block->tenant) != NULL
                                         : config->has_tenant_sections &&
                                               tenant_identify(l->directory, block->digest) != NULL;
    if (!block->blocked || (block->digest != NULL && in_file) ||
        !admin_filter_fits(l->filter, block->tenant))
        return;
    put_key(l, block->digest, block->tenant, in_file, block);
}

static void put_keys(struct listing *l) {
    struct key_blocks *blocks = l->admin->sources.blocks;
    const struct config *config = l->admin->config;
    if (blocks != NULL)
        key_blocks_visit(blocks, collect, l);
    for (size_t t = 0; t < config->tenant_count; t++)
        if (admin_filter_fits(l->filter, config->tenants[t].name))
            put_configured(l, &config->tenants[t]);
    if (blocks != NULL)
        key_blocks_visit(blocks, put_others, l);
}

void serve_keys(struct admin *a, struct http_request *request) {
    struct buffer out = {0}, filter = {0};
    struct json_writer w;
    struct listing l = {.admin = a, .writer = &w};
    if (admin_read_filter(request, &filter, &l.filter)) {
        l.arena = arena_new(1024);
        l.by_digest = table_new();
        l.by_tenant = table_new();
        l.directory = tenant_directory_new(a->config);
        json_write_start(&w, &out);
        json_object_begin(&w);
        json_key(&w, SLICE("keys"));
        json_array_begin(&w);
        put_keys(&l);
        json_array_end(&w);
        json_object_end(&w);
        admin_reply_json(request, &out);
        table_free(l.by_digest);
        table_free(l.by_tenant);
        tenant_directory_free(l.directory);
        arena_free(l.arena);
    }
    buffer_free(&filter);
}

// -------------------------------------------------------------- which one is meant

// The start of a hash among all that are known here.
struct search {
    struct slice hex;
    uint8_t found[DIGEST_LEN];
    size_t matches;
};

static void try_digest(struct search *s, const uint8_t *digest) {
    char hex[2 * DIGEST_LEN + 1];
    digest_hex(digest, DIGEST_LEN, hex);
    if (strncasecmp(hex, s->hex.ptr, s->hex.len) != 0 ||
        (s->matches > 0 && digest_equal(s->found, digest, DIGEST_LEN)))
        return;
    memcpy(s->found, digest, DIGEST_LEN);
    s->matches++;
}

static void try_block(void *arg, const struct key_block *block) {
    if (block->digest != NULL)
        try_digest(arg, block->digest);
}

static bool find_by_prefix(struct admin *a, struct admin_order *o, struct slice hex,
                           uint8_t digest[DIGEST_LEN]) {
    struct search s = {.hex = hex};
    for (size_t t = 0; t < a->config->tenant_count; t++)
        for (size_t k = 0; k < a->config->tenants[t].key_count; k++)
            try_digest(&s, a->config->tenants[t].key_digests[k]);
    key_blocks_visit(a->sources.blocks, try_block, &s);
    if (s.matches != 1)
        return admin_refuse(o->request, API_ERROR_NOT_FOUND, "key",
                            s.matches == 0 ? "No key that is known here has a hash that begins so."
                                           : "Several keys have hashes that begin so: give more "
                                             "digits.");
    memcpy(digest, s.found, DIGEST_LEN);
    return true;
}

static bool is_hex(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (strchr("0123456789abcdefABCDEF", s.ptr[i]) == NULL || s.ptr[i] == '\0')
            return false;
    return true;
}

// What is wrong may be the key itself: it is not repeated.
static bool read_key(struct admin *a, struct admin_order *o, uint8_t digest[DIGEST_LEN]) {
    struct slice hex = slice_from(o->key, scheme.len);
    if (!slice_starts_with(o->key, scheme) || !is_hex(hex) || hex.len < KEY_PREFIX_DIGITS ||
        hex.len > 2 * DIGEST_LEN)
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, "key",
                            "\"key\" must be \"sha256:\" and the SHA-256 of the key in hex digits "
                            "(all %d, or the first %d and more), never the key itself.",
                            2 * DIGEST_LEN, KEY_PREFIX_DIGITS);
    return digest_unhex(hex, digest, DIGEST_LEN) || find_by_prefix(a, o, hex, digest);
}

// A name that is spelled wrong would block nobody, unnoticed.
static bool check_tenant(struct admin *a, struct admin_order *o) {
    return config_tenant_find(a->config, o->tenant) != NULL ||
           key_blocks_check(a->sources.blocks, NULL, o->tenant) || // to be unblocked
           admin_refuse_tenant(a, o);
}

// ---------------------------------------------------------------------- blocking

static void put_state(struct buffer *out, bool blocked) {
    buffer_printf(out, "{\"blocked\":%s}", blocked ? "true" : "false");
}

static bool set_block(struct admin *a, struct admin_order *o, struct key_block *block,
                      struct admin_deed *deed) {
    struct error err;
    put_state(&deed->before, key_blocks_check(a->sources.blocks, block->digest,
                                              block->digest != NULL ? SLICE_NONE : block->tenant));
    block->who = slice_of(o->operator_name[0] != '\0' ? o->operator_name : o->who);
    block->reason = o->reason;
    if (!key_blocks_set(a->sources.blocks, block, &err))
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, NULL, "%s", err.text);
    put_state(&deed->after, block->blocked);
    return true;
}

static bool block(struct admin *a, struct admin_order *o, bool blocked, struct admin_deed *deed) {
    uint8_t digest[DIGEST_LEN];
    char text[7 + 2 * DIGEST_LEN + 1];
    struct key_block b = {.blocked = blocked};
    deed->action = blocked ? "keys.block" : "keys.unblock";
    if (a->sources.blocks == NULL)
        return admin_refuse(o->request, API_ERROR_NOT_FOUND, NULL, "Keys cannot be blocked here.");
    if ((o->key.len > 0) == (o->tenant.len > 0))
        return admin_refuse(o->request, API_ERROR_INVALID_REQUEST, "key",
                            "Say either \"key\" or \"tenant\".");
    if (o->tenant.len > 0) {
        b.tenant = o->tenant;
        deed->what = arena_printf(o->arena, "tenant %.*s", SLICE_ARG(o->tenant));
        return check_tenant(a, o) && set_block(a, o, &b, deed);
    }
    if (!read_key(a, o, digest))
        return false;
    b.digest = digest;
    b.tenant = owner_of(a->config, digest);
    write_prefix(digest, text);
    deed->what = b.tenant.len > 0 ? arena_printf(o->arena, "%s of %.*s", text, SLICE_ARG(b.tenant))
                                  : arena_copy(o->arena, slice_of(text));
    return set_block(a, o, &b, deed);
}

bool act_key_block(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    return block(a, o, true, deed);
}

bool act_key_unblock(struct admin *a, struct admin_order *o, struct admin_deed *deed) {
    return block(a, o, false, deed);
}
