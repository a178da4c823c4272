// A cluster, as it is known: which node serves which slot, and the connections
// to them. The thread's, as all of a redis. With one server there is none of it.
#ifndef FARTHING_STORE_REDIS_ROUTE_H
#define FARTHING_STORE_REDIS_ROUTE_H

#include "redis.h"
#include "redis_slots.h"

struct redis_route {
    struct redis *redis;
    struct redis_topology *topology;         // NULL: none was told yet
    struct redis_node *at[REDIS_PLACES_MAX]; // of its places; NULL: to a replica
    // Asks for the topology, of one node after the other: a connection of its own,
    // so that the answer waits behind nothing.
    struct redis_node *scout;
    size_t next_candidate;
    bool is_asked; // and not answered
    uint64_t opened_ns, scout_since_ns;
    uint64_t down_ns;        // when a node said last that the cluster is down; 0: none did
    unsigned scout_failures; // before there was any topology
    struct event *tick;
    bool is_tick_slow;
    uint64_t broken_ns; // since then it is not whole; 0: it is
    // While one command is sent where ASK says: its slot, and to whom.
    struct redis_node *elsewhere;
    unsigned elsewhere_slot;
    // What is tried again in a moment (TRYAGAIN).
    struct job *again_first, *again_last;
    struct event *again;
    uint64_t redirects; // ever
    // Who served a slot before, and what it was sent by then: while some of that is not
    // answered, and so may have to be sent to the slot's new node, nothing else is.
    struct redis_node *former[REDIS_SLOTS];
    uint64_t former_appended[REDIS_SLOTS];
};

// redis_route.c
void redis_route_on_again(struct redis_route *t); // the moment is over
void redis_route_note_former(struct redis_route *t, unsigned slot, struct redis_node *former);
void redis_route_forget_node(struct redis_route *t, const struct redis_node *n);

// redis_cluster.c
void redis_cluster_open(struct redis *r);
void redis_cluster_free(struct redis *r);
// The connection to this place, made if new. NULL: there are too many.
struct redis_node *redis_cluster_node(struct redis_route *t, struct slice host, unsigned port,
                                      unsigned *place);
void redis_cluster_refresh(struct redis_route *t); // soon
void redis_cluster_is_down(struct redis_route *t); // a node says so
// Every slot is served, and whoever serves it answers in time.
bool redis_cluster_is_whole(const struct redis_route *t);
void redis_cluster_check_tried(struct redis_route *t); // for whoever waits for the first try
// For a node without a place of its own: that of another one, the next time it starts.
void redis_cluster_choose(struct redis_route *t, struct redis_node *n);
void redis_cluster_summarize(struct redis_route *t); // the redis's state; the tick's pace

#endif
