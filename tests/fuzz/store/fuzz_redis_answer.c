// Answers to what is asked besides values: whatever is read out of them lies
// within them, and is in its bounds.
#include <stdlib.h>

#include "redis_answer.h"

static void check_within(struct slice part, struct slice whole) {
    if (part.len > 0 && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice bytes = slice_make(data, size);
    int64_t us = 0;
    unsigned instances = 0;
    struct slice server = redis_answer_server(bytes);
    check_within(server, bytes);
    check_within(redis_answer_error(bytes), bytes);
    if (server.len > 64 || slice_find_char(server, '\n') >= 0)
        abort();
    if (redis_answer_beat(bytes, &us, &instances) &&
        (us <= 0 || us > INT64_C(1) << 53 || instances == 0))
        abort();
    return 0;
}
