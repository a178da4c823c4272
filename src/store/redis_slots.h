// What is said of where things are. In a cluster: a key's slot, the nodes that
// serve the slots, and what a node says when it is another one. By sentinels: the
// master and themselves. By a server: its role. Pure: no sockets, no clock.
#ifndef FARTHING_STORE_REDIS_SLOTS_H
#define FARTHING_STORE_REDIS_SLOTS_H

#include "redis_reader.h"

enum {
    REDIS_SLOTS = 16384,
    REDIS_PLACES_MAX = 1024, // a cluster has up to 1,000 nodes (its specification)
    REDIS_NOBODY = UINT16_MAX,
    // Of an answer with as many ranges as there are slots and some replicas each.
    REDIS_TOPOLOGY_ELEMENTS_MAX = 32 * REDIS_SLOTS,
};

// CRC16 (XMODEM) of the key, or of what lies between its first '{' and the next
// '}' where that is not empty.
unsigned redis_slot_of(struct slice key);

struct redis_place {
    char *host;
    unsigned port;
    bool is_master; // of some slots
};

// A cluster as one of its nodes told it.
struct redis_topology {
    struct redis_place places[REDIS_PLACES_MAX];
    size_t count;
    uint16_t owner[REDIS_SLOTS]; // of `places`; REDIS_NOBODY
    unsigned served;             // slots with an owner
};

struct redis_topology *redis_topology_new(void); // that serves nothing
void redis_topology_free(struct redis_topology *t);
// The same place, made if new; REDIS_NOBODY when there are too many.
unsigned redis_topology_place(struct redis_topology *t, struct slice host, unsigned port);
void redis_topology_own(struct redis_topology *t, unsigned slot, unsigned place);
// The answer to CLUSTER SLOTS. `asked`: the host of the node that gave it, for where it
// leaves out its own (Redis before it has heard its address from another).
struct redis_topology *redis_topology_read(const struct redis_reply *reply, struct slice asked,
                                           struct error *err);

// "MOVED 3999 127.0.0.1:6381": for good; "ASK ...": for this command alone.
struct redis_redirect {
    bool is_ask;
    unsigned slot;
    struct slice host; // in the error's bytes; empty: of the node that said it
    unsigned port;
};
bool redis_redirect_read(struct slice error, struct redis_redirect *out);

// Of a sentinel's answers; the host lies in the reply.
struct redis_sentinel_place {
    struct slice host;
    unsigned port;
};
// SENTINEL GET-MASTER-ADDR-BY-NAME: ["10.0.0.1", "6379"]
bool redis_sentinel_read_master(const struct redis_reply *reply, struct redis_sentinel_place *out);
// SENTINEL SENTINELS, one of it: ["name", "...", "ip", "10.0.0.2", "port", "26379", ...]
bool redis_sentinel_read_other(const struct redis_reply *other, struct redis_sentinel_place *out);

#endif
