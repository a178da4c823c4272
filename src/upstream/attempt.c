// Attempts: their states, their timeouts, their ends.
#include "attempt.h"

bool attempt_end_is_timeout(enum attempt_end end) {
    return end == ATTEMPT_CONNECT_TIMEOUT || end == ATTEMPT_FIRST_BYTE_TIMEOUT ||
           end == ATTEMPT_IDLE_TIMEOUT || end == ATTEMPT_TOTAL_TIMEOUT ||
           end == ATTEMPT_QUEUE_TIMEOUT;
}

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
        [ATTEMPT_BAD_REQUEST] = "bad_request",
    };
    return names[end];
}

// ------------------------------------------------------------------- states

static struct list *list_of(struct attempt *a) {
    switch (a->state) {
    case ATTEMPT_WAITING:
        return &a->upstream->waiting;
    case ATTEMPT_ADMITTED:
        return &a->upstream->admitted;
    case ATTEMPT_RUNNING:
        return &a->upstream->running;
    case ATTEMPT_PAUSED:
        return &a->upstream->paused;
    case ATTEMPT_RESUMING:
        return &a->upstream->resuming;
    case ATTEMPT_ENDING:
        return &a->upstream->ending;
    case ATTEMPT_DOOMED:
        return &a->upstream->doomed;
    case ATTEMPT_NEW:
    case ATTEMPT_DONE:
        break;
    }
    return NULL;
}

static void list_append(struct list *l, struct attempt *a) {
    a->next = NULL;
    a->previous = l->last;
    if (l->last != NULL)
        l->last->next = a;
    else
        l->first = a;
    l->last = a;
}

static void list_remove(struct list *l, struct attempt *a) {
    if (a->previous != NULL)
        a->previous->next = a->next;
    else
        l->first = a->next;
    if (a->next != NULL)
        a->next->previous = a->previous;
    else
        l->last = a->previous;
}

void attempt_go(struct attempt *a, enum attempt_state to) {
    struct list *l = list_of(a);
    if (l != NULL)
        list_remove(l, a);
    a->state = to;
    l = list_of(a);
    if (l != NULL)
        list_append(l, a);
}

bool attempt_is_live(const struct attempt *a) {
    return a->state == ATTEMPT_RUNNING || a->state == ATTEMPT_PAUSED ||
           a->state == ATTEMPT_RESUMING;
}

// ----------------------------------------------------------------- starting

// Behind a base without a path anything but these could name another host;
// what cannot stand in a request line would end it early.
static bool path_is_sendable(struct slice path) {
    if (path.len > 0 && path.ptr[0] != '/' && path.ptr[0] != '?')
        return false;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f)
            return false;
    return true;
}

static struct attempt *new_attempt(struct upstream *u, const struct attempt_request *request) {
    struct arena *arena = arena_new(2048);
    struct attempt *a = arena_calloc(arena, sizeof *a);
    a->arena = a->answer.arena = arena;
    a->upstream = u;
    a->queue = queue_find(u, request->target->name);
    a->target = *request->target;
    a->target.name = a->target.base_url = SLICE_NONE; // the caller's, who keeps them
    a->target.ca_file = arena_copy(arena, a->target.ca_file);
    a->method = arena_copy(arena, request->method);
    a->url = ARENA_JOIN(arena, request->target->base_url, request->path);
    a->headers = fields_of_request(arena, request->headers, request->header_count);
    a->body = request->body;
    a->max_body_bytes = request->max_body_bytes;
    a->deadline_ms = request->deadline_ms;
    a->started_ms = clock_mono_ms();
    return a;
}

struct attempt *attempt_start(struct upstream *u, const struct attempt_request *request,
                              const struct attempt_events *events, void *arg) {
    struct attempt *a = new_attempt(u, request);
    a->events = events;
    a->arg = arg;
    if (!fields_is_token(request->method) || !path_is_sendable(request->path)) {
        attempt_end_with(a, ATTEMPT_BAD_REQUEST, "the method or the path cannot be sent");
        return a;
    }
    if (places_enter(a, request->tenant, request->weight)) {
        if (!u->in_curl) {
            transfer_start(a);
        } else { // libcurl begins nothing from within a callback
            attempt_go(a, ATTEMPT_ADMITTED);
            upstream_kick(u);
        }
    }
    upstream_start_sweep(u);
    return a;
}

// ------------------------------------------------------------------- ending

void attempt_end_with(struct attempt *a, enum attempt_end end, const char *why) {
    a->end = end;
    a->why = why;
    if (a->state == ATTEMPT_WAITING)
        places_leave(a); // nobody gives it a place any more
    attempt_go(a, ATTEMPT_ENDING);
    upstream_kick(a->upstream);
}

static bool connection_was_reused(const struct attempt *a) {
    long connects = 1;
    if (transfer_was_sent(a))
        curl_easy_getinfo(a->handle->easy, CURLINFO_NUM_CONNECTS, &connects);
    return connects == 0;
}

// None, for one that had its place at once: the clock may tick between the two.
static int64_t queued_ms(const struct attempt *a, uint64_t now) {
    if (!a->waited)
        return 0;
    return (int64_t)((a->running_ms > 0 ? a->running_ms : now) - a->started_ms);
}

void attempt_report(struct attempt *a) {
    uint64_t now = clock_mono_ms();
    struct attempt_result result = {
        .end = a->end,
        .status = a->answer.done ? a->answer.status : 0,
        .detail = slice_of(a->why != NULL ? a->why : a->error),
        .latency_ms = (int64_t)(now - a->started_ms),
        .first_byte_ms = a->head_ms > 0 ? (int64_t)(a->head_ms - a->started_ms) : -1,
        .queue_ms = queued_ms(a, now),
        .sent = transfer_was_sent(a),
        .reused = connection_was_reused(a),
        .body_bytes = a->body_bytes,
    };
    attempt_go(a, ATTEMPT_DONE);
    places_note_end(a, now);
    // The place is free before the caller starts its next attempt.
    transfer_stop(a);
    places_leave(a);
    a->events->on_done(a->arg, &result);
    arena_free(a->arena);
}

void attempt_destroy(struct attempt *a) {
    attempt_go(a, ATTEMPT_DONE);
    transfer_stop(a);
    places_leave(a);
    arena_free(a->arena);
}

bool attempt_was_sent(const struct attempt *a) {
    return transfer_was_sent(a);
}

void attempt_cancel(struct attempt *a) {
    if (a->state == ATTEMPT_DOOMED || a->state == ATTEMPT_DONE)
        return;
    if (a->upstream->in_curl && a->handle != NULL) {
        transfer_hush(a);
        attempt_go(a, ATTEMPT_DOOMED);
        return;
    }
    attempt_destroy(a);
}

// ------------------------------------------------------------ back-pressure

void attempt_pause(struct attempt *a) {
    a->starts_paused = a->state == ATTEMPT_WAITING || a->state == ATTEMPT_ADMITTED;
    if (a->state == ATTEMPT_RUNNING)
        curl_easy_pause(a->handle->easy, CURLPAUSE_RECV);
    if (a->state == ATTEMPT_RUNNING || a->state == ATTEMPT_RESUMING)
        attempt_go(a, ATTEMPT_PAUSED);
}

// From the loop: libcurl hands over what it holds at once.
void attempt_resume(struct attempt *a) {
    a->starts_paused = false;
    if (a->state != ATTEMPT_PAUSED)
        return;
    attempt_go(a, ATTEMPT_RESUMING);
    upstream_kick(a->upstream);
}

// ----------------------------------------------------------------- timeouts

static bool past(uint64_t since_ms, int64_t timeout_ms, uint64_t now_ms) {
    return timeout_ms > 0 && now_ms >= since_ms + (uint64_t)timeout_ms;
}

uint64_t attempt_sending_since(const struct attempt *a) {
    curl_off_t us = 0;
    curl_easy_getinfo(a->handle->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
    return us > 0 ? a->running_ms + (uint64_t)us / 1000 : 0;
}

static void check_answer(struct attempt *a, uint64_t now_ms) {
    const struct upstream_target *t = &a->target;
    if (a->answer.done) {
        if (past(a->progress_ms, t->idle_timeout_ms, now_ms))
            attempt_end_with(a, ATTEMPT_IDLE_TIMEOUT, "nothing came within idle_timeout");
        return;
    }
    if (!past(a->running_ms, t->first_byte_timeout_ms, now_ms))
        return; // cheap, and nearly always so
    uint64_t since = attempt_sending_since(a); // the connect phase has its own timeout
    if (since > 0 && past(since, t->first_byte_timeout_ms, now_ms))
        attempt_end_with(a, ATTEMPT_FIRST_BYTE_TIMEOUT, "no answer within first_byte_timeout");
}

void attempt_check_time(struct attempt *a, uint64_t now_ms) {
    const struct upstream_target *t = &a->target;
    if (a->deadline_ms != 0 && (int64_t)now_ms >= a->deadline_ms)
        attempt_end_with(a, ATTEMPT_TOTAL_TIMEOUT, "the deadline is over");
    else if (a->state == ATTEMPT_WAITING && past(a->started_ms, t->first_byte_timeout_ms, now_ms))
        attempt_end_with(a, ATTEMPT_QUEUE_TIMEOUT,
                         "no place among max_inflight became free in time");
    else if (a->state != ATTEMPT_WAITING && past(a->running_ms, t->total_timeout_ms, now_ms))
        attempt_end_with(a, ATTEMPT_TOTAL_TIMEOUT, "not done within total_timeout");
    else if (a->state == ATTEMPT_RUNNING) // while paused the client is slow, not the provider
        check_answer(a, now_ms);
}
