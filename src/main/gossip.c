// When messages are said, and what becomes of those that are heard.
#include "gossip.h"

#include <event2/event.h>
#include <stdlib.h>

enum {
    PERIOD_MS = 1000,
    JITTER_PART = 5,      // of the period, so that instances do not all speak at once
    SLOW_TICKS = 5,       // of what is of use in the long run only, every so many messages
    SETTLED_TICKS = 3,    // from then on others are answered, though nobody told all
    UNHEARD_TICKS = 3,    // after which who does not hear his own messages says hello again
    ANSWER_LEAST_MS = 20, // for who asked to be listening, too
    OLD_MS = 10000,       // what is older says nothing of now
};

static const char channel[] = "gossip";

// Whether others hear this one, and it them: it hears itself, too.
enum gossip_asking {
    GOSSIP_TO_ASK, // hello is to be said
    GOSSIP_ASKED,  // and was, and is not heard yet
    GOSSIP_HEARD,
};

struct gossip {
    struct gossip_options options;
    struct store_ear *ear;
    struct event *tick, *answer;
    struct json_doc *doc;
    struct buffer text;
    enum gossip_asking asking;
    uint64_t epoch;
    unsigned ticks;      // since the start
    unsigned more;       // with the next message: enum gossip_more
    unsigned settled_in; // ticks; 0: it is
    unsigned unheard;    // ticks in which it spoke and did not hear itself
};

static const struct metric_family messages_family = {
    "farthing_gossip_messages_total",
    "Messages between instances: said, heard of others, or passed over (damaged, of another "
    "version, or too old).",
    METRIC_COUNTER,
    {"what"},
    NULL,
    0,
    0,
    0};
static const struct metric_family bytes_family = {
    "farthing_gossip_bytes_total",
    "Bytes of messages between instances, said and heard.",
    METRIC_COUNTER,
    {"what"},
    NULL,
    0,
    0,
    0};

static void count_message(struct slice what, size_t bytes) {
    metric_add(metric_series(&messages_family, &what), 1);
    metric_add(metric_series(&bytes_family, &what), (int64_t)bytes);
}

static void arm(struct event *timer, int64_t ms) {
    const struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    event_add(timer, &pause);
}

// --------------------------------------------------------------------- saying

static bool say(struct gossip *g, enum gossip_say what, unsigned more) {
    struct store *store = g->options.store;
    const struct gossip_head head = {what, store_instance(store), store_now_ms(store)};
    buffer_clear(&g->text);
    if (!gossip_write(&g->options.rooms, &head, more, (int64_t)clock_mono_ms(), &g->text))
        return false;
    count_message(SLICE("said"), g->text.len);
    store_say(store, channel, buffer_slice(&g->text));
    return true;
}

// Who may have missed what was said asks: after a new connection, and where it does
// not hear itself.
static void look_after_hearing(struct gossip *g) {
    uint64_t epoch = store_epoch(g->options.store);
    if (epoch != g->epoch || g->unheard >= UNHEARD_TICKS)
        g->asking = GOSSIP_TO_ASK;
    g->epoch = epoch;
    if (g->asking != GOSSIP_TO_ASK)
        return;
    g->asking = GOSSIP_ASKED;
    g->unheard = 0;
    (void)say(g, GOSSIP_HELLO, 0);
}

static void on_tick(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct gossip *g = arg;
    int64_t period = g->options.period_ms;
    arm(g->tick, period - (int64_t)random_below((uint64_t)(period / JITTER_PART) + 1));
    if (!store_is_up(g->options.store))
        return; // what is new stays so
    look_after_hearing(g);
    unsigned more = (++g->ticks % SLOW_TICKS == 0 ? GOSSIP_SLOW : 0u) | g->more;
    g->more = 0;
    bool said = say(g, GOSSIP_NEWS, more);
    if (said || g->asking == GOSSIP_ASKED)
        g->unheard++;
    // Nobody answered: who was there may have been a newcomer, too, and is none by now.
    if (g->asking == GOSSIP_HEARD && g->settled_in > 0 && --g->settled_in == 0)
        g->asking = GOSSIP_TO_ASK;
}

// What is new goes first: it is in the rest, too, and shall not come again.
static void on_answer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct gossip *g = arg;
    (void)say(g, GOSSIP_NEWS, GOSSIP_SLOW);
    (void)say(g, GOSSIP_ALL, GOSSIP_SLOW);
}

// -------------------------------------------------------------------- hearing

static void answer_soon(struct gossip *g) {
    if (g->settled_in > 0 || evtimer_pending(g->answer, NULL))
        return;
    int64_t most = g->options.period_ms;
    arm(g->answer, ANSWER_LEAST_MS + (int64_t)random_below((uint64_t)most));
}

static void hear_other(struct gossip *g, const struct gossip_head *head, size_t bytes) {
    struct store *store = g->options.store;
    int64_t now_ms = (int64_t)clock_mono_ms();
    int64_t age_ms = store_now_ms(store) - head->at_ms;
    if (age_ms > OLD_MS) {
        count_message(SLICE("passed_over"), bytes);
        return;
    }
    count_message(SLICE("heard"), bytes);
    if (head->say == GOSSIP_HELLO) {
        answer_soon(g);
    } else if (head->say == GOSSIP_ALL) {
        evtimer_del(g->answer);
        g->settled_in = 0;
    }
    gossip_take(&g->options.rooms, head, g->doc, store_instances(store),
                now_ms - (age_ms > 0 ? age_ms : 0), now_ms);
}

// From here on it hears the hellos of those who do not hear it yet; those who do may
// have missed what it said before.
static void hear_itself(struct gossip *g) {
    if (g->asking != GOSSIP_HEARD)
        g->more |= GOSSIP_OPEN;
    g->asking = GOSSIP_HEARD;
    g->unheard = 0;
}

static void on_heard(void *arg, struct slice message) {
    struct gossip *g = arg;
    struct gossip_head head;
    if (!gossip_read(g->doc, message, &head)) {
        count_message(SLICE("passed_over"), message.len);
    } else if (slice_equal(head.from, store_instance(g->options.store))) {
        hear_itself(g);
    } else {
        hear_other(g, &head, message.len);
    }
}

// ---------------------------------------------------------------------- lives

struct gossip *gossip_new(const struct gossip_options *options) {
    if (!store_is_shared(options->store))
        return NULL;
    metric_declare(&messages_family);
    metric_declare(&bytes_family);
    struct gossip *g = base_calloc(1, sizeof *g);
    g->options = *options;
    if (g->options.period_ms <= 0)
        g->options.period_ms = PERIOD_MS;
    g->settled_in = SETTLED_TICKS;
    g->doc = json_doc_new();
    g->tick = evtimer_new(options->loop, on_tick, g);
    g->answer = evtimer_new(options->loop, on_answer, g);
    g->ear = store_listen(options->client, channel, on_heard, g);
    arm(g->tick, (int64_t)random_below((uint64_t)g->options.period_ms) + 1);
    return g;
}

void gossip_free(struct gossip *g) {
    if (g == NULL)
        return;
    if (store_is_up(g->options.store))
        (void)say(g, GOSSIP_NEWS, GOSSIP_SLOW);
    store_unlisten(g->ear);
    event_free(g->tick);
    event_free(g->answer);
    json_doc_free(g->doc);
    buffer_free(&g->text);
    free(g);
}
