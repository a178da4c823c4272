// One of a loop's libcurl multi handles: its timer and its messages.
//
// libcurl walks through all connections of a multi handle when a transfer
// begins (to find an idle one) and again when it is removed: 40 % of an
// attempt's instructions with 1000 connections. Several multi handles keep the
// walks short. HTTP/2, which wants few connections, has one to itself.
#include "attempt.h"

enum { CONNECTIONS_KEPT = 2048 };

static void read_messages(struct shard *s) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(s->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct attempt *a = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&a);
        if (attempt_is_live(a))
            transfer_finish(a, message->data.result);
    }
}

void shard_action(struct shard *s, curl_socket_t fd, int events) {
    int running;
    s->upstream->in_curl = true;
    curl_multi_socket_action(s->multi, fd, events, &running);
    s->upstream->in_curl = false;
    read_messages(s);
    upstream_settle(s->upstream);
}

void shard_run_when_due(struct shard *s, uint64_t now_ms) {
    if (s->wanted_ms == 0 || now_ms < s->wanted_ms)
        return;
    s->wanted_ms = 0;
    shard_action(s, CURL_SOCKET_TIMEOUT, 0);
}

static void arm_timer(struct shard *s, uint64_t now_ms) {
    uint64_t ms = s->wanted_ms > now_ms ? s->wanted_ms - now_ms : 1;
    struct timeval pause = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    event_add(&s->timer, &pause);
    s->armed_ms = s->wanted_ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct shard *s = arg;
    s->armed_ms = 0;
    uint64_t now = clock_mono_ms();
    if (now < s->wanted_ms)
        arm_timer(s, now);
    else
        shard_run_when_due(s, now);
}

// libcurl changes its mind several times a request; the event is only touched
// when it would come too late.
static int on_timer_change(CURLM *multi, long timeout_ms, void *arg) {
    (void)multi;
    struct shard *s = arg;
    if (timeout_ms < 0) {
        s->wanted_ms = 0;
        return 0;
    }
    uint64_t now = clock_mono_ms();
    s->wanted_ms = now + (uint64_t)timeout_ms;
    if (timeout_ms == 0)
        upstream_kick(s->upstream);
    else if (s->armed_ms == 0 || s->wanted_ms < s->armed_ms)
        arm_timer(s, now);
    return 0;
}

void shard_open(struct shard *s, struct upstream *u) {
    s->upstream = u;
    s->multi = curl_multi_init();
    evtimer_assign(&s->timer, u->loop, on_timer, s);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_timer_change);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    // HTTP/2 with one stream at a time on a connection. Sharing it, libcurl
    // (7.88) holds up to 32 MiB of a paused stream while others keep the
    // connection read, and sends a cancelled one's RST_STREAM only with what
    // comes next, while the provider goes on and bills.
    curl_multi_setopt(s->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
}

void shard_close(struct shard *s) {
    curl_multi_cleanup(s->multi); // closes the idle connections through watch_close
    event_del(&s->timer);
}
