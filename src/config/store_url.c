// The address of a Redis, as the IANA schemes "redis" and "rediss" and their
// usual extension for sockets spell it:
//   redis[s]://[[user][:password]@]host[:port][/database]
//   redis+unix://[[user][:password]@]/path[?db=N]
//   redis[s]+sentinel://[[user][:password]@]host[:port],.../master[/database]
//   redis[s]+cluster://[[user][:password]@]host[:port],...
// User, password and path may be percent-encoded (RFC 3986 2.1). A URL of which
// a part would be passed over is refused: who writes it means something by it.
#include "store_url.h"

#include <arpa/inet.h>
#include <sys/un.h>

enum {
    PORT_DEFAULT = 6379,
    SENTINEL_PORT_DEFAULT = 26379,
    DATABASE_MAX = 65535,
    HOST_BYTES_MAX = 253
};

struct url {
    struct slice scheme, user, password, host, path, query;
    bool has_query;
};

static int unhex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

// False on a percent sign without its two digits, and on an encoded NUL, at
// which the text would end for those who read it as a C string.
static bool decode(struct arena *arena, struct slice text, struct slice *out) {
    char *to = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = text.len - i > 2 ? unhex(text.ptr[i + 1]) : -1;
            int low = text.len - i > 2 ? unhex(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            return false;
        to[len++] = c;
    }
    to[len] = '\0';
    *out = slice_make(to, len);
    return true;
}

static ptrdiff_t find_last(struct slice s, char c) {
    for (size_t i = s.len; i > 0; i--)
        if (s.ptr[i - 1] == c)
            return (ptrdiff_t)i - 1;
    return -1;
}

static struct slice cut_from(struct slice *s, char c) {
    ptrdiff_t at = slice_find_char(*s, c);
    if (at < 0)
        return SLICE_NONE;
    struct slice rest = slice_from(*s, (size_t)at);
    s->len = (size_t)at;
    return rest;
}

static bool split(struct arena *arena, struct slice text, struct url *u, struct error *err) {
    ptrdiff_t colon = slice_find(text, SLICE("://"));
    if (colon <= 0)
        return error_set(err, "expected redis://host, rediss://host or redis+unix:///path");
    u->scheme = slice_make(text.ptr, (size_t)colon);
    struct slice rest = slice_from(text, (size_t)colon + 3);
    if (slice_find_char(rest, '#') >= 0)
        return error_set(err, "a # has no meaning in it; in a password it is written %%23");
    // A password may hold what would end it otherwise, but not the sign that
    // ends it: what is before the last @ of the part before the path.
    struct slice authority = rest;
    struct slice query = cut_from(&authority, '?');
    struct slice path = cut_from(&authority, '/');
    u->has_query = query.len > 0;
    u->query = slice_from(query, 1);
    ptrdiff_t at = find_last(authority, '@');
    u->host = at >= 0 ? slice_from(authority, (size_t)at + 1) : authority;
    struct slice who = slice_make(authority.ptr, at >= 0 ? (size_t)at : 0);
    struct slice password = cut_from(&who, ':');
    if (!decode(arena, who, &u->user) || !decode(arena, slice_from(password, 1), &u->password) ||
        !decode(arena, path, &u->path))
        return error_set(err, "a percent sign in it is not followed by two hexadecimal digits "
                              "(%%25 is the sign itself), or they are %%00");
    return true;
}

static bool read_database(struct slice digits, struct config_redis *out, struct error *err) {
    uint64_t number;
    if (!slice_to_u64(digits, &number) || number > DATABASE_MAX)
        return error_set(err, "its database is not valid; expected a number from 0 to %d",
                         DATABASE_MAX);
    out->database = (unsigned)number;
    return true;
}

static bool is_name(struct slice host) {
    if (host.len == 0 || host.len > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (!(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z') && c != '-' &&
            c != '.' && c != '_')
            return false;
    }
    return true;
}

static bool read_host(struct arena *arena, struct slice host, unsigned port_default,
                      struct config_redis_seed *out, struct error *err) {
    uint64_t port = port_default;
    bool is_six = slice_starts_with(host, SLICE("["));
    ptrdiff_t end = is_six ? slice_find_char(host, ']') : slice_find_char(host, ':');
    size_t after = end < 0 ? host.len : (size_t)end + (is_six ? 1 : 0);
    struct slice rest = slice_from(host, after);
    struct slice name = slice_make(host.ptr, after);
    if (is_six) {
        struct in6_addr six;
        name = end > 0 ? slice_make(host.ptr + 1, (size_t)end - 1) : SLICE_NONE;
        if (inet_pton(AF_INET6, arena_string(arena, name), &six) != 1)
            return error_set(err, "its host is not valid; expected an IPv6 address in brackets");
    } else if (!is_name(name)) {
        return error_set(err, "its host is not valid; expected a name or an address, [v6] in "
                              "brackets");
    }
    if (rest.len > 0 && (rest.ptr[0] != ':' || !slice_to_u64(slice_from(rest, 1), &port) ||
                         port < 1 || port > 65535))
        return error_set(err, "its port is not valid; expected a number from 1 to 65535");
    *out = (struct config_redis_seed){arena_copy(arena, name), (unsigned)port};
    return true;
}

static bool has_no_query(const struct url *u, struct error *err) {
    return !u->has_query ||
           error_set(err, "what follows its ? has no meaning; the database is /N, and files "
                          "and timeouts have keys of their own");
}

static bool read_network(struct arena *arena, const struct url *u, struct config_redis *out,
                         struct error *err) {
    struct config_redis_seed at;
    if (!has_no_query(u, err) || !read_host(arena, u->host, PORT_DEFAULT, &at, err))
        return false;
    out->host = at.host;
    out->port = at.port;
    struct slice database = slice_from(u->path, 1);
    return database.len == 0 || read_database(database, out, err);
}

static bool read_seeds(struct arena *arena, struct slice hosts, unsigned port_default,
                       struct config_redis *out, struct error *err) {
    for (;;) {
        ptrdiff_t comma = slice_find_char(hosts, ',');
        struct slice one = slice_make(hosts.ptr, comma < 0 ? hosts.len : (size_t)comma);
        if (out->seed_count == CONFIG_REDIS_SEEDS_MAX)
            return error_set(err,
                             "it has more than %d hosts; some of them are enough, the others "
                             "are learned",
                             (int)CONFIG_REDIS_SEEDS_MAX);
        if (!read_host(arena, one, port_default, &out->seeds[out->seed_count], err))
            return false;
        out->seed_count++;
        if (comma < 0)
            return true;
        hosts = slice_from(hosts, (size_t)comma + 1);
    }
}

static bool is_master_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++) // as Sentinel's own check has it
        if (!(name.ptr[i] >= '0' && name.ptr[i] <= '9') &&
            !((name.ptr[i] | 32) >= 'a' && (name.ptr[i] | 32) <= 'z') &&
            slice_find_char(SLICE(".-_"), name.ptr[i]) < 0)
            return false;
    return name.len > 0;
}

static bool read_sentinels(struct arena *arena, const struct url *u, struct config_redis *out,
                           struct error *err) {
    struct slice master = slice_from(u->path, 1);
    struct slice database = slice_from(cut_from(&master, '/'), 1);
    if (!has_no_query(u, err) || !read_seeds(arena, u->host, SENTINEL_PORT_DEFAULT, out, err))
        return false;
    if (!is_master_name(master))
        return error_set(err, "it names no master; expected redis+sentinel://host,host/master with "
                              "the name that the sentinels know it by");
    out->master = arena_copy(arena, master);
    return database.len == 0 || read_database(database, out, err);
}

static bool read_cluster(struct arena *arena, const struct url *u, struct config_redis *out,
                         struct error *err) {
    struct slice database = slice_from(u->path, 1);
    if (!has_no_query(u, err) || !read_seeds(arena, u->host, PORT_DEFAULT, out, err))
        return false;
    return database.len == 0 || slice_equal(database, SLICE("0")) ||
           error_set(err, "a cluster has no databases but 0; expected nothing after its hosts");
}

static bool read_socket(struct arena *arena, const struct url *u, struct config_redis *out,
                        struct error *err) {
    enum { PATH_BYTES_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };
    if (u->host.len > 0 || u->path.len < 2)
        return error_set(err, "expected redis+unix:///path with the socket's whole path");
    if (u->path.len > PATH_BYTES_MAX)
        return error_set(err, "its path is too long; a socket's has up to %d bytes",
                         (int)PATH_BYTES_MAX);
    out->socket_path = arena_copy(arena, u->path);
    if (!u->has_query)
        return true;
    if (!slice_starts_with(u->query, SLICE("db=")))
        return error_set(err, "what follows its ? is not known; expected ?db=N");
    return read_database(slice_from(u->query, 3), out, err);
}

static const struct {
    const char *name;
    enum config_redis_kind kind;
    bool tls;
    bool (*read)(struct arena *arena, const struct url *u, struct config_redis *out,
                 struct error *err);
} schemes[] = {
    {"redis", CONFIG_REDIS_SINGLE, false, read_network},
    {"rediss", CONFIG_REDIS_SINGLE, true, read_network},
    {"redis+unix", CONFIG_REDIS_SINGLE, false, read_socket},
    {"redis+sentinel", CONFIG_REDIS_SENTINEL, false, read_sentinels},
    {"rediss+sentinel", CONFIG_REDIS_SENTINEL, true, read_sentinels},
    {"redis+cluster", CONFIG_REDIS_CLUSTER, false, read_cluster},
    {"rediss+cluster", CONFIG_REDIS_CLUSTER, true, read_cluster},
};

bool config_parse_redis_url(struct arena *arena, struct slice text, struct config_redis *out,
                            struct error *err) {
    struct url u = {0};
    if (!split(arena, text, &u, err))
        return false;
    out->user = u.user;
    out->password = u.password;
    for (size_t i = 0; i < FARTHING_COUNT(schemes); i++) {
        if (!slice_equal_nocase(u.scheme, slice_of(schemes[i].name)))
            continue;
        out->kind = schemes[i].kind;
        out->tls = schemes[i].tls;
        return schemes[i].read(arena, &u, out, err);
    }
    return error_set(err, "its scheme is not known; expected redis://, rediss://, redis+unix://, "
                          "redis+sentinel:// or redis+cluster://");
}
