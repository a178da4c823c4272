// What a shared store says of purges: whatever it says, the marks are bounded, the
// numbers only rise, and an answer that was born after all of them is there.
#include <stdlib.h>

#include "purges.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_make(data, size), part;
    struct purges *p = purges_new(NULL);
    struct cache_key key = {{1, 2, 3}};
    struct cache_answer answer = {.birth = {UINT64_MAX, UINT64_MAX}, .tags = {1, 2, 3, 4, 5}};
    uint64_t latest = 0, before = 0;
    while (slice_split(&input, '\0', &part)) { // several, one after the other
        bool learned = purges_learn(p, part, 0, &latest);
        if (purges_seen(p) < before || purges_seen(p) > PURGES_NUMBER_MAX ||
             (learned && purges_seen(p) < latest))
            abort();
        before = purges_seen(p);
    }
    struct cache_purges_view view;
    purges_view(p, &view);
    if (view.marks < 0 || view.marks > PURGES_MARKS_MAX || view.untold != 0)
        abort();
    if (!purges_allow(p, &key, &answer))
        abort();
    purges_free(p);
    return 0;
}
