// What the files of this room share.
#ifndef FARTHING_UPSTREAM_ATTEMPT_H
#define FARTHING_UPSTREAM_ATTEMPT_H

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>

#include "farthing/upstream.h"

enum attempt_state {
    ATTEMPT_WAITING, // for a place among max_inflight
    ATTEMPT_RUNNING, // libcurl has it
    ATTEMPT_ENDING,  // on_done is due
    ATTEMPT_DOOMED,  // cancelled from within libcurl: goes when libcurl lets go
};

// A target's count, shared by all loops; lives as long as upstream_shared.
struct slot {
    char *name;
    _Atomic int64_t inflight;
};

// A libcurl handle with its constant options; reused, for the options and for
// its buffers.
struct handle {
    CURL *easy;
    struct handle *next;
    struct buffer url; // as it was last set
    bool posts;        // is set up for a POST
};

struct attempt {
    struct upstream *upstream;
    struct attempt *next, *previous; // in the list of its state
    enum attempt_state state;
    const struct attempt_events *events;
    void *arg;
    struct arena *arena;
    struct slot *slot;
    bool holds_slot;
    struct handle *handle;

    // The request, kept for when its turn comes.
    struct upstream_target target;
    struct slice method, url, body;
    struct curl_slist *headers;
    size_t max_body_bytes;
    int64_t deadline_ms, max_inflight;

    // The answer.
    int status;
    struct api_header *head;
    size_t head_count, head_cap, head_bytes;
    bool head_done;
    int64_t body_bytes;
    bool paused, resume_wanted, cancelled;
    enum attempt_end end; // set by what ended it early
    bool ended_early;
    char error[CURL_ERROR_SIZE];

    uint64_t started_ms, running_ms, head_ms, progress_ms;
};

struct list {
    struct attempt *first, *last;
};

// A socket's events. Kept while libcurl keeps the connection idle: libcurl says
// REMOVE after each transfer and asks for the same again with the next.
struct watch {
    struct event readable, writable;
    bool exists, reads, writes; // added
    bool wanted;                // libcurl listens to it now
    struct upstream *upstream;
    int fd;
};

struct upstream {
    struct event_base *loop;
    struct upstream_shared *shared;
    CURLM *multi;
    char *default_ca; // libcurl's
    struct event *timer, *kick, *sweep;
    uint64_t timer_wanted_ms, timer_armed_ms; // clock_mono_ms; 0: none
    bool kicked, sweeping, in_curl;
    struct list waiting, running, ending, doomed;
    struct handle *spare;
    size_t spare_count;
    struct watch **watches; // by file descriptor
    size_t watch_cap;
    struct table *slots; // by name, this loop's view
    struct mailbox *mailbox;
    struct mail room_mail; // "there may be a place": at most once in the box
    _Atomic bool room_mail_posted;
    struct upstream *next; // of the shared list
    _Atomic int64_t waiting_count;
};

struct upstream_shared {
    pthread_mutex_t lock; // slots and the list; not held while calling out
    struct table *slots;
    struct upstream *upstreams;
};

void list_append(struct list *l, struct attempt *a);
void list_remove(struct list *l, struct attempt *a);

// upstream.c
void upstream_kick(struct upstream *u); // soon, from the loop
void upstream_start_sweep(struct upstream *u);
struct slot *upstream_slot(struct upstream *u, struct slice name);
void upstream_room(struct upstream *u); // a place has become free

// transfer.c
void transfer_start(struct attempt *a);
void transfer_stop(struct attempt *a); // takes it from libcurl, whatever its state
void transfer_finish(struct attempt *a, CURLcode code);
void handle_free_all(struct upstream *u);

// attempt.c
void attempt_end_with(struct attempt *a, enum attempt_end end); // on_done comes from the loop
void attempt_report(struct attempt *a);                         // calls on_done, frees
void attempt_admit_waiting(struct upstream *u);
void attempt_destroy_doomed(struct upstream *u);
// What it has run out of, or ATTEMPT_OK.
enum attempt_end attempt_overdue(const struct attempt *a, uint64_t now_ms);

// watch.c
int watch_socket(CURL *easy, curl_socket_t fd, int what, void *upstream, void *watch);
int watch_close(void *upstream, curl_socket_t fd);
void watch_free_all(struct upstream *u);
void upstream_action(struct upstream *u, curl_socket_t fd, int events); // upstream.c

#endif
