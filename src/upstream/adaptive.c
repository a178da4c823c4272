// The arithmetic of adaptive limits.
#include "adaptive.h"

#include <string.h>

static const double FLOOR = 1, NO_CEILING = 1e6;
static const double OVERLOAD_FACTOR = 0.7;
// One more for each round is twice as many where one is all that a provider
// bears: every second request would be refused.
static const double MOST_STEP = 0.1;
// For the latency: a sign of less weight, and an early one.
static const double TOLERANCE = 2, SLOW_FACTOR = 0.85;
// What four decreases (to 0.52) do at least when the load is the reason, and
// chance does once in a thousand times.
static const double HELPED = 0.85;
static const double FALL = 0.1, RISE = 0.1, FOLLOW = 0.2;
enum {
    WARNINGS = 1,  // slow windows before the first decrease: chance seldom makes two in a row
    PATIENCE = 4,  // decreases before they must have helped
    SLACK_MS = 10, // added to each latency: what is below is this machine's jitter
};

static double least(double a, double b) {
    return a < b ? a : b;
}

static double most(double a, double b) {
    return a > b ? a : b;
}

static void begin_window(struct adaptive *a) {
    a->count = 0;
    a->most_inflight = 0;
}

void adaptive_open(struct adaptive *a, int64_t ceiling) {
    *a = (struct adaptive){.limit = ADAPTIVE_START, .threshold = FLOOR, .answered = true};
    // The first to answer are the quick ones, and would make a baseline that
    // nothing comes near afterwards.
    a->skip = ADAPTIVE_START;
    adaptive_set_ceiling(a, ceiling);
}

void adaptive_set_ceiling(struct adaptive *a, int64_t ceiling) {
    a->ceiling = ceiling > 0 ? (double)ceiling : NO_CEILING;
    a->limit = least(a->limit, a->ceiling);
}

int64_t adaptive_limit(const struct adaptive *a) {
    return (int64_t)a->limit;
}

// ------------------------------------------------------------------- changes

static void decrease(struct adaptive *a, double to, uint64_t now_ms) {
    a->limit = most(to, FLOOR);
    a->decreased_ms = now_ms;
    a->skip = (unsigned)a->limit; // about a round
    begin_window(a);
}

static void increase(struct adaptive *a) {
    a->limit += a->limit < a->threshold ? 1 : least(1 / a->limit, MOST_STEP);
    a->limit = least(a->limit, a->ceiling);
}

void adaptive_overload(struct adaptive *a, const struct adaptive_answer *answer) {
    if (answer->sent_ms <= a->decreased_ms)
        return;
    // A limit far above what is in flight would take many refusals until it is felt;
    // but a lull just now does not mean that the few were too many.
    double inflight = most(least((double)answer->inflight, a->limit), a->limit / 2);
    decrease(a, inflight * OVERLOAD_FACTOR, answer->now_ms);
    // During an outage the limit goes to the floor, and the threshold stays where
    // things were well (as for a repeated timeout in RFC 5681, section 3.1).
    if (a->answered)
        a->threshold = a->limit;
    a->answered = false;
    a->slow_windows = 0;
}

// ------------------------------------------------------------------- latency

static void insert(struct adaptive *a, double latency) {
    unsigned at = a->count++;
    while (at > 0 && a->window[at - 1] > latency)
        at--;
    memmove(a->window + at + 1, a->window + at, (a->count - 1 - at) * sizeof *a->window);
    a->window[at] = latency;
}

static void approach(struct adaptive *a, double median, double part) {
    a->baseline += part * (median - a->baseline);
}

// When the decreases have not helped the load is not the reason, and the baseline
// follows, step by step.
static void follow_if_in_vain(struct adaptive *a, double median) {
    if (a->slow_windows > WARNINGS + PATIENCE && median > HELPED * a->slow_median) {
        approach(a, median, FOLLOW);
    } else if (a->slow_windows == WARNINGS + 1 || a->slow_windows > WARNINGS + PATIENCE) {
        a->slow_windows = WARNINGS + 1;
        a->slow_median = median;
    }
}

static void judge_window(struct adaptive *a, uint64_t now_ms) {
    double median = a->window[ADAPTIVE_WINDOW / 2];
    bool busy = (double)a->most_inflight >= a->limit / 2;
    begin_window(a);
    if (a->baseline <= 0)
        a->baseline = median;
    bool slow = busy && median > TOLERANCE * a->baseline;
    a->slow_windows = slow ? a->slow_windows + 1 : 0;
    if (median < a->baseline)
        approach(a, median, FALL);
    if (!busy && median > a->baseline) // not of our making
        approach(a, median, RISE);
    if (a->slow_windows <= WARNINGS)
        return;
    decrease(a, a->limit * SLOW_FACTOR, now_ms);
    a->threshold = a->limit;
    follow_if_in_vain(a, median);
}

void adaptive_good(struct adaptive *a, const struct adaptive_answer *answer) {
    if (answer->sent_ms > a->decreased_ms) {
        a->answered = true;
        bool reached = answer->inflight >= adaptive_limit(a);
        if (reached && a->slow_windows <= WARNINGS)
            increase(a);
    }
    if (answer->inflight > a->most_inflight)
        a->most_inflight = answer->inflight;
    if (a->skip > 0) {
        a->skip--;
        return;
    }
    uint64_t latency = answer->now_ms > answer->sent_ms ? answer->now_ms - answer->sent_ms : 0;
    insert(a, (double)latency + SLACK_MS);
    if (a->count == ADAPTIVE_WINDOW)
        judge_window(a, answer->now_ms);
}
