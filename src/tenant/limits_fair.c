// Start-time fair queueing (Goyal, Vin, Cheng 1996) with requests of equal
// length: each place that a flow is given moves its pass on by a stride, which is
// the smaller the greater its weight, and the flow with the lowest pass is next.
// A flow that comes back starts at the pass of whoever was taken last, if its own
// is lower: nobody saves up turns by staying away, and nobody who always asks for
// one at a time has more turns than his weight gives him, because its own counts
// if it is higher. (Deficit round robin would be simpler, but gives a flow of
// weight 100 a hundred places in a row.)
//
// Two heaps over the flows that wait: whose turn it is, and who has most seats
// for his weight. A scan would do for ten tenants; at ten thousand it would hold
// the lock of the door for as long as a request takes.
#include "limits_fair.h"

#include <stdlib.h>

#include "farthing/limits.h"

// A stride of weight 100 is still exact to a millionth; a flow of weight 1 has
// 2^40 turns before the pass runs over, and every quiet moment begins anew.
#define STRIDE (UINT64_C(1) << 24)

// Made once for each name and kept.
struct fair_flow {
    struct fair_flow *link; // of all
    struct fair_seat *first, *last;
    int64_t count;
    unsigned weight; // as last said
    uint64_t pass, epoch;
    size_t at[FAIR_ORDERS]; // in the heaps; 0: nobody waits
};

// ----------------------------------------------------------------------- heaps

static bool comes_next(const struct fair_flow *a, const struct fair_flow *b) {
    if (a->pass != b->pass)
        return a->pass < b->pass;
    return a->first->arrival < b->first->arrival;
}

// Seats beyond the first, for the weight; of equals whose last one came later.
static bool is_fuller(const struct fair_flow *a, const struct fair_flow *b) {
    __int128 left = (__int128)(a->count - 1) * b->weight;
    __int128 right = (__int128)(b->count - 1) * a->weight;
    return left != right ? left > right : a->last->arrival > b->last->arrival;
}

static bool is_before(enum fair_order order, const struct fair_flow *a, const struct fair_flow *b) {
    return order == FAIR_NEXT ? comes_next(a, b) : is_fuller(a, b);
}

static void put(struct fair *f, enum fair_order order, size_t at, struct fair_flow *flow) {
    f->heaps[order][at] = flow;
    flow->at[order] = at;
}

static void sift_up(struct fair *f, enum fair_order order, size_t at, struct fair_flow *flow) {
    struct fair_flow **heap = f->heaps[order];
    for (; at > 1 && is_before(order, flow, heap[at / 2]); at /= 2)
        put(f, order, at, heap[at / 2]);
    put(f, order, at, flow);
}

static void sift_down(struct fair *f, enum fair_order order, size_t at, struct fair_flow *flow) {
    struct fair_flow **heap = f->heaps[order];
    for (size_t child; (child = 2 * at) <= f->waiting; at = child) {
        if (child < f->waiting && is_before(order, heap[child + 1], heap[child]))
            child++;
        if (!is_before(order, heap[child], flow))
            break;
        put(f, order, at, heap[child]);
    }
    put(f, order, at, flow);
}

// To where it belongs, from `at`.
static void settle_at(struct fair *f, enum fair_order order, size_t at, struct fair_flow *flow) {
    if (at > 1 && is_before(order, flow, f->heaps[order][at / 2]))
        sift_up(f, order, at, flow);
    else
        sift_down(f, order, at, flow);
}

static void insert_into_heaps(struct fair *f, struct fair_flow *flow) {
    f->waiting++;
    for (enum fair_order o = 0; o < FAIR_ORDERS; o++)
        sift_up(f, o, f->waiting, flow);
}

static void remove_from_heaps(struct fair *f, struct fair_flow *flow) {
    size_t last = f->waiting--;
    for (enum fair_order o = 0; o < FAIR_ORDERS; o++) {
        struct fair_flow *moved = f->heaps[o][last];
        size_t at = flow->at[o];
        flow->at[o] = 0;
        if (moved != flow)
            settle_at(f, o, at, moved);
    }
}

static void reorder(struct fair *f, struct fair_flow *flow) {
    for (enum fair_order o = 0; o < FAIR_ORDERS; o++)
        settle_at(f, o, flow->at[o], flow);
}

// ----------------------------------------------------------------------- flows

static unsigned usable_weight(unsigned weight) {
    return weight < 1 ? 1 : weight > LIMITS_WEIGHT_MAX ? LIMITS_WEIGHT_MAX : weight;
}

static void make_room_in_heaps(struct fair *f) {
    if (f->flow_count < f->capacity) // counted from 1
        return;
    f->capacity = f->capacity > 0 ? 2 * f->capacity : 4;
    for (enum fair_order o = 0; o < FAIR_ORDERS; o++)
        f->heaps[o] = base_realloc(f->heaps[o], f->capacity * sizeof(struct fair_flow *));
}

static struct fair_flow *find_or_make(struct fair *f, struct slice name) {
    if (f->by_name == NULL)
        f->by_name = table_new();
    struct fair_flow *flow = table_get(f->by_name, name);
    if (flow != NULL)
        return flow;
    flow = base_calloc(1, sizeof *flow);
    flow->link = f->flows;
    f->flows = flow;
    f->flow_count++;
    table_put(f->by_name, name, flow);
    make_room_in_heaps(f);
    return flow;
}

void fair_free(struct fair *f) {
    for (struct fair_flow *flow = f->flows, *link; flow != NULL; flow = link) {
        link = flow->link;
        free(flow);
    }
    for (enum fair_order o = 0; o < FAIR_ORDERS; o++)
        free(f->heaps[o]);
    table_free(f->by_name);
}

// ----------------------------------------------------------------------- seats

static void append(struct fair_flow *flow, struct fair_seat *s) {
    s->flow = flow;
    s->next = NULL;
    s->previous = flow->last;
    if (flow->last != NULL)
        flow->last->next = s;
    else
        flow->first = s;
    flow->last = s;
    flow->count++;
}

static void take_out(struct fair_flow *flow, struct fair_seat *s) {
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        flow->first = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    else
        flow->last = s->previous;
    s->next = s->previous = NULL;
    s->flow = NULL;
    flow->count--;
}

void fair_add(struct fair *f, struct fair_seat *s, struct slice name, unsigned weight) {
    struct fair_flow *flow = find_or_make(f, name);
    flow->weight = usable_weight(weight);
    s->arrival = ++f->arrivals;
    f->count++;
    append(flow, s);
    if (flow->count > 1) {
        reorder(f, flow);
        return;
    }
    if (flow->epoch != f->epoch || flow->pass < f->now)
        flow->pass = f->now;
    flow->epoch = f->epoch;
    insert_into_heaps(f, flow);
}

void fair_remove(struct fair *f, struct fair_seat *s) {
    struct fair_flow *flow = s->flow;
    if (flow == NULL)
        return;
    f->count--;
    if (flow->count == 1)
        remove_from_heaps(f, flow);
    take_out(flow, s);
    if (flow->count > 0)
        reorder(f, flow);
    if (f->count == 0) {
        f->epoch++;
        f->now = 0;
    }
}

struct fair_seat *fair_take_next(struct fair *f) {
    if (f->count == 0)
        return NULL;
    struct fair_flow *flow = f->heaps[FAIR_NEXT][1];
    struct fair_seat *s = flow->first;
    f->now = flow->pass;
    flow->pass += STRIDE / flow->weight;
    fair_remove(f, s);
    return s;
}

struct fair_seat *fair_find_surplus(const struct fair *f, struct slice name, unsigned weight) {
    if (f->count == 0)
        return NULL;
    const struct fair_flow *fullest = f->heaps[FAIR_FULLEST][1];
    const struct fair_flow *own = table_get(f->by_name, name);
    int64_t seats = own != NULL ? own->count : 0; // without the first: the new one is one more
    __int128 with_it = (__int128)seats * fullest->weight;
    __int128 theirs = (__int128)(fullest->count - 1) * usable_weight(weight);
    return fullest != own && with_it < theirs ? fullest->last : NULL;
}
