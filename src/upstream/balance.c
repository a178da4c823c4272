// Balance inside a tier: the order in which its models are tried.
//
// Chance in proportion to weights, without drawing twice: each candidate gets an
// exponentially distributed number -ln(u) / weight, and the least is first, the
// next second (Efraimidis and Spirakis, 2006). With u from the request's random
// number that is weighted balance; with u from the session and the model's name it
// is weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): each model's
// number depends on nothing but itself and the session, so one that comes or goes
// moves nothing between the others.
#include <math.h>
#include <stdlib.h>

#include "breaker_names.h"

enum {
    STALE_MS = 30000,      // a latency that is older may not be true any more
    UNMEASURED_MS = 1000,  // between two requests that try a model which has none
    EXPLORING_PART = 16,   // of the requests may go to a stale one
    OVERLOAD_FACTOR = 2,   // times the least busy one,
    OVERLOAD_SLACK = 8,    // and this: few attempts more are no load
    LATENCY_TAU_MS = 10000 // over about which the mean is
};
// A mean over less than some samples would be one of them.
static const double LATENCY_STEP_MIN = 0.05;
static const uint64_t GOLDEN = 0x9e3779b97f4a7c15u;

struct balance_model {
    struct named named; // first: the record is the model
    _Alignas(CACHE_LINE) _Atomic int64_t inflight;
    _Atomic int64_t latency_us; // -1: never measured
    _Atomic int64_t noted_ms;
    _Atomic int64_t explored_ms; // when a request was last sent to find out
    pthread_mutex_t lock;        // of who notes
};

struct balances {
    struct names names;
};

struct balance_loop {
    struct names_loop names;
};

static struct balance_model *model_of(struct named *n) {
    return (struct balance_model *)(void *)n;
}

// ---------------------------------------------------------------------- lives

static void on_open(struct named *n) {
    base_lock_init(&model_of(n)->lock);
    atomic_store(&model_of(n)->latency_us, -1);
    atomic_store(&model_of(n)->explored_ms, INT64_MIN / 2);
}

static void on_close(struct named *n) {
    pthread_mutex_destroy(&model_of(n)->lock);
}

struct balances *balances_new(void) {
    struct balances *b = base_calloc(1, sizeof *b);
    names_open(&b->names, sizeof(struct balance_model), on_open, on_close);
    return b;
}

void balances_free(struct balances *b) {
    if (b == NULL)
        return;
    names_close(&b->names);
    free(b);
}

void balances_declare(struct balances *b, struct slice name) {
    (void)names_declare(&b->names, name);
}

struct balance_loop *balance_loop_new(struct balances *b) {
    struct balance_loop *l = base_calloc(1, sizeof *l);
    names_loop_open(&l->names, &b->names);
    return l;
}

void balance_loop_free(struct balance_loop *l) {
    if (l == NULL)
        return;
    names_loop_close(&l->names);
    free(l);
}

// -------------------------------------------------------------------- figures

void balance_begin(struct balance_loop *l, struct slice name, struct balance_ticket *t) {
    t->model = model_of(names_meet(&l->names, name));
    atomic_fetch_add(&t->model->inflight, 1);
}

void balance_end(struct balance_ticket *t) {
    if (t->model != NULL)
        atomic_fetch_sub(&t->model->inflight, 1);
    t->model = NULL;
}

// The longer nothing was known, the more the new sample counts.
static double next_mean(double mean, double sample, int64_t passed_ms) {
    double passed = (double)(passed_ms > 0 ? passed_ms : 0);
    double step = passed / (passed + LATENCY_TAU_MS);
    return mean + (sample - mean) * (step > LATENCY_STEP_MIN ? step : LATENCY_STEP_MIN);
}

void balance_note(const struct balance_ticket *t, int64_t latency_ms, int64_t now_ms) {
    struct balance_model *m = t->model;
    if (m == NULL || latency_ms < 0)
        return;
    double sample = (double)latency_ms * 1000;
    pthread_mutex_lock(&m->lock);
    int64_t before = atomic_load(&m->latency_us), noted_ms = atomic_load(&m->noted_ms);
    double mean = before < 0 ? sample : next_mean((double)before, sample, now_ms - noted_ms);
    atomic_store(&m->latency_us, (int64_t)mean);
    if (before < 0 || now_ms > noted_ms)
        atomic_store(&m->noted_ms, now_ms);
    pthread_mutex_unlock(&m->lock);
}

void balances_visit(struct balances *b, int64_t now_ms, balances_visitor *visit, void *arg) {
    for (struct named *n = names_first(&b->names); n != NULL; n = n->next) {
        struct balance_model *m = model_of(n);
        int64_t latency_us = atomic_load(&m->latency_us);
        int64_t ago_ms = latency_us < 0 ? 0 : now_ms - atomic_load(&m->noted_ms);
        struct balance_view view = {.name = n->name,
                                    .inflight = atomic_load(&m->inflight),
                                    .latency_us = latency_us,
                                    .measured_ms_ago = ago_ms > 0 ? ago_ms : 0};
        visit(arg, &view);
    }
}

// --------------------------------------------------------------------- chance

// splitmix64's finish (Steele, Lea and Flood, 2014).
static uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// FNV-1a: base_hash is another one in each process, and would cool all of the
// providers' caches down with every start.
static uint64_t hash_of(struct slice s) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    return mixed(h + GOLDEN);
}

uint64_t balance_session(struct slice key) {
    uint64_t h = hash_of(key);
    return h != 0 ? h : 1;
}

// -ln(u) for a u in (0, 1], of 53 of the bits.
static double exponential(uint64_t bits) {
    return -log(((double)(bits >> 11) + 1) * 0x1p-53);
}

// -------------------------------------------------------------------- ranking

struct rank {
    double key; // the least is first,
    double tie; // and then the least of these
    size_t index;
};

static bool is_before(const struct rank *a, const struct rank *b) {
    if (a->key != b->key)
        return a->key < b->key;
    return a->tie != b->tie ? a->tie < b->tie : a->index < b->index;
}

// By insertion: tiers have a handful of models.
static void sort(struct rank *ranks, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct rank moving = ranks[i];
        size_t at = i;
        for (; at > 0 && is_before(&moving, &ranks[at - 1]); at--)
            ranks[at] = ranks[at - 1];
        ranks[at] = moving;
    }
}

// One question: the candidates that are not open, and what it is about.
struct choice {
    struct balance_loop *loop;
    const struct balance_candidate *candidates;
    struct rank ranks[BALANCE_CANDIDATES_MAX];
    double inflight[BALANCE_CANDIDATES_MAX]; // read once, of ranks[i] as first put there
    size_t count;
    bool weighted;
    uint64_t session, random;
    int64_t now_ms;
};

static const struct balance_candidate *candidate_of(const struct choice *c, size_t i) {
    return &c->candidates[c->ranks[i].index];
}

static struct balance_model *find_model(const struct choice *c, size_t i) {
    return model_of(names_meet(&c->loop->names, candidate_of(c, i)->name));
}

static double weight_of(const struct choice *c, size_t i) {
    return c->weighted ? (double)candidate_of(c, i)->weight : 1;
}

// Without a weight: after all that have one.
static double weighted_key(const struct choice *c, size_t i, double exponent) {
    double weight = weight_of(c, i);
    return weight > 0 ? exponent / weight : INFINITY;
}

static double by_chance(const struct choice *c, size_t i) {
    return exponential(mixed(c->random + GOLDEN * (c->ranks[i].index + 1)));
}

static double by_session(const struct choice *c, size_t i) {
    return exponential(mixed(c->session ^ hash_of(candidate_of(c, i)->name)));
}

// --------------------------------------------------------- least, and weighted

static void rank_by_load(struct choice *c) {
    for (size_t i = 0; i < c->count; i++) {
        c->ranks[i].key = weighted_key(c, i, c->inflight[i]);
        c->ranks[i].tie = by_chance(c, i);
    }
}

static void rank_by_weight(struct choice *c) {
    for (size_t i = 0; i < c->count; i++) {
        c->ranks[i].tie = by_chance(c, i);
        c->ranks[i].key = weighted_key(c, i, c->ranks[i].tie);
    }
}

static size_t preferred_by_session(const struct choice *c) {
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < c->count; i++) {
        double key = weighted_key(c, i, by_session(c, i));
        if (key < least) {
            least = key;
            best = i;
        }
    }
    return best;
}

static bool is_overloaded(const struct choice *c, size_t at) {
    double least = INFINITY;
    for (size_t i = 0; i < c->count; i++) {
        double load = weighted_key(c, i, c->inflight[i]);
        least = load < least ? load : least;
    }
    if (isinf(least))
        return false; // nobody has a weight
    return c->inflight[at] > OVERLOAD_FACTOR * least * weight_of(c, at) + OVERLOAD_SLACK;
}

static void rank_shared(struct choice *c) {
    if (c->session == 0 && c->weighted) {
        rank_by_weight(c);
        return;
    }
    for (size_t i = 0; i < c->count; i++)
        c->inflight[i] = (double)atomic_load(&find_model(c, i)->inflight);
    size_t preferred = c->session != 0 ? preferred_by_session(c) : 0;
    bool sticks = c->session != 0 && !is_overloaded(c, preferred);
    if (c->weighted && sticks)
        rank_by_weight(c);
    else
        rank_by_load(c);
    if (sticks)
        c->ranks[preferred].key = -1;
}

// -------------------------------------------------------------------- latency

// How long a model has to have been left alone for this request to try it; -1: it
// is not to be tried.
static int64_t exploring_pause_ms(const struct choice *c, const struct balance_model *m) {
    if (atomic_load(&m->latency_us) < 0)
        return UNMEASURED_MS;
    bool stale = c->now_ms - atomic_load(&m->noted_ms) >= STALE_MS;
    return stale && mixed(c->random) % EXPLORING_PART == 0 ? STALE_MS : -1;
}

static bool may_explore(const struct choice *c, const struct balance_model *m) {
    int64_t pause_ms = exploring_pause_ms(c, m);
    return pause_ms >= 0 && c->now_ms - atomic_load(&m->explored_ms) >= pause_ms;
}

// The one that was left alone the longest: else one that fails whenever it is tried
// would keep the others from their turn. Of requests that come at the same time
// one goes there.
static void explore(struct choice *c) {
    struct balance_model *chosen = NULL;
    size_t at = 0;
    int64_t last_ms = INT64_MAX;
    for (size_t i = 0; i < c->count; i++) {
        struct balance_model *m = find_model(c, i);
        int64_t explored_ms = atomic_load(&m->explored_ms);
        if (!may_explore(c, m) || explored_ms >= last_ms)
            continue;
        last_ms = explored_ms;
        chosen = m;
        at = i;
    }
    if (chosen != NULL && atomic_compare_exchange_strong(&chosen->explored_ms, &last_ms, c->now_ms))
        c->ranks[at].key = -1;
}

static void rank_by_latency(struct choice *c) {
    for (size_t i = 0; i < c->count; i++) {
        int64_t latency_us = atomic_load(&find_model(c, i)->latency_us);
        c->ranks[i].key = latency_us < 0 ? INFINITY : (double)latency_us;
    }
    explore(c);
}

// ------------------------------------------------------------------------ API

static void rank(struct choice *c, enum config_balance how) {
    switch (how) {
    case CONFIG_BALANCE_ORDER:
        break;
    case CONFIG_BALANCE_LEAST_INFLIGHT:
        rank_shared(c);
        break;
    case CONFIG_BALANCE_WEIGHTED:
        c->weighted = true;
        rank_shared(c);
        break;
    case CONFIG_BALANCE_LOWEST_LATENCY:
        rank_by_latency(c);
        break;
    }
}

size_t balance_order(struct balance_loop *l, enum config_balance how,
                     const struct balance_candidate *c, size_t n, uint64_t session_hash,
                     uint64_t random, int64_t now_ms, size_t *order_out) {
    struct choice choice = {
        .loop = l, .candidates = c, .session = session_hash, .random = random, .now_ms = now_ms};
    size_t looked_at = n < BALANCE_CANDIDATES_MAX ? n : BALANCE_CANDIDATES_MAX, at = 0;
    for (size_t i = 0; i < looked_at; i++)
        if (!c[i].open)
            choice.ranks[choice.count++].index = i;
    rank(&choice, how);
    sort(choice.ranks, choice.count);
    for (; at < choice.count; at++)
        order_out[at] = choice.ranks[at].index;
    for (size_t i = 0; i < looked_at; i++)
        if (c[i].open)
            order_out[at++] = i;
    for (; at < n; at++)
        order_out[at] = at;
    return n;
}
