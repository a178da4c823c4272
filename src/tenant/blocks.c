// Keys and tenants that an operator has blocked.
//
// Asked for with each request, changed a few times a year. So: one counter says
// whether anything is blocked at all, and behind it stands a table that readers
// walk without a lock. Entries are made once and stay to the end (to unblock
// clears a flag), and a table that has grown leaves its predecessor in place, so
// a reader holds nothing that could go away, and nothing needs to be reclaimed.
// That is bounded by KEY_BLOCKS_MAX; what it costs is the sum of tables that
// double: one more of the last.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "farthing/json.h"
#include "farthing/store.h"
#include "farthing/tenant.h"

struct entry {
    bool is_tenant;
    uint8_t digest[DIGEST_LEN]; // of a key
    struct slice tenant;        // is_tenant: its name, never changed; otherwise under the lock
    atomic_bool blocked;
    // under the lock
    struct entry *next; // in the order of their making
    int64_t at_ms;
    struct slice who, reason;
};

struct slots {
    struct slots *older;
    size_t mask;
    _Atomic(struct entry *) at[];
};

struct key_blocks {
    atomic_size_t blocked; // entries in force: mostly none, and then nothing else is read
    _Atomic(struct slots *) slots;
    pthread_mutex_t lock; // of whoever changes; and of what is only shown
    struct entry *first, **end;
    size_t count;
    struct arena *memory;
    struct store_journal *journal; // NULL: in memory only
};

static const struct store_column columns[] = {
    {"digest", "TEXT", true}, // hex; empty: the whole tenant
    {"tenant", "TEXT", false}, {"blocked", "INTEGER", false}, {"at_ms", "INTEGER", false},
    {"who", "TEXT", false},    {"reason", "TEXT", false},
};

// ------------------------------------------------------------------- the table

enum { SLOTS_FIRST = 64 };

static struct slots *slots_new(size_t room, struct slots *older) {
    struct slots *s = base_calloc(1, sizeof *s + room * sizeof s->at[0]);
    s->older = older;
    s->mask = room - 1;
    return s;
}

static uint64_t hash_of(const uint8_t *digest, struct slice tenant) {
    return base_hash(digest != NULL ? slice_make(digest, DIGEST_LEN) : tenant);
}

static bool is_entry_of(const struct entry *e, const uint8_t *digest, struct slice tenant) {
    if (e->is_tenant != (digest == NULL))
        return false;
    return digest != NULL ? digest_equal(e->digest, digest, DIGEST_LEN)
                          : slice_equal(e->tenant, tenant);
}

// At most half of the slots are taken: an empty one ends each walk.
static struct entry *find(const struct key_blocks *b, const uint8_t *digest, struct slice tenant) {
    struct slots *s = atomic_load_explicit(&b->slots, memory_order_acquire);
    for (size_t i = (size_t)hash_of(digest, tenant);; i++) {
        struct entry *e = atomic_load_explicit(&s->at[i & s->mask], memory_order_acquire);
        if (e == NULL || is_entry_of(e, digest, tenant))
            return e;
    }
}

static void put(struct slots *s, struct entry *e) {
    size_t i = (size_t)hash_of(e->is_tenant ? NULL : e->digest, e->tenant);
    while (atomic_load_explicit(&s->at[i & s->mask], memory_order_relaxed) != NULL)
        i++;
    atomic_store_explicit(&s->at[i & s->mask], e, memory_order_release);
}

// Under the lock.
static void insert(struct key_blocks *b, struct entry *e) {
    struct slots *s = atomic_load_explicit(&b->slots, memory_order_relaxed);
    *b->end = e;
    b->end = &e->next;
    if (++b->count * 2 <= s->mask + 1) {
        put(s, e);
        return;
    }
    struct slots *larger = slots_new(2 * (s->mask + 1), s);
    for (struct entry *old = b->first; old != NULL; old = old->next)
        put(larger, old);
    atomic_store_explicit(&b->slots, larger, memory_order_release);
}

static bool is_blocked(const struct key_blocks *b, const uint8_t *digest, struct slice tenant) {
    const struct entry *e = find(b, digest, tenant);
    return e != NULL && atomic_load_explicit(&e->blocked, memory_order_acquire);
}

bool key_blocks_check(const struct key_blocks *b, const uint8_t *digest, struct slice tenant) {
    if (b == NULL || atomic_load_explicit(&b->blocked, memory_order_acquire) == 0)
        return false;
    return (digest != NULL && is_blocked(b, digest, SLICE_NONE)) || is_blocked(b, NULL, tenant);
}

// -------------------------------------------------------------------- changing

static struct entry *entry_new(struct key_blocks *b, const struct key_block *block) {
    struct entry *e = arena_calloc(b->memory, sizeof *e);
    e->is_tenant = block->digest == NULL;
    if (e->is_tenant)
        e->tenant = arena_copy(b->memory, block->tenant);
    else
        memcpy(e->digest, block->digest, DIGEST_LEN);
    return e;
}

// Under the lock. False: there are too many.
static bool change(struct key_blocks *b, const struct key_block *block) {
    struct entry *e = find(b, block->digest, block->tenant);
    bool is_new = e == NULL;
    if (is_new && b->count == KEY_BLOCKS_MAX)
        return false;
    if (is_new)
        e = entry_new(b, block);
    if (!e->is_tenant)
        e->tenant = arena_copy(b->memory, block->tenant);
    e->at_ms = block->at_ms;
    e->who = arena_copy(b->memory, block->who);
    e->reason = arena_copy(b->memory, block->reason);
    bool was_blocked = atomic_load_explicit(&e->blocked, memory_order_relaxed);
    atomic_store_explicit(&e->blocked, block->blocked, memory_order_release);
    if (is_new)
        insert(b, e);
    // Last: whoever sees the count finds the entry.
    if (block->blocked != was_blocked)
        atomic_fetch_add_explicit(&b->blocked, block->blocked ? 1 : (size_t)-1,
                                  memory_order_release);
    return true;
}

static void append_row(struct key_blocks *b, const struct key_block *block) {
    char hex[2 * DIGEST_LEN + 1] = "";
    struct buffer line = {0};
    struct json_writer w;
    if (block->digest != NULL)
        digest_hex(block->digest, DIGEST_LEN, hex);
    json_write_start(&w, &line);
    json_object_begin(&w);
    json_key(&w, SLICE("digest")), json_put_string(&w, slice_of(hex));
    json_key(&w, SLICE("tenant")), json_put_string(&w, block->tenant);
    json_key(&w, SLICE("blocked")), json_put_i64(&w, block->blocked);
    json_key(&w, SLICE("at_ms")), json_put_i64(&w, block->at_ms);
    json_key(&w, SLICE("who")), json_put_string(&w, block->who);
    json_key(&w, SLICE("reason")), json_put_string(&w, block->reason);
    json_object_end(&w);
    buffer_append_char(&line, '\n');
    store_journal_append(b->journal, buffer_slice(&line));
    buffer_free(&line);
}

static bool is_too_long(struct slice text) {
    return text.len > KEY_BLOCK_TEXT_MAX;
}

bool key_blocks_set(struct key_blocks *b, const struct key_block *block, struct error *err) {
    struct key_block dated = *block;
    if (dated.digest == NULL && dated.tenant.len == 0)
        return error_set(err, "neither a key nor a tenant is named");
    if (is_too_long(dated.tenant) || is_too_long(dated.who) || is_too_long(dated.reason))
        return error_set(err, "a name or a reason may have at most %d bytes", KEY_BLOCK_TEXT_MAX);
    if (dated.at_ms == 0)
        dated.at_ms = clock_wall_ms();
    pthread_mutex_lock(&b->lock);
    bool ok = change(b, &dated);
    if (ok && b->journal != NULL)
        append_row(b, &dated); // under the lock: rows stand in the order of the changes
    pthread_mutex_unlock(&b->lock);
    return ok || error_set(err, "there are %d blocks of keys already", KEY_BLOCKS_MAX);
}

void key_blocks_visit(struct key_blocks *b, key_blocks_visitor *visit, void *arg) {
    size_t count = 0;
    pthread_mutex_lock(&b->lock);
    struct key_block *copies = base_calloc(b->count + 1, sizeof *copies);
    for (const struct entry *e = b->first; e != NULL; e = e->next)
        copies[count++] = (struct key_block){
            .digest = e->is_tenant ? NULL : e->digest,
            .tenant = e->tenant,
            .blocked = atomic_load_explicit(&e->blocked, memory_order_relaxed),
            .at_ms = e->at_ms,
            .who = e->who,
            .reason = e->reason,
        };
    pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; i < count; i++)
        visit(arg, &copies[i]);
    free(copies);
}

// -------------------------------------------------------------------- recovery

// The last row of each counts. Unblocked ones have served.
static const char recovery[] =
    "SELECT * FROM (SELECT digest, tenant, blocked, at_ms, who, reason, max(rowid) AS position "
    "FROM key_blocks GROUP BY digest, CASE digest WHEN '' THEN tenant ELSE '' END) "
    "WHERE blocked = 1 ORDER BY position";

static bool recover_row(void *arg, const struct store_row *row, struct error *err) {
    uint8_t digest[DIGEST_LEN];
    struct slice hex = store_row_text(row, SLICE("digest"));
    struct key_block block = {
        .digest = hex.len > 0 ? digest : NULL,
        .tenant = store_row_text(row, SLICE("tenant")),
        .blocked = true,
        .who = store_row_text(row, SLICE("who")),
        .reason = store_row_text(row, SLICE("reason")),
    };
    json_ref at = json_get(row->doc, row->object, SLICE("at_ms"));
    if (!json_i64(row->doc, at, &block.at_ms) ||
        (hex.len > 0 && !digest_unhex(hex, digest, DIGEST_LEN)))
        return error_set(err, "a row of the table key_blocks is not as it was written: %.*s",
                         SLICE_ARG(json_raw(row->doc, row->object)));
    return change(arg, &block) ||
           error_set(err, "the table key_blocks has more than %d keys", KEY_BLOCKS_MAX);
}

static bool recover(struct key_blocks *b, struct store *store, struct error *err) {
    struct buffer text = {0};
    b->journal = store_journal_open(store, "key_blocks", columns, FARTHING_COUNT(columns), err);
    bool ok = b->journal != NULL && store_query_now(store, recovery, NULL, 0, &text, err) &&
              store_rows_visit(buffer_slice(&text), recover_row, b, err);
    buffer_free(&text);
    return ok;
}

struct key_blocks *key_blocks_open(struct store *store, struct error *err) {
    struct key_blocks *b = base_calloc(1, sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    b->end = &b->first;
    b->memory = arena_new(1024);
    atomic_init(&b->slots, slots_new(SLOTS_FIRST, NULL));
    if (store == NULL || recover(b, store, err))
        return b;
    key_blocks_close(b);
    return NULL;
}

void key_blocks_close(struct key_blocks *b) {
    if (b == NULL)
        return;
    for (struct slots *s = atomic_load(&b->slots), *older; s != NULL; s = older) {
        older = s->older;
        free(s);
    }
    arena_free(b->memory);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
