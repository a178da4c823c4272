// Several redis-servers that belong together: a cluster of three masters with a
// replica each, or a master and its replica under three sentinels. Each has a
// directory of its own below the test's, and a port on this host. What they
// would find out of each other within seconds is written down for them, so that
// a start takes two seconds and not ten.
#ifndef FARTHING_TEST_STORE_REDIS_CLUSTER_H
#define FARTHING_TEST_STORE_REDIS_CLUSTER_H

#include <limits.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "../support/directory.h"
#include "farthing/store.h"
#include "redis_server.h"

enum {
    CLUSTER_MASTERS = 3,
    CLUSTER_NODES = 6,
    SENTINELS = 3,
    BUS_PORT_ABOVE = 10000,
    MEMBER_PATH_MAX = 88
};

struct redis_member {
    struct redis_server server;
    unsigned port;
    char directory[110], port_text[8], master_port_text[8], config[128];
};

struct redis_cluster {
    struct redis_member nodes[CLUSTER_NODES]; // nodes[n + 3] follows nodes[n], at first
};

struct redis_sentinels {
    struct redis_member nodes[2]; // the second follows the first, at first
    struct redis_member sentinels[SENTINELS];
};

static inline void cluster_await(bool (*is_so)(void *arg), void *arg) {
    for (unsigned i = 0; i < 20000; i++) {
        if (is_so(arg))
            return;
        usleep(1000);
    }
    fprintf(stderr, "redis-servers did not find each other\n");
    abort();
}

static inline bool is_port_free(unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return ok;
}

// Below those that the system gives out by itself, and with the one for the bus.
static inline unsigned port_with_bus(void) {
    unsigned port;
    do
        port = 10000 + (unsigned)random_below(12000);
    while (!is_port_free(port) || !is_port_free(port + BUS_PORT_ABOVE));
    return port;
}

// Paths are whole, for a server goes into its directory.
static inline void member_prepare(struct redis_member *m, const char *below, unsigned number) {
    char directory[PATH_MAX];
    if (realpath(below, directory) == NULL || strlen(directory) > MEMBER_PATH_MAX)
        abort(); // a socket's path has 107 bytes at most
    m->port = port_with_bus();
    snprintf(m->port_text, sizeof m->port_text, "%u", m->port);
    snprintf(m->directory, sizeof m->directory, "%.*s/%u", MEMBER_PATH_MAX, directory, number);
    snprintf(m->server.socket_path, sizeof m->server.socket_path, "%.*s/%u.sock", MEMBER_PATH_MAX,
             directory, number);
    if (mkdir(m->directory, 0700) != 0)
        abort();
}

static inline void member_arguments(struct redis_member *m, const char *const *arguments,
                                    size_t count) {
    const char *own[] = {"--port",
                         m->port_text,
                         "--bind",
                         "127.0.0.1",
                         "--dir",
                         m->directory,
                         "--repl-diskless-sync-delay",
                         "0"};
    size_t n = 0;
    for (size_t i = 0; i < FARTHING_COUNT(own); i++)
        m->server.more[n++] = own[i];
    for (size_t i = 0; i < count; i++)
        m->server.more[n++] = arguments[i];
}

static inline void member_remove(struct redis_member *m) {
    redis_server_stop(&m->server);
    directory_remove(m->directory);
}

static inline bool member_says(const struct redis_member *m, const char *command,
                               const char *word) {
    char answer[4096];
    redis_server_ask(&m->server, command, answer, sizeof answer);
    return strstr(answer, word) != NULL;
}

static inline bool member_is_master(const struct redis_member *m) {
    return m->server.pid > 0 && member_says(m, "ROLE", "\r\nmaster\r\n");
}

static inline bool member_follows(const struct redis_member *m) {
    return m->server.pid > 0 && member_says(m, "ROLE", "\r\nconnected\r\n");
}

// ---------------------------------------------------------------------- cluster

static inline void cluster_range(unsigned master, unsigned *first, unsigned *last) {
    *first = 16384 * master / CLUSTER_MASTERS;
    *last = 16384 * (master + 1) / CLUSTER_MASTERS - 1;
}

static inline void cluster_id(unsigned node, char id[41]) {
    memset(id, 'a' + (int)node, 40);
    id[40] = '\0';
}

// What the node knows of the others when it starts.
static inline void cluster_write_nodes(const struct redis_cluster *c, unsigned of) {
    char path[160], id[41], master[41];
    snprintf(path, sizeof path, "%s/nodes.conf", c->nodes[of].directory);
    FILE *f = fopen(path, "w");
    for (unsigned n = 0; n < CLUSTER_NODES; n++) {
        bool is_master = n < CLUSTER_MASTERS;
        unsigned first, last, port = c->nodes[n].port;
        cluster_id(n, id);
        cluster_id(n % CLUSTER_MASTERS, master);
        cluster_range(n % CLUSTER_MASTERS, &first, &last);
        fprintf(f, "%s 127.0.0.1:%u@%u %s%s %s 0 0 %u connected", id, port, port + BUS_PORT_ABOVE,
                n == of ? "myself," : "", is_master ? "master" : "slave", is_master ? "-" : master,
                n % CLUSTER_MASTERS + 1);
        if (is_master)
            fprintf(f, " %u-%u", first, last);
        fprintf(f, "\n");
    }
    fprintf(f, "vars currentEpoch %d lastVoteEpoch 0\n", CLUSTER_MASTERS);
    fclose(f);
}

static inline bool cluster_is_whole(void *arg) {
    struct redis_cluster *c = arg;
    for (unsigned n = 0; n < CLUSTER_NODES; n++)
        if (c->nodes[n].server.pid > 0 &&
            (!member_says(&c->nodes[n], "CLUSTER INFO", "cluster_state:ok") ||
             (!member_is_master(&c->nodes[n]) && !member_follows(&c->nodes[n]))))
            return false;
    return true;
}

static inline void cluster_start(struct redis_cluster *c, const char *directory) {
    static const char *const arguments[] = {"--cluster-enabled",      "yes",
                                            "--cluster-config-file",  "nodes.conf",
                                            "--cluster-node-timeout", "1000"};
    for (unsigned n = 0; n < CLUSTER_NODES; n++) {
        member_prepare(&c->nodes[n], directory, n);
        member_arguments(&c->nodes[n], arguments, FARTHING_COUNT(arguments));
    }
    for (unsigned n = 0; n < CLUSTER_NODES; n++) {
        cluster_write_nodes(c, n);
        redis_server_start(&c->nodes[n].server);
    }
    cluster_await(cluster_is_whole, c);
}

static inline void cluster_stop(struct redis_cluster *c) {
    for (unsigned n = 0; n < CLUSTER_NODES; n++)
        member_remove(&c->nodes[n]);
}

static inline struct store_redis_options cluster_options(const struct redis_cluster *c) {
    return (struct store_redis_options){
        .kind = STORE_REDIS_CLUSTER,
        .seeds = {{"127.0.0.1", c->nodes[0].port}, {"127.0.0.1", c->nodes[1].port}},
        .seed_count = 2,
        .connect_timeout_ms = 20000,
        .command_timeout_ms = 20000,
        .max_value_bytes = 1 << 20};
}

// -------------------------------------------------------------------- sentinels

#define MASTER_NAME "books"

static inline void sentinel_write_config(const struct redis_sentinels *s, unsigned of) {
    FILE *f = fopen(s->sentinels[of].config, "w");
    char id[41];
    cluster_id(of, id);
    fprintf(f,
            "sentinel myid %s\n"
            "sentinel monitor " MASTER_NAME " 127.0.0.1 %u 2\n"
            "sentinel down-after-milliseconds " MASTER_NAME " 500\n"
            "sentinel failover-timeout " MASTER_NAME " 3000\n"
            "sentinel known-replica " MASTER_NAME " 127.0.0.1 %u\n",
            id, s->nodes[0].port, s->nodes[1].port);
    for (unsigned n = 0; n < SENTINELS; n++) {
        cluster_id(n, id);
        if (n != of)
            fprintf(f, "sentinel known-sentinel " MASTER_NAME " 127.0.0.1 %u %s\n",
                    s->sentinels[n].port, id);
    }
    fclose(f);
}

static inline bool sentinels_agree(void *arg) {
    struct redis_sentinels *s = arg;
    for (unsigned n = 0; n < SENTINELS; n++)
        if (!member_says(&s->sentinels[n], "SENTINEL CKQUORUM " MASTER_NAME, "+OK"))
            return false;
    return member_follows(&s->nodes[1]);
}

static inline void sentinels_start(struct redis_sentinels *s, const char *directory) {
    for (unsigned n = 0; n < 2; n++)
        member_prepare(&s->nodes[n], directory, n);
    const char *const follow[] = {"--replicaof", "127.0.0.1", s->nodes[0].port_text};
    member_arguments(&s->nodes[0], NULL, 0);
    member_arguments(&s->nodes[1], follow, FARTHING_COUNT(follow));
    for (unsigned n = 0; n < 2; n++)
        redis_server_start(&s->nodes[n].server);
    static const char *const mode[] = {"--sentinel"};
    for (unsigned n = 0; n < SENTINELS; n++) {
        struct redis_member *m = &s->sentinels[n];
        member_prepare(m, directory, 2 + n);
        snprintf(m->config, sizeof m->config, "%s/sentinel.conf", m->directory);
        m->server.config = m->config;
        member_arguments(m, mode, FARTHING_COUNT(mode));
    }
    for (unsigned n = 0; n < SENTINELS; n++) {
        sentinel_write_config(s, n);
        redis_server_start(&s->sentinels[n].server);
    }
    cluster_await(sentinels_agree, s);
}

static inline void sentinels_stop(struct redis_sentinels *s) {
    for (unsigned n = 0; n < 2; n++)
        member_remove(&s->nodes[n]);
    for (unsigned n = 0; n < SENTINELS; n++)
        member_remove(&s->sentinels[n]);
}

static inline struct store_redis_options sentinels_options(const struct redis_sentinels *s) {
    struct store_redis_options o = {.kind = STORE_REDIS_SENTINEL,
                                    .seed_count = SENTINELS,
                                    .master = MASTER_NAME,
                                    .connect_timeout_ms = 20000,
                                    .command_timeout_ms = 20000,
                                    .max_value_bytes = 1 << 20};
    for (unsigned n = 0; n < SENTINELS; n++)
        o.seeds[n] = (struct store_redis_seed){"127.0.0.1", s->sentinels[n].port};
    return o;
}

#endif
