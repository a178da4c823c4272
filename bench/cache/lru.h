// Plain LRU by bytes over numbered objects, for comparison only.
#ifndef FARTHING_BENCH_LRU_H
#define FARTHING_BENCH_LRU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lru;

struct lru *lru_new(size_t objects, size_t max_bytes);
void lru_free(struct lru *l);
// Is it there? It is afterwards (when it fits at all), as the newest.
bool lru_ask(struct lru *l, uint32_t object, size_t bytes);

#endif
