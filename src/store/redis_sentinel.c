// Sentinels are asked one after the other, and the one that answered first the
// next time, as Redis's guide for clients of Sentinel has it. A sentinel that is
// silent is left for the next after a part of connect_timeout. What they say of
// other sentinels is kept, so that the master is found when all of those that
// the url names are gone; what the url names is kept, too.
#include "redis_sentinel.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PLACES_MAX = 64,
    REPLY_BYTES_MAX = 256 * 1024,
    ELEMENTS_MAX = 8192, // of what they say of each other: some fifty for each
    SILENT_PARTS = 4,    // of connect_timeout, after which one is given up
    SILENT_MS = 50,      // at least
};

enum question { ASKED_AUTH, ASKED_MASTER, ASKED_OTHERS, ASKED_NOTHING };

struct place {
    char *host;
    unsigned port;
};

struct redis_sentinel {
    struct store_redis_options options; // with the host and the port of the one that is asked
    struct redis_sentinel_events events;
    void *arg;
    struct redis_link *link;
    struct redis_reader *reader;
    struct event *silent;
    struct place places[PLACES_MAX];
    size_t count, current, tried;
    enum question answered_next;
    uint64_t turns; // so that a callback sees that its connection is none any more
    bool is_open, is_asking;
    struct place master; // what the one that is asked said; NULL: nothing yet
};

// ------------------------------------------------------------------- places

static void add_place(struct redis_sentinel *s, struct slice host, unsigned port) {
    for (size_t i = 0; i < s->count; i++)
        if (s->places[i].port == port && slice_equal(slice_of(s->places[i].host), host))
            return;
    if (s->count < PLACES_MAX)
        s->places[s->count++] = (struct place){slice_dup(host), port};
}

// ------------------------------------------------------------------- asking

static void ask_next(struct redis_sentinel *s);

void redis_sentinel_cancel(struct redis_sentinel *s) {
    s->turns++;
    s->is_open = s->is_asking = false;
    redis_link_close(s->link);
    event_del(s->silent);
    free(s->master.host);
    s->master.host = NULL;
}

// The next, until all had their turn.
static void failed(struct redis_sentinel *s, const char *why) {
    struct error said;
    size_t tried = s->tried + 1;
    if (!s->is_asking) { // nobody waits for it
        redis_sentinel_cancel(s);
        return;
    }
    error_set(&said, "the sentinel at %s:%u: %s", s->options.host, s->options.port, why);
    redis_sentinel_cancel(s);
    s->current = (s->current + 1) % s->count;
    s->tried = tried;
    if (tried < s->count)
        ask_next(s);
    else
        s->events.failed(s->arg, said.text);
}

static void send_command(struct redis_sentinel *s, const struct slice *parts, size_t count) {
    enum { PARTS_MAX = 3 };
    const char *texts[PARTS_MAX];
    size_t lengths[PARTS_MAX];
    char *bytes = NULL;
    for (size_t i = 0; i < count; i++) {
        texts[i] = parts[i].ptr;
        lengths[i] = parts[i].len;
    }
    long long len = redisFormatCommandArgv(&bytes, (int)count, texts, lengths);
    if (len < 0)
        abort(); // out of memory, as base_alloc does
    redis_link_send(s->link, bytes, (size_t)len);
}

static void send_auth(struct redis_sentinel *s) {
    const char *user = s->options.sentinel_user;
    struct slice parts[3] = {SLICE("AUTH")};
    size_t count = 1;
    if (user != NULL)
        parts[count++] = slice_of(user);
    parts[count++] = slice_of(s->options.sentinel_password);
    send_command(s, parts, count);
}

static void send_questions(struct redis_sentinel *s) {
    struct slice name = slice_of(s->options.master);
    const struct slice master[] = {SLICE("SENTINEL"), SLICE("GET-MASTER-ADDR-BY-NAME"), name};
    const struct slice others[] = {SLICE("SENTINEL"), SLICE("SENTINELS"), name};
    send_command(s, master, FARTHING_COUNT(master));
    send_command(s, others, FARTHING_COUNT(others));
}

static void on_opened(void *arg) {
    struct redis_sentinel *s = arg;
    s->is_open = true;
    s->answered_next = s->options.sentinel_password != NULL ? ASKED_AUTH : ASKED_MASTER;
    if (s->answered_next == ASKED_AUTH)
        send_auth(s);
    send_questions(s);
}

static void on_closed(void *arg, const char *why) {
    failed(arg, why);
}

// ------------------------------------------------------------------ answers

// What follows ", with args" in an error is what was sent: maybe the password.
static void refused(struct redis_sentinel *s, struct slice error) {
    ptrdiff_t at = slice_find(error, SLICE(", with args"));
    struct error why;
    error_set(&why, "%.*s", SLICE_ARG(at >= 0 ? slice_make(error.ptr, (size_t)at) : error));
    failed(s, why.text);
}

static void finish(struct redis_sentinel *s) {
    char *host = s->master.host;
    s->master.host = NULL;
    s->is_asking = false;
    event_del(s->silent);
    s->events.found(s->arg, slice_of(host), s->master.port);
    free(host);
}

static void take_master(struct redis_sentinel *s, const struct redis_reply *reply) {
    struct redis_sentinel_place place;
    if (redis_sentinel_read_master(reply, &place)) {
        s->master = (struct place){slice_dup(place.host), place.port};
        s->answered_next = ASKED_OTHERS;
    } else {
        failed(s, reply->kind == REDIS_REPLY_IS_NIL ? "it knows no master of this name"
                                                    : "what it says is not understood");
    }
}

// One that says nothing of others (an ACL) has said where the master is.
static void take_others(struct redis_sentinel *s, const struct redis_reply *reply) {
    struct redis_sentinel_place place;
    for (size_t i = 0; i < reply->count; i++)
        if (redis_sentinel_read_other(reply->elements[i], &place))
            add_place(s, place.host, place.port);
    s->answered_next = ASKED_NOTHING;
    finish(s);
}

static void take(struct redis_sentinel *s, const struct redis_reply *reply) {
    bool is_error = reply->kind == REDIS_REPLY_IS_ERROR;
    switch (s->answered_next) {
    case ASKED_AUTH:
        if (is_error)
            refused(s, redis_reply_slice(reply));
        else
            s->answered_next = ASKED_MASTER;
        return;
    case ASKED_MASTER:
        if (is_error)
            refused(s, redis_reply_slice(reply));
        else
            take_master(s, reply);
        return;
    case ASKED_OTHERS:
        take_others(s, reply);
        return;
    case ASKED_NOTHING:
        return;
    }
}

static void on_got(void *arg, struct slice bytes) {
    struct redis_sentinel *s = arg;
    struct redis_reply *reply;
    struct error err;
    if (!redis_reader_feed(s->reader, bytes, &err)) {
        failed(s, err.text);
        return;
    }
    // Until it is left: its last answer ends it, and so does a bad one.
    for (uint64_t turn = s->turns; turn == s->turns;) {
        if (!redis_reader_next(s->reader, &reply, &err)) {
            failed(s, err.text);
            return;
        }
        if (reply == NULL)
            return;
        take(s, reply);
        redis_reply_free(reply);
    }
}

static void on_silent(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    failed(arg, "no answer in time");
}

static void wait_for_it(struct redis_sentinel *s) {
    int64_t wait_ms = s->options.connect_timeout_ms / SILENT_PARTS;
    if (wait_ms < SILENT_MS)
        wait_ms = SILENT_MS;
    struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000};
    event_add(s->silent, &wait);
    s->is_asking = true;
}

static void ask_next(struct redis_sentinel *s) {
    const struct place *place = &s->places[s->current];
    s->options.host = place->host;
    s->options.port = place->port;
    s->answered_next = ASKED_NOTHING;
    redis_reader_free(s->reader);
    s->reader = redis_reader_new(REPLY_BYTES_MAX);
    redis_reader_allow_arrays(s->reader, ELEMENTS_MAX);
    wait_for_it(s);
    redis_link_open(s->link);
}

void redis_sentinel_ask(struct redis_sentinel *s) {
    if (s->is_asking)
        return;
    s->tried = 0;
    if (s->is_open) {
        s->answered_next = ASKED_MASTER;
        wait_for_it(s);
        send_questions(s);
    } else {
        ask_next(s);
    }
}

// ---------------------------------------------------------- making, freeing

struct redis_sentinel *redis_sentinel_new(struct event_base *loop,
                                          const struct store_redis_options *options,
                                          struct redis_tls *tls,
                                          const struct redis_sentinel_events *events, void *arg) {
    static const struct redis_link_events link_events = {on_opened, on_got, on_closed};
    struct redis_sentinel *s = base_calloc(1, sizeof *s);
    s->options = *options;
    s->options.socket_path = NULL;
    s->events = *events;
    s->arg = arg;
    for (size_t i = 0; i < options->seed_count; i++)
        add_place(s, slice_of(options->seeds[i].host), options->seeds[i].port);
    s->link = redis_link_new(loop, &s->options, tls, &link_events, s);
    s->silent = evtimer_new(loop, on_silent, s);
    return s;
}

void redis_sentinel_free(struct redis_sentinel *s) {
    if (s == NULL)
        return;
    redis_sentinel_cancel(s);
    redis_link_free(s->link);
    event_free(s->silent);
    redis_reader_free(s->reader);
    for (size_t i = 0; i < s->count; i++)
        free(s->places[i].host);
    free(s);
}
