// What the files of this room share.
#ifndef FARTHING_UPSTREAM_ATTEMPT_H
#define FARTHING_UPSTREAM_ATTEMPT_H

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>

#include "adaptive.h"
#include "fair.h"
#include "farthing/upstream.h"

// Each state but the first and the last is a list that the attempt stands on;
// attempt_go alone moves it.
enum attempt_state {
    ATTEMPT_NEW,
    ATTEMPT_WAITING,  // for a place among max_inflight
    ATTEMPT_ADMITTED, // has one, and begins with the loop's next turn
    ATTEMPT_RUNNING,  // libcurl has it
    ATTEMPT_PAUSED,   // libcurl has it, and shall hand over no body
    ATTEMPT_RESUMING, // was paused, goes on with the loop's next turn
    ATTEMPT_ENDING,   // on_done is due
    ATTEMPT_DOOMED,   // cancelled from within libcurl: goes when libcurl lets go
    ATTEMPT_DONE,     // on_done is being called
};

struct list {
    struct attempt *first, *last;
};

// A target's places, shared by all loops; lives as long as upstream_shared. What
// each attempt writes, what it only reads, and what it touches when there is no
// place lie apart.
struct slot {
    _Alignas(CACHE_LINE) _Atomic int64_t inflight;
    // Written under the lock.
    _Alignas(CACHE_LINE) _Atomic int64_t limit; // of inflight, in force now; 0: none
    _Atomic int64_t waiting;
    _Atomic int64_t setting; // twice the max_inflight that was seen last, plus 1 for adaptive
    // Held for the queue's arithmetic and for posting mail, never while anybody
    // else's code runs.
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    struct fair fair;         // of waiters
    struct adaptive adaptive; // all 0 until it is wanted
    struct slice name;
    struct slot *next; // of all; does not change
};

// A libcurl handle with its constant options; reused for the same target, for
// the options and for its buffers.
struct handle {
    CURL *easy;
    struct handle *next;
    CURLU *parsed_url;
    struct buffer url, ca_file; // as they were last set
    unsigned number;            // among its target's, from 1; 0: for one attempt only
};

// One target as this loop knows it, and the handles that serve it.
struct queue {
    struct slot *slot;
    struct handle *spare; // the last used first: its connection is the warmest
    size_t spare_count;
    unsigned handles_made;
    struct queue *next;
};

// The head of an answer, as far as it has come.
struct answer {
    struct arena *arena;
    int status; // 0: the status line is next
    struct api_header *fields;
    size_t count, cap, bytes;
    bool done;
    const char *wrong; // why it is refused
};

// Owned by its loop: attempt_start makes it, attempt_cancel or the end of
// on_done frees it, with its arena.
struct attempt {
    struct upstream *upstream;
    struct attempt *next, *previous; // in the list of its state
    enum attempt_state state;
    const struct attempt_events *events;
    void *arg;
    struct arena *arena;
    struct queue *queue;
    struct waiter *waiter; // in the slot's queue, NULL: not
    bool holds_place;
    bool starts_paused; // was paused before it began
    struct handle *handle;
    struct shard *shard; // that the handle is with

    // The request, kept for when its turn comes.
    struct upstream_target target;
    struct slice method, url, body;
    struct curl_slist *headers;
    size_t max_body_bytes;
    int64_t deadline_ms;

    struct answer answer;
    size_t body_sent;   // of the request, as far as libcurl asked for it
    int64_t body_bytes; // of the answer
    enum attempt_end end;
    const char *why; // in words, where the end is of our making
    char error[CURL_ERROR_SIZE];

    bool waited; // for a place
    // clock_mono_ms; 0: not yet.
    uint64_t started_ms, running_ms, head_ms, progress_ms;
};

// One of a loop's libcurl multi handles.
struct shard {
    struct upstream *upstream;
    CURLM *multi;
    struct event timer;
    uint64_t wanted_ms, armed_ms; // clock_mono_ms; 0: not
};
enum { SHARDS = 17 };

// A socket's events. Kept while libcurl keeps the connection idle: libcurl says
// REMOVE after each transfer and asks for the same again with the next.
struct watch {
    struct event readable, writable;
    bool reads, writes; // added
    bool wanted;        // libcurl listens to it now
    bool connection;    // opened by watch_open; else one of libcurl's own, short-lived
    struct shard *shard;
    int fd;
};

struct upstream {
    struct event_base *loop;
    struct upstream_shared *shared;
    struct shard shards[SHARDS]; // the first for TLS
    char *default_ca;            // libcurl's
    struct event *kick, *sweep;
    bool kicked, kicking, sweeping;
    unsigned kicks_in_a_row;
    bool in_curl; // libcurl may be calling back, and takes no calls for other transfers
    struct list waiting, admitted, running, paused, resuming, ending, doomed;
    struct table *queues_by_name;
    struct queue *queues;
    struct watch **watches; // by file descriptor
    size_t watch_cap;
    struct mailbox *mailbox;
};

struct upstream_shared {
    pthread_mutex_t lock; // of the two; not held while calling out
    struct table *slots_by_name;
    struct slot *slots; // newest first, never taken away
};

// upstream.c
void upstream_kick(struct upstream *u); // soon, from the loop
void upstream_start_sweep(struct upstream *u);
void upstream_settle(struct upstream *u); // reports what has ended

// shard.c
void shard_open(struct shard *s, struct upstream *u);
void shard_close(struct shard *s);
void shard_action(struct shard *s, curl_socket_t fd, int events);
void shard_run_when_due(struct shard *s, uint64_t now_ms);

// queue.c
struct queue *queue_find(struct upstream *u, struct slice name);
void queue_free_all(struct upstream *u);

// places.c
struct slot *slot_find(struct upstream_shared *s, struct slice name);
void slot_free_all(struct upstream_shared *s);
// True: it has a place. False: it is WAITING, or ADMITTED already.
bool places_enter(struct attempt *a, struct slice tenant, unsigned weight) FARTHING_MUST_CHECK;
void places_leave(struct attempt *a); // gives back its place or its seat in the queue, if any
// The provider's answers, which an adaptive limit follows.
void places_note_head(struct attempt *a);
void places_note_end(struct attempt *a, uint64_t now_ms);
// After the last attempt of a loop: nobody touches its mailbox any more.
void places_wait_for_posters(struct upstream *u);

// fields.c
bool fields_is_token(struct slice s);
struct curl_slist *fields_of_request(struct arena *arena, const struct api_header *headers,
                                     size_t count);
// One line of an answer's head; false when the answer cannot be trusted.
bool fields_take_line(struct answer *a, struct slice line) FARTHING_MUST_CHECK;

// transfer.c
void transfer_start(struct attempt *a);
void transfer_stop(struct attempt *a); // takes it from libcurl, whatever its state
void transfer_finish(struct attempt *a, CURLcode code);
void transfer_hush(struct attempt *a); // sends no more, though libcurl still has it
void transfer_resume(struct attempt *a);
bool transfer_was_sent(const struct attempt *a);
void handle_free_all(struct queue *q);

// attempt.c
void attempt_go(struct attempt *a, enum attempt_state to);
bool attempt_is_live(const struct attempt *a); // libcurl has it, and it is wanted
// on_done comes from the loop. why: in words, NULL when libcurl has them.
void attempt_end_with(struct attempt *a, enum attempt_end end, const char *why);
void attempt_report(struct attempt *a); // calls on_done, frees
void attempt_destroy(struct attempt *a);
void attempt_check_time(struct attempt *a, uint64_t now_ms); // ends it when it is overdue
// When the request began to be sent, the connect phase being over; 0: not yet.
uint64_t attempt_sending_since(const struct attempt *a);

// watch.c
int watch_socket(CURL *easy, curl_socket_t fd, int what, void *shard, void *watch);
curl_socket_t watch_open(void *upstream, curlsocktype purpose, struct curl_sockaddr *address);
int watch_close(void *upstream, curl_socket_t fd);
void watch_free_all(struct upstream *u);

#endif
