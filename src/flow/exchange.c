// The story of one request, and the life of the exchange that tells it.
//
// Opening runs from receive to admit, which may wait; then comes recall, which
// may wait too; buying runs from plan to dispatch, and comes back at judge when the attempt is over. Whatever way an
// exchange ends, settle and record run exactly once (station_record sees to
// it), and the memory goes when both the reply and the purchase are over.
#include "exchange.h"

#include <stdio.h>

typedef bool station(struct exchange *x);

static station *const opening[] = {
    station_receive,   // well-formed, within limits?
    station_identify,  // who is asking?
    station_normalize, // what is asked, in canonical form?
    station_admit,     // may this tenant start one more now?
};

static station *const recalling[] = {
    station_step,   // may its run take one more step?
    station_recall, // have we this answer already?
};

static station *const joining[] = {
    station_join, // is it being bought right now?
};

static station *const buying[] = {
    station_classify, // how hard is it?
    station_plan,     // which models, with which caps and edits?
    station_reserve,  // can every budget bear the worst case?
    station_dispatch, // one attempt; judge, settle and record follow it
};

// True when none of them ended the exchange or waits.
static bool tell(struct exchange *x, station *const *stations, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!stations[i](x))
            return false;
    return true;
}

void exchange_resume_after_admit(struct exchange *x) {
    (void)tell(x, recalling, FARTHING_COUNT(recalling));
}

void exchange_resume_after_miss(struct exchange *x) {
    if (tell(x, joining, FARTHING_COUNT(joining)))
        exchange_resume_after_recall(x);
}

void exchange_resume_after_recall(struct exchange *x) {
    (void)tell(x, buying, FARTHING_COUNT(buying));
}

void exchange_go(struct exchange *x, enum exchange_state state) {
    x->flow->in_state[x->state]--;
    x->flow->in_state[state]++;
    x->state = state;
}

void exchange_enter(struct exchange *x) {
    x->entered_ns = clock_mono_ns();
}

void exchange_leave(struct exchange *x) {
    x->inside_ns += clock_mono_ns() - x->entered_ns;
    exchange_release(x);
}

static void free_resources(struct exchange *x) {
    vectors_leave(x);
    flow_give_doc(x->flow, x->doc);
    if (x->hit != NULL)
        cache_entry_release(x->hit);
    if (x->pause != NULL)
        event_free(x->pause);
    provider_stream_free(x->reader);
    provider_stream_free(x->observer);
    buffer_free(&x->answer);
    buffer_free(&x->held);
    buffer_free(&x->capped);
}

static void link_exchange(struct exchange *x) {
    struct flow *f = x->flow;
    x->next = f->exchanges;
    if (x->next != NULL)
        x->next->previous = x;
    f->exchanges = x;
}

static void unlink_exchange(struct exchange *x) {
    if (x->previous != NULL)
        x->previous->next = x->next;
    else
        x->flow->exchanges = x->next;
    if (x->next != NULL)
        x->next->previous = x->previous;
}

void exchange_wait(struct exchange *x, int64_t ms, event_callback_fn then) {
    const struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    if (x->pause != NULL)
        event_free(x->pause);
    x->pause = evtimer_new(x->flow->loop, then, x);
    evtimer_add(x->pause, &pause);
}

void exchange_shut_down_all(struct flow *f) {
    for (struct exchange *x = f->exchanges, *next; x != NULL; x = next) {
        next = x->next; // only this one goes, and not before its client has its answer
        if (x->request == NULL || x->state == EXCHANGE_SETTLED)
            continue;
        exchange_enter(x);
        x->ended_by = ENDED_BY_SHUTDOWN;
        if (x->reply_begun) {
            x->reply_status = x->status;
            stream_shut_down(x);
        } else {
            dispatch_cancel(x, SLICE("cancelled"));
            (void)exchange_refuse(x, API_ERROR_SHUTTING_DOWN, SLICE_NONE,
                                  "This proxy is shutting down; try again.");
        }
        exchange_leave(x);
    }
}

void exchange_end_all(struct flow *f) {
    while (f->exchanges != NULL) {
        struct exchange *x = f->exchanges;
        exchange_enter(x);
        x->ended_by = ENDED_BY_SHUTDOWN;
        dispatch_client_gone(x);
        exchange_leave(x);
    }
}

void exchange_release(struct exchange *x) {
    if (x->request != NULL || x->state != EXCHANGE_SETTLED)
        return;
    struct flow *f = x->flow;
    if (x->inflight != NULL)
        metric_add(x->inflight, -1);
    (void)limits_pass_release(&x->pass);
    free_resources(x);
    f->in_state[x->state]--;
    f->running--;
    unlink_exchange(x);
    routing_unref(x->routing);
    config_unref(x->config);
    arena_free(x->arena);
}

// The reply is over, one way or the other.
static void on_reply_end(void *arg, enum http_end how) {
    struct exchange *x = arg;
    exchange_enter(x);
    input_keep_before_leaving(x);
    if (how == HTTP_END_SENT)
        shadow_follow(x);
    x->request = NULL;
    if (x->state != EXCHANGE_SETTLED) {
        if (how == HTTP_END_SHUTDOWN)
            x->ended_by = ENDED_BY_SHUTDOWN;
        dispatch_client_gone(x);
    }
    exchange_leave(x);
}

static const struct metric_family inflight_family = {
    "farthing_inflight", "Requests that are being served.", METRIC_GAUGE, {"tenant"}, NULL, 0, 0, 0};

void exchange_count_inflight(struct exchange *x) {
    x->inflight = metric_series(&inflight_family, &x->tenant->name);
    metric_add(x->inflight, 1);
}

static struct exchange *exchange_new(struct flow *f, struct http_request *request,
                                     const struct config *config, struct routing *routing) {
    struct arena *arena = arena_new(8 * 1024);
    struct exchange *x = arena_calloc(arena, sizeof *x);
    x->flow = f;
    x->request = request;
    x->arena = arena;
    x->config = config_ref(config);
    x->routing = routing_ref(routing);
    x->n = 1;
    x->raw_input = x->output_cap = CONFIG_UNSET;
    x->remaining = CONFIG_UNSET;
    x->started_ns = http_request_started_ns(request);
    x->started_wall_ms = clock_wall_ms();
    char id[RANDOM_ID_LEN + 1];
    random_id(id);
    x->id = arena_copy(arena, slice_make(id, RANDOM_ID_LEN));
    f->running++;
    link_exchange(x);
    f->in_state[EXCHANGE_OPENING]++;
    return x;
}

static void start(struct exchange *x) {
    http_request_on_end(x->request, on_reply_end, x);
    exchange_enter(x);
    if (tell(x, opening, FARTHING_COUNT(opening)))
        exchange_resume_after_admit(x);
    exchange_leave(x);
}

void exchange_start(struct flow *f, struct http_request *request) {
    start(exchange_new(f, request, f->config, f->routing));
}

void exchange_start_own(const struct exchange *beside, struct http_request *request,
                        const struct own_exchange *own) {
    struct exchange *x = exchange_new(beside->flow, request, beside->config, beside->routing);
    struct own_exchange *kept = arena_alloc(x->arena, sizeof *kept);
    *kept = *own;
    kept->of_request = arena_copy(x->arena, own->of_request);
    kept->of_feature = arena_copy(x->arena, own->of_feature);
    x->own = kept;
    start(x);
}

bool exchange_refuse(struct exchange *x, enum api_error error, struct slice param, const char *fmt,
                     ...) {
    char text[600];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t used = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;

    if (x->tenant == NULL && error != API_ERROR_INVALID_API_KEY)
        identify_for_the_row(x);
    x->error = error;
    if (x->reply_status == 0)
        x->reply_status = api_error_info(error)->status;
    station_settle(x);
    if (x->request != NULL) {
        struct api_header headers[REPLY_HEADERS_MAX];
        size_t count = reply_headers(x, headers);
        http_reply_error(x->request, error, x->reply_status, slice_make(text, used), param, headers,
                         count);
    }
    station_record(x);
    return false;
}
