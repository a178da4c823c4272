// What instances say to the shared store of their budgets: see budget_share.lua.
#include "budget_room.h"

static int64_t end_said(int64_t end_ms) {
    return end_ms < SHARE_FOREVER_MS ? end_ms : SHARE_FOREVER_MS;
}

static void put(struct buffer *out, int64_t value) {
    buffer_append_char(out, ' ');
    buffer_append_i64(out, value);
}

void budget_share_put_window(struct buffer *out, const struct share_window *w) {
    // A lease of which nothing was said is not looked for.
    bool said = w->said.spent_told > 0 || w->said.ceiling_told > 0;
    put(out, w->window.start_ms);
    buffer_append_char(out, ':');
    buffer_append_i64(out, end_said(w->window.end_ms));
    put(out, end_said(w->until_ms));
    put(out, w->spent);
    put(out, w->held);
    put(out, w->least);
    put(out, w->need);
    put(out, w->wanted);
    put(out, said ? (int64_t)w->said.told : 0);
    put(out, w->said.base);
    put(out, (int64_t)w->said.reset);
    put(out, w->said.total);
    put(out, w->said.open);
}

// Only what stands between the first braces says where a key lies; and where a name ends
// and a value begins is told by the colon.
static void put_name(struct buffer *out, struct slice name) {
    for (size_t i = 0; i < name.len; i++)
        if (memchr("{}%:", name.ptr[i], 4) != NULL)
            buffer_printf(out, "%%%02x", (unsigned)name.ptr[i]);
        else
            buffer_append_char(out, name.ptr[i]);
}

void budget_share_put_key(struct buffer *out, const struct budget_counter *c) {
    const struct budget *b = c->budget;
    BUFFER_LITERAL(out, "{t:");
    put_name(out, b->tenant->name);
    BUFFER_LITERAL(out, "}:budget:");
    buffer_append(out, budget_per_name(b->per));
    buffer_append_char(out, ':');
    put_name(out, b->name);
    if (b->by_value != NULL) {
        buffer_append_char(out, ':');
        buffer_append(out, c->value);
    }
}
