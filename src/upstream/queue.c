// Places among max_inflight. The count of a target is shared by all loops, the
// queue for it is each loop's own: who comes first on a loop goes first there,
// and nobody waits behind those who wait for another target.
#include <stdlib.h>

#include "attempt.h"

static struct slot *find_slot(struct upstream_shared *s, struct slice name) {
    pthread_mutex_lock(&s->lock);
    struct slot *slot = table_get(s->slots, name);
    if (slot == NULL) {
        slot = base_calloc(1, sizeof *slot);
        slot->name = slice_dup(name);
        table_put(s->slots, name, slot);
    }
    pthread_mutex_unlock(&s->lock);
    return slot;
}

struct queue *queue_find(struct upstream *u, struct slice name) {
    struct queue *q = table_get(u->queues_by_name, name);
    if (q == NULL) {
        q = base_calloc(1, sizeof *q);
        q->slot = find_slot(u->shared, name);
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

bool queue_take_place(struct attempt *a) {
    _Atomic int64_t *inflight = &a->queue->slot->inflight;
    int64_t now = atomic_load(inflight), max = a->target.max_inflight;
    do {
        if (max > 0 && now >= max)
            return false;
    } while (!atomic_compare_exchange_weak(inflight, &now, now + 1));
    a->holds_place = true;
    return true;
}

// Who waits is counted before he tries for a place once more, and a place is
// given back before the count is read: one of the two sees the other.
static void wake_those_who_wait(struct upstream *u) {
    struct upstream_shared *s = u->shared;
    if (atomic_load(&s->waiting_count) == 0)
        return;
    if (atomic_load(&u->waiting_count) > 0)
        upstream_kick(u);
    pthread_mutex_lock(&s->lock);
    for (struct upstream *other = s->upstreams; other != NULL; other = other->next)
        if (other != u && atomic_load(&other->waiting_count) > 0 &&
            !atomic_exchange(&other->room_mail_posted, true))
            mailbox_post(other->mailbox, &other->room_mail);
    pthread_mutex_unlock(&s->lock);
}

void queue_give_place_back(struct attempt *a) {
    if (!a->holds_place)
        return;
    a->holds_place = false;
    atomic_fetch_sub(&a->queue->slot->inflight, 1);
    wake_those_who_wait(a->upstream);
}

void queue_admit(struct upstream *u) {
    if (atomic_load(&u->waiting_count) == 0)
        return;
    for (struct queue *q = u->queues; q != NULL; q = q->next)
        while (q->waiting.first != NULL && queue_take_place(q->waiting.first))
            transfer_start(q->waiting.first);
}

void queue_on_room_mail(struct mail *m) {
    struct upstream *u =
        (struct upstream *)(void *)((char *)m - offsetof(struct upstream, room_mail));
    atomic_store(&u->room_mail_posted, false);
    queue_admit(u);
}
