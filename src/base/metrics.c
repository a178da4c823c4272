// Counting. A series is found through the thread's own table, so that the hot
// path takes no lock; the registry's lock is taken the first time a thread
// meets a series. Updates are relaxed atomics.
//
// Label values that clients invent are bounded: METRIC_INVENTED_MAX of each
// label, and METRIC_SERIES_MAX series of each family; the rest reads "other".
#include "metrics.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric_entry *first_entry, *last_entry;
static struct table *registry; // family and values -> series
static _Atomic unsigned epoch; // metric_reset_for_test invalidates the threads' tables

static pthread_key_t cache_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
struct thread_cache {
    struct table *series;
    struct buffer key; // reused, so that a look-up allocates nothing
    unsigned epoch;
};

void metric_lock(void) {
    pthread_mutex_lock(&lock);
}

void metric_unlock(void) {
    pthread_mutex_unlock(&lock);
}

struct metric_entry *metric_entries(void) {
    return first_entry;
}

static void free_thread_cache(void *arg) {
    struct thread_cache *c = arg;
    if (c == NULL)
        return;
    table_free(c->series);
    buffer_free(&c->key);
    free(c);
}

static void free_main_cache(void) {
    free_thread_cache(pthread_getspecific(cache_key));
    pthread_setspecific(cache_key, NULL);
    metric_reset_for_test();
}

static void set_up(void) {
    if (pthread_key_create(&cache_key, free_thread_cache) != 0)
        abort();
    atexit(free_main_cache);
}

static struct thread_cache *thread_cache(void) {
    pthread_once(&once, set_up);
    struct thread_cache *c = pthread_getspecific(cache_key);
    unsigned now = atomic_load(&epoch);
    if (c != NULL && c->epoch == now)
        return c;
    free_thread_cache(c);
    c = base_alloc(sizeof *c);
    *c = (struct thread_cache){.series = table_new(), .epoch = now};
    pthread_setspecific(cache_key, c);
    return c;
}

static struct metric_entry *entry_of(const struct metric_family *family) {
    for (struct metric_entry *e = first_entry; e != NULL; e = e->next)
        if (e->family == family)
            return e;
    struct metric_entry *e = base_calloc(1, sizeof *e);
    e->family = family;
    if (last_entry != NULL)
        last_entry->next = e;
    else
        first_entry = e;
    last_entry = e;
    return e;
}

void metric_declare(const struct metric_family *family) {
    metric_lock();
    entry_of(family);
    metric_unlock();
}

static size_t label_count(const struct metric_family *family) {
    size_t n = 0;
    while (n < METRIC_LABELS_MAX && family->labels[n] != NULL)
        n++;
    return n;
}

// Family and values as one key: lengths keep ("a","bc") and ("ab","c") apart.
static void make_key(struct buffer *key, const struct metric_family *family,
                     const struct slice *values, size_t count) {
    buffer_append(key, slice_make(&family, sizeof family));
    for (size_t i = 0; i < count; i++) {
        // What is cut off a series' value anyway need not be told apart.
        uint32_t len =
            (uint32_t)(values[i].len < METRIC_VALUE_MAX ? values[i].len : METRIC_VALUE_MAX);
        buffer_append(key, slice_make(&len, sizeof len));
        buffer_append(key, slice_make(values[i].ptr, len));
    }
}

static struct metric_series *series_new(struct metric_entry *e, const struct slice *values,
                                        size_t count) {
    struct metric_series *s = base_calloc(1, sizeof *s);
    s->family = e->family;
    s->label_count = count;
    for (size_t i = 0; i < count; i++)
        s->values[i] = slice_dup(values[i]);
    if (e->family->kind == METRIC_HISTOGRAM)
        s->buckets = base_calloc(e->family->bucket_count + 1, sizeof *s->buckets);
    s->next = e->series;
    e->series = s;
    e->series_count++;
    return s;
}

// Label values as the exposition can show them. They are cleaned before they
// become a series, because two series that look alike there make Prometheus
// refuse the whole scrape, as one bad byte does.
static struct slice cleaned(struct buffer *out, struct slice value) {
    buffer_clear(out);
    while (value.len > 0) {
        size_t n = value.ptr[0] != '\0' ? slice_utf8(value) : 0;
        struct slice piece = n > 0 ? slice_make(value.ptr, n) : SLICE("\xef\xbf\xbd");
        if (out->len + piece.len > METRIC_VALUE_MAX)
            break;
        buffer_append(out, piece);
        value = slice_from(value, n > 0 ? n : 1);
    }
    return buffer_slice(out);
}

// Labels whose values clients invent, and the values that are shown: the first
// METRIC_INVENTED_MAX of each, the same ones in every family.
static struct {
    const char *label;
    struct table *shown;
} invented[] = {{"feature", NULL}, {"user", NULL}, {"model", NULL}};

static struct slice bounded(const char *label, struct slice value) {
    for (size_t i = 0; i < FARTHING_COUNT(invented); i++) {
        if (strcmp(label, invented[i].label) != 0)
            continue;
        if (invented[i].shown == NULL)
            invented[i].shown = table_new();
        if (table_get(invented[i].shown, value) != NULL)
            return value;
        if (table_count(invented[i].shown) >= METRIC_INVENTED_MAX)
            return SLICE("other");
        table_put(invented[i].shown, value, &invented[i]);
    }
    return value;
}

static void forget_invented(void) {
    for (size_t i = 0; i < FARTHING_COUNT(invented); i++) {
        table_free(invented[i].shown);
        invented[i].shown = NULL;
    }
}

// The products of labels are bounded too: over METRIC_SERIES_MAX series of a
// family, all its labels read "other".
static struct metric_series *find_or_make(const struct metric_family *family, struct slice *values,
                                          size_t count) {
    if (registry == NULL)
        registry = table_new();
    struct metric_entry *e = entry_of(family);
    for (size_t i = 0; i < count; i++)
        values[i] = bounded(family->labels[i], values[i]);
    struct buffer key = {0};
    make_key(&key, family, values, count);
    struct metric_series *s = table_get(registry, buffer_slice(&key));
    if (s == NULL && e->series_count >= METRIC_SERIES_MAX && count > 0) {
        for (size_t i = 0; i < count; i++)
            values[i] = SLICE("other");
        buffer_clear(&key);
        make_key(&key, family, values, count);
        s = table_get(registry, buffer_slice(&key));
    }
    if (s == NULL) {
        s = series_new(e, values, count);
        table_put(registry, buffer_slice(&key), s);
    }
    buffer_free(&key);
    return s;
}

static struct metric_series *register_series(const struct metric_family *family,
                                             const struct slice *values, size_t count) {
    struct buffer texts[METRIC_LABELS_MAX] = {0};
    struct slice shown[METRIC_LABELS_MAX];
    for (size_t i = 0; i < count; i++)
        shown[i] = cleaned(&texts[i], values[i]);
    metric_lock();
    struct metric_series *s = find_or_make(family, shown, count);
    metric_unlock();
    for (size_t i = 0; i < count; i++)
        buffer_free(&texts[i]);
    return s;
}

struct metric_series *metric_series(const struct metric_family *family,
                                    const struct slice *values) {
    size_t count = label_count(family);
    struct thread_cache *c = thread_cache();
    buffer_clear(&c->key);
    make_key(&c->key, family, values, count);
    struct metric_series *s = table_get(c->series, buffer_slice(&c->key));
    if (s != NULL)
        return s;
    s = register_series(family, values, count);
    // A client that invents labels without end must not grow this either.
    if (table_count(c->series) > METRIC_SERIES_MAX) {
        table_free(c->series);
        c->series = table_new();
    }
    table_put(c->series, buffer_slice(&c->key), s);
    return s;
}

struct metric_series *metric_plain(const struct metric_family *family) {
    return metric_series(family, NULL);
}

void metric_add(struct metric_series *s, int64_t amount) {
    atomic_fetch_add_explicit(&s->value, amount, memory_order_relaxed);
}

void metric_set(struct metric_series *s, int64_t value) {
    atomic_store_explicit(&s->value, value, memory_order_relaxed);
}

void metric_observe(struct metric_series *s, int64_t value) {
    const struct metric_family *f = s->family;
    double scaled = (double)value * (f->scale != 0 ? f->scale : 1);
    size_t b = 0;
    while (b < f->bucket_count && scaled > f->buckets[b])
        b++;
    atomic_fetch_add_explicit(&s->buckets[b], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->value, value, memory_order_relaxed);
}

int64_t metric_value(const struct metric_series *s) {
    bool histogram = s->family->kind == METRIC_HISTOGRAM;
    return atomic_load_explicit(histogram ? &s->count : &s->value, memory_order_relaxed);
}

static void free_entry(struct metric_entry *e) {
    for (struct metric_series *s = e->series, *next; s != NULL; s = next) {
        next = s->next;
        for (size_t i = 0; i < s->label_count; i++)
            free(s->values[i]);
        free(s->buckets);
        free(s);
    }
    free(e);
}

void metric_reset_for_test(void) {
    metric_lock();
    for (struct metric_entry *e = first_entry, *next; e != NULL; e = next) {
        next = e->next;
        free_entry(e);
    }
    first_entry = last_entry = NULL;
    table_free(registry);
    registry = NULL;
    forget_invented();
    atomic_fetch_add(&epoch, 1);
    metric_unlock();
}
