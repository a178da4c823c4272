// The key-value spaces in Redis: what its files share. One thread owns the one
// connection, and everything here but what says otherwise is that thread's.
//
// Why one connection and not one for each loop: what one loop writes or
// removes, the next read of any loop must see, as it does with the embedded
// store; only within one connection does Redis keep that order. And it is the
// thread, not a loop, that compresses, undoes TLS and takes large answers apart.
#ifndef FARTHING_STORE_REDIS_H
#define FARTHING_STORE_REDIS_H

#include "redis_link.h"
#include "redis_reader.h"
#include "redis_value.h"
#include "store.h"

enum {
    REDIS_COMMANDS_MAX = 16384, // handed over and not answered; over it reads fail and writes go
    REDIS_BYTES_MAX = 64 * 1024 * 1024,
    REDIS_GENERATION_MAX = 64, // bytes; ours have 26
    REDIS_DEAD_MS = 3000,      // not one byte for so long while answers are due: another connection
    REDIS_BEAT_MS = 1000,      // so soon a purge elsewhere is seen here
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

// One space. Its keys are PREFIX "NAME:GENERATION:KEY"; which generation is
// the one that counts stands under PREFIX "NAME:generation". To empty the space
// is to write another there: one command, whatever the space holds; the old
// keys expire or are evicted. Generations are random, so that one made anew
// never brings back what was purged. Where it is gone (a Redis that was
// restarted empty), instances write back the one they know: what they hold in
// memory was not purged, and goes on to count.
struct redis_space {
    struct redis_space *next;
    char *name;
    enum { SPACE_UNKNOWN, SPACE_ASKED, SPACE_KNOWN } state;
    char generation[REDIS_GENERATION_MAX + 1];
    bool purging; // another generation is to be written, and none is taken over until it is
    unsigned purges_sent;
    // What came before the generation was known, in its order.
    struct job *waiting_first, *waiting_last;
};

enum redis_command_kind {
    COMMAND_GREETING,       // AUTH, SELECT
    COMMAND_NAME,           // CLIENT SETNAME: an ACL may forbid it
    COMMAND_GREETED,        // PING, the last of the greeting
    COMMAND_GENERATION,     // GET of a generation
    COMMAND_NEW,            // SET ... NX of one that was not there
    COMMAND_GENERATION_SET, // the GET that follows it
    COMMAND_PURGE,
    COMMAND_GET,
    COMMAND_PUT,
    COMMAND_DELETE,
    COMMAND_NOTHING, // not sent: its job is done when all before it is
};

// Sent and not answered.
struct redis_command {
    struct redis_command *next;
    enum redis_command_kind kind;
    struct job *job; // GET: NULL once nobody waits for it
    struct redis_space *space;
    bool late; // given up; its answer is still to come
    uint64_t sent_ns;
    size_t bytes; // that are counted for it
    bool counted; // was handed over by somebody, and counts among `commands`
};

struct redis {
    struct store_redis_options options; // its texts are our own
    struct buffer where;                // "redis at host:port", NUL-terminated
    struct redis_tls *tls;
    void (*emptied)(void *arg, const char *space);
    void *emptied_arg;
    pthread_t thread;
    struct mailbox *mailbox; // of jobs, from any thread
    // Any thread:
    _Atomic int state; // enum redis_state
    _Atomic size_t commands, bytes;
    _Atomic int64_t dropped, failures;
    // The thread's:
    struct event_base *loop;
    struct redis_link *link;
    struct redis_reader *reader;
    struct redis_codec *codec;
    struct event *pause;    // until the next try; while connecting: until it is given up
    struct event *deadline; // of the oldest read
    struct event *beat;
    struct redis_command *first, *last;
    unsigned late; // of the pipeline's commands
    struct redis_space *spaces;
    unsigned attempt;
    bool has_written; // over this connection
    uint64_t ready_ns, last_bytes_ns;
    bool stopping;
    // redis_report.c
    bool said_up, said_down; // the latter: and not yet that it is back
    uint64_t said_down_ns, down_ns;
    uint64_t complained_ns[TROUBLE_COUNT];
    // Whoever opens the store waits for the first try.
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool tried;
};

// redis.c, for the store
// `emptied` hears, on the thread, of a space that somebody else emptied.
typedef void redis_emptied(void *arg, const char *space);
struct redis *redis_open(const struct store_redis_options *options, redis_emptied *emptied,
                         void *arg, struct error *err);
void redis_close(struct redis *r); // what was handed over is sent, for a second at most
// Any thread. False (and the job freed): it cannot be done now.
bool redis_enqueue(struct redis *r, struct job *j);

// redis.c, for the other files
enum redis_state redis_state_of(const struct redis *r);
void redis_perform(struct redis *r, struct job *j);
void redis_lost(struct redis *r, enum redis_trouble trouble, const char *why);
void redis_greeted(struct redis *r);
void redis_enter(struct redis *r, enum redis_state state);
// Whoever waits for it hears of it, and it is freed; it goes on counting, for
// its command is on its way.
void redis_job_answer(struct job *j, enum store_status status);
void redis_uncount(struct redis *r, size_t bytes);
// Both, of one that was not sent.
void redis_job_done(struct redis *r, struct job *j, enum store_status status);
// The same of one that cannot be done: a write is counted as dropped.
void redis_job_refuse(struct redis *r, struct job *j);

// redis_command.c: the pipeline
void redis_send_greeting(struct redis *r);
void redis_send_get(struct redis *r, struct redis_space *space, struct job *j);
void redis_send_put(struct redis *r, struct redis_space *space, struct job *j);
void redis_send_delete(struct redis *r, struct redis_space *space, struct job *j);
void redis_send_generation(struct redis *r, struct redis_space *space,
                           enum redis_command_kind kind);
void redis_send_nothing(struct redis *r, struct job *j);
void redis_got(struct redis *r, struct slice bytes);
void redis_fail_all(struct redis *r);
void redis_check_deadlines(struct redis *r);
void redis_arm_deadline(struct redis *r, uint64_t since_ns); // unless it is already
void redis_forget_client(struct redis *r, const struct store_client *client);

// redis_space.c
struct redis_space *redis_space_of(struct redis *r, const char *name); // made if new
void redis_space_append_key(const struct redis_space *space, struct slice key, struct buffer *out);
void redis_space_append_generation_key(const struct redis_space *space, struct buffer *out);
void redis_space_wait(struct redis *r, struct redis_space *space, struct job *j);
// What is there is taken over, unless a purge of our own is on its way.
void redis_space_learn(struct redis *r, struct redis_space *space, struct slice generation);
void redis_space_purge(struct redis *r, struct redis_space *space);
void redis_spaces_ask(struct redis *r); // all, again
void redis_spaces_forget_client(struct redis *r, const struct store_client *client);
void redis_spaces_forget(struct redis *r); // the connection is gone
void redis_space_give_up(struct redis *r, struct redis_space *space);
void redis_spaces_free(struct redis *r);

// redis_report.c
enum redis_trouble redis_trouble_of(struct slice error);
bool redis_trouble_ends_connection(enum redis_trouble trouble);
void redis_report_begin(struct redis *r);
void redis_count(struct redis *r, enum redis_trouble trouble);
void redis_count_dropped(struct redis *r); // any thread
// Counts it, and says it unless it was said this minute.
void redis_complain(struct redis *r, enum redis_trouble trouble, struct slice why);
void redis_report_up(struct redis *r);
void redis_report_down(struct redis *r, enum redis_trouble trouble, const char *why);
void redis_observe(enum redis_command_kind kind, uint64_t ns);

#endif
