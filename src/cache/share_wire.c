// See share_wire.h. The scripts beside this file write what is read here.
#include "share_wire.h"

#include "entry.h"

enum { TERM_MS_MAX = 60 * 60 * 1000 };

bool share_wire_claim(struct slice answer, struct share_claim *out) {
    struct slice kind, rest = answer;
    *out = (struct share_claim){0};
    if (!slice_take(&rest, 1, &kind))
        return false;
    switch (kind.ptr[0]) {
    case SHARE_CLAIM_OURS:
    case SHARE_CLAIM_NOBODYS:
        out->kind = (enum share_claim_kind)kind.ptr[0];
        return rest.len == 0;
    case SHARE_CLAIM_RESULT:
        out->kind = SHARE_CLAIM_RESULT;
        out->result = rest;
        return true;
    case SHARE_CLAIM_THEIRS:
        out->kind = SHARE_CLAIM_THEIRS;
        out->token = rest;
        return slice_split_i64(&out->token, ' ', &out->term_ms) && out->term_ms >= 0 &&
               out->term_ms <= TERM_MS_MAX && out->token.len == SHARE_TOKEN_LEN;
    default:
        return false;
    }
}

void share_wire_put_result(enum flight_end end, const struct cache_key *key,
                           const struct cache_answer *answer, struct buffer *out) {
    buffer_append_char(out, end == FLIGHT_DONE ? 'D' : 'R');
    entry_encode(key, answer, out);
}

struct cache_entry *share_wire_result(struct slice bytes, const struct cache_key *key,
                                      enum flight_end *end) {
    struct slice kind;
    if (!slice_take(&bytes, 1, &kind) || (kind.ptr[0] != 'D' && kind.ptr[0] != 'R'))
        return NULL;
    *end = kind.ptr[0] == 'D' ? FLIGHT_DONE : FLIGHT_REFUSED;
    return entry_decode(key, bytes);
}

bool share_wire_stream(struct slice answer, struct share_stream *out) {
    struct slice line, flag, rest = answer;
    uint64_t head_len;
    *out = (struct share_stream){0};
    if (!slice_split(&rest, '\n', &line) || rest.ptr == NULL || !slice_split(&line, ' ', &flag) ||
        flag.len != 1 || memchr("+>10!-", flag.ptr[0], 6) == NULL ||
        !slice_split_u64(&line, ' ', &out->number) || !slice_to_u64(line, &head_len) ||
        !slice_take(&rest, head_len, &out->head))
        return false;
    out->flag = (enum share_stream_flag)flag.ptr[0];
    out->bytes = rest;
    return true;
}

bool share_wire_hold(struct slice answer, char *standing, struct cache_key *purchase) {
    if (answer.len == 0 || answer.ptr[0] < '0' || answer.ptr[0] > '2')
        return false;
    *standing = answer.ptr[0];
    if (*standing != '2')
        return answer.len == 1;
    if (answer.len != 1 + sizeof purchase->bytes)
        return false;
    memcpy(purchase->bytes, answer.ptr + 1, sizeof purchase->bytes);
    return true;
}

bool share_wire_message(struct slice message, struct share_message *out) {
    struct slice kind, wish, rest = message;
    *out = (struct share_message){0};
    if (!slice_take(&rest, 1, &kind) || !slice_take(&rest, SHARE_TOKEN_LEN, &out->token))
        return false;
    out->kind = kind.ptr[0];
    if (out->kind == 'm' || out->kind == 'e')
        return rest.len == 0;
    if (out->kind == 'f') {
        if (!slice_take(&rest, 1, &wish) || (wish.ptr[0] != 's' && wish.ptr[0] != 'w'))
            return false;
        out->streams = wish.ptr[0] == 's';
    } else if (out->kind != 'u') {
        return false;
    }
    out->name = rest;
    return rest.len > 0 && rest.len <= SHARE_NAME_MAX;
}
