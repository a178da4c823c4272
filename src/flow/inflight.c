// What runs now, for an operator's eyes: one JSON object for each exchange of
// this loop, without a word of what was asked or answered.
#include "exchange.h"

static const char *state_name(enum exchange_state state) {
    static const char *const names[EXCHANGE_STATE_COUNT] = {
        [EXCHANGE_OPENING] = "opening",     [EXCHANGE_QUEUED] = "queued",
        [EXCHANGE_RECALLING] = "recalling", [EXCHANGE_FOLLOWING] = "following",
        [EXCHANGE_RESERVING] = "reserving", [EXCHANGE_BUYING] = "buying",
        [EXCHANGE_PAUSING] = "pausing",     [EXCHANGE_STREAMING] = "streaming",
        [EXCHANGE_CLASSIFYING] = "classifying", [EXCHANGE_SETTLED] = "settled",
    };
    return names[state];
}

static void put_text(struct json_writer *w, const char *name, struct slice text) {
    json_key(w, slice_of(name));
    if (text.len > 0)
        json_put_string(w, text);
    else
        json_put_null(w);
}

static void put_number(struct json_writer *w, const char *name, int64_t value) {
    json_key(w, slice_of(name));
    json_put_i64(w, value);
}

static void put_exchange(struct json_writer *w, const struct exchange *x) {
    char text[MONEY_TEXT_MAX];
    const struct attributes *a = &x->attributes;
    json_object_begin(w);
    put_text(w, "id", x->id);
    put_text(w, "tenant", x->tenant != NULL ? x->tenant->name : SLICE_NONE);
    put_text(w, "feature", a->feature);
    put_text(w, "user", a->user);
    put_text(w, "run", a->run);
    put_text(w, "route", x->route != NULL ? x->route->name : SLICE_NONE);
    put_text(w, "model", x->candidate_count > 0 ? x->candidates[x->candidate].name
                                                : x->requested_model);
    put_text(w, "endpoint", slice_of(api_endpoint_name(x->endpoint)));
    put_text(w, "state", slice_of(state_name(x->state)));
    json_key(w, SLICE("stream"));
    json_put_bool(w, x->stream);
    json_key(w, SLICE("client_gone"));
    json_put_bool(w, x->request == NULL);
    put_number(w, "age_ms", (int64_t)((clock_mono_ns() - x->started_ns) / 1000000));
    put_number(w, "attempts", (int64_t)x->attempt_count + (x->attempt != NULL));
    json_key(w, SLICE("reserved_usd"));
    bool holds = x->reservation.state == BUDGET_HELD || x->reservation.state == BUDGET_WAITING;
    json_put_string(w, slice_make(text, money_format((struct money){holds ? x->reserved : 0}, text)));
    json_object_end(w);
}

void flow_write_inflight(struct flow *f, struct buffer *out) {
    struct json_writer w;
    json_write_start(&w, out);
    json_array_begin(&w);
    for (const struct exchange *x = f->exchanges; x != NULL; x = x->next)
        put_exchange(&w, x);
    json_array_end(&w);
}
