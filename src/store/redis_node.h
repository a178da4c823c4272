// One connection to one server: how it is made, kept and made again, and its
// pipeline. What is said over it, redis_command.c and redis_ear.c know; where
// it leads, redis_route.c.
#ifndef FARTHING_STORE_REDIS_NODE_H
#define FARTHING_STORE_REDIS_NODE_H

#include "redis_link.h"
#include "redis_reader.h"
#include "store.h"

struct redis_space;

enum {
    REDIS_DEAD_MS = 3000, // not one byte for so long while answers are due: another connection
    REDIS_REPLY_BYTES = 64 * 1024, // that a reply may have besides a value
    // What scripts answer may be as large as this, however small max_value is: marks of
    // purges, streams and results that instances give each other.
    REDIS_ANSWER_BYTES = 9 * 1024 * 1024,
    REDIS_SERVER_MAX = 64,         // of what a server calls itself; it has 40
};

enum redis_state {
    REDIS_RESTING,  // until the next try to connect
    REDIS_OPENING,  // name, connection, TLS
    REDIS_GREETING, // AUTH, SELECT, PING
    REDIS_READY,
    REDIS_LATE, // as ready, but an answer is late: no read is begun until it has come
};

// What goes wrong, as the metric names it (redis_report.c has the table).
enum redis_trouble {
    TROUBLE_CONNECT,
    TROUBLE_CONNECTION,
    TROUBLE_TIMEOUT,
    TROUBLE_PROTOCOL,
    TROUBLE_AUTH,
    TROUBLE_LOADING,
    TROUBLE_READONLY,
    TROUBLE_MEMORY,
    TROUBLE_BUSY,
    TROUBLE_CLUSTER,
    TROUBLE_OTHER,
    TROUBLE_DAMAGED,
    TROUBLE_TOO_LARGE,
    TROUBLE_COUNT
};

enum redis_command_kind {
    COMMAND_GREETING,       // AUTH, SELECT
    COMMAND_NAME,           // CLIENT SETNAME: an ACL may forbid it
    COMMAND_SERVER,         // INFO server, as well
    COMMAND_GREETED,        // PING, the last of the greeting
    COMMAND_GENERATION,     // GET of a generation
    COMMAND_NEW,            // SET ... NX of one that was not there
    COMMAND_GENERATION_SET, // the GET that follows it
    COMMAND_PURGE,
    COMMAND_GET,
    COMMAND_PUT,
    COMMAND_DELETE,
    COMMAND_RUN,
    COMMAND_SAY,
    COMMAND_SUBSCRIBE, // and its opposite
    COMMAND_PING,      // to one that listens
    COMMAND_NUMBER,    // CLIENT ID
    COMMAND_CHANGES,   // SUBSCRIBE to what changes
    COMMAND_TRACKING,
    COMMAND_CACHING, // not of what follows
    COMMAND_TRACK,   // a read for Redis to remember, or a word to the others
    COMMAND_CHECK,
    COMMAND_ROLE,     // INFO replication: of a server that sentinels named
    COMMAND_LOOK,     // PING: is this node of a cluster well?
    COMMAND_TOPOLOGY, // CLUSTER SLOTS
    COMMAND_ASKING,   // the next one is for a slot that is on its way to this node
    COMMAND_NOTHING,  // not sent: its job is done when all before it is
};

// Sent and not answered. Who hands a job over owns it no more: it is freed with
// the command, or goes on with another.
struct redis_command {
    struct redis_command *next;
    enum redis_command_kind kind;
    struct job *job; // NULL: none, or nobody waits for it any more
    struct redis_space *space;
    bool late;          // given up; its answer is still to come
    bool with_text;     // EVAL, not EVALSHA
    unsigned redirects; // of one without a job
    uint64_t sent_ns;
    size_t bytes;             // that are counted for it
    bool counted;             // was handed over by somebody, and counts among `commands`
    enum store_status status; // once it is answered: what the job's owner hears
};

struct redis_node;

// What becomes of a connection. `answered` and `pushed` are false when they
// gave it up.
struct redis_node_events {
    void (*greet)(struct redis_node *n); // it is open: what is said first, with PING
    void (*ready)(struct redis_node *n); // PING was answered
    // Before those who wait hear that it failed, and after.
    void (*failing)(struct redis_node *n, enum redis_trouble trouble, const char *why);
    void (*gone)(struct redis_node *n);
    void (*late)(struct redis_node *n, const char *why); // an answer is, the first; or NULL
    void (*caught_up)(struct redis_node *n);             // none is any more; or NULL
    bool (*answered)(struct redis_node *n, struct redis_command *c,
                     const struct redis_reply *reply);
    // What comes unasked, where anything may: ["message", ...].
    bool (*pushed)(struct redis_node *n, const struct redis_reply *reply);
};

// The thread's, as all that is in it.
struct redis_node {
    struct redis_node *next; // of its redis
    struct redis *redis;
    const struct redis_node_events *events;
    // Its own address; texts are the redis's, or whoever's made it, or `host`.
    struct store_redis_options options;
    char *host;                      // our own; NULL: the options say it
    bool is_placed;                  // that is where it is; not while sentinels are asked
    bool is_anywhere;                // at another node of the cluster with each start
    struct redis_sentinel *sentinel; // who knows where it is; NULL: it is known
    bool is_retired;                 // serves no slots any more: is to end
    uint64_t retired_ns;
    size_t max_elements; // of arrays in replies; 0: there are none
    enum redis_state state;
    struct redis_link *link;
    struct redis_reader *reader;
    struct event *pause;    // until the next try; while connecting: until it is given up
    struct event *deadline; // of the oldest read
    struct redis_command *first, *last;
    uint64_t appended, popped; // commands, ever
    unsigned late;             // of the pipeline's commands
    unsigned attempt;
    bool has_written; // over this connection
    uint64_t ready_ns, last_bytes_ns;
    char server[REDIS_SERVER_MAX + 1]; // its run_id; empty: it did not say
};

// redis_node.c
struct redis_node *redis_node_new(struct redis *r, const struct store_redis_options *options,
                                  const struct redis_node_events *events);
void redis_node_free(struct redis_node *n);  // after redis_fail_all
void redis_node_start(struct redis_node *n); // the first try
void redis_node_place(struct redis_node *n, struct slice host, unsigned port); // for its next start
// Each second: is it well, and still the master?
void redis_node_look(struct redis_node *n);
// What INFO replication says. False when it was given up for it.
bool redis_node_take_role(struct redis_node *n, struct slice info);
void redis_enter(struct redis_node *n, enum redis_state state);
void redis_lost(struct redis_node *n, enum redis_trouble trouble, const char *why);
void redis_greeted(struct redis_node *n);
static inline bool redis_node_is_open(const struct redis_node *n) {
    return n->state == REDIS_READY || n->state == REDIS_LATE;
}
// While an answer is late nobody is to begin to wait.
bool redis_state_takes(enum redis_state state, const struct job *j);
bool redis_node_takes(const struct redis_node *n, const struct job *j);
// Lost, and false, when it has been silent for too long.
bool redis_node_is_alive(struct redis_node *n);

// redis_pipe.c
#define REDIS_SEND(n, kind, space, ...)                                                            \
    redis_send((n), (kind), (space), (struct slice[]){__VA_ARGS__},                                \
               FARTHING_COUNT(((struct slice[]){__VA_ARGS__})))
struct redis_command *redis_send(struct redis_node *n, enum redis_command_kind kind,
                                 struct redis_space *space, const struct slice *parts,
                                 size_t count);
// The job is the command's from here on; what is counted for it as well.
void redis_take_job(struct redis_command *c, struct job *j);
bool redis_has_deadline(const struct redis_command *c);
void redis_arm_deadline(struct redis_node *n, uint64_t since_ns); // unless it is already
void redis_check_deadlines(struct redis_node *n);
void redis_send_nothing(struct redis_node *n, struct job *j);
void redis_nothings_to_end(struct redis_node *n); // behind all that was sent since
void redis_got(struct redis_node *n, struct slice bytes);
void redis_fail_all(struct redis_node *n);
// Its write may not have been carried out: it is kept for later.
void redis_keep_written(struct redis_node *n, struct redis_command *c);
void redis_node_forget_client(struct redis_node *n, const struct store_client *client);

#endif
