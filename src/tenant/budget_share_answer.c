// What the shared store answers about budgets (budget_share.lua). It comes from outside,
// so reading it is total.
#include "budget_room.h"

static bool take_word(struct slice *rest, struct slice *word) {
    return slice_split(rest, ' ', word) && word->len > 0;
}

static bool take_i64(struct slice *rest, int64_t *out) {
    return slice_split_i64(rest, ' ', out);
}

static bool take_u64(struct slice *rest, uint64_t *out) {
    return slice_split_u64(rest, ' ', out);
}

static bool take_flag(struct slice *rest, bool *out) {
    uint64_t value;
    if (!take_u64(rest, &value) || value > 1)
        return false;
    *out = value == 1;
    return true;
}

static bool take_count(struct slice *rest, size_t most, size_t *out) {
    uint64_t value;
    if (!take_u64(rest, &value) || value > most)
        return false;
    *out = (size_t)value;
    return true;
}

static bool take_window(struct slice *rest, struct share_told_window *w) {
    return take_i64(rest, &w->ceiling) && take_i64(rest, &w->base) && take_u64(rest, &w->reset) &&
           take_i64(rest, &w->total) && take_i64(rest, &w->open) && w->ceiling >= 0 &&
           w->open >= 0 && w->reset <= INT64_MAX;
}

bool budget_share_parse(struct slice line, struct share_told *out) {
    struct slice rest = line;
    if (!take_flag(&rest, &out->frozen) || !take_flag(&rest, &out->holding) ||
        !take_i64(&rest, &out->extra) || !take_i64(&rest, &out->recovered) ||
        !take_i64(&rest, &out->spent) || !take_i64(&rest, &out->open) || out->recovered < 0 ||
        out->open < 0 || !take_count(&rest, SHARE_WINDOWS, &out->window_count))
        return false;
    for (size_t i = 0; i < out->window_count; i++)
        if (!take_window(&rest, &out->windows[i]))
            return false;
    if (!take_count(&rest, rest.len, &out->loss_count))
        return false;
    out->losses = rest;
    for (size_t i = 0; i < out->loss_count; i++) {
        struct share_loss loss;
        if (!budget_share_next_loss(&rest, &loss))
            return false;
    }
    return rest.len == 0;
}

bool budget_share_next_loss(struct slice *losses, struct share_loss *out) {
    struct slice id;
    ptrdiff_t colon;
    if (!take_word(losses, &id) || (colon = slice_find_char(id, ':')) < 0 ||
        !slice_to_i64(slice_make(id.ptr, (size_t)colon), &out->start_ms) ||
        !slice_to_i64(slice_from(id, (size_t)colon + 1), &out->end_ms) ||
        !take_i64(losses, &out->amount))
        return false;
    if (out->end_ms >= SHARE_FOREVER_MS)
        out->end_ms = INT64_MAX;
    return true;
}
