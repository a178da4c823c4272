// Names and their records. Records are never taken away while the process runs:
// loops and tickets point to them without holding anything.
#include "breaker_names.h"

#include <stdlib.h>

// ---------------------------------------------------------------------- parts

struct slice names_provider(struct slice name) {
    ptrdiff_t slash = slice_find_char(name, '/');
    return slash < 0 ? name : slice_make(name.ptr, (size_t)slash);
}

struct slice names_model(struct slice name) {
    ptrdiff_t slash = slice_find_char(name, '/');
    return slash < 0 ? SLICE_NONE : slice_from(name, (size_t)slash + 1);
}

static bool has_model(struct slice name) {
    return slice_find_char(name, '/') >= 0;
}

// -------------------------------------------------------------------- records

void names_open(struct names *n, size_t record_bytes, void (*open)(struct named *),
                void (*close)(struct named *)) {
    *n = (struct names){
        .by_name = table_new(), .record_bytes = record_bytes, .open = open, .close = close};
    base_lock_init(&n->lock);
}

void names_close(struct names *n) {
    for (struct named *r = n->first, *next; r != NULL; r = next) {
        next = r->next;
        n->close(r);
        free((char *)r->name.ptr);
        free(r);
    }
    table_free(n->by_name);
    pthread_mutex_destroy(&n->lock);
}

// Under the lock, as the two below.
static struct named *make(struct names *n, struct slice name) {
    struct named *r = base_calloc_lines(n->record_bytes);
    n->open(r);
    r->name = slice_make(slice_dup(name), name.len);
    r->next = n->first;
    n->first = r;
    table_put(n->by_name, name, r);
    return r;
}

static struct named *find_or_make(struct names *n, struct slice name) {
    struct named *r = table_get(n->by_name, name);
    return r != NULL ? r : make(n, name);
}

// Providers come from the configuration: their names need no bound.
static struct named *resolve(struct names *n, struct slice name) {
    struct named *r = table_get(n->by_name, name);
    if (r != NULL)
        return r;
    if (!has_model(name))
        return make(n, name);
    if (name.len > BREAKER_NAME_MAX || n->invented >= BREAKER_NAMES_MAX)
        return find_or_make(n, names_provider(name));
    n->invented++;
    return make(n, name);
}

struct named *names_declare(struct names *n, struct slice name) {
    pthread_mutex_lock(&n->lock);
    size_t before = table_count(n->by_name);
    struct named *r = find_or_make(n, name);
    bool is_new = table_count(n->by_name) > before;
    bool was_declared = atomic_exchange(&r->declared, true);
    if (!is_new && !was_declared && has_model(name))
        n->invented--; // a client was first
    pthread_mutex_unlock(&n->lock);
    return r;
}

struct named *names_find(struct names *n, struct slice name) {
    pthread_mutex_lock(&n->lock);
    struct named *r = table_get(n->by_name, name);
    pthread_mutex_unlock(&n->lock);
    return r;
}

struct named *names_first(struct names *n) {
    pthread_mutex_lock(&n->lock);
    struct named *r = n->first;
    pthread_mutex_unlock(&n->lock);
    return r;
}

// ---------------------------------------------------------------------- loops

void names_loop_open(struct names_loop *l, struct names *n) {
    *l = (struct names_loop){n, table_new()};
}

void names_loop_close(struct names_loop *l) {
    table_free(l->known);
}

// Only records' own names are kept, so the loop's table has the same bound.
struct named *names_meet(struct names_loop *l, struct slice name) {
    struct named *r = table_get(l->known, name);
    if (r != NULL)
        return r;
    pthread_mutex_lock(&l->names->lock);
    r = resolve(l->names, name);
    pthread_mutex_unlock(&l->names->lock);
    table_put(l->known, r->name, r);
    return r;
}
