// What other instances say, and what the scripts answer: taken whole or not at all,
// and nothing of it lies outside of what came.
#include "../check.h"
#include "share_wire.h"

static const struct cache_key key = {{1, 2, 3}};

static bool is_within(struct slice part, struct slice whole) {
    return part.len == 0 ||
           (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_claim(struct slice input) {
    struct share_claim c;
    if (!share_wire_claim(input, &c))
        return;
    CHECK(is_within(c.token, input) && is_within(c.result, input));
    CHECK(c.kind != SHARE_CLAIM_THEIRS || (c.token.len == SHARE_TOKEN_LEN && c.term_ms >= 0));
}

static void check_stream(struct slice input) {
    struct share_stream s;
    if (!share_wire_stream(input, &s))
        return;
    CHECK(is_within(s.head, input) && is_within(s.bytes, input));
    CHECK(s.head.len + s.bytes.len < input.len);
}

static void check_message(struct slice input) {
    struct share_message m;
    if (!share_wire_message(input, &m))
        return;
    CHECK(m.token.len == SHARE_TOKEN_LEN && m.name.len <= SHARE_NAME_MAX);
    CHECK(is_within(m.token, input) && is_within(m.name, input));
    CHECK(1 + m.token.len + (m.kind == 'f') + m.name.len == input.len);
}

static void check_others(struct slice input) {
    char standing;
    struct cache_key purchase = key;
    enum flight_end end;
    if (share_wire_hold(input, &standing, &purchase))
        CHECK(standing >= '0' && standing <= '2');
    struct cache_entry *e = share_wire_result(input, &key, &end);
    if (e != NULL)
        cache_entry_release(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice input = slice_make(data, size);
    check_claim(input);
    check_stream(input);
    check_message(input);
    check_others(input);
    return 0;
}
