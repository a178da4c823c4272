// Single flight, around the lock: seats are taken and given back, mail is read.
// See farthing/flight.h for what it promises; purchase.c has the steps.
#include <assert.h>
#include <stdlib.h>

#include "purchase.h"

enum { HOLD_DEFAULT = 4, KEEP_DEFAULT = 16 }; // times join_bytes

static size_t bound(size_t wanted, unsigned times, size_t join_bytes) {
    size_t bytes = wanted > 0 ? wanted : times * join_bytes;
    return bytes > join_bytes ? bytes : join_bytes;
}

struct flights *flights_new(const struct flights_options *options) {
    struct flights *all = base_calloc(1, sizeof *all);
    all->options = *options;
    all->options.hold_bytes = bound(options->hold_bytes, HOLD_DEFAULT, options->join_bytes);
    all->options.keep_bytes = bound(options->keep_bytes, KEEP_DEFAULT, options->join_bytes);
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        pthread_mutex_init(&all->shards[i].lock, NULL);
        all->shards[i].all = all;
    }
    return all;
}

void flights_free(struct flights *all) {
    if (all == NULL)
        return;
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        assert(all->shards[i].stats.purchases == 0);
        pthread_mutex_destroy(&all->shards[i].lock);
    }
    free(all);
}

static void lock(const struct flight *f) {
    pthread_mutex_lock(&f->shard->lock);
}

static void unlock(const struct flight *f) {
    pthread_mutex_unlock(&f->shard->lock);
}

// ----------------------------------------------------------------- leader

void flight_begin_stream(struct flight *f, const struct cache_answer *head) {
    struct purchase *p = f->purchase;
    struct cache_entry *copy = entry_new(&p->key, head);
    lock(f);
    assert(f->state == SEAT_LEADING && p->head == NULL);
    p->head = copy;
    unlock(f);
}

void flight_append(struct flight *f, struct slice bytes) {
    // The leader may look at its own purchase's state and stream without the
    // lock: nobody else changes them while it leads.
    struct shard *s = f->shard;
    struct purchase *p = f->purchase;
    if (bytes.len == 0 || p->state == PURCHASE_DEAF)
        return;
    struct chain_extension more = chain_prepare(&p->chain, bytes, &s->all->held);
    struct later later = {0};
    lock(f);
    assert(f->state == SEAT_LEADING && p->head != NULL);
    purchase_extend(s, p, &more, &later);
    unlock(f);
    later_do(&later);
}

void flight_finish(struct flight *f, enum flight_end end, int status,
                   const struct cache_answer *answer) {
    struct purchase *p = f->purchase;
    struct cache_entry *entry = NULL;
    struct later later = {0};
    lock(f);
    assert(f->state == SEAT_LEADING && end != FLIGHT_BEHIND);
    if (answer != NULL && end != FLIGHT_FAILED && p->followers > 0) {
        unlock(f); // an answer may be megabytes
        entry = entry_new(&p->key, answer);
        lock(f);
    }
    purchase_land(f, end, status, entry, &later);
    unlock(f);
    if (entry != NULL)
        cache_entry_release(entry);
    later_do(&later);
}

size_t flight_followers(const struct flight *f) {
    lock(f);
    size_t followers = f->state == SEAT_LEADING ? f->purchase->followers : 0;
    unlock(f);
    return followers;
}

bool flight_has_readers(const struct flight *f) {
    lock(f);
    bool has = f->state == SEAT_LEADING && f->purchase->readers > 0;
    unlock(f);
    return has;
}

// --------------------------------------------------------------- follower

bool flight_read(struct flight *f, struct slice *bytes) {
    struct chunk *passed;
    lock(f);
    if (f->state == SEAT_FOLLOWING)
        seat_hold_stream(f, f->purchase);
    bool found = cursor_next(&f->at, bytes, &passed);
    if (!found)
        f->hungry = true;
    unlock(f);
    chunk_release(passed);
    return found;
}

const struct cache_answer *flight_head(const struct flight *f) {
    lock(f);
    const struct cache_answer *head = seat_has_read(f) ? cache_entry_answer(f->head) : NULL;
    unlock(f);
    return head;
}

// ------------------------------------------------------------------- mail

struct telling {
    unsigned news;
    enum flight_end end;
    int status;
    struct cache_entry *entry;
};

static struct telling take_news(struct flight *f) {
    struct chunk *behind = NULL;
    lock(f);
    struct telling t = {f->pending, f->end, f->status, NULL};
    f->pending = 0;
    if (t.news & NEWS_FINISH) {
        t.entry = f->entry;
        f->entry = NULL;
        if (f->end == FLIGHT_BEHIND) { // or it would keep the rest of the stream
            behind = f->at.chunk;
            f->at.chunk = NULL;
            t.news &= ~(unsigned)NEWS_MORE;
        }
    }
    if (f->state == SEAT_LEADING && f->purchase->followers > 0)
        t.news &= ~(unsigned)NEWS_ALONE;
    if (t.news & NEWS_PROMOTE) { // it may be over with that
        f->pending = t.news & NEWS_ALONE;
        t.news &= ~(unsigned)NEWS_ALONE;
    }
    unlock(f);
    chunk_release(behind);
    return t;
}

static void was_told(struct flight *f) {
    struct later later = {0};
    lock(f);
    if (f->state == SEAT_SERVED)
        purchase_told(f->shard, f, &later);
    unlock(f);
    later_do(&later);
}

// Any of these may leave the seat, or the purchase may end meanwhile.
static void on_mail(struct mail *m) {
    struct flight *f = (struct flight *)m;
    struct telling t = {0};
    if (f->on != NULL)
        t = take_news(f);
    if (t.news & NEWS_MORE && f->on != NULL)
        f->on->on_more(f->arg);
    if (t.news & NEWS_FINISH && f->on != NULL)
        f->on->on_finish(f->arg, t.end, t.status, t.entry);
    else if (t.entry != NULL)
        cache_entry_release(t.entry);
    if (t.news & NEWS_FINISH && f->on != NULL)
        was_told(f);
    if (t.news & NEWS_PROMOTE && f->on != NULL)
        f->on->on_promote(f->arg);
    if (t.news & NEWS_ALONE && f->on != NULL)
        f->on->on_alone(f->arg);
    if (f->on == NULL) {
        free(f);
        return;
    }
    lock(f);
    f->posted = f->pending != 0; // again, and not here: others of this loop have news too
    bool again = f->posted;
    unlock(f);
    if (again)
        mailbox_post(f->box, &f->mail);
}

// --------------------------------------------------------- joining, leaving

// Any byte of a digest is as good as random; another than purchase.c's.
static struct shard *shard_of(struct flights *all, const struct cache_key *key) {
    return &all->shards[key->bytes[0] % FLIGHT_SHARDS];
}

static struct flight *seat_new(struct shard *s, const struct flight_member *member) {
    struct flight *f = base_calloc(1, sizeof *f);
    f->shard = s;
    f->mail.run = on_mail;
    f->box = member->box;
    f->streams = member->streams;
    f->keeps = member->keep_all;
    f->wish = member->wish;
    f->on = member->on;
    f->arg = member->arg;
    f->hungry = true;
    return f;
}

struct flight *flight_join(struct flights *all, const struct cache_key *key,
                           const struct flight_member *member, enum flight_role *role) {
    struct shard *s = shard_of(all, key);
    struct flight *f = seat_new(s, member);
    struct purchase *own = base_calloc(1, sizeof *own); // not under the lock; most lead
    own->key = *key;
    struct later later = {0};
    lock(f);
    struct purchase *running;
    *role = purchase_role(s, key, f, &running);
    if (*role == FLIGHT_LEADER)
        purchase_start(s, own, f);
    else if (*role == FLIGHT_FOLLOWER)
        purchase_follow(s, running, f, &later);
    s->stats.joined += *role == FLIGHT_FOLLOWER;
    s->stats.turned_away += *role == FLIGHT_FULL;
    unlock(f);
    later_do(&later);
    if (*role != FLIGHT_LEADER)
        free(own);
    if (*role == FLIGHT_LEADER || *role == FLIGHT_FOLLOWER)
        return f;
    free(f); // never was in a purchase
    return NULL;
}

struct flight *flight_hand_over(struct flight *f, const struct flight_member *member) {
    struct flight *heir = seat_new(f->shard, member);
    lock(f);
    assert(f->state == SEAT_LEADING && f->purchase->head == NULL);
    purchase_hand_over(f->shard, f, heir);
    unlock(f);
    return heir;
}

struct flight *flight_attend(struct flight *leader, const struct flight_member *member) {
    struct flight *f = seat_new(leader->shard, member);
    struct purchase *p = leader->purchase;
    struct later later = {0};
    lock(leader);
    assert(leader->state == SEAT_LEADING);
    bool is_early = p->state == PURCHASE_OPEN || !f->streams;
    if (is_early)
        purchase_follow(f->shard, p, f, &later);
    unlock(leader);
    later_do(&later);
    if (is_early)
        return f;
    free(f); // never was in the purchase
    return NULL;
}

void flight_leave(struct flight *f) {
    struct later later = {0};
    f->on = NULL;
    lock(f);
    switch (f->state) {
    case SEAT_LEADING:
        purchase_land(f, FLIGHT_FAILED, 0, NULL, &later);
        break;
    case SEAT_FOLLOWING:
        purchase_unfollow(f->shard, f, &later);
        break;
    case SEAT_SERVED:
        purchase_told(f->shard, f, &later);
        break;
    case SEAT_ENDED:
        break;
    }
    f->pending = 0;
    bool mail_will_free = f->posted;
    unlock(f);
    chunk_release(f->at.chunk);
    if (f->head != NULL)
        cache_entry_release(f->head);
    if (f->entry != NULL)
        cache_entry_release(f->entry);
    later_do(&later);
    if (!mail_will_free)
        free(f);
}

// ---------------------------------------------------------------- figures

void flights_stats_get(struct flights *all, struct flights_stats *out) {
    *out = (struct flights_stats){0};
    for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
        struct shard *s = &all->shards[i];
        pthread_mutex_lock(&s->lock);
        out->purchases += s->stats.purchases;
        out->followers += s->stats.followers;
        out->led += s->stats.led;
        out->joined += s->stats.joined;
        out->promoted += s->stats.promoted;
        out->behind += s->stats.behind;
        out->turned_away += s->stats.turned_away;
        pthread_mutex_unlock(&s->lock);
    }
    out->held_bytes = atomic_load_explicit(&all->held, memory_order_relaxed);
}
