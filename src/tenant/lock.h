// The small locks of this room: held for some tens of nanoseconds by loops that
// have a core each, so a short spin nearly always gets them without the kernel.
#ifndef FARTHING_TENANT_LOCK_H
#define FARTHING_TENANT_LOCK_H

#include <pthread.h>

enum { CACHE_LINE = 64 };

static inline void lock_init(pthread_mutex_t *lock) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

#endif
