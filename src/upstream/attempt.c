// Attempts: their places among max_inflight, their timeouts, their ends.
#include <stdlib.h>

#include "attempt.h"

const char *attempt_end_name(enum attempt_end end) {
    static const char *const names[ATTEMPT_END_COUNT] = {
        [ATTEMPT_OK] = "ok",
        [ATTEMPT_CONNECT_FAILED] = "connect_failed",
        [ATTEMPT_TLS_FAILED] = "tls_failed",
        [ATTEMPT_CONNECT_TIMEOUT] = "connect_timeout",
        [ATTEMPT_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
        [ATTEMPT_IDLE_TIMEOUT] = "idle_timeout",
        [ATTEMPT_TOTAL_TIMEOUT] = "total_timeout",
        [ATTEMPT_SEND_FAILED] = "send_failed",
        [ATTEMPT_RESET] = "reset",
        [ATTEMPT_TRUNCATED] = "truncated",
        [ATTEMPT_BAD_ANSWER] = "bad_answer",
        [ATTEMPT_TOO_LARGE] = "too_large",
        [ATTEMPT_QUEUE_TIMEOUT] = "queue_timeout",
    };
    return names[end];
}

void list_append(struct list *l, struct attempt *a) {
    a->next = NULL;
    a->previous = l->last;
    if (l->last != NULL)
        l->last->next = a;
    else
        l->first = a;
    l->last = a;
}

void list_remove(struct list *l, struct attempt *a) {
    if (a->previous != NULL)
        a->previous->next = a->next;
    else
        l->first = a->next;
    if (a->next != NULL)
        a->next->previous = a->previous;
    else
        l->last = a->previous;
    a->next = a->previous = NULL;
}

// ------------------------------------------------------------------- starting

// The nodes come from the arena: libcurl only reads them.
static void add_line(struct attempt *a, struct curl_slist **last, struct slice line) {
    struct curl_slist *node = arena_alloc(a->arena, sizeof *node);
    node->data = (char *)(uintptr_t)line.ptr;
    node->next = NULL;
    if (*last != NULL)
        (*last)->next = node;
    else
        a->headers = node;
    *last = node;
}

static void copy_headers(struct attempt *a, const struct attempt_request *r) {
    struct curl_slist *last = NULL;
    bool has_type = false, has_accept = false, has_agent = false;
    for (size_t i = 0; i < r->header_count; i++) {
        struct api_header h = r->headers[i];
        has_type = has_type || slice_equal_nocase(h.name, SLICE("content-type"));
        has_accept = has_accept || slice_equal_nocase(h.name, SLICE("accept"));
        has_agent = has_agent || slice_equal_nocase(h.name, SLICE("user-agent"));
        // libcurl sends a field without value when it ends in a semicolon.
        add_line(a, &last,
                 h.value.len > 0 ? arena_printf(a->arena, "%.*s: %.*s", SLICE_ARG(h.name),
                                                SLICE_ARG(h.value))
                                 : arena_printf(a->arena, "%.*s;", SLICE_ARG(h.name)));
    }
    // What libcurl would add by itself.
    add_line(a, &last, SLICE("Expect:"));
    if (!has_type)
        add_line(a, &last, SLICE("Content-Type:"));
    if (!has_accept)
        add_line(a, &last, SLICE("Accept: */*"));
    if (!has_agent)
        add_line(a, &last, SLICE("User-Agent: farthing/" FARTHING_VERSION));
}

static bool take_place(struct attempt *a) {
    int64_t now = atomic_load(&a->slot->inflight);
    do {
        if (a->max_inflight > 0 && now >= a->max_inflight)
            return false;
    } while (!atomic_compare_exchange_weak(&a->slot->inflight, &now, now + 1));
    a->holds_slot = true;
    return true;
}

static void give_place_back(struct attempt *a) {
    if (!a->holds_slot)
        return;
    a->holds_slot = false;
    atomic_fetch_sub(&a->slot->inflight, 1);
    upstream_room(a->upstream);
}

static void stop_waiting(struct attempt *a) {
    list_remove(&a->upstream->waiting, a);
    atomic_fetch_sub(&a->upstream->waiting_count, 1);
}

struct attempt *attempt_start(struct upstream *u, const struct attempt_request *request,
                              const struct attempt_events *events, void *arg) {
    struct arena *arena = arena_new(2048);
    struct attempt *a = arena_calloc(arena, sizeof *a);
    a->arena = arena;
    a->upstream = u;
    a->events = events;
    a->arg = arg;
    a->target = *request->target;
    a->target.ca_file = arena_copy(arena, a->target.ca_file);
    a->slot = upstream_slot(u, request->target->name);
    a->method = arena_copy(arena, request->method);
    a->url = arena_printf(arena, "%.*s%.*s", SLICE_ARG(request->target->base_url),
                          SLICE_ARG(request->path));
    a->body = request->body;
    a->max_body_bytes = request->max_body_bytes;
    a->deadline_ms = request->deadline_ms;
    a->max_inflight = request->target->max_inflight;
    a->started_ms = clock_mono_ms();
    copy_headers(a, request);
    // Whoever waits already goes first.
    if (u->waiting.first == NULL && take_place(a)) {
        transfer_start(a);
    } else {
        a->state = ATTEMPT_WAITING;
        list_append(&u->waiting, a);
        atomic_fetch_add(&u->waiting_count, 1);
        upstream_start_sweep(u);
        upstream_kick(u);
    }
    return a;
}

// Places may have become free: who waits longest for a target goes first, and
// does not hold up those who wait for another.
void attempt_admit_waiting(struct upstream *u) {
    for (struct attempt *a = u->waiting.first, *next; a != NULL; a = next) {
        next = a->next;
        if (!take_place(a))
            continue;
        stop_waiting(a);
        transfer_start(a);
    }
}

// --------------------------------------------------------------------- ending

void attempt_end_with(struct attempt *a, enum attempt_end end) {
    struct upstream *u = a->upstream;
    a->end = end;
    if (a->state == ATTEMPT_WAITING)
        stop_waiting(a);
    else if (a->state == ATTEMPT_RUNNING)
        list_remove(&u->running, a);
    a->state = ATTEMPT_ENDING;
    list_append(&u->ending, a);
    upstream_kick(u);
}

static void destroy(struct attempt *a) {
    transfer_stop(a);
    give_place_back(a);
    arena_free(a->arena);
}

static bool request_was_sent(const struct attempt *a) {
    long bytes = 0;
    if (a->handle != NULL)
        curl_easy_getinfo(a->handle->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
}

static bool connection_was_reused(const struct attempt *a) {
    long connects = 1;
    if (a->handle != NULL)
        curl_easy_getinfo(a->handle->easy, CURLINFO_NUM_CONNECTS, &connects);
    return connects == 0;
}

void attempt_report(struct attempt *a) {
    uint64_t now = clock_mono_ms();
    struct attempt_result result = {
        .end = a->end,
        .status = a->head_done ? a->status : 0,
        .detail = slice_of(a->error),
        .latency_ms = (int64_t)(now - a->started_ms),
        .first_byte_ms = a->head_ms > 0 ? (int64_t)(a->head_ms - a->started_ms) : -1,
        .queue_ms = (int64_t)((a->running_ms > 0 ? a->running_ms : now) - a->started_ms),
        .sent = request_was_sent(a),
        .reused = connection_was_reused(a),
        .body_bytes = a->body_bytes,
    };
    const struct attempt_events *events = a->events;
    void *arg = a->arg;
    list_remove(&a->upstream->ending, a);
    // The place is free before the caller starts its next attempt.
    transfer_stop(a);
    give_place_back(a);
    events->on_done(arg, &result);
    arena_free(a->arena);
}

void attempt_cancel(struct attempt *a) {
    struct upstream *u = a->upstream;
    switch (a->state) {
    case ATTEMPT_WAITING:
        stop_waiting(a);
        break;
    case ATTEMPT_RUNNING:
        a->cancelled = true;
        if (u->in_curl) { // perhaps in its own callback: libcurl must let go first
            list_remove(&u->running, a);
            a->state = ATTEMPT_DOOMED;
            list_append(&u->doomed, a);
            upstream_kick(u);
            return;
        }
        break;
    case ATTEMPT_ENDING:
        list_remove(&u->ending, a);
        break;
    case ATTEMPT_DOOMED:
        return;
    }
    destroy(a);
}

void attempt_destroy_doomed(struct upstream *u) {
    while (u->doomed.first != NULL) {
        struct attempt *a = u->doomed.first;
        list_remove(&u->doomed, a);
        destroy(a);
    }
}

void attempt_pause(struct attempt *a) {
    if (a->state != ATTEMPT_RUNNING || a->paused)
        return;
    a->paused = true;
    a->resume_wanted = false;
    curl_easy_pause(a->handle->easy, CURLPAUSE_RECV);
}

void attempt_resume(struct attempt *a) {
    if (a->state != ATTEMPT_RUNNING || !a->paused || a->resume_wanted)
        return;
    // From the loop: libcurl hands over what it holds at once.
    a->resume_wanted = true;
    upstream_kick(a->upstream);
}

// ------------------------------------------------------------------- timeouts

static bool past(uint64_t since_ms, int64_t timeout_ms, uint64_t now_ms) {
    return timeout_ms > 0 && now_ms >= since_ms + (uint64_t)timeout_ms;
}

// When the request began to be sent: the connect phase has its own timeout.
static uint64_t sending_since(const struct attempt *a) {
    curl_off_t us = 0;
    curl_easy_getinfo(a->handle->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
    return us > 0 ? a->running_ms + (uint64_t)us / 1000 : 0;
}

enum attempt_end attempt_overdue(const struct attempt *a, uint64_t now_ms) {
    const struct upstream_target *t = &a->target;
    if (a->deadline_ms > 0 && now_ms >= (uint64_t)a->deadline_ms)
        return ATTEMPT_TOTAL_TIMEOUT;
    if (a->state == ATTEMPT_WAITING)
        return past(a->started_ms, t->first_byte_timeout_ms, now_ms) ? ATTEMPT_QUEUE_TIMEOUT
                                                                     : ATTEMPT_OK;
    if (past(a->running_ms, t->total_timeout_ms, now_ms))
        return ATTEMPT_TOTAL_TIMEOUT;
    if (a->paused)
        return ATTEMPT_OK; // the client is slow, not the provider
    if (a->head_done)
        return past(a->progress_ms, t->idle_timeout_ms, now_ms) ? ATTEMPT_IDLE_TIMEOUT : ATTEMPT_OK;
    if (!past(a->running_ms, t->first_byte_timeout_ms, now_ms))
        return ATTEMPT_OK; // cheap, and nearly always so
    uint64_t since = sending_since(a);
    return since > 0 && past(since, t->first_byte_timeout_ms, now_ms) ? ATTEMPT_FIRST_BYTE_TIMEOUT
                                                                      : ATTEMPT_OK;
}
