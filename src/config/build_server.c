// The sections that are there once: server, store, log.
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "loader.h"
#include "store_url.h"

enum { WORKERS_MAX = 64 };

static unsigned usable_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : (unsigned)count;
}

static void read_workers(struct loader *l, cfg_t *section) {
    const char *text = loader_text(section, "workers");
    int64_t number;
    loader_config(l)->server.workers = usable_processors();
    if (text == NULL || strcmp(text, "auto") == 0)
        return;
    if (!slice_to_i64(slice_of(text), &number) || number < 1 || number > WORKERS_MAX)
        loader_error(l, loader_line(l, section, "workers"),
                     "workers: \"%s\" is not valid; expected \"auto\" or a number from 1 to %d",
                     loader_shown(l, slice_of(text)), WORKERS_MAX);
    else
        loader_config(l)->server.workers = (unsigned)number;
}

// ---------------------------------------------------------------- addresses

struct address {
    struct slice host; // without the brackets of a v6
    uint64_t port;
};

static bool split_address(struct slice text, struct address *out) {
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ')
            return false;
        if (text.ptr[i] == ':')
            colon = (ptrdiff_t)i;
    }
    if (colon < 0 || !slice_to_u64(slice_from(text, (size_t)colon + 1), &out->port) ||
        out->port > 65535)
        return false;
    struct slice host = slice_make(text.ptr, (size_t)colon);
    if (slice_starts_with(host, SLICE("[")) && slice_ends_with(host, SLICE("]"))) {
        char text6[INET6_ADDRSTRLEN];
        struct in6_addr address;
        out->host = slice_make(host.ptr + 1, host.len - 2);
        if (out->host.len >= sizeof text6)
            return false;
        memcpy(text6, out->host.ptr, out->host.len);
        text6[out->host.len] = '\0';
        return inet_pton(AF_INET6, text6, &address) == 1;
    }
    out->host = host;
    return slice_find_char(host, ':') < 0 && slice_find_char(host, '[') < 0 &&
           slice_find_char(host, ']') < 0;
}

// Only what is surely loopback: a name that begins with "127." may be anybody's.
static bool is_loopback(struct slice host) {
    char text[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;
    if (slice_equal_nocase(host, SLICE("localhost")))
        return true;
    if (host.len == 0 || host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static void check_address(struct loader *l, int line, const char *key, struct slice text) {
    struct address address;
    if (!split_address(text, &address))
        loader_error(l, line, "%s: \"%s\" is not valid; expected host:port or [v6]:port", key,
                     loader_shown(l, text));
    else if (!loader_config(l)->has_tenant_sections && !is_loopback(address.host))
        loader_error(l, line,
                     "%s: \"%s\" is open to others, but no tenant section says who may ask; "
                     "expected a loopback address such as \"127.0.0.1:4000\", or tenants",
                     key, loader_shown(l, text));
}

// SO_REUSEPORT would let both have it, and each connection would find one or
// the other by chance.
static void check_twice(struct loader *l, int line, const char *key, struct slice text,
                        const struct slice *earlier, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(earlier[i], text) && !slice_ends_with(text, SLICE(":0")))
            loader_error(l, line,
                         "%s: \"%s\" is listened on already; expected another address or port", key,
                         loader_shown(l, text));
}

static void check_addresses(struct loader *l, cfg_t *section, const struct config_server *s) {
    for (size_t i = 0; i < s->listen.count; i++) {
        int line = loader_item_line(l, section, "listen", i);
        check_address(l, line, "listen", s->listen.items[i]);
        check_twice(l, line, "listen", s->listen.items[i], s->listen.items, i);
    }
    int line = loader_line(l, section, "admin_listen");
    check_address(l, line, "admin_listen", s->admin_listen);
    check_twice(l, line, "admin_listen", s->admin_listen, s->listen.items, s->listen.count);
}

// ---------------------------------------------------------------------- TLS

// A warning: the file may come later, and whoever opens it says more.
static void check_readable(struct loader *l, cfg_t *section, const char *key, struct slice path) {
    if (path.len > 0 && access(arena_string(l->scratch, path), R_OK) != 0)
        loader_warn(l, loader_line(l, section, key), "%s: cannot read the file \"%s\": %s", key,
                    loader_shown(l, path), strerror(errno));
}

static void check_tls(struct loader *l, cfg_t *section, const struct config_server *s) {
    if ((s->tls_certificate.len > 0) != (s->tls_key.len > 0)) {
        const char *given = s->tls_key.len > 0 ? "tls_key" : "tls_certificate";
        loader_error(l, loader_line(l, section, given),
                     "%s: stands alone; expected tls_certificate and tls_key together", given);
    }
    check_readable(l, section, "tls_certificate", s->tls_certificate);
    check_readable(l, section, "tls_key", s->tls_key);
}

// ----------------------------------------------------------------- sections

void loader_build_server(struct loader *l, cfg_t *root) {
    cfg_t *section = cfg_getsec(root, "server");
    struct config_server *s = &loader_config(l)->server;
    loader_fill_named(l, section, "", "server", s);
    read_workers(l, section);
    check_addresses(l, section, s);
    check_tls(l, section, s);
}

static void check_redis_files(struct loader *l, cfg_t *section, const struct config_redis *r) {
    if ((r->certificate.len > 0) != (r->key.len > 0)) {
        const char *given = r->key.len > 0 ? "key" : "certificate";
        loader_error(l, loader_line(l, section, given),
                     "%s: stands alone; expected certificate and key together", given);
    }
    static const char *const keys[] = {"ca_file", "certificate", "key"};
    const struct slice paths[] = {r->ca_file, r->certificate, r->key};
    for (size_t i = 0; i < FARTHING_COUNT(keys); i++) {
        check_readable(l, section, keys[i], paths[i]);
        if (paths[i].len > 0 && !r->tls)
            loader_warn(l, loader_line(l, section, keys[i]),
                        "%s: has no effect without TLS; its url begins with rediss://", keys[i]);
    }
}

static void check_sentinel_keys(struct loader *l, cfg_t *section, const struct config_redis *r) {
    if (r->sentinel_user.len > 0 && r->sentinel_password.len == 0)
        loader_error(l, loader_line(l, section, "sentinel_user"),
                     "sentinel_user: has no sentinel_password; expected both");
    if (r->sentinel_password.len > 0 && r->kind != CONFIG_REDIS_SENTINEL)
        loader_warn(l, loader_line(l, section, "sentinel_password"),
                    "sentinel_password: has no effect without sentinels; their url begins with "
                    "redis+sentinel://");
}

static void read_redis(struct loader *l, cfg_t *section) {
    struct config_store *s = &loader_config(l)->store;
    struct config_redis *r = &s->redis;
    struct slice password = r->password; // of its own key
    struct error err;
    if (s->url.len == 0) {
        loader_error(l, loader_line(l, section, loader_given(section, "url") ? "url" : "kind"),
                     "url: a store of kind \"redis\" needs one; expected redis://host");
        return;
    }
    int line = loader_line(l, section, "url");
    if (!config_parse_redis_url(l->arena, s->url, r, &err)) {
        loader_error(l, line, "url: is not valid: %s", err.text);
        return;
    }
    if (password.len > 0 && r->password.len > 0)
        loader_error(l, loader_line(l, section, "password"),
                     "password: the url has one already; expected it in one place");
    if (password.len > 0)
        r->password = password;
    if (r->user.len > 0 && r->password.len == 0)
        loader_error(l, line, "url: has a user but no password; expected user:password@");
    check_sentinel_keys(l, section, r);
    check_redis_files(l, section, r);
}

static void read_failure(struct loader *l, cfg_t *section, struct config_store_failure *f) {
    static const char *const idempotency[] = {"refuse", "local"};
    static const char *const budgets[] = {"closed", "open"};
    static const char *const limits[] = {"local", "closed"};
    f->idempotency_local = loader_choice(l, section, "idempotency", idempotency, 2, 0) == 1;
    f->budgets_open = loader_choice(l, section, "budgets", budgets, 2, 0) == 1;
    f->limits_closed = loader_choice(l, section, "limits", limits, 2, 0) == 1;
}

void loader_build_store(struct loader *l, cfg_t *root) {
    static const char *const kinds[] = {"embedded", "redis"}; // as enum config_store_kind
    cfg_t *section = cfg_getsec(root, "store");
    struct config_store *s = &loader_config(l)->store;
    loader_fill_named(l, section, "", "store", s);
    s->kind = (enum config_store_kind)loader_choice(l, section, "kind", kinds,
                                                    FARTHING_COUNT(kinds), CONFIG_STORE_EMBEDDED);
    cfg_t *failure = cfg_getsec(section, "on_store_failure");
    read_failure(l, failure, &s->on_failure);
    if (s->kind != CONFIG_STORE_REDIS && loader_is_present(l, failure))
        loader_warn(l, loader_line(l, failure, NULL),
                    "on_store_failure: has no effect with kind = \"embedded\", which is no shared "
                    "store");
    if (s->kind == CONFIG_STORE_REDIS)
        read_redis(l, section);
    else if (s->url.len > 0)
        loader_warn(l, loader_line(l, section, "url"),
                    "url: has no effect with kind = \"embedded\"; expected kind = \"redis\"");
    if (s->path.len == 0)
        loader_error(l, loader_line(l, section, "path"),
                     "path: \"\" is not valid; expected a directory");
}

void loader_build_log(struct loader *l, cfg_t *root) {
    static const char *const levels[] = {"debug", "info", "warning", "error"}; // as enum log_level
    cfg_t *section = cfg_getsec(root, "log");
    loader_fill_named(l, section, "", "log", &loader_config(l)->log);
    loader_config(l)->log.level = (enum log_level)loader_choice(l, section, "level", levels,
                                                                FARTHING_COUNT(levels), LOG_INFO);
}
