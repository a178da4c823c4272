// What instances tell each other of past success: what they noted since they last
// did, which all add to theirs. It fades untold as what is kept does.
//
// One row each: [TENANT,FEATURE,TIER,SEEN,GOOD], in TOLD_UNIT parts of an outcome.
#include <math.h>

#include "past_room.h"

enum {
    TOLD_UNIT = 1000,
    TOLD_LEAST = TOLD_UNIT / 2,            // what faded so far before it could be told is not told
    ROW_BYTES_MAX = 6 * PAST_KEY_MAX + 64, // a byte of a name may become \u0000
};

// -------------------------------------------------------------------- telling

static struct slice take_name(struct slice *rest, size_t len) {
    struct slice name = slice_make(rest->ptr, len);
    *rest = slice_from(*rest, len);
    return name;
}

static void put_names(struct json_writer *w, struct slice key) {
    uint32_t lengths[2];
    memcpy(lengths, key.ptr, sizeof lengths);
    struct slice rest = slice_from(key, sizeof lengths);
    json_put_string(w, take_name(&rest, lengths[0]));
    json_put_string(w, take_name(&rest, lengths[1]));
    json_put_string(w, rest);
}

// Under the shard's lock.
static void put_row(struct json_writer *w, struct slice key, struct past_entry *e, bool all,
                    uint64_t now_ms) {
    double left = past_left_of(e, now_ms);
    long long seen = llround((all ? e->seen : e->untold_seen) * left * TOLD_UNIT);
    long long good = llround((all ? e->good : e->untold_good) * left * TOLD_UNIT);
    if (seen < (all ? PAST_ENOUGH * TOLD_UNIT - TOLD_LEAST : TOLD_LEAST))
        return;
    json_array_begin(w);
    put_names(w, key);
    json_put_i64(w, seen);
    json_put_i64(w, good < seen ? good : seen);
    json_array_end(w);
    if (!all)
        e->untold_seen = e->untold_good = 0;
}

// False: there is no more room.
static bool tell_shard(struct past_shard *s, struct json_writer *w, size_t most, bool all) {
    struct slice key;
    size_t at = 0;
    void *value;
    pthread_mutex_lock(&s->lock);
    uint64_t now_ms = clock_mono_ms();
    while (w->out->len + ROW_BYTES_MAX < most && table_next(s->entries, &at, &key, &value))
        put_row(w, key, value, all, now_ms);
    pthread_mutex_unlock(&s->lock);
    return w->out->len + ROW_BYTES_MAX < most;
}

bool past_tell(struct past *p, struct buffer *out, size_t room, bool all) {
    size_t start = out->len, first = p->tell_from;
    struct json_writer w;
    json_write_start(&w, out);
    json_array_begin(&w);
    for (size_t i = 0; i < PAST_SHARDS; i++) {
        size_t at = (first + i) % PAST_SHARDS;
        if (tell_shard(&p->shards[at], &w, start + room, all))
            continue;
        p->tell_from = at; // goes on there
        break;
    }
    return json_array_end_or_drop(&w, start);
}

// -------------------------------------------------------------------- hearing

// Tenants are the file's, so few: other instances may not make them many.
static bool may_be_added(const struct past_shard *s, struct slice tenant) {
    return table_get(s->owners, tenant) != NULL || table_count(s->owners) < PAST_SHARD_MAX;
}

static void hear(struct past *p, const struct past_key *k, struct slice tenant, double seen,
                 double good, bool all) {
    struct slice key = slice_make(k->bytes, k->len);
    struct past_shard *s = past_shard_of(p, key);
    pthread_mutex_lock(&s->lock);
    uint64_t now_ms = clock_mono_ms();
    struct past_entry *e = table_get(s->entries, key);
    if (e == NULL && may_be_added(s, tenant))
        e = past_add(s, key, tenant, now_ms);
    if (e != NULL && !all) {
        past_count_in(e, seen, good, now_ms);
    } else if (e != NULL && seen > e->seen * past_left_of(e, now_ms)) {
        e->seen = seen;
        e->good = good;
        e->untold_seen = e->untold_good = 0;
        e->noted_ms = now_ms;
    }
    pthread_mutex_unlock(&s->lock);
}

static bool read_outcomes(const struct json_doc *doc, json_ref row, int64_t *seen, int64_t *good) {
    return json_i64(doc, json_at(doc, row, 3), seen) && json_i64(doc, json_at(doc, row, 4), good) &&
           *seen > 0 && *seen <= PAST_MEMORY * TOLD_UNIT && *good >= 0 && *good <= *seen;
}

void past_hear(struct past *p, const struct json_doc *doc, json_ref rows, struct arena *arena,
               bool all) {
    if (!json_is(doc, rows, JSON_ARRAY))
        return;
    for (json_ref row = json_first(doc, rows); row != JSON_NONE; row = json_next(doc, rows, row)) {
        struct slice tenant = json_string(doc, json_at(doc, row, 0), arena);
        struct slice feature = json_string(doc, json_at(doc, row, 1), arena);
        struct slice tier = json_string(doc, json_at(doc, row, 2), arena);
        int64_t seen, good;
        struct past_key k;
        if (tenant.ptr != NULL && feature.ptr != NULL && tier.ptr != NULL &&
            read_outcomes(doc, row, &seen, &good) && past_key_make(tenant, feature, tier, &k))
            hear(p, &k, tenant, (double)seen / TOLD_UNIT, (double)good / TOLD_UNIT, all);
    }
}
