// How well does the memory tier choose what it keeps? Plays traces of requests
// against it and against plain LRU, and prints for each cache size the share
// of requests and the share of money that needed no purchase.
//
// The popularity of prompts is Zipf's; part of the requests is asked once and
// never again. Token counts follow the log-normal distributions fitted to the
// Azure LLM inference trace of 2023 (conversation: input exp(6.63 ± 0.99),
// output exp(5.02 ± 0.86)); a body has 4.5 bytes for each output token and an
// envelope. Prices are those of a small and a large model, some twenty times
// apart, and of embeddings, whose vectors are long and cost next to nothing.
//
// Same seed, same figures, on every machine with the same libm.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lru.h"
#include "memory.h"

enum {
    OBJECTS = 20000,      // prompts that are asked more than once
    REQUESTS = 150000,    // in each trace
    ENVELOPE_BYTES = 600, // id, model, usage, finish reason
    VECTOR_BYTES = 20000, // 1536 numbers in text
    TTL_MS = 3600000,
};

// ------------------------------------------------------------------- trace

struct object {
    uint32_t bytes;
    int64_t cost_pico;
};

struct trace {
    struct object *objects;
    size_t object_count;
    uint32_t *requests; // index of an object
    size_t footprint;   // bytes of all objects that are asked for, as entries
    double money;
};

static double uniform(void) {
    return (double)(random_u64() >> 11) * 0x1p-53;
}

static double lognormal(double mean, double deviation) {
    double radius = sqrt(-2 * log(1 - uniform()));
    return exp(mean + deviation * radius * cos(2 * M_PI * uniform()));
}

// Prices in pico-USD for a token (USD for a million tokens, times 10^6).
static struct object make_object(void) {
    double input = lognormal(6.63, 0.99), output = lognormal(5.02, 0.86), kind = uniform();
    if (kind < 0.10)
        return (struct object){VECTOR_BYTES, (int64_t)(input * 20000)};
    bool large = kind < 0.40;
    double cost = large ? input * 2.50e6 + output * 10.0e6 : input * 0.15e6 + output * 0.60e6;
    return (struct object){(uint32_t)(ENVELOPE_BYTES + 4.5 * output), (int64_t)cost};
}

// A rank between 0 and OBJECTS-1, by bisection of the cumulated weights.
static uint32_t draw(const double *cumulated) {
    double at = uniform() * cumulated[OBJECTS - 1];
    uint32_t low = 0, high = OBJECTS - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (cumulated[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void measure(struct trace *t) {
    bool *seen = base_calloc(t->object_count, sizeof *seen);
    for (size_t i = 0; i < REQUESTS; i++) {
        const struct object *o = &t->objects[t->requests[i]];
        t->money += (double)o->cost_pico;
        if (!seen[t->requests[i]])
            t->footprint += o->bytes + sizeof(struct cache_entry);
        seen[t->requests[i]] = true;
    }
    free(seen);
}

static struct trace make_trace(double alpha, double wonders) {
    struct trace t = {.objects = base_alloc((OBJECTS + REQUESTS) * sizeof *t.objects),
                      .object_count = OBJECTS,
                      .requests = base_alloc(REQUESTS * sizeof *t.requests)};
    double *cumulated = base_alloc(OBJECTS * sizeof *cumulated), sum = 0;
    for (size_t i = 0; i < OBJECTS; i++) {
        t.objects[i] = make_object();
        sum += pow((double)(i + 1), -alpha);
        cumulated[i] = sum;
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        if (uniform() < wonders) {
            t.objects[t.object_count] = make_object();
            t.requests[i] = (uint32_t)t.object_count++;
        } else {
            t.requests[i] = draw(cumulated);
        }
    }
    free(cumulated);
    measure(&t);
    return t;
}

static void free_trace(struct trace *t) {
    free(t->objects);
    free(t->requests);
}

// ---------------------------------------------------------------- policies

struct score {
    double hits, saved; // percent of the requests, of the money
};

static struct cache_key key_of(uint32_t object) {
    struct cache_key key;
    digest_sha256(slice_make(&object, sizeof object), key.bytes);
    return key;
}

static struct score score_of(const struct trace *t, size_t hits, double saved) {
    return (struct score){100.0 * (double)hits / REQUESTS, 100.0 * saved / t->money};
}

static struct score play_memory(const struct trace *t, const struct cache_key *keys, size_t bytes) {
    struct memory m;
    memory_init(&m, bytes);
    size_t hits = 0;
    double saved = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        uint32_t o = t->requests[i];
        struct cache_entry *e = memory_find(&m, &keys[o]);
        if (e != NULL) {
            memory_touch(e);
            hits++;
            saved += (double)t->objects[o].cost_pico;
            continue;
        }
        struct cache_answer answer = {.cost_known = true,
                                      .cost_pico = t->objects[o].cost_pico,
                                      .expires_ms = TTL_MS};
        e = entry_new(&keys[o], &answer);
        e->bytes += t->objects[o].bytes; // as if the body were there
        memory_insert(&m, e);
    }
    memory_free(&m);
    return score_of(t, hits, saved);
}

static struct score play_lru(const struct trace *t, size_t bytes) {
    struct lru *l = lru_new(t->object_count, bytes);
    size_t hits = 0;
    double saved = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        uint32_t o = t->requests[i];
        if (lru_ask(l, o, t->objects[o].bytes + sizeof(struct cache_entry))) {
            hits++;
            saved += (double)t->objects[o].cost_pico;
        }
    }
    lru_free(l);
    return score_of(t, hits, saved);
}

// ------------------------------------------------------------------ report

struct count {
    unsigned rows, hits_worse, saved_worse;
};

static void compare(double alpha, double wonders, struct count *count) {
    static const double shares[] = {0.01, 0.05, 0.10, 0.25};
    struct trace t = make_trace(alpha, wonders);
    struct cache_key *keys = base_alloc(t.object_count * sizeof *keys);
    for (uint32_t i = 0; i < t.object_count; i++)
        keys[i] = key_of(i);
    for (size_t i = 0; i < FARTHING_COUNT(shares); i++) {
        size_t bytes = (size_t)((double)t.footprint * shares[i]);
        struct score lru = play_lru(&t, bytes), ours = play_memory(&t, keys, bytes);
        printf("%5.1f %7.0f %% %5.0f %%  %8.1f %8.1f   %8.1f %8.1f\n", alpha, 100 * wonders,
               100 * shares[i], lru.hits, ours.hits, lru.saved, ours.saved);
        count->rows++;
        count->hits_worse += ours.hits < lru.hits;
        count->saved_worse += ours.saved < lru.saved;
    }
    free(keys);
    free_trace(&t);
}

int main(void) {
    static const double alphas[] = {0.7, 0.9, 1.1}, wonders[] = {0, 0.3};
    struct count count = {0};
    random_seed(20261121);
    printf("                         hit ratio, %%         money saved, %%\n");
    printf("alpha   wonders   size       LRU  S3-FIFO        LRU  S3-FIFO\n");
    for (size_t w = 0; w < FARTHING_COUNT(wonders); w++)
        for (size_t a = 0; a < FARTHING_COUNT(alphas); a++)
            compare(alphas[a], wonders[w], &count);
    printf("%u rows; worse than LRU in hits: %u, in money: %u\n", count.rows, count.hits_worse,
           count.saved_worse);
    return count.saved_worse > 0;
}
