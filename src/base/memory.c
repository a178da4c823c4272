// Allocation that does not fail: the sizes asked for here are small or were
// bounded by a configured limit, so running out means that the machine has no
// memory left to serve with, and one clear line is worth more than a thousand
// untested error paths.
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void base_too_large(void) {
    fprintf(stderr, "farthing: out of memory (asked for more than there is)\n");
    abort();
}

static void *checked(void *ptr, size_t size) {
    if (ptr == NULL && size > 0) {
        fprintf(stderr, "farthing: out of memory (asked for %zu bytes)\n", size);
        abort();
    }
    return ptr;
}

void *base_alloc(size_t size) {
    return checked(malloc(size), size);
}

void *base_calloc(size_t count, size_t size) {
    return checked(calloc(count, size), count > 0 ? size : 0);
}

void *base_realloc(void *ptr, size_t size) {
    return checked(realloc(ptr, size), size);
}

void *base_calloc_lines(size_t size) {
    // aligned_alloc wants a multiple of the alignment.
    size_t lines = size / CACHE_LINE + (size % CACHE_LINE != 0);
    void *ptr = checked(aligned_alloc(CACHE_LINE, lines * CACHE_LINE), size);
    return memset(ptr, 0, lines * CACHE_LINE);
}

void base_lock_init(pthread_mutex_t *lock) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}
