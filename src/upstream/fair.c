// Lanes in a binary heap by the time of their next turn.
#include "fair.h"

#include <stdlib.h>

// The step of a weight of 1. Weights above it count as it; 2^40 turns of weight
// 1 fit before time overflows.
#define STRIDE ((uint64_t)1 << 24)

struct fair_lane {
    struct slice tenant;
    unsigned weight;
    uint64_t time;    // of its next turn
    uint64_t arrival; // when it was put in its place
    struct fair_seat *first, *last;
};

// --------------------------------------------------------------------- heap

static bool is_before(const struct fair_lane *a, const struct fair_lane *b) {
    return a->time != b->time ? a->time < b->time : a->arrival < b->arrival;
}

static void push(struct fair *f, struct fair_lane *lane) {
    if (++f->count >= f->capacity) {
        f->capacity = f->capacity > 0 ? 2 * f->capacity : 16;
        f->heap = base_realloc(f->heap, f->capacity * sizeof *f->heap);
    }
    size_t at = f->count;
    for (; at > 1 && is_before(lane, f->heap[at / 2]); at /= 2)
        f->heap[at] = f->heap[at / 2];
    f->heap[at] = lane;
}

// Puts this one, which belongs to the top or below, where the top was.
static void replace_top(struct fair *f, struct fair_lane *lane) {
    size_t at = 1;
    for (;;) {
        size_t child = 2 * at;
        if (child > f->count)
            break;
        if (child < f->count && is_before(f->heap[child + 1], f->heap[child]))
            child++;
        if (!is_before(f->heap[child], lane))
            break;
        f->heap[at] = f->heap[child];
        at = child;
    }
    f->heap[at] = lane;
}

static void drop_top(struct fair *f) {
    struct fair_lane *top = f->heap[1], *last = f->heap[f->count--];
    if (f->count > 0)
        replace_top(f, last);
    table_remove(f->by_tenant, top->tenant);
    free((char *)top->tenant.ptr);
    free(top);
}

// -------------------------------------------------------------------- lanes

void fair_open(struct fair *f) {
    *f = (struct fair){.by_tenant = table_new()};
}

void fair_close(struct fair *f) {
    while (f->count > 0)
        drop_top(f);
    free(f->heap);
    table_free(f->by_tenant);
}

size_t fair_lanes(const struct fair *f) {
    return f->count;
}

// One that is still there has not had its time come: it keeps it.
static struct fair_lane *lane_of(struct fair *f, struct slice tenant) {
    struct fair_lane *lane = table_get(f->by_tenant, tenant);
    if (lane != NULL)
        return lane;
    lane = base_calloc(1, sizeof *lane);
    lane->tenant = slice_make(slice_dup(tenant), tenant.len);
    lane->time = f->now;
    lane->arrival = ++f->arrival;
    table_put(f->by_tenant, lane->tenant, lane);
    push(f, lane);
    return lane;
}

void fair_join(struct fair *f, struct fair_seat *s, struct slice tenant, unsigned weight) {
    struct fair_lane *lane = lane_of(f, tenant);
    lane->weight = weight > 0 ? weight : 1;
    *s = (struct fair_seat){.lane = lane, .previous = lane->last};
    if (lane->last != NULL)
        lane->last->next = s;
    else
        lane->first = s;
    lane->last = s;
}

void fair_leave(struct fair *f, struct fair_seat *s) {
    (void)f; // a lane that is empty now goes when it comes to the top
    struct fair_lane *lane = s->lane;
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        lane->first = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    else
        lane->last = s->previous;
    s->next = s->previous = NULL;
}

struct fair_seat *fair_serve(struct fair *f) {
    while (f->count > 0 && f->heap[1]->first == NULL)
        drop_top(f);
    if (f->count == 0)
        return NULL;
    struct fair_lane *lane = f->heap[1];
    struct fair_seat *s = lane->first;
    fair_leave(f, s);
    f->now = lane->time;
    lane->time += lane->weight < STRIDE ? STRIDE / lane->weight : 1;
    lane->arrival = ++f->arrival;
    replace_top(f, lane);
    return s;
}
