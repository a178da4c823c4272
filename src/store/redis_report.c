// What the operator hears of Redis: one line when it fails and one when it is
// back, not one for each request; the rest are figures.
#include "redis.h"

enum {
    COMPLAINT_PAUSE_MS = 60000,
    // A Redis that comes and goes is said to do so at this pace at most.
    CHANGE_PAUSE_MS = 10000,
};

static const struct metric_family up_family = {
    .name = "farthing_store_up",
    .help = "1 while the shared store answers in time, else 0.",
    .kind = METRIC_GAUGE,
    .labels = {"kind"},
};
static const struct metric_family errors_family = {
    .name = "farthing_store_errors_total",
    .help = "What went wrong with the shared store.",
    .kind = METRIC_COUNTER,
    .labels = {"kind", "error"},
};
static const struct metric_family kept_family = {
    .name = "farthing_store_kept",
    .help = "Writes that wait for the shared store to be back.",
    .kind = METRIC_GAUGE,
    .labels = {"kind"},
};
static const double seconds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                 0.01,   0.025,   0.05,   0.1,   0.5,    1};
static const struct metric_family seconds_family = {
    .name = "farthing_store_command_seconds",
    .help = "From a command to the shared store until its answer.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"kind", "command"},
    .buckets = seconds,
    .bucket_count = FARTHING_COUNT(seconds),
    .scale = 1e-6,
};

static const struct {
    const char *name; // in the metric
    bool ends_connection;
} troubles[TROUBLE_COUNT] = {
    [TROUBLE_CONNECT] = {"connect", true},   [TROUBLE_CONNECTION] = {"connection", true},
    [TROUBLE_TIMEOUT] = {"timeout", false},  [TROUBLE_PROTOCOL] = {"protocol", true},
    [TROUBLE_AUTH] = {"auth", true},         [TROUBLE_LOADING] = {"loading", true},
    [TROUBLE_READONLY] = {"readonly", true}, // its name may stand for another one by now
    [TROUBLE_MEMORY] = {"oom", false},       [TROUBLE_BUSY] = {"busy", false},
    [TROUBLE_CLUSTER] = {"cluster", true},   [TROUBLE_OTHER] = {"other", false},
    [TROUBLE_DAMAGED] = {"damaged", false},  [TROUBLE_TOO_LARGE] = {"too_large", false},
};

// The first word of Redis's error replies.
static const struct {
    const char *word;
    enum redis_trouble trouble;
} words[] = {
    {"LOADING", TROUBLE_LOADING},     {"READONLY", TROUBLE_READONLY},
    {"MASTERDOWN", TROUBLE_READONLY}, {"OOM", TROUBLE_MEMORY},
    {"MISCONF", TROUBLE_OTHER},       {"BUSY", TROUBLE_BUSY},
    {"NOAUTH", TROUBLE_AUTH},         {"WRONGPASS", TROUBLE_AUTH},
    {"MOVED", TROUBLE_CLUSTER},       {"ASK", TROUBLE_CLUSTER},
    {"TRYAGAIN", TROUBLE_CLUSTER},    {"CLUSTERDOWN", TROUBLE_CLUSTER},
    {"CROSSSLOT", TROUBLE_CLUSTER},
};

enum redis_trouble redis_trouble_of(struct slice error) {
    ptrdiff_t blank = slice_find_char(error, ' ');
    struct slice word = slice_make(error.ptr, blank < 0 ? error.len : (size_t)blank);
    for (size_t i = 0; i < FARTHING_COUNT(words); i++)
        if (slice_equal(word, slice_of(words[i].word)))
            return words[i].trouble;
    return TROUBLE_OTHER;
}

bool redis_trouble_ends_connection(enum redis_trouble trouble) {
    return troubles[trouble].ends_connection;
}

static struct metric_series *errors_of(enum redis_trouble trouble) {
    const struct slice values[] = {SLICE("redis"), slice_of(troubles[trouble].name)};
    return metric_series(&errors_family, values);
}

static struct metric_series *up_gauge(void) {
    const struct slice kind = SLICE("redis");
    return metric_series(&up_family, &kind);
}

// At zero from the start, so that the first event is seen to come.
void redis_report_begin(struct redis *r) {
    (void)r;
    for (unsigned i = 0; i < TROUBLE_COUNT; i++)
        metric_add(errors_of((enum redis_trouble)i), 0);
    metric_set(up_gauge(), 0);
    redis_report_kept(0);
}

void redis_report_kept(size_t count) {
    const struct slice kind = SLICE("redis");
    metric_set(metric_series(&kept_family, &kind), (int64_t)count);
}

void redis_count(struct redis *r, enum redis_trouble trouble) {
    atomic_fetch_add(&r->failures, 1);
    metric_add(errors_of(trouble), 1);
}

void redis_count_dropped(struct redis *r) {
    atomic_fetch_add(&r->dropped, 1);
    metric_add(metric_plain(&store_dropped_family), 1);
}

static bool is_over(uint64_t since_ns, uint64_t pause_ms) {
    return since_ns == 0 || clock_mono_ns() - since_ns >= pause_ms * 1000000u;
}

void redis_complain(struct redis *r, enum redis_trouble trouble, struct slice why) {
    enum { SHOWN_BYTES = 200 };
    redis_count(r, trouble);
    if (!is_over(r->complained_ns[trouble], COMPLAINT_PAUSE_MS))
        return;
    r->complained_ns[trouble] = clock_mono_ns();
    struct slice shown = slice_make(why.ptr, why.len < SHOWN_BYTES ? why.len : SHOWN_BYTES);
    log_write(LOG_WARNING, "store: %s: %.*s", r->where.ptr, SLICE_ARG(shown));
}

void redis_report_up(struct redis *r) {
    metric_set(up_gauge(), 1);
    if (!r->said_up)
        log_write(LOG_INFO, "store: %s is there", r->where.ptr);
    else if (r->said_down)
        log_write(LOG_INFO, "store: %s is there again, after %.1f s", r->where.ptr,
                  (double)(clock_mono_ns() - r->down_ns) / 1e9);
    r->said_up = true;
    r->said_down = false;
    r->down_ns = 0;
}

void redis_report_down(struct redis *r, enum redis_trouble trouble, const char *why) {
    redis_count(r, trouble);
    metric_set(up_gauge(), 0);
    if (r->down_ns == 0)
        r->down_ns = clock_mono_ns();
    // Down already and said so: once more each minute, for the reason may have
    // become another.
    if (!is_over(r->said_down_ns, r->said_down ? COMPLAINT_PAUSE_MS : CHANGE_PAUSE_MS))
        return;
    r->said_down_ns = clock_mono_ns();
    r->said_down = true;
    log_write(LOG_ERROR, "store: %s fails: %s; going on with this instance's memory alone",
              r->where.ptr, why);
}

void redis_observe(enum redis_command_kind kind, uint64_t ns) {
    const struct slice values[] = {SLICE("redis"), kind == COMMAND_GET   ? SLICE("get")
                                                   : kind == COMMAND_PUT ? SLICE("set")
                                                   : kind == COMMAND_RUN ? SLICE("run")
                                                                         : SLICE("other")};
    metric_observe(metric_series(&seconds_family, values), (int64_t)(ns / 1000));
}
