// Single flight, under the lock: who leads, who follows, what each is owed.
//
// A purchase lives as long as it has a leader: one that fails is replaced in
// the same step, or the purchase ends. A seat that is done with its purchase
// (served, failed, let go) is cut off from it and carries what it still needs:
// its result, and a cursor that holds the rest of the stream.
//
// Where seats that keep were served, the purchase stays a while longer without
// a leader, as a place where others find the result that those have in hand but
// may not have written down yet. (Having the leader write it down for them, from
// its loop, was the alternative: its life would have depended on theirs.)
//
// Nothing is called with the lock held: what a step leads to is gathered in a
// `struct later`. A seat has one piece of mail, which only says that there is
// news; the news itself is in the seat. So mail that is under way never says
// anything that is no longer true, and a seat that is left meanwhile is freed
// by its mail.
#include "purchase.h"

#include <stdlib.h>

// ------------------------------------------------------ after the lock

void later_do(struct later *l) {
    for (struct mail *m = l->mails, *next; m != NULL; m = next) {
        next = m->next;
        mailbox_post(((struct flight *)m)->box, m);
    }
    for (size_t i = 0; i < FARTHING_COUNT(l->chunks); i++)
        chunk_release(l->chunks[i]);
    if (l->head != NULL)
        cache_entry_release(l->head);
    if (l->entry != NULL)
        cache_entry_release(l->entry);
    free(l->purchase);
}

// From here to later_do the mail, though not yet posted, counts as under way:
// the seat cannot be freed.
static void tell(struct flight *f, enum news news, struct later *l) {
    f->pending |= news;
    if (f->posted)
        return;
    f->posted = true;
    f->mail.next = l->mails;
    l->mails = &f->mail;
}

static void tell_more(struct flight *f, struct later *l) {
    if (!f->streams || !f->hungry)
        return;
    f->hungry = false;
    tell(f, NEWS_MORE, l);
}

// ------------------------------------------------------------- the table

// Keys are digests: any of their bytes is as good as random.
static struct purchase **bucket_of(struct shard *s, const struct cache_key *key) {
    return &s->buckets[key->bytes[1] % FLIGHT_BUCKETS];
}

static void list(struct shard *s, struct purchase *p) {
    struct purchase **bucket = bucket_of(s, &p->key);
    p->next_in_bucket = *bucket;
    *bucket = p;
}

static void unlist(struct shard *s, struct purchase *p) {
    struct purchase **at = bucket_of(s, &p->key);
    while (*at != p)
        at = &(*at)->next_in_bucket;
    *at = p->next_in_bucket;
}

static bool is_of(const struct purchase *p, const struct cache_key *key, bool unshared) {
    return p->unshared == unshared && memcmp(p->key.bytes, key->bytes, sizeof key->bytes) == 0;
}

static struct purchase *find_open(struct shard *s, const struct cache_key *key, bool unshared) {
    struct purchase *p = *bucket_of(s, key);
    while (p != NULL && !(p->state == PURCHASE_OPEN && is_of(p, key, unshared)))
        p = p->next_in_bucket;
    return p;
}

// Running too long, or just over, and somebody has promised to keep its result.
static struct purchase *find_kept(struct shard *s, const struct cache_key *key, bool unshared) {
    struct purchase *p = *bucket_of(s, key);
    while (p != NULL &&
           !(p->state != PURCHASE_OPEN && p->keepers > 0 && is_of(p, key, unshared)))
        p = p->next_in_bucket;
    return p;
}

// ------------------------------------------------------------- the queue

static void count_keeper(struct shard *s, struct purchase *p, const struct flight *f) {
    if (!f->keeps)
        return;
    p->keepers++;
    if (p->hold_bytes < s->all->options.keep_bytes)
        p->hold_bytes = s->all->options.keep_bytes;
}

static void count_follower(struct shard *s, struct purchase *p, struct flight *f) {
    f->state = SEAT_FOLLOWING;
    f->purchase = p;
    p->followers++;
    p->readers += f->streams;
    count_keeper(s, p, f);
    s->stats.followers++;
}

static void queue_add(struct shard *s, struct purchase *p, struct flight *f) {
    f->newer = NULL;
    f->older = p->newest;
    if (p->newest != NULL)
        p->newest->newer = f;
    else
        p->oldest = f;
    p->newest = f;
    count_follower(s, p, f);
}

static void queue_add_first(struct shard *s, struct purchase *p, struct flight *f) {
    f->older = NULL;
    f->newer = p->oldest;
    if (p->oldest != NULL)
        p->oldest->older = f;
    else
        p->newest = f;
    p->oldest = f;
    count_follower(s, p, f);
}

// What becomes of the seat then is the caller's to say.
static void queue_remove(struct shard *s, struct flight *f) {
    struct purchase *p = f->purchase;
    if (f->older != NULL)
        f->older->newer = f->newer;
    else
        p->oldest = f->newer;
    if (f->newer != NULL)
        f->newer->older = f->older;
    else
        p->newest = f->older;
    p->followers--;
    p->readers -= f->streams;
    p->keepers -= f->keeps;
    s->stats.followers--;
}

// Of a purchase without a stream.
static void lead(struct shard *s, struct purchase *p, struct flight *f) {
    f->state = SEAT_LEADING;
    f->purchase = p;
    p->leader = f;
    p->state = PURCHASE_OPEN;
    count_keeper(s, p, f);
}

void purchase_start(struct shard *s, struct purchase *p, struct flight *leader) {
    p->unshared = leader->wish != FLIGHT_SHARE;
    p->hold_bytes = s->all->options.hold_bytes;
    lead(s, p, leader);
    list(s, p);
    s->stats.purchases++;
    s->stats.led++;
}

void purchase_hand_over(struct shard *s, struct flight *from, struct flight *to) {
    struct purchase *p = from->purchase;
    from->pending = 0; // that it was alone
    p->keepers -= from->keeps;
    queue_add_first(s, p, from);
    lead(s, p, to);
}

static void tell_if_alone(struct purchase *p, struct later *l) {
    if (p->followers == 0)
        tell(p->leader, NEWS_ALONE, l);
}

void purchase_unfollow(struct shard *s, struct flight *f, struct later *l) {
    queue_remove(s, f);
    f->state = SEAT_ENDED;
    tell_if_alone(f->purchase, l);
    f->purchase = NULL;
}

// ------------------------------------------------------------ the stream

bool seat_has_read(const struct flight *f) {
    return f->at.position > 0;
}

void seat_hold_stream(struct flight *f, const struct purchase *p) {
    if (!f->streams || f->at.chunk != NULL || p->chain.first == NULL)
        return;
    cursor_start(&f->at, &p->chain);
    f->head = entry_ref(p->head);
}

// By a seat that has read nothing. `first` holds that stream's first chunk, so
// that the chunks are not freed here, under the lock.
static void forget_stream(struct flight *f, struct chunk **first) {
    f->pending &= ~(unsigned)NEWS_MORE;
    f->hungry = true;
    if (f->at.chunk == NULL)
        return;
    if (*first == NULL)
        *first = f->at.chunk;
    else
        chunk_release(f->at.chunk);
    f->at = (struct cursor){0};
    cache_entry_release(f->head);
    f->head = NULL;
}

static void drop_stream(struct purchase *p, struct later *l) {
    l->chunks[0] = chain_clear(&p->chain, &l->chunks[1]);
    l->head = p->head;
    p->head = NULL;
    for (struct flight *f = p->oldest; f != NULL; f = f->newer)
        forget_stream(f, &l->chunks[2]);
}

// Cut off from its purchase, with all that it is owed.
static void end_follower(struct flight *f, enum flight_end end, int status,
                         struct cache_entry *entry, struct later *l) {
    seat_hold_stream(f, f->purchase);
    queue_remove(f->shard, f);
    f->state = SEAT_ENDED;
    f->purchase = NULL;
    f->end = end;
    f->status = status;
    f->entry = entry != NULL ? entry_ref(entry) : NULL;
    tell(f, NEWS_FINISH, l);
}

// Nobody reads from the beginning any more but who is there.
static void fill_up(struct purchase *p, struct later *l) {
    p->state = PURCHASE_FULL;
    for (struct flight *f = p->oldest; f != NULL; f = f->newer)
        seat_hold_stream(f, p);
    l->chunks[0] = chain_let_go(&p->chain);
}

// Before the next bytes are there: who has read all until now does not lag,
// however many these are.
static void let_go_of_laggards(struct shard *s, struct purchase *p, struct later *l) {
    for (struct flight *f = p->oldest, *next; f != NULL; f = next) {
        next = f->newer;
        if (!f->streams || p->chain.bytes - f->at.position <= p->hold_bytes)
            continue;
        end_follower(f, FLIGHT_BEHIND, 0, NULL, l);
        s->stats.behind++;
        tell_if_alone(p, l);
    }
}

void purchase_extend(struct shard *s, struct purchase *p, const struct chain_extension *more,
                     struct later *l) {
    if (p->state == PURCHASE_FULL)
        let_go_of_laggards(s, p, l);
    chain_publish(&p->chain, more);
    const struct flights_options *options = &s->all->options;
    size_t most = p->keepers > 0 ? options->keep_bytes : options->join_bytes;
    if (p->state == PURCHASE_OPEN && p->chain.bytes > most)
        fill_up(p, l);
    for (struct flight *f = p->oldest; f != NULL; f = f->newer)
        tell_more(f, l);
    if (p->state == PURCHASE_FULL && p->readers == 0)
        p->state = PURCHASE_DEAF;
}

// --------------------------------------------------------------- endings

// What the ending of the purchase is to this one; false: nothing, it goes on
// waiting.
static bool is_served(const struct purchase *p, const struct flight *f, enum flight_end *end,
                      const struct cache_entry *entry) {
    if (seat_has_read(f)) {
        if (*end != FLIGHT_DONE)
            *end = FLIGHT_FAILED;
        return true;
    }
    switch (*end) {
    case FLIGHT_DONE:
        return (entry != NULL && entry->answer.body.len > 0) ||
               (f->streams && p->head != NULL);
    case FLIGHT_REFUSED:
        return true;
    case FLIGHT_FAILED:
    case FLIGHT_BEHIND:
        break;
    }
    return false;
}

// Returns those who keep and were given a result, as a list by `newer`.
static struct flight *serve(struct purchase *p, enum flight_end end, int status,
                            struct cache_entry *entry, struct later *l) {
    struct flight *keepers = NULL;
    for (struct flight *f = p->oldest, *next; f != NULL; f = next) {
        next = f->newer;
        enum flight_end as = end;
        if (!is_served(p, f, &as, entry))
            continue;
        end_follower(f, as, status, as == FLIGHT_FAILED ? NULL : entry, l);
        if (f->keeps && as != FLIGHT_FAILED) {
            f->newer = keepers;
            keepers = f;
        }
    }
    return keepers;
}

// To who has not read: the result of a purchase that has landed.
static bool serves(const struct purchase *p, const struct flight *f) {
    enum flight_end end = p->end;
    bool cut = p->chain.bytes > 0 && p->chain.first == NULL; // then the answer has to do
    bool has_body = p->entry != NULL && p->entry->answer.body.len > 0;
    return is_served(p, f, &end, p->entry) && (has_body || !cut);
}

enum flight_role purchase_role(struct shard *s, const struct cache_key *key,
                               const struct flight *f, struct purchase **met) {
    bool unshared = f->wish != FLIGHT_SHARE, first_try = f->wish == FLIGHT_LEAD_ONLY;
    *met = f->keeps ? find_kept(s, key, unshared) : NULL;
    if (first_try && *met != NULL && (*met)->state == PURCHASE_LANDED)
        *met = NULL;
    if (*met == NULL)
        *met = find_open(s, key, unshared);
    if (*met == NULL)
        return FLIGHT_LEADER;
    if (first_try)
        return FLIGHT_ALONE;
    bool joins = (*met)->state == PURCHASE_OPEN ||
                 ((*met)->state == PURCHASE_LANDED && serves(*met, f));
    return joins ? FLIGHT_FOLLOWER : FLIGHT_FULL;
}

static void keep_until_told(struct purchase *p, struct flight *f) {
    f->state = SEAT_SERVED;
    f->purchase = p;
    p->keepers++;
}

void purchase_follow(struct shard *s, struct purchase *p, struct flight *f, struct later *l) {
    queue_add(s, p, f);
    if (p->chain.bytes > 0 && p->chain.first != NULL)
        tell_more(f, l);
    if (p->state != PURCHASE_LANDED)
        return;
    end_follower(f, p->end, p->status, p->entry, l);
    keep_until_told(p, f);
}

// Another purchase of the same key has begun since this one was full.
static void move_followers(struct shard *s, struct purchase *from, struct purchase *to,
                           struct later *l) {
    for (struct flight *f; (f = from->oldest) != NULL;) {
        queue_remove(s, f);
        purchase_follow(s, to, f, l);
    }
}

// The first in the queue: who has waited longest.
static void promote(struct shard *s, struct purchase *p, struct later *l) {
    struct flight *f = p->oldest;
    queue_remove(s, f);
    lead(s, p, f);
    s->stats.promoted++;
    tell(f, NEWS_PROMOTE, l);
}

// Its memory goes when the lock is released.
static void dissolve(struct shard *s, struct purchase *p, struct later *l) {
    unlist(s, p);
    l->purchase = p;
}

// Those to whom the ending is nothing: to the other purchase of the key, if
// there is one; otherwise they are this one's again.
static void go_on(struct shard *s, struct purchase *p, struct later *l) {
    drop_stream(p, l);
    struct purchase *other =
        p->state == PURCHASE_OPEN ? NULL : find_open(s, &p->key, p->unshared);
    if (other != NULL)
        move_followers(s, p, other, l);
    if (p->followers > 0) {
        promote(s, p, l);
        return;
    }
    s->stats.purchases--;
    dissolve(s, p, l);
}

// All who were there have been served; newcomers that keep will be.
static void stay_landed(struct shard *s, struct purchase *p, enum flight_end end, int status,
                        struct cache_entry *entry) {
    p->state = PURCHASE_LANDED;
    p->end = end;
    p->status = status;
    p->entry = entry != NULL ? entry_ref(entry) : NULL;
    s->stats.purchases--;
}

void purchase_told(struct shard *s, struct flight *f, struct later *l) {
    struct purchase *p = f->purchase;
    f->state = SEAT_ENDED;
    f->purchase = NULL;
    if (--p->keepers > 0)
        return;
    l->chunks[0] = chain_clear(&p->chain, &l->chunks[1]);
    l->head = p->head;
    l->entry = p->entry;
    dissolve(s, p, l);
}

void purchase_land(struct flight *leader, enum flight_end end, int status,
                   struct cache_entry *entry, struct later *l) {
    struct shard *s = leader->shard;
    struct purchase *p = leader->purchase;
    leader->state = SEAT_ENDED;
    leader->purchase = NULL;
    leader->pending = 0;
    p->leader = NULL;
    p->keepers -= leader->keeps;
    struct flight *keepers = serve(p, end, status, entry, l);
    if (p->followers > 0 || keepers == NULL) {
        go_on(s, p, l);
        return;
    }
    stay_landed(s, p, end, status, entry);
    for (struct flight *f = keepers, *next; f != NULL; f = next) {
        next = f->newer;
        keep_until_told(p, f);
    }
}
