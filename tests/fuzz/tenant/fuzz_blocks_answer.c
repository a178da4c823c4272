// What a shared store says of blocks, from any bytes: never a crash, what passes is within
// what can be kept, and is what was written.
#include <stdlib.h>

#include "blocks_room.h"

static void check(bool so) {
    if (!so)
        abort();
}

static void check_bounds(const struct key_block *b) {
    check(b->at_ms > 0 && b->at_ms <= BLOCKS_AT_MAX);
    check(b->digest != NULL || b->tenant.len > 0);
    check(b->tenant.len <= KEY_BLOCK_TEXT_MAX && b->who.len <= KEY_BLOCK_TEXT_MAX &&
          b->reason.len <= KEY_BLOCK_TEXT_MAX);
}

static void check_read_again(const struct key_block *b) {
    struct buffer name = {0}, order = {0}, text = {0};
    struct blocks_answer a;
    struct key_block again;
    uint8_t digest[DIGEST_LEN];
    blocks_put_name(&name, b);
    blocks_put_order(&order, b);
    buffer_printf(&text, "x 0 1 0\n%zu %zu\n", name.len, order.len);
    buffer_append(&text, buffer_slice(&name));
    buffer_append(&text, buffer_slice(&order));
    check(blocks_answer_read(buffer_slice(&text), &a) && blocks_answer_next(&a, &again, digest));
    check((b->digest == NULL) == (again.digest == NULL) && b->blocked == again.blocked);
    check(b->digest == NULL || digest_equal(b->digest, again.digest, DIGEST_LEN));
    check(b->at_ms == again.at_ms && slice_equal(b->tenant, again.tenant));
    check(slice_equal(b->who, again.who) && slice_equal(b->reason, again.reason));
    buffer_free(&name);
    buffer_free(&order);
    buffer_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct blocks_answer a;
    struct key_block block;
    uint8_t digest[DIGEST_LEN];
    if (!blocks_answer_read(slice_make(data, size), &a))
        return 0;
    check(a.to >= a.from && (!a.more || a.to > a.from));
    while (blocks_answer_next(&a, &block, digest)) {
        check_bounds(&block);
        check_read_again(&block);
    }
    return 0;
}
