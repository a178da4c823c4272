// Records by name that all loops share: breakers and latencies by provider/model,
// retry budgets by provider. A loop keeps what it has met in a table of its own,
// so that the lock is taken for names that are new to it only, and for those
// beyond the bound, which have no record of their own.
#ifndef FARTHING_UPSTREAM_BREAKER_NAMES_H
#define FARTHING_UPSTREAM_BREAKER_NAMES_H

#include <pthread.h>
#include <stdatomic.h>

#include "farthing/breaker.h"

// The first member of every record.
struct named {
    struct slice name; // the record's own copy
    struct named *next;
    atomic_bool declared; // by the configuration
};

struct names {
    pthread_mutex_t lock; // of all below
    struct table *by_name;
    struct named *first; // newest first; what is there stays, and so do its links
    size_t invented;     // with a model, and not declared
    size_t record_bytes;
    void (*open)(struct named *record); // of zeroed memory
    void (*close)(struct named *record);
};

struct names_loop {
    struct names *names;
    struct table *known;
};

void names_open(struct names *n, size_t record_bytes, void (*open)(struct named *),
                void (*close)(struct named *));
void names_close(struct names *n);
struct named *names_declare(struct names *n, struct slice name);
struct named *names_find(struct names *n, struct slice name); // NULL: none of its own
struct named *names_first(struct names *n);

void names_loop_open(struct names_loop *l, struct names *n);
void names_loop_close(struct names_loop *l);
// Made if need be; beyond the bound the provider's.
struct named *names_meet(struct names_loop *l, struct slice name);

// The parts of a name; the model is empty if it has none.
struct slice names_provider(struct slice name);
struct slice names_model(struct slice name);

#endif
