// Any text as routing.conf: it is accepted without a message, or refused with
// lines of the form FILE:LINE: message. The configuration is its operator's
// own, but a slip in it must end in words, not in a crash.
//
// Not reached: include() and file: (both read files, which a fuzzer must not
// choose), so texts with these words are passed over.
#include <stdlib.h>

#include "farthing/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_messages(struct slice messages) {
    struct slice line;
    while (slice_split(&messages, '\n', &line)) {
        if (line.len == 0 && messages.len == 0)
            return;
        uint64_t number;
        struct slice rest = slice_from(line, 2);
        ptrdiff_t colon = slice_find_char(rest, ':');
        if (!slice_starts_with(line, SLICE("f:")) || colon < 1 ||
            !slice_to_u64(slice_make(rest.ptr, (size_t)colon), &number) || number == 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice text = slice_make(data, size);
    if (slice_find(text, SLICE("include")) >= 0 || slice_find(text, SLICE("file:")) >= 0)
        return 0;
    struct buffer messages = {0};
    const struct config *config = config_load_text(text, "f", &messages);
    if ((config != NULL) != (messages.len == 0))
        abort();
    check_messages(buffer_slice(&messages));
    config_unref(config);
    buffer_free(&messages);
    return 0;
}
