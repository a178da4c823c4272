// Keys and tenants that an operator has blocked.
//
// Asked for with each request, changed a few times a year. So: one counter says
// whether anything is blocked at all, and behind it stands a table that readers
// walk without a lock. Entries are made once and stay to the end (to unblock
// clears a flag), and a table that has grown leaves its predecessor in place, so
// a reader holds nothing that could go away, and nothing needs to be reclaimed.
// That is bounded by KEY_BLOCKS_MAX; what it costs is the sum of tables that
// double: one more of the last.
//
// With a shared store other instances are told, and their orders come here
// (blocks_room.h); what is learned of them goes into this instance's journal, too, and
// so is in force after a restart without the shared store.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "farthing/json.h"
#include "blocks_room.h"

struct block_entry {
    bool is_tenant;
    uint8_t digest[DIGEST_LEN]; // of a key
    struct slice tenant;        // is_tenant: its name, never changed; otherwise under the lock
    atomic_bool blocked;
    // under the lock
    struct block_entry *next; // in the order of their making
    int64_t at_ms;
    struct slice who, reason;
    bool is_told; // the shared store has it
};

struct slots {
    struct slots *older;
    size_t mask;
    _Atomic(struct block_entry *) at[];
};

struct key_blocks {
    atomic_size_t blocked; // entries in force: mostly none, and then nothing else is read
    _Atomic(struct slots *) slots;
    pthread_mutex_t lock; // of whoever changes; and of what is only shown
    struct block_entry *first, **end;
    size_t count;
    struct arena *memory;
    struct store *store;           // NULL: in memory only
    struct store_journal *journal; // NULL: as that
    bool is_shared;
    size_t untold; // entries that are not told; under the lock, as is
    struct blocks_share *share;
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

static bool is_entry_of(const struct block_entry *e, const uint8_t *digest, struct slice tenant) {
    if (e->is_tenant != (digest == NULL))
        return false;
    return digest != NULL ? digest_equal(e->digest, digest, DIGEST_LEN)
                          : slice_equal(e->tenant, tenant);
}

// At most half of the slots are taken: an empty one ends each walk.
static struct block_entry *find(const struct key_blocks *b, const uint8_t *digest,
                                struct slice tenant) {
    struct slots *s = atomic_load_explicit(&b->slots, memory_order_acquire);
    for (size_t i = (size_t)hash_of(digest, tenant);; i++) {
        struct block_entry *e = atomic_load_explicit(&s->at[i & s->mask], memory_order_acquire);
        if (e == NULL || is_entry_of(e, digest, tenant))
            return e;
    }
}

static void put(struct slots *s, struct block_entry *e) {
    size_t i = (size_t)hash_of(e->is_tenant ? NULL : e->digest, e->tenant);
    while (atomic_load_explicit(&s->at[i & s->mask], memory_order_relaxed) != NULL)
        i++;
    atomic_store_explicit(&s->at[i & s->mask], e, memory_order_release);
}

// Under the lock.
static void insert(struct key_blocks *b, struct block_entry *e) {
    struct slots *s = atomic_load_explicit(&b->slots, memory_order_relaxed);
    *b->end = e;
    b->end = &e->next;
    if (++b->count * 2 <= s->mask + 1) {
        put(s, e);
        return;
    }
    struct slots *larger = slots_new(2 * (s->mask + 1), s);
    for (struct block_entry *old = b->first; old != NULL; old = old->next)
        put(larger, old);
    atomic_store_explicit(&b->slots, larger, memory_order_release);
}

static bool is_blocked(const struct key_blocks *b, const uint8_t *digest, struct slice tenant) {
    const struct block_entry *e = find(b, digest, tenant);
    return e != NULL && atomic_load_explicit(&e->blocked, memory_order_acquire);
}

bool key_blocks_check(const struct key_blocks *b, const uint8_t *digest, struct slice tenant) {
    if (b == NULL || atomic_load_explicit(&b->blocked, memory_order_acquire) == 0)
        return false;
    return (digest != NULL && is_blocked(b, digest, SLICE_NONE)) || is_blocked(b, NULL, tenant);
}

// -------------------------------------------------------------------- changing

static void mark(struct key_blocks *b, struct block_entry *e, bool is_told) {
    if (e->is_told != is_told)
        b->untold += is_told ? (size_t)-1 : 1;
    e->is_told = is_told;
}

static struct block_entry *entry_new(struct key_blocks *b, const struct key_block *block) {
    struct block_entry *e = arena_calloc(b->memory, sizeof *e);
    e->is_tenant = block->digest == NULL;
    if (e->is_tenant)
        e->tenant = arena_copy(b->memory, block->tenant);
    else
        memcpy(e->digest, block->digest, DIGEST_LEN);
    return e;
}

// Under the lock. False: there are too many.
static bool change(struct key_blocks *b, const struct key_block *block) {
    struct block_entry *e = find(b, block->digest, block->tenant);
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
    if (is_new)
        b->untold++;
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

// Later than what is known of it, by whichever clock that was dated.
static int64_t date_of(const struct key_blocks *b, const struct key_block *block) {
    int64_t at_ms = block->at_ms;
    if (at_ms == 0)
        at_ms = b->is_shared ? store_now_ms(b->store) : clock_wall_ms();
    const struct block_entry *known = find(b, block->digest, block->tenant);
    if (b->is_shared && known != NULL && at_ms <= known->at_ms)
        at_ms = known->at_ms + 1;
    return at_ms <= BLOCKS_AT_MAX ? at_ms : BLOCKS_AT_MAX;
}

// Under the lock: rows stand in the order of the changes.
static bool change_and_keep(struct key_blocks *b, const struct key_block *block) {
    bool ok = change(b, block);
    if (ok && b->journal != NULL)
        append_row(b, block);
    return ok;
}

bool key_blocks_set(struct key_blocks *b, const struct key_block *block, struct error *err) {
    struct key_block dated = *block;
    if (dated.digest == NULL && dated.tenant.len == 0)
        return error_set(err, "neither a key nor a tenant is named");
    if (is_too_long(dated.tenant) || is_too_long(dated.who) || is_too_long(dated.reason))
        return error_set(err, "a name or a reason may have at most %d bytes", KEY_BLOCK_TEXT_MAX);
    pthread_mutex_lock(&b->lock);
    dated.at_ms = date_of(b, &dated);
    bool ok = change_and_keep(b, &dated);
    if (ok)
        mark(b, find(b, dated.digest, dated.tenant), false);
    if (ok && b->share != NULL)
        blocks_share_wake(b->share);
    pthread_mutex_unlock(&b->lock);
    return ok || error_set(err, "there are %d blocks of keys already", KEY_BLOCKS_MAX);
}

// Under the lock; its slices stay as they are when the entry changes.
static struct key_block block_of(const struct block_entry *e) {
    return (struct key_block){
        .digest = e->is_tenant ? NULL : e->digest,
        .tenant = e->tenant,
        .blocked = atomic_load_explicit(&e->blocked, memory_order_relaxed),
        .at_ms = e->at_ms,
        .who = e->who,
        .reason = e->reason,
    };
}

void key_blocks_visit(struct key_blocks *b, key_blocks_visitor *visit, void *arg) {
    size_t count = 0;
    pthread_mutex_lock(&b->lock);
    struct key_block *copies = base_calloc(b->count + 1, sizeof *copies);
    for (const struct block_entry *e = b->first; e != NULL; e = e->next)
        copies[count++] = block_of(e);
    pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; i < count; i++)
        visit(arg, &copies[i]);
    free(copies);
}

// -------------------------------------------------------------- what is shared

struct store *blocks_store(const struct key_blocks *b) {
    return b->store;
}

void blocks_attach(struct key_blocks *b, struct blocks_share *s) {
    pthread_mutex_lock(&b->lock);
    b->share = s;
    pthread_mutex_unlock(&b->lock);
}

struct blocks_share *blocks_attached(struct key_blocks *b) {
    pthread_mutex_lock(&b->lock);
    struct blocks_share *s = b->share;
    pthread_mutex_unlock(&b->lock);
    return s;
}

size_t blocks_offer(struct key_blocks *b, struct blocks_offer offers[BLOCKS_PAGE]) {
    size_t count = 0;
    pthread_mutex_lock(&b->lock);
    size_t most = b->untold < BLOCKS_PAGE ? b->untold : BLOCKS_PAGE;
    for (struct block_entry *e = b->first; e != NULL && count < most; e = e->next)
        if (!e->is_told)
            offers[count++] = (struct blocks_offer){e, block_of(e)};
    pthread_mutex_unlock(&b->lock);
    return count;
}

void blocks_note_told(struct key_blocks *b, const struct blocks_offer *offers, size_t count) {
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < count; i++)
        if (offers[i].entry->at_ms == offers[i].block.at_ms) // and not changed since
            mark(b, offers[i].entry, true);
    pthread_mutex_unlock(&b->lock);
}

bool blocks_all_told(struct key_blocks *b) {
    pthread_mutex_lock(&b->lock);
    bool all = b->untold == 0;
    pthread_mutex_unlock(&b->lock);
    return all;
}

void blocks_tell_all(struct key_blocks *b) {
    pthread_mutex_lock(&b->lock);
    for (struct block_entry *e = b->first; e != NULL; e = e->next)
        mark(b, e, false);
    pthread_mutex_unlock(&b->lock);
}

// > 0: the block is newer than what is known.
static int compare(const struct key_block *block, const struct block_entry *known) {
    if (block->at_ms != known->at_ms)
        return block->at_ms > known->at_ms ? 1 : -1;
    return block->blocked - atomic_load_explicit(&known->blocked, memory_order_relaxed);
}

// Under the lock.
static bool learn(struct key_blocks *b, const struct key_block *block) {
    struct block_entry *known = find(b, block->digest, block->tenant);
    int newer = known != NULL ? compare(block, known) : 1;
    if (newer > 0) {
        if (!change_and_keep(b, block))
            return !block->blocked; // there is nothing of it to be undone here
        known = find(b, block->digest, block->tenant);
    }
    mark(b, known, newer >= 0);
    return true;
}

bool blocks_learn(struct key_blocks *b, const struct key_block *block) {
    pthread_mutex_lock(&b->lock);
    bool ok = learn(b, block);
    pthread_mutex_unlock(&b->lock);
    return ok;
}

// -------------------------------------------------------------------- recovery

// The last row of each counts. Unblocked ones have served, unless others may have
// missed it.
static const char recovery[] =
    "SELECT * FROM (SELECT digest, tenant, blocked, at_ms, who, reason, max(rowid) AS position "
    "FROM key_blocks GROUP BY digest, CASE digest WHEN '' THEN tenant ELSE '' END) "
    "WHERE blocked = 1 OR ?1 ORDER BY blocked DESC, position";

static bool recover_row(void *arg, const struct store_row *row, struct error *err) {
    uint8_t digest[DIGEST_LEN];
    struct slice hex = store_row_text(row, SLICE("digest"));
    struct key_block block = {
        .digest = hex.len > 0 ? digest : NULL,
        .tenant = store_row_text(row, SLICE("tenant")),
        .blocked = store_row_i64(row, SLICE("blocked")) != 0,
        .who = store_row_text(row, SLICE("who")),
        .reason = store_row_text(row, SLICE("reason")),
    };
    json_ref at = json_get(row->doc, row->object, SLICE("at_ms"));
    if (!json_i64(row->doc, at, &block.at_ms) ||
        (hex.len > 0 && !digest_unhex(hex, digest, DIGEST_LEN)))
        return error_set(err, "a row of the table key_blocks is not as it was written: %.*s",
                         SLICE_ARG(json_raw(row->doc, row->object)));
    return change(arg, &block) || !block.blocked ||
           error_set(err, "the table key_blocks has more than %d keys", KEY_BLOCKS_MAX);
}

static bool recover(struct key_blocks *b, struct store *store, struct error *err) {
    struct buffer text = {0};
    const struct slice with_unblocked = b->is_shared ? SLICE("1") : SLICE("0");
    b->journal = store_journal_open(store, "key_blocks", columns, FARTHING_COUNT(columns), err);
    bool ok = b->journal != NULL &&
              store_query_now(store, recovery, &with_unblocked, 1, &text, err) &&
              store_rows_visit(buffer_slice(&text), recover_row, b, err);
    buffer_free(&text);
    return ok;
}

struct key_blocks *key_blocks_open(struct store *store, struct error *err) {
    struct key_blocks *b = base_calloc(1, sizeof *b);
    base_lock_init(&b->lock);
    b->end = &b->first;
    b->store = store;
    b->is_shared = store_is_shared(store);
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
