// The key-value spaces in Redis, and what instances do together there: what its
// files share. One thread owns the connections, and everything here but what
// says otherwise is that thread's.
//
// Why one connection to a server and not one for each loop: what one loop writes or
// removes, the next read of any loop must see, as it does with the embedded
// store; only within one connection does Redis keep that order. And it is the
// thread, not a loop, that compresses, undoes TLS and takes large answers apart.
#ifndef FARTHING_STORE_REDIS_H
#define FARTHING_STORE_REDIS_H

#include "redis_node.h"
#include "redis_value.h"

enum {
    REDIS_COMMANDS_MAX = 16384, // handed over and not answered; over it reads fail and writes go
    REDIS_BYTES_MAX = 64 * 1024 * 1024,
    REDIS_GENERATION_MAX = 64, // bytes; ours have 26
    REDIS_BEAT_MS = 1000,      // so soon a purge elsewhere is seen here
};

#define REDIS_PREFIX "farthing:" // of every key

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
    uint64_t era;    // counts what emptied it, from 1
    bool is_tracked; // somebody wants to hear of its values
    // What came before the generation was known, in its order.
    struct job *waiting_first, *waiting_last;
};

// Who hears, on the thread, of a space that somebody else emptied, and of a value
// that somebody else changed.
struct redis_watcher {
    void (*emptied)(void *arg, const char *space);
    void (*changed)(void *arg, const char *space, struct slice key);
    void *arg;
};

struct redis {
    struct store_redis_options options; // its texts are our own
    struct buffer where;                // "redis at host:port", NUL-terminated
    struct redis_tls *tls;
    struct redis_watcher watcher;
    pthread_t thread;
    struct mailbox *mailbox; // of jobs, from any thread
    char instance[RANDOM_ID_LEN + 1];
    // Any thread:
    _Atomic int state; // enum redis_state, of all nodes together (redis_route.c)
    _Atomic size_t commands, bytes;
    _Atomic int64_t dropped, failures;
    _Atomic uint64_t epoch;
    _Atomic unsigned instances;
    _Atomic bool has_time;
    _Atomic int64_t time_offset_us; // from the clock of intervals to Redis's
    // The thread's:
    struct event_base *loop;
    struct event *beat, *end;  // the latter: what is not sent by then is not sent any more
    struct redis_node *nodes;  // that commands go to
    struct redis_route *route; // a cluster's; NULL: it is none
    struct redis_node *ear;    // that listens; its own host
    char *ear_host;
    bool is_listening;
    // redis_track.c
    int64_t ear_number; // its CLIENT ID; 0: not known
    bool is_tracking_wanted, hears_changes, is_tracking, said_untracked;
    struct table *channels;                    // struct redis_channel, by name
    struct redis_kept *kept_first, *kept_last; // redis_keep.c
    struct table *kept;                        // the same by space and key
    size_t kept_bytes;
    struct event *keep;
    struct redis_codec *codec;
    struct redis_space *spaces;
    struct redis_script *scripts;
    unsigned slow_answers; // of beats, one after the other
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
struct redis *redis_open(const struct store_redis_options *options,
                         const struct redis_watcher *watcher, struct error *err);
void redis_close(struct redis *r); // what was handed over is sent, for a second at most
enum redis_state redis_state_of(const struct redis *r); // any thread
// Any thread. False (and the job freed): it cannot be done now.
bool redis_enqueue(struct redis *r, struct job *j);

// redis.c, for the other files
void redis_perform(struct redis *r, struct job *j);
void redis_has_tried(struct redis *r);
void redis_set_timer(struct event *timer, int64_t ms);
// Whoever waits for it hears of it, and it is freed; it goes on counting, for
// its command is on its way.
void redis_job_answer(struct job *j, enum store_status status);
void redis_uncount(struct redis *r, size_t bytes);
void redis_recount(struct redis *r, size_t bytes); // as when it was handed over
// Both, of one that was not sent.
void redis_job_done(struct redis *r, struct job *j, enum store_status status);
// The same of one that cannot be done: a write is kept for later.
void redis_job_refuse(struct redis *r, struct job *j);

// redis_options.c
void redis_options_copy(struct store_redis_options *to, const struct store_redis_options *from);
void redis_options_free(struct store_redis_options *o);
void redis_options_describe(const struct store_redis_options *o, struct buffer *out);

// redis_route.c: which server it is that knows a key
// NULL: none is known now. It may be one that takes nothing at the moment.
struct redis_node *redis_route_of(struct redis *r, struct slice key);
// That takes this job for it now. NULL: none does, and the job is refused, or waits
// until what was sent before it to another one is answered.
struct redis_node *redis_route_for(struct redis *r, struct slice key, struct job *j);
void redis_nodes_open(struct redis *r);
void redis_nodes_free(struct redis *r);
void redis_node_changed(struct redis_node *n); // its state
// Every server that there should be answers in time.
bool redis_route_is_whole(const struct redis *r);
void redis_route_settled(struct redis *r); // a server is there, or in time again
void redis_route_gone(struct redis *r);    // one is not
void redis_route_refresh(struct redis *r); // something has changed, it seems
void redis_route_explain(const struct redis_node *n, const char *why, struct error *out);
// The error says that another node knows the command's key, or this one in a moment:
// it is done again there. False: it says something else.
bool redis_route_again(struct redis_node *n, struct redis_command *c, struct slice error);
// Where `j`, which waits for all that was sent, goes on; NULL: it is done.
struct redis_node *redis_route_after(struct redis_node *n, struct job *j);
// Jobs that are done again in a moment.
void redis_route_wait(struct redis *r, struct job *j);
bool redis_route_has_waiting(const struct redis *r);
void redis_route_refuse_again(struct redis *r, const struct store_client *client); // NULL: all

// redis_command.c: what is asked, and what is made of the answers
extern const struct redis_node_events redis_command_events;
void redis_send_get(struct redis *r, struct redis_space *space, struct job *j);
void redis_send_put(struct redis *r, struct redis_space *space, struct job *j);
void redis_send_delete(struct redis *r, struct redis_space *space, struct job *j);
void redis_send_generation(struct redis *r, struct redis_space *space,
                           enum redis_command_kind kind);
// AUTH, SELECT, CLIENT SETNAME.
void redis_send_greeting(struct redis_node *n);
// An error that may be shown: without what was sent.
struct slice redis_without_arguments(const struct redis *r, struct slice text);
// False, as `answered` is then; the text is the server's own, or ours.
bool redis_lost_for(struct redis_node *n, enum redis_trouble trouble, struct slice text);

// redis_run.c
void redis_send_run(struct redis *r, struct job *j);
// It failed, for the script is not known there: it is sent again with its text.
bool redis_run_again(struct redis_node *n, struct redis_command *c, struct slice error);
enum store_status redis_run_value(const struct redis_reply *reply, struct buffer *out);
void redis_scripts_free(struct redis *r);

// redis_beat.c
void redis_beat_send(struct redis *r);
void redis_beat_leave(struct redis *r);
void redis_beat_took(struct redis *r, struct slice answer, uint64_t sent_ns);
int64_t redis_now_ms(const struct redis *r);                     // any thread
void redis_take_server(struct redis_node *n, struct slice info); // empty: it does not say

// redis_keep.c: writes for later
void redis_keep(struct redis *r, struct job *j);
void redis_keep_replaced(struct redis *r, const struct job *by); // which is sent
void redis_keep_step(struct redis *r);                           // some are sent, if that can be
void redis_keep_all(struct redis *r);                            // so are all
void redis_keep_begin(struct redis *r);
void redis_keep_end(struct redis *r);

// redis_ear.c: the connection that listens
void redis_ear_open(struct redis *r);
// Commands go there now.
void redis_ear_follow(struct redis *r, const struct redis_node *n);
void redis_ear_add(struct redis *r, struct store_ear *ear);
void redis_ear_remove(struct redis *r, struct store_ear *ear);
void redis_ear_beat(struct redis *r);
void redis_ear_close(struct redis *r);
void redis_say(struct redis *r, struct job *j);

// redis_track.c: what others change
void redis_track_space(struct redis *r, struct redis_space *space);
void redis_track_listen(struct redis *r); // the connection that listens is ready
void redis_track_ready(struct redis *r);  // so is the other, perhaps
void redis_track_refused(struct redis *r, struct slice why);
// What the next command reads is nobody's memory.
void redis_track_not(struct redis_node *n);
bool redis_track_heard(struct redis *r, struct slice channel, const struct redis_reply *message);
void redis_track_checked(struct redis *r, const struct redis_command *c,
                         const struct redis_reply *reply);
void redis_track_written(struct redis_node *n, const struct redis_space *space, struct slice name);
void redis_track_removed(struct redis_node *n, const struct redis_space *space, struct slice name);

// redis_space.c
struct redis_space *redis_space_of(struct redis *r, const char *name); // made if new
// A digest is spelled {HEX}: in a cluster an answer so lies on the node on which who
// buys it is written down, and one connection keeps the order of both.
void redis_space_append_key(const struct redis_space *space, struct slice key, struct buffer *out);
// Undoes it; the key lies in `name` or in `digest`. False: it is of another space, or of
// another generation.
bool redis_space_read_key(const struct redis_space *space, struct slice name,
                          uint8_t digest[DIGEST_LEN], struct slice *key) FARTHING_MUST_CHECK;
void redis_space_append_generation_key(const struct redis_space *space, struct buffer *out);
void redis_space_wait(struct redis *r, struct redis_space *space, struct job *j);
// What is there is taken over, unless a purge of our own is on its way.
void redis_space_learn(struct redis *r, struct redis_space *space, struct slice generation);
void redis_space_purge(struct redis *r, struct redis_space *space);
void redis_spaces_ask(struct redis *r); // all, again
// Jobs that wait for longer than they may.
void redis_spaces_check_deadlines(struct redis *r, uint64_t now, uint64_t timeout_ns);
void redis_spaces_forget_client(struct redis *r, const struct store_client *client);
// The generations that are known by this server, whose connection is gone; NULL: all.
void redis_spaces_forget(struct redis *r, const struct redis_node *n);
void redis_space_give_up(struct redis *r, struct redis_space *space);
void redis_spaces_free(struct redis *r);

// redis_report.c
enum redis_trouble redis_trouble_of(struct slice error);
bool redis_trouble_ends_connection(enum redis_trouble trouble);
void redis_report_begin(struct redis *r);
void redis_count(struct redis *r, enum redis_trouble trouble);
void redis_count_dropped(struct redis *r); // any thread
void redis_report_kept(size_t count);
// Counts it, and says it unless it was said this minute.
void redis_complain(struct redis *r, enum redis_trouble trouble, struct slice why);
void redis_report_up(struct redis *r);
void redis_report_down(struct redis *r, enum redis_trouble trouble, const char *why);
void redis_observe(enum redis_command_kind kind, uint64_t ns);

#endif
