// How many requests a provider bears at once, learned from its answers.
//
// Additive increase, multiplicative decrease, as TCP does it (RFC 5681; the
// gentler factor and its reason from CUBIC, RFC 9438 section 4.6), with the
// latency as a second sign, as TCP Vegas and the Gradient2 limit of Netflix's
// concurrency-limits use it.
//
// - A good answer that came while the limit was reached adds 1 / limit, a tenth
//   at most: one more for each round. Below the threshold (where the last trouble began) it adds 1:
//   the limit doubles with each round until it is back where things were well.
// - An overload (429, 503, 529, no answer in time) takes the limit to 0.7 of what
//   was in flight. Halving would leave a quarter of a provider with a hard limit
//   unused on average, 0.7 leaves 15 %, for one refusal in 0.3 limits' worth of
//   rounds. What was sent before that says nothing about the new limit and is not
//   counted: one decrease for a round trip, however many refusals it brings.
// - Two medians in a row of ADAPTIVE_WINDOW latencies to the first byte, each more
//   than twice the baseline while at least half the limit was in use, take it to
//   0.85; and so does each more that follows.
//
// Latencies of LLMs differ by a factor of ten with the prompt, so single ones
// say nothing. The median of a hundred strays by an eighth even so; it doubles
// only when the provider is slower or the prompts are others. Which of the two it
// is the provider tells: when four decreases have not helped, the load is not the
// reason, and the baseline follows. It falls a tenth of the way to each lower
// median, and does not rise while the limit is in use and the latency bearable:
// else it would creep up with the latency that the limit itself makes.
//
// Arithmetic alone: no clock, no lock, no input or output.
#ifndef FARTHING_UPSTREAM_ADAPTIVE_H
#define FARTHING_UPSTREAM_ADAPTIVE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ADAPTIVE_START = 20, // bearable for the smallest of accounts; 7 rounds of refusals from 1
    ADAPTIVE_WINDOW = 100,
};

struct adaptive {
    double limit;     // its whole part is in force
    double threshold; // below it the limit grows quickly
    double ceiling;
    uint64_t decreased_ms; // the last time; 0: never
    bool answered;         // a good answer to what was sent after that

    // Latencies, with a little added: see SLACK_MS.
    double baseline; // 0: not known yet
    double window[ADAPTIVE_WINDOW]; // ascending
    unsigned count;
    unsigned skip;         // answers that still belong to another limit
    int64_t most_inflight; // seen in this window
    unsigned slow_windows; // one after the other
    double slow_median;    // when the decreases began
};

struct adaptive_answer {
    uint64_t sent_ms, now_ms; // on any one clock that does not go back, above 0
    int64_t inflight;         // now, with this one
};

// ceiling: the limit is never above it; 0: none.
void adaptive_open(struct adaptive *a, int64_t ceiling);
void adaptive_set_ceiling(struct adaptive *a, int64_t ceiling);
int64_t adaptive_limit(const struct adaptive *a); // at least 1
void adaptive_good(struct adaptive *a, const struct adaptive_answer *answer);
void adaptive_overload(struct adaptive *a, const struct adaptive_answer *answer);

#endif
