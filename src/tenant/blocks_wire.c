// Orders to block and to unblock as they lie in a shared store: by name ("k" and a key's
// digest in hex, or "t" and a tenant), "AT BLOCKED LENGTH LENGTH\n", then the tenant and
// who did it, in so many bytes, and the reason. And what blocks.lua answers. Bytes in,
// orders out.
#include "blocks_room.h"

void blocks_put_name(struct buffer *out, const struct key_block *block) {
    char hex[2 * DIGEST_LEN + 1];
    if (block->digest == NULL) {
        buffer_append_char(out, 't');
        buffer_append(out, block->tenant);
        return;
    }
    digest_hex(block->digest, DIGEST_LEN, hex);
    buffer_append_char(out, 'k');
    buffer_append(out, slice_of(hex));
}

void blocks_put_order(struct buffer *out, const struct key_block *block) {
    buffer_printf(out, "%lld %d %zu %zu\n", (long long)block->at_ms, block->blocked,
                  block->tenant.len, block->who.len);
    buffer_append(out, block->tenant);
    buffer_append(out, block->who);
    buffer_append(out, block->reason);
}

// A number that ends with this byte.
static bool read_number(struct slice *rest, char end, uint64_t *out) {
    return slice_split_u64(rest, end, out) && rest->ptr != NULL;
}

static bool read_name(struct slice name, struct key_block *out, uint8_t digest[DIGEST_LEN]) {
    struct slice of = slice_from(name, 1);
    out->digest = NULL;
    if (slice_starts_with(name, SLICE("k"))) {
        out->digest = digest;
        return of.len == 2 * DIGEST_LEN && digest_unhex(of, digest, DIGEST_LEN);
    }
    out->tenant = of;
    return slice_starts_with(name, SLICE("t")) && of.len > 0 && of.len <= KEY_BLOCK_TEXT_MAX;
}

// After the name: of a tenant that is blocked the name says which.
static bool read_order(struct slice order, struct key_block *out) {
    uint64_t at, blocked, tenant_len, who_len;
    struct slice tenant;
    if (!read_number(&order, ' ', &at) || !read_number(&order, ' ', &blocked) ||
        !read_number(&order, ' ', &tenant_len) || !read_number(&order, '\n', &who_len) ||
        !slice_take(&order, tenant_len, &tenant) || !slice_take(&order, who_len, &out->who))
        return false;
    if (out->digest != NULL)
        out->tenant = tenant;
    out->reason = order;
    out->at_ms = (int64_t)at;
    out->blocked = blocked != 0;
    return at > 0 && at <= BLOCKS_AT_MAX && blocked <= 1 && tenant.len <= KEY_BLOCK_TEXT_MAX &&
           out->who.len <= KEY_BLOCK_TEXT_MAX && out->reason.len <= KEY_BLOCK_TEXT_MAX;
}

bool blocks_answer_read(struct slice text, struct blocks_answer *out) {
    struct slice id;
    uint64_t more;
    *out = (struct blocks_answer){.from = 0};
    if (!slice_split(&text, ' ', &id) || id.len == 0 || id.len > BLOCKS_ID_MAX ||
        memchr(id.ptr, '\0', id.len) != NULL || !read_number(&text, ' ', &out->from) ||
        !read_number(&text, ' ', &out->to) || !read_number(&text, '\n', &more) || more > 1)
        return false;
    memcpy(out->id, id.ptr, id.len);
    out->more = more == 1;
    out->rest = text;
    return out->to >= out->from && (!out->more || out->to > out->from);
}

bool blocks_answer_next(struct blocks_answer *a, struct key_block *out,
                        uint8_t digest[DIGEST_LEN]) {
    uint64_t name_len, order_len;
    struct slice name, order;
    while (a->rest.len > 0 && read_number(&a->rest, ' ', &name_len) &&
           read_number(&a->rest, '\n', &order_len) && slice_take(&a->rest, name_len, &name) &&
           slice_take(&a->rest, order_len, &order)) {
        *out = (struct key_block){.digest = NULL};
        if (read_name(name, out, digest) && read_order(order, out))
            return true;
    }
    a->rest = SLICE_NONE;
    return false;
}
