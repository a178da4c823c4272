// The marks in memory, and (with an embedded store) in a table of the store. See
// purges.h for what they mean, purges_share.c for how instances share them.
#include "purges.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const char table_name[] = "cache_purges";
static const struct store_column columns[] = {{"number", "INTEGER", false},
                                              {"mark", "TEXT", true}};

struct purges {
    // Small, and never held over I/O or a call of somebody else's. An answer is
    // held against the marks once after each purge, and not at each use.
    pthread_mutex_t lock;
    struct table *marks; // struct purge_mark, by name
    uint64_t sets;       // bit S: some mark is for the set S of kinds of tags
    _Atomic uint64_t version, seen, local;
    _Atomic bool unknown;
    struct store *store;
    struct store_journal *journal; // NULL: none, or it cannot be had
    struct purges_share *share;
};

_Static_assert(CACHE_TAG_COUNT <= 6, "a set of kinds is one of 64");

// ---------------------------------------------------------------------- tags

uint64_t cache_tag_of(enum cache_tag kind, struct slice value) {
    static const char *const kinds[CACHE_TAG_COUNT] = {
        [CACHE_TAG_TENANT] = "tenant",
        [CACHE_TAG_FEATURE] = "feature",
        [CACHE_TAG_PROMPT_VERSION] = "prompt_version",
        [CACHE_TAG_CORPUS_VERSION] = "corpus_version",
        [CACHE_TAG_ROUTE] = "route",
    };
    uint8_t sum[DIGEST_LEN];
    uint64_t tag;
    if (value.len == 0)
        return 0;
    if (kind == CACHE_TAG_KEY) { // is a digest already
        if (value.len < sizeof tag)
            return 0;
        memcpy(sum, value.ptr, sizeof tag);
    } else {
        struct digest *d = digest_of_thread();
        digest_update_part(d, slice_of(kinds[kind]));
        digest_update_part(d, value);
        digest_finish(d, sum);
    }
    memcpy(&tag, sum, sizeof tag);
    return tag != 0 ? tag : 1;
}

// The set of kinds, and their tags as one: they are independent and as good as
// random, so that their sum is, too.
static void name_of(unsigned set, const uint64_t tags[CACHE_TAG_COUNT],
                    char name[PURGES_NAME_LEN + 1]) {
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < CACHE_TAG_COUNT; kind++)
        if (set & 1u << kind)
            sum ^= tags[kind];
    snprintf(name, PURGES_NAME_LEN + 1, "%02x%016llx", set, (unsigned long long)sum);
}

static unsigned set_of(const uint64_t tags[CACHE_TAG_COUNT]) {
    unsigned set = 0;
    for (unsigned kind = 0; kind < CACHE_TAG_COUNT; kind++)
        set |= tags[kind] != 0 ? 1u << kind : 0;
    return set;
}

// False: it is no name of a mark.
static bool read_set(struct slice name, unsigned *set) {
    uint8_t bytes[PURGES_NAME_LEN / 2];
    if (name.len != PURGES_NAME_LEN || !digest_unhex(name, bytes, sizeof bytes))
        return false;
    *set = bytes[0];
    return *set < 1u << CACHE_TAG_COUNT;
}

// --------------------------------------------------------------------- marks

// All under the lock. A mark that is for everything makes the older ones needless.

static struct purge_mark *find(struct purges *p, const char *name) {
    return table_get(p->marks, slice_make(name, PURGES_NAME_LEN));
}

static const char for_all[] = "000000000000000000"; // no kinds

static bool is_for_all(const struct purge_mark *m) {
    return strcmp(m->name, for_all) == 0;
}

static struct purge_mark *find_or_make(struct purges *p, const char *name, unsigned set) {
    struct purge_mark *m = find(p, name);
    if (m != NULL)
        return m;
    m = base_calloc(1, sizeof *m);
    memcpy(m->name, name, PURGES_NAME_LEN);
    table_put(p->marks, slice_make(m->name, PURGES_NAME_LEN), m);
    p->sets |= UINT64_C(1) << set;
    return m;
}

// All that the mark for everything says, too.
static void drop_needless(struct purges *p, const struct purge_mark *all) {
    struct table *old = p->marks;
    size_t cursor = 0;
    struct slice name;
    void *value;
    p->marks = table_new();
    p->sets = 0;
    while (table_next(old, &cursor, &name, &value)) {
        struct purge_mark *m = value;
        unsigned set;
        if (m != all && m->waits <= all->waits)
            m->waits = 0;
        if (m != all && m->waits == 0 && m->number <= all->number) {
            free(m);
            continue;
        }
        table_put(p->marks, slice_make(m->name, PURGES_NAME_LEN), m);
        if (read_set(slice_of(m->name), &set))
            p->sets |= UINT64_C(1) << set;
    }
    table_free(old);
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// The number of the newest of those that are too many.
static uint64_t oldest_numbers(const struct purges *p) {
    size_t count = 0, cursor = 0;
    uint64_t *numbers = base_calloc(table_count(p->marks), sizeof *numbers);
    struct slice name;
    void *value;
    while (table_next(p->marks, &cursor, &name, &value))
        numbers[count++] = ((const struct purge_mark *)value)->number;
    qsort(numbers, count, sizeof *numbers, by_number);
    uint64_t number = numbers[count - PURGES_MARKS_MAX + PURGES_FOLDED - 1];
    free(numbers);
    return number;
}

static void raise(struct purges *p, const char *name, unsigned set, uint64_t number) {
    const struct purge_mark *all = find(p, for_all);
    if (all != NULL && number <= all->number)
        return;
    struct purge_mark *m = find_or_make(p, name, set);
    if (m->number < number)
        m->number = number;
    if (is_for_all(m))
        drop_needless(p, m);
}

static void wait_with(struct purges *p, const char *name, unsigned set) {
    struct purge_mark *m = find_or_make(p, name, set);
    m->waits = atomic_fetch_add(&p->local, 1) + 1;
    if (is_for_all(m))
        drop_needless(p, m);
}

static void fold(struct purges *p) {
    if (table_count(p->marks) <= PURGES_MARKS_MAX)
        return;
    uint64_t number = oldest_numbers(p);
    if (number > 0)
        raise(p, for_all, 0, number);
    if (table_count(p->marks) > PURGES_MARKS_MAX) // so many wait for the shared store
        wait_with(p, for_all, 0);
}

static void changed(struct purges *p) {
    fold(p);
    atomic_fetch_add_explicit(&p->version, 1, memory_order_release);
}

// ---------------------------------------------------------------------- life

static bool load_row(void *arg, const struct store_row *row, struct error *err) {
    (void)err;
    struct purges *p = arg;
    struct slice name = store_row_text(row, SLICE("mark"));
    int64_t number = store_row_i64(row, SLICE("number"));
    char text[PURGES_NAME_LEN + 1] = "";
    unsigned set;
    if (number <= 0 || (uint64_t)number > PURGES_NUMBER_MAX || !read_set(name, &set))
        return true; // written by somebody else
    memcpy(text, name.ptr, PURGES_NAME_LEN);
    raise(p, text, set, (uint64_t)number);
    if (p->seen < (uint64_t)number)
        p->seen = (uint64_t)number;
    return true;
}

static void load(struct purges *p) {
    struct error err;
    struct buffer rows = {0};
    p->journal =
        store_journal_open(p->store, table_name, columns, FARTHING_COUNT(columns), &err);
    bool ok = p->journal != NULL &&
              store_query_now(p->store,
                              "SELECT mark, MAX(number) AS number FROM cache_purges GROUP BY mark",
                              NULL, 0, &rows, &err) &&
              store_rows_visit(buffer_slice(&rows), load_row, p, &err);
    if (!ok) // what was purged before cannot be told from what was not
        log_write(LOG_ERROR, "table %s: %s; purges are forgotten at the next start", table_name,
                  err.text);
    buffer_free(&rows);
    if (table_count(p->marks) > 0)
        changed(p);
}

struct purges *purges_new(struct store *store) {
    struct purges *p = base_calloc(1, sizeof *p);
    base_lock_init(&p->lock);
    p->marks = table_new();
    p->store = store;
    p->unknown = store_is_shared(store);
    if (store != NULL && !p->unknown)
        load(p);
    return p;
}

void purges_free(struct purges *p) {
    if (p == NULL)
        return;
    size_t cursor = 0;
    struct slice name;
    void *mark;
    while (table_next(p->marks, &cursor, &name, &mark))
        free(mark);
    table_free(p->marks);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

struct store *purges_store(const struct purges *p) {
    return p->store;
}

void purges_attach(struct purges *p, struct purges_share *s) {
    pthread_mutex_lock(&p->lock);
    p->share = s;
    pthread_mutex_unlock(&p->lock);
}

struct purges_share *purges_attached(struct purges *p) {
    pthread_mutex_lock(&p->lock);
    struct purges_share *s = p->share;
    pthread_mutex_unlock(&p->lock);
    return s;
}

// ------------------------------------------------------------------- judging

uint64_t purges_version(const struct purges *p) {
    return atomic_load_explicit(&p->version, memory_order_acquire);
}

uint64_t purges_seen(const struct purges *p) {
    return atomic_load_explicit(&p->seen, memory_order_acquire);
}

bool purges_are_unknown(const struct purges *p) {
    return atomic_load_explicit(&p->unknown, memory_order_acquire);
}

struct cache_birth purges_birth(const struct purges *p) {
    return (struct cache_birth){purges_seen(p),
                                atomic_load_explicit(&p->local, memory_order_acquire)};
}

static bool is_hit(const struct purge_mark *m, const struct cache_birth *birth) {
    return birth->born < m->number || birth->local < m->waits;
}

bool purges_allow(struct purges *p, const struct cache_key *key, const struct cache_answer *a) {
    uint64_t tags[CACHE_TAG_COUNT];
    char name[PURGES_NAME_LEN + 1];
    bool allowed = true;
    if (purges_version(p) == 0)
        return true;
    memcpy(tags, a->tags, sizeof a->tags);
    tags[CACHE_TAG_KEY] = cache_tag_of(CACHE_TAG_KEY, slice_make(key->bytes, DIGEST_LEN));
    unsigned own = set_of(tags);
    pthread_mutex_lock(&p->lock);
    for (uint64_t left = p->sets; left != 0 && allowed; left &= left - 1) {
        unsigned set = (unsigned)__builtin_ctzll(left);
        if ((set & own) != set)
            continue;
        name_of(set, tags, name);
        const struct purge_mark *m = find(p, name);
        allowed = m == NULL || !is_hit(m, &a->birth);
    }
    pthread_mutex_unlock(&p->lock);
    return allowed;
}

// ------------------------------------------------------------------ ordering

// As the shared store's, by the clock, but each higher than all before.
static uint64_t next_number(const struct purges *p) {
    int64_t now_us = clock_wall_ms() * 1000;
    uint64_t last = p->seen;
    return now_us > 0 && (uint64_t)now_us > last ? (uint64_t)now_us : last + 1;
}

static void keep(struct purges *p, const char *name, uint64_t number) {
    struct buffer line = {0};
    if (p->journal == NULL)
        return;
    buffer_printf(&line, "{\"number\":%llu,\"mark\":\"%s\"}\n", (unsigned long long)number, name);
    store_journal_append(p->journal, buffer_slice(&line));
    buffer_free(&line);
}

void purges_order(struct purges *p, const struct cache_purge_tags *tags) {
    unsigned set = set_of(tags->of);
    char name[PURGES_NAME_LEN + 1];
    bool shared = store_is_shared(p->store);
    uint64_t number = 0;
    name_of(set, tags->of, name);
    pthread_mutex_lock(&p->lock);
    if (shared) {
        wait_with(p, name, set);
    } else {
        number = next_number(p);
        raise(p, name, set, number);
    }
    changed(p);
    if (!shared) // after the mark, as below
        atomic_store_explicit(&p->seen, number, memory_order_release);
    if (p->share != NULL)
        purges_share_wake(p->share);
    pthread_mutex_unlock(&p->lock);
    if (!shared)
        keep(p, name, number);
}

void purges_view(struct purges *p, struct cache_purges_view *out) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    *out = (struct cache_purges_view){.last_ms = (int64_t)(purges_seen(p) / 1000)};
    pthread_mutex_lock(&p->lock);
    out->marks = (int64_t)table_count(p->marks);
    while (table_next(p->marks, &cursor, &name, &value))
        out->untold += ((const struct purge_mark *)value)->waits != 0;
    pthread_mutex_unlock(&p->lock);
}

// -------------------------------------------------------------- what is shared

void purges_write(struct purges *p, struct buffer *known, struct buffer *waiting,
                  uint64_t *local) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    pthread_mutex_lock(&p->lock);
    *local = atomic_load(&p->local);
    while (table_next(p->marks, &cursor, &name, &value)) {
        const struct purge_mark *m = value;
        if (known != NULL && m->number > 0)
            buffer_printf(known, "%llu %s\n", (unsigned long long)m->number, m->name);
        if (m->waits != 0)
            buffer_printf(waiting, "%s\n", m->name);
    }
    pthread_mutex_unlock(&p->lock);
}

static void note_told(struct purges *p, uint64_t local) {
    size_t cursor = 0;
    struct slice name;
    void *value;
    while (table_next(p->marks, &cursor, &name, &value)) {
        struct purge_mark *m = value;
        if (m->waits <= local)
            m->waits = 0;
    }
}

// "NUMBER NAME". What a later version may mean by another name is passed over.
static void learn_line(struct purges *p, struct slice line) {
    uint64_t n;
    unsigned set;
    char name[PURGES_NAME_LEN + 1] = "";
    if (!slice_split_u64(&line, ' ', &n) || n > PURGES_NUMBER_MAX || !read_set(line, &set))
        return;
    memcpy(name, line.ptr, PURGES_NAME_LEN);
    raise(p, name, set, n);
}

bool purges_learn(struct purges *p, struct slice answer, uint64_t local, uint64_t *latest) {
    struct slice line;
    if (!slice_split_u64(&answer, '\n', latest) || *latest > PURGES_NUMBER_MAX)
        return false;
    bool any = false;
    pthread_mutex_lock(&p->lock);
    while (slice_split(&answer, '\n', &line) && line.len > 0) {
        learn_line(p, line);
        any = true;
    }
    note_told(p, local);
    if (any)
        changed(p);
    if (p->seen < *latest) // after the marks: whoever knows the number is not to miss one
        atomic_store_explicit(&p->seen, *latest, memory_order_release);
    atomic_store_explicit(&p->unknown, false, memory_order_release);
    pthread_mutex_unlock(&p->lock);
    return true;
}
