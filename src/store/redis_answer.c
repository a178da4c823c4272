// Small answers, read with the care that all bytes from outside get.
#include "redis_answer.h"

enum { SERVER_MAX = 64 }; // of a run_id; it has 40

bool redis_answer_beat(struct slice answer, int64_t *us, unsigned *instances) {
    const int64_t latest_us = INT64_C(1) << 53; // the year 2255; what is added later fits
    uint64_t count;
    if (!slice_split_i64(&answer, ' ', us) || *us <= 0 || *us > latest_us ||
        !slice_to_u64(answer, &count) || count > INT32_MAX)
        return false;
    *instances = count > 0 ? (unsigned)count : 1; // who asks is there
    return true;
}

struct slice redis_answer_server(struct slice info) {
    struct slice line, id = SLICE_NONE;
    while (slice_split(&info, '\n', &line))
        if (slice_starts_with(line, SLICE("run_id:")))
            id = slice_from(line, strlen("run_id:"));
    while (id.len > 0 && (id.ptr[id.len - 1] == '\r' || id.ptr[id.len - 1] == ' '))
        id.len--;
    return slice_make(id.ptr, id.len < SERVER_MAX ? id.len : SERVER_MAX);
}

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

// Redis 6.2 says what a script met in the midst of its own words: "ERR Error
// running script (call to f_...): @user_script:1: @user_script: 1: -OOM command
// not allowed". From Redis 7 on it is what is said.
struct slice redis_answer_error(struct slice error) {
    ptrdiff_t at;
    if (!slice_starts_with(error, SLICE("ERR Error running script")))
        return error;
    for (struct slice rest = error; (at = slice_find(rest, SLICE(": -"))) >= 0;) {
        rest = slice_from(rest, (size_t)at + 3);
        if (rest.len > 0 && is_upper(rest.ptr[0]))
            return rest;
    }
    return error;
}
