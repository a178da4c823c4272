// A libevent bufferevent, plain or OpenSSL's. Names are looked up by libevent's
// own resolver, so that nothing blocks and a look-up can be given up; it is
// made anew for each opening, and so follows a resolv.conf that changes. All
// addresses of a name are tried, one after the other.
#include "redis_link.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

enum { CHUNK_BYTES = 16 * 1024 };

struct redis_link {
    struct event_base *loop;
    const struct store_redis_options *options;
    struct redis_tls *tls;
    struct redis_link_events events;
    void *arg;
    // Opening: the resolver and its question, then what it found.
    struct evdns_base *resolver;
    struct evdns_getaddrinfo_request *question;
    struct evutil_addrinfo *addresses, *next_address;
    // Connecting and open.
    struct bufferevent *stream;
    void *session; // the stream's SSL; NULL: plain
    bool is_open;
    uint64_t closings;     // so that a callback sees that the link was closed meanwhile
    struct event *failing; // reports what failed at once, but not from within redis_link_open
    struct error why;
    char chunk[CHUNK_BYTES];
};

static void no_log(int is_warning, const char *text) {
    (void)is_warning; // a name that is not found is reported by who asked for it
    (void)text;
}

static void on_failing(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    struct redis_link *l = arg;
    struct error why = l->why;
    redis_link_close(l);
    l->events.closed(l->arg, why.text);
}

static void fail_soon(struct redis_link *l) {
    event_active(l->failing, EV_TIMEOUT, 1);
}

struct redis_link *redis_link_new(struct event_base *loop,
                                  const struct store_redis_options *options, struct redis_tls *tls,
                                  const struct redis_link_events *events, void *arg) {
    struct redis_link *l = base_calloc(1, sizeof *l);
    l->loop = loop;
    l->options = options;
    l->tls = tls;
    l->events = *events;
    l->arg = arg;
    l->failing = evtimer_new(loop, on_failing, l);
    return l;
}

static void forget_addresses(struct redis_link *l) {
    if (l->addresses != NULL)
        evutil_freeaddrinfo(l->addresses);
    l->addresses = l->next_address = NULL;
}

static void drop_stream(struct redis_link *l) {
    if (l->stream != NULL)
        bufferevent_free(l->stream); // and its session with it
    l->stream = NULL;
    l->session = NULL;
    l->is_open = false;
}

void redis_link_close(struct redis_link *l) {
    l->closings++;
    event_del(l->failing);
    if (l->question != NULL)
        evdns_getaddrinfo_cancel(l->question);
    l->question = NULL;
    if (l->resolver != NULL)
        evdns_base_free(l->resolver, 0);
    l->resolver = NULL;
    forget_addresses(l);
    drop_stream(l);
}

void redis_link_free(struct redis_link *l) {
    if (l == NULL)
        return;
    redis_link_close(l);
    event_free(l->failing);
    free(l);
}

// ------------------------------------------------------------------- stream

static void try_next(struct redis_link *l);

static void on_read(struct bufferevent *stream, void *arg) {
    struct redis_link *l = arg;
    uint64_t closings = l->closings;
    int got;
    while (l->closings == closings &&
           (got = evbuffer_remove(bufferevent_get_input(stream), l->chunk, sizeof l->chunk)) > 0)
        l->events.got(l->arg, slice_make(l->chunk, (size_t)got));
}

static void explain(struct redis_link *l, short what) {
    unsigned long code = l->session != NULL ? bufferevent_get_openssl_error(l->stream) : 0;
    if (code != 0)
        redis_tls_explain(l->session, code, &l->why);
    else if ((what & BEV_EVENT_ERROR) && errno != 0)
        error_set(&l->why, "%s", strerror(errno));
    else
        error_set(&l->why, "it closed the connection");
}

static void on_event(struct bufferevent *stream, short what, void *arg) {
    struct redis_link *l = arg;
    if (what & BEV_EVENT_CONNECTED) {
        int yes = 1;
        if (l->options->socket_path == NULL) {
            setsockopt(bufferevent_getfd(stream), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            setsockopt(bufferevent_getfd(stream), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
        }
        l->is_open = true;
        forget_addresses(l);
        l->events.opened(l->arg);
        return;
    }
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
        return;
    explain(l, what);
    if (!l->is_open) {
        drop_stream(l);
        try_next(l); // another address, or it is reported
        return;
    }
    struct error why = l->why;
    redis_link_close(l);
    l->events.closed(l->arg, why.text);
}

static bool make_stream(struct redis_link *l) {
    // Deferred: no callback from within a function that is called here.
    enum { FLAGS = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS };
    if (l->tls == NULL) {
        l->stream = bufferevent_socket_new(l->loop, -1, FLAGS);
    } else if ((l->session = redis_tls_session(l->tls, l->options)) != NULL) {
        l->stream = bufferevent_openssl_socket_new(l->loop, -1, l->session,
                                                   BUFFEREVENT_SSL_CONNECTING, FLAGS);
    }
    if (l->stream == NULL)
        return error_set(&l->why, "no connection could be made ready");
    bufferevent_setcb(l->stream, on_read, NULL, on_event, l);
    return bufferevent_enable(l->stream, EV_READ | EV_WRITE) == 0 ||
           error_set(&l->why, "no connection could be made ready");
}

static bool connect_to(struct redis_link *l, const struct sockaddr *address, size_t len) {
    if (!make_stream(l))
        return false;
    errno = 0;
    if (bufferevent_socket_connect(l->stream, address, (int)len) == 0)
        return true;
    error_set(&l->why, "%s", errno != 0 ? strerror(errno) : "it cannot be reached");
    drop_stream(l);
    return false;
}

// The next address that can be tried at all; with none left, why the last failed.
static void try_next(struct redis_link *l) {
    while (l->next_address != NULL) {
        const struct evutil_addrinfo *a = l->next_address;
        l->next_address = a->ai_next;
        if (connect_to(l, a->ai_addr, a->ai_addrlen))
            return;
    }
    fail_soon(l);
}

// --------------------------------------------------------------------- name

static void on_addresses(int code, struct evutil_addrinfo *found, void *arg) {
    struct redis_link *l = arg;
    if (code == EVUTIL_EAI_CANCEL)
        return;
    l->question = NULL;
    if (code != 0 || found == NULL) {
        error_set(&l->why, "the name \"%s\" is not found: %s", l->options->host,
                  evutil_gai_strerror(code));
        fail_soon(l);
        return;
    }
    l->addresses = l->next_address = found;
    try_next(l);
}

static void look_up(struct redis_link *l) {
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    char port[16];
    snprintf(port, sizeof port, "%u", l->options->port);
    evdns_set_log_fn(no_log);
    l->resolver = evdns_base_new(l->loop, 0);
    if (l->resolver == NULL) {
        error_set(&l->why, "no look-up of names could be made ready");
        fail_soon(l);
        return;
    }
    // Without a resolv.conf there still are addresses and /etc/hosts.
    (void)evdns_base_resolv_conf_parse(l->resolver, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    struct evdns_getaddrinfo_request *question =
        evdns_getaddrinfo(l->resolver, l->options->host, port, &hints, on_addresses, l);
    // NULL: it was answered at once, which may have closed the link again.
    if (question != NULL)
        l->question = question;
}

static void open_socket(struct redis_link *l) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(l->options->socket_path);
    if (len >= sizeof address.sun_path) {
        error_set(&l->why, "the socket's path is too long");
        fail_soon(l);
        return;
    }
    memcpy(address.sun_path, l->options->socket_path, len);
    if (!connect_to(l, (const struct sockaddr *)&address, sizeof address))
        fail_soon(l);
}

void redis_link_open(struct redis_link *l) {
    redis_link_close(l);
    if (l->options->socket_path != NULL)
        open_socket(l);
    else
        look_up(l);
}

// --------------------------------------------------------------------- send

static void free_sent(const void *bytes, size_t len, void *arg) {
    (void)len;
    (void)arg;
    free((void *)(uintptr_t)bytes);
}

void redis_link_send(struct redis_link *l, char *bytes, size_t len) {
    enum { COPIED_BYTES = 512 }; // below it a copy costs less than a chain of its own
    struct evbuffer *output = bufferevent_get_output(l->stream);
    if (len <= COPIED_BYTES) {
        evbuffer_add(output, bytes, len);
        free(bytes);
    } else if (evbuffer_add_reference(output, bytes, len, free_sent, NULL) != 0) {
        free(bytes);
    }
}
