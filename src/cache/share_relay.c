// What an owner does for those elsewhere who wait: it takes a seat at its own flight
// in their name (so that the flight has a follower, and is bought to its end), and
// where one of them takes the stream writes that into the store, from its beginning,
// in bundles. Nothing of this runs while nobody waits.
#include <stdio.h>
#include <stdlib.h>

#include "share_room.h"

static const char append_text[] =
#include "share_append.lua.h"
    ;
static const struct store_script append_script = {"append", append_text};

static const struct metric_family bytes_family = {
    "farthing_relayed_stream_bytes_total",
    "Bytes of streams that were given to other instances while they ran.",
    METRIC_COUNTER,
    {NULL},
    NULL,
    0,
    0,
    0,
};

// ------------------------------------------------------------------ writing

static bool run_append(struct share_purchase *p, struct slice head, struct slice bytes,
                       int stays_ms) {
    struct share_relay *r = &p->relay;
    char claim[SHARE_STORE_NAME_MAX], name[SHARE_STORE_NAME_MAX], stream[64];
    char number[STORE_NUMBER_MAX], stays[STORE_NUMBER_MAX];
    snprintf(stream, sizeof stream, "stream:%s", p->token);
    const struct slice keys[] = {share_name(&p->key, "flight", claim, sizeof claim),
                                 share_name(&p->key, stream, name, sizeof name)};
    const struct slice args[] = {slice_of(p->token), store_number(number, (int64_t)r->number),
                                 head, bytes, store_number(stays, stays_ms)};
    const struct store_call call = {.script = &append_script, .keys = keys,
                                    .key_count = FARTHING_COUNT(keys), .args = args,
                                    .arg_count = FARTHING_COUNT(args)};
    return store_run_quietly(p->share->store, &call);
}

// Who reads it finds it gone, and who comes later does not begin with it.
static void cut(struct share_purchase *p) {
    struct share_relay *r = &p->relay;
    r->is_cut = true;
    if (!r->is_gone)
        r->is_gone = r->number == 0 || run_append(p, SLICE_NONE, SLICE_NONE, 0);
}

// What is lost on its way leaves a gap, which those who read see.
static void write_bytes(struct share_purchase *p, struct slice bytes) {
    struct share_relay *r = &p->relay;
    while (bytes.len > 0 && !r->is_cut) {
        size_t len = bytes.len < SHARE_ENTRY_BYTES ? bytes.len : SHARE_ENTRY_BYTES;
        struct buffer head = {0};
        if (r->number == 0)
            entry_encode(&p->key, flight_head(r->seat), &head);
        r->number++;
        r->bytes += len;
        if (!run_append(p, buffer_slice(&head), slice_make(bytes.ptr, len), SHARE_STREAM_MS) ||
            r->bytes > SHARE_STREAM_BYTES)
            cut(p);
        buffer_free(&head);
        bytes = slice_from(bytes, len);
    }
}

// False: there was nothing.
static bool flush(struct share_purchase *p) {
    struct buffer bundle = {0};
    struct slice bytes;
    while (flight_read(p->relay.seat, &bytes))
        buffer_append(&bundle, bytes);
    bool any = bundle.len > 0;
    write_bytes(p, buffer_slice(&bundle));
    metric_add(metric_plain(&bytes_family), (int64_t)bundle.len);
    buffer_free(&bundle);
    return any;
}

static void flush_and_pause(struct share_purchase *p) {
    static const struct timeval pause = {0, SHARE_RELAY_PAUSE_MS * 1000};
    if (p->relay.streams && !p->relay.is_cut && flush(p))
        event_add(p->relay.pause, &pause);
}

static void on_pause(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    flush_and_pause(arg);
}

// -------------------------------------------------------------------- seats

static void on_more(void *arg) {
    struct share_purchase *p = arg;
    if (!event_pending(p->relay.pause, EV_TIMEOUT, NULL))
        flush_and_pause(p);
}

static void give_up_seat(struct share_relay *r) {
    if (r->seat != NULL)
        flight_leave(r->seat);
    r->seat = NULL;
    r->streams = false;
}

// Its leader finishes with share_finish, which takes the seat away before: what comes
// here is that the relay was too slow for a stream that is very long.
static void on_finish(void *arg, enum flight_end end, int status, struct cache_entry *entry) {
    (void)end;
    (void)status;
    struct share_purchase *p = arg;
    if (entry != NULL)
        cache_entry_release(entry);
    give_up_seat(&p->relay);
    cut(p);
}

static void on_promote(void *arg) {
    struct share_purchase *p = arg;
    give_up_seat(&p->relay); // it cannot buy
}

static void on_alone(void *arg) {
    (void)arg;
}

static struct flight *take_seat(struct share_purchase *p, bool streams) {
    static const struct flight_callbacks callbacks = {on_more, on_finish, on_promote, on_alone};
    const struct flight_member member = {
        .box = p->share->box, .streams = streams, .on = &callbacks, .arg = p};
    return flight_attend(p->leader, &member);
}

// The new seat before the old one goes: the flight is never without a follower.
static void begin_stream(struct share_purchase *p) {
    struct share_relay *r = &p->relay;
    struct flight *seat = take_seat(p, true);
    if (seat == NULL) {
        cut(p); // too late: those who wait have the whole
        return;
    }
    give_up_seat(r);
    r->seat = seat;
    r->streams = true;
    if (r->pause == NULL)
        r->pause = evtimer_new(p->share->loop, on_pause, p);
    flush_and_pause(p);
}

static void sit_down(struct share_purchase *p) {
    struct share_relay *r = &p->relay;
    bool streams = false;
    for (size_t i = 0; i < r->waiter_count; i++)
        streams = streams || r->waiters[i].streams;
    if (r->waiter_count == 0) {
        if (r->streams)
            cut(p); // who comes later would miss what is not read now
        give_up_seat(r);
        return;
    }
    if (streams && !r->streams && !r->is_cut)
        begin_stream(p);
    if (r->seat == NULL)
        r->seat = take_seat(p, false);
}

// What there is already can be had: not before it is told does it look, for the
// stream may be about to go because the last who followed it has left.
static void tell_of_stream(const struct share_purchase *p, const struct share_waiter *w) {
    const char *blank = strchr(w->name, ' ');
    if (blank == NULL || !w->streams || p->relay.number == 0 || p->relay.is_cut)
        return;
    char *channel = slice_dup(slice_make(w->name, (size_t)(blank - w->name)));
    char message[SHARE_NAME_MAX + 1];
    int len = snprintf(message, sizeof message, "m%s", blank + 1);
    store_say(p->share->store, channel, slice_make(message, (size_t)len));
    free(channel);
}

// ------------------------------------------------------------------ waiters

static struct share_waiter *find_waiter(struct share_relay *r, struct slice name) {
    for (size_t i = 0; i < r->waiter_count; i++)
        if (slice_equal(slice_of(r->waiters[i].name), name))
            return &r->waiters[i];
    return NULL;
}

static struct share_waiter *add_waiter(struct share_relay *r, struct slice name) {
    if (r->waiter_count == SHARE_WAITERS_MAX)
        return NULL;
    r->waiters = base_realloc(r->waiters, (r->waiter_count + 1) * sizeof *r->waiters);
    struct share_waiter *w = &r->waiters[r->waiter_count++];
    *w = (struct share_waiter){0};
    memcpy(w->name, name.ptr, name.len);
    return w;
}

static void remove_waiter(struct share_relay *r, struct share_waiter *w) {
    *w = r->waiters[--r->waiter_count];
}

void share_relay_heard(struct share_purchase *p, const struct share_message *m) {
    struct share_relay *r = &p->relay;
    struct share_waiter *w = find_waiter(r, m->name);
    if (p->state == SHARE_FOREIGN)
        return;
    if (m->kind == 'u') {
        if (w != NULL)
            remove_waiter(r, w);
    } else {
        if (w == NULL)
            w = add_waiter(r, m->name);
        if (w == NULL)
            return;
        w->streams = m->streams;
        w->heard_ms = clock_mono_ms();
    }
    sit_down(p);
    if (m->kind == 'f')
        tell_of_stream(p, w);
}

void share_relay_look_after(struct share_purchase *p, uint64_t now_ms) {
    struct share_relay *r = &p->relay;
    size_t before = r->waiter_count;
    for (size_t i = before; i > 0; i--)
        if (now_ms - r->waiters[i - 1].heard_ms > SHARE_WAITER_MS)
            remove_waiter(r, &r->waiters[i - 1]);
    if (r->waiter_count < before)
        sit_down(p);
    if (r->is_cut)
        cut(p); // where that could not be said
}

// ---------------------------------------------------------------------- end

uint64_t share_relay_end(struct share_purchase *p, bool whole) {
    struct share_relay *r = &p->relay;
    if (r->streams && !r->is_cut && whole)
        (void)flush(p);
    bool has_end = r->number > 0 && !r->is_cut;
    give_up_seat(r);
    if (r->pause != NULL)
        event_free(r->pause);
    r->pause = NULL;
    free(r->waiters);
    r->waiters = NULL;
    r->waiter_count = 0;
    return has_end ? r->number + 1 : 0;
}
