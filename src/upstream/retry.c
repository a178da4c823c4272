// Whether, and when, to try again: a plain function of what happened.
#include "farthing/upstream.h"

enum {
    // OpenAI's SDKs do not wait longer than this on a server's word either; a
    // client that is told to wait an hour wants to know, not to hang.
    RETRY_AFTER_MAX_MS = 60000,
};

static bool end_is_retryable(enum attempt_end end) {
    switch (end) {
    case ATTEMPT_CONNECT_FAILED:
    case ATTEMPT_CONNECT_TIMEOUT:
    case ATTEMPT_FIRST_BYTE_TIMEOUT:
    case ATTEMPT_IDLE_TIMEOUT:
    case ATTEMPT_SEND_FAILED:
    case ATTEMPT_RESET:
    case ATTEMPT_TRUNCATED:
        return true;
    case ATTEMPT_TLS_FAILED:    // a certificate does not get better by asking again
    case ATTEMPT_TOTAL_TIMEOUT: // the time is up
    case ATTEMPT_BAD_ANSWER:    // may have been billed, and will likely be the same
    case ATTEMPT_TOO_LARGE:
    case ATTEMPT_QUEUE_TIMEOUT:
    case ATTEMPT_BAD_REQUEST:
    case ATTEMPT_OK:
    case ATTEMPT_END_COUNT:
        break;
    }
    return false;
}

// As OpenAI's SDKs: 408, 409, 429 and 5xx, unless x-should-retry says.
static bool status_is_retryable(const struct retry_input *in) {
    if (slice_equal(in->should_retry, SLICE("true")))
        return true;
    if (slice_equal(in->should_retry, SLICE("false")))
        return false;
    return in->status == 408 || in->status == 409 || in->status == 429 || in->status >= 500;
}

static int month_of(struct slice name) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int m = 0; m < 12; m++)
        if (slice_equal(name, slice_make(months + m * 3, 3)))
            return m;
    return -1;
}

// IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7), as Unix ms; -1
// for anything else, the two obsolete spellings too: then our own backoff holds.
static int64_t http_date_ms(struct slice s) {
    uint64_t day, year, hour, minute, second;
    if (s.len != 29 || !slice_ends_with(s, SLICE(" GMT")))
        return -1;
    int month = month_of(slice_make(s.ptr + 8, 3));
    if (month < 0 || !slice_to_u64(slice_make(s.ptr + 5, 2), &day) ||
        !slice_to_u64(slice_make(s.ptr + 12, 4), &year) ||
        !slice_to_u64(slice_make(s.ptr + 17, 2), &hour) ||
        !slice_to_u64(slice_make(s.ptr + 20, 2), &minute) ||
        !slice_to_u64(slice_make(s.ptr + 23, 2), &second))
        return -1;
    int64_t y = (int64_t)year - (month < 2);
    int64_t era = y / 400, yoe = y - era * 400, mp = (month + 10) % 12;
    int64_t days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * mp + 2) / 5 +
                   (int64_t)day - 1 - 719468;
    return ((days * 24 + (int64_t)hour) * 60 + (int64_t)minute) * 60000 + (int64_t)second * 1000;
}

// A decimal number times `scale` (1 or 1000): whole digits, and a fraction of
// which three digits count. False for anything else.
static bool decimal(struct slice s, int64_t scale, int64_t *out) {
    struct slice whole;
    uint64_t number = 0, thousandths = 0, ignored;
    struct slice fraction = s;
    if (s.len == 0 || !slice_split(&fraction, '.', &whole))
        return false;
    if (whole.len + fraction.len == 0 || (whole.len > 0 && !slice_to_u64(whole, &number)))
        return false;
    if (fraction.len > 0 && !slice_to_u64(fraction, &ignored))
        return false;
    for (size_t i = 0; i < 3; i++)
        thousandths = thousandths * 10 + (i < fraction.len ? (uint64_t)(fraction.ptr[i] - '0') : 0);
    if (number > INT32_MAX / 1000)
        number = INT32_MAX / 1000;
    *out = (int64_t)number * scale + (int64_t)thousandths * scale / 1000;
    return true;
}

// What the provider asks for, or 0. OpenAI's SDKs read both numbers as floats.
static int64_t asked_for_ms(const struct retry_input *in) {
    int64_t ms;
    if (decimal(in->retry_after_ms, 1, &ms) || decimal(in->retry_after, 1000, &ms))
        return ms;
    int64_t date = http_date_ms(in->retry_after);
    return date > in->now_wall_ms ? date - in->now_wall_ms : 0;
}

static int64_t backoff_ms(const struct retry_policy *policy, const struct retry_input *in) {
    int64_t most = policy->backoff_ms, max = policy->backoff_max_ms;
    for (unsigned i = 1; i < in->attempts_made && most < max; i++)
        most = most > max / 2 ? max : most * 2;
    if (most > max)
        most = max;
    // Full jitter: clients that failed together do not come back together.
    return most <= 0 ? 0 : (int64_t)(in->random % (uint64_t)(most + 1));
}

int64_t retry_decide(const struct retry_policy *policy, const struct retry_input *in) {
    if (in->body_started || in->attempts_made >= policy->attempts)
        return -1;
    bool retryable = in->end == ATTEMPT_OK ? status_is_retryable(in) : end_is_retryable(in->end);
    if (!retryable)
        return -1;
    int64_t wait = backoff_ms(policy, in), asked = asked_for_ms(in);
    if (asked > RETRY_AFTER_MAX_MS)
        return -1;
    if (asked > wait)
        wait = asked;
    return in->time_left_ms >= 0 && wait >= in->time_left_ms ? -1 : wait;
}
