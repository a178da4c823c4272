// Values as a shared Redis may hold them: of ours, of others', of an attacker
// who can write there. What is taken for good, written again, is the same value;
// nothing is larger than allowed.
#include <stdlib.h>

#include "redis_value.h"

enum { MAX = 100000, NOW = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct redis_codec *codec;
    if (codec == NULL)
        codec = redis_codec_new(); // once, as in the program
    struct buffer value = {0}, stored = {0}, again = {0};
    int64_t expires_ms, expires_again_ms;
    enum redis_value_verdict verdict =
        redis_value_decode(codec, slice_make(data, size), MAX, NOW, &value, &expires_ms);
    if (value.len > MAX || (verdict != REDIS_VALUE_GOOD && value.len > 0))
        abort();
    if (verdict == REDIS_VALUE_GOOD) {
        redis_value_encode(codec, buffer_slice(&value), expires_ms, &stored);
        if (redis_value_decode(codec, buffer_slice(&stored), MAX, NOW, &again, &expires_again_ms) !=
                REDIS_VALUE_GOOD ||
            !slice_equal(buffer_slice(&value), buffer_slice(&again)) ||
            expires_ms != expires_again_ms)
            abort();
    }
    buffer_free(&value);
    buffer_free(&stored);
    buffer_free(&again);
    return 0;
}
