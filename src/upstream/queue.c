// A target as one loop knows it, found by name without a lock.
#include <stdlib.h>

#include "attempt.h"

struct queue *queue_find(struct upstream *u, struct slice name) {
    struct queue *q = table_get(u->queues_by_name, name);
    if (q == NULL) {
        q = base_calloc(1, sizeof *q);
        q->slot = slot_find(u->shared, name);
        q->next = u->queues;
        u->queues = q;
        table_put(u->queues_by_name, name, q);
    }
    return q;
}

void queue_free_all(struct upstream *u) {
    for (struct queue *q = u->queues, *next; q != NULL; q = next) {
        next = q->next;
        handle_free_all(q);
        free(q);
    }
    table_free(u->queues_by_name);
}
