// The load generator of bench/run: one thread, epoll, keep-alive. Closed loop
// (each connection asks again when it has its answer), or open loop at a fixed
// rate, where latency counts from the moment at which a request was due:
// waiting for a slow server is not left out ("coordinated omission").
//
//   load PORT --body FILE [--connections N] [--seconds S] [--rate R]
//        [--requests N] [--first N] [--header "Name: value"]...
//
// With --requests it ends after so many, however long that takes. Eight of a
// sign in body or headers are replaced in each request: # by its number (the first
// is --first), $ by the number of its run (of 20 requests; 32 runs take turns), % by
// that of its user (of 1,000).
//
// Prints one JSON object: requests, errors, events (blank-line-ended, for
// streams), seconds, and percentiles of latency in microseconds.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 20000, READ_BYTES = 64 * 1024, TAIL = 5, SAMPLES_MAX = 20000000 };
enum { PLACES_MAX = 16, PLACE_DIGITS = 8, RUN_STEPS = 20, RUNS_AT_ONCE = 32, USERS = 1000 };

struct client {
    int fd;
    bool busy;
    uint64_t due_ns;
    uint64_t number; // of the request that it sends
    size_t sent;
    bool in_body, chunked;
    int64_t left;         // of a body with a length
    char head[8192];      // until its end was seen
    size_t head_len;
    char tail[TAIL];      // last bytes of a chunked body: where it ends
};

static struct {
    int port;
    int connections;
    double seconds, rate;
    char *request;
    size_t request_len;
    struct {
        size_t at;
        uint64_t (*of)(uint64_t number);
    } places[PLACES_MAX]; // of numbers in the request
    size_t place_count;
    uint64_t limit, first, asked; // limit: 0: none
    int epoll;
    struct client *clients;
    struct client **idle;
    int idle_count;
    uint64_t requests, errors, events;
    uint32_t *samples; // microseconds
    size_t sample_count;
} g = {.connections = 32, .seconds = 5};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void open_client(struct client *c) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)g.port)};
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(g.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
        fail("epoll_ctl");
    g.idle[g.idle_count++] = c;
}

static void watch(struct client *c, bool writes) {
    struct epoll_event e = {.events = writes ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(g.epoll, EPOLL_CTL_MOD, c->fd, &e);
}

// All connections share the bytes of the request.
static void write_numbers(uint64_t number) {
    for (size_t i = 0; i < g.place_count; i++) {
        uint64_t n = g.places[i].of(number);
        for (size_t digit = PLACE_DIGITS; digit-- > 0; n /= 10)
            g.request[g.places[i].at + digit] = (char)('0' + n % 10);
    }
}

static void send_more(struct client *c, bool waited) {
    write_numbers(c->number);
    while (c->sent < g.request_len) {
        ssize_t n = send(c->fd, g.request + c->sent, g.request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(c, true);
            return;
        }
        if (n < 0)
            return; // the read side will tell
        c->sent += (size_t)n;
    }
    if (waited)
        watch(c, false);
}

static void ask(uint64_t due_ns) {
    struct client *c = g.idle[--g.idle_count];
    c->busy = true;
    c->due_ns = due_ns;
    c->number = g.first + g.asked++;
    c->sent = c->head_len = 0;
    c->in_body = c->chunked = false;
    c->left = 0;
    memset(c->tail, 0, TAIL);
    send_more(c, false);
}

static void answered(struct client *c) {
    g.requests++;
    uint64_t us = (now_ns() - c->due_ns) / 1000;
    if (g.sample_count < SAMPLES_MAX)
        g.samples[g.sample_count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    c->busy = false;
    g.idle[g.idle_count++] = c;
}

static void again(struct client *c) {
    if (c->busy)
        g.errors++;
    close(c->fd);
    open_client(c);
}

static void read_head(struct client *c) {
    c->head[c->head_len < sizeof c->head ? c->head_len : sizeof c->head - 1] = '\0';
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0)
        g.errors++;
    char *length = strcasestr(c->head, "\ncontent-length:");
    c->chunked = strcasestr(c->head, "\ntransfer-encoding: chunked") != NULL;
    c->left = length != NULL ? strtoll(length + 16, NULL, 10) : 0;
    c->in_body = true;
}

// Returns true when the answer is whole.
static bool take_body(struct client *c, const char *bytes, size_t n) {
    for (size_t i = 0; i + 1 < n; i++)
        g.events += bytes[i] == '\n' && bytes[i + 1] == '\n';
    if (!c->chunked) {
        c->left -= (int64_t)n;
        return c->left <= 0;
    }
    if (n >= TAIL) {
        memcpy(c->tail, bytes + n - TAIL, TAIL);
    } else {
        memmove(c->tail, c->tail + n, TAIL - n);
        memcpy(c->tail + TAIL - n, bytes, n);
    }
    return memcmp(c->tail, "0\r\n\r\n", TAIL) == 0;
}

static void take(struct client *c, const char *bytes, size_t n) {
    if (!c->in_body) {
        size_t room = sizeof c->head - 1 - c->head_len, part = n < room ? n : room;
        memcpy(c->head + c->head_len, bytes, part);
        c->head[c->head_len + part] = '\0';
        char *end = strstr(c->head, "\r\n\r\n");
        if (end == NULL) {
            c->head_len += part;
            return;
        }
        size_t head = (size_t)(end - c->head) + 4, used = head - c->head_len;
        c->head_len = head;
        read_head(c);
        bytes += used;
        n -= used;
        if (n == 0 && (c->chunked || c->left > 0))
            return;
    }
    if (take_body(c, bytes, n))
        answered(c);
}

static void serve(struct client *c, uint32_t events) {
    static char bytes[READ_BYTES];
    if (events & EPOLLOUT)
        send_more(c, true);
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        return;
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n > 0)
        take(c, bytes, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        again(c);
}

static bool may_ask(void) {
    return g.idle_count > 0 && (g.limit == 0 || g.asked < g.limit);
}

static bool is_over(uint64_t now, uint64_t end) {
    return g.limit > 0 ? g.requests + g.errors >= g.limit : now >= end;
}

static uint64_t run(void) {
    uint64_t start = now_ns(), end = start + (uint64_t)(g.seconds * 1e9), due = start;
    double pause_ns = g.rate > 0 ? 1e9 / g.rate : 0, next = (double)start;
    struct epoll_event events[256];
    for (uint64_t now = start; !is_over(now, end); now = now_ns()) {
        if (g.rate > 0) {
            for (; next <= (double)now && may_ask(); next += pause_ns)
                ask((uint64_t)next);
        } else {
            for (due = now; may_ask();)
                ask(due);
        }
        double wait_ms = g.rate > 0 ? (next - (double)now) / 1e6 : 100;
        int n = epoll_wait(g.epoll, events, 256, wait_ms < 1 ? 0 : (int)wait_ms);
        for (int i = 0; i < n; i++)
            serve(events[i].data.ptr, events[i].events);
    }
    return now_ns() - start;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t percentile(double p) {
    if (g.sample_count == 0)
        return 0;
    return g.samples[(size_t)(p * (double)(g.sample_count - 1))];
}

static char *read_file(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail(path);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*len + 1);
    if (text == NULL || fread(text, 1, *len, f) != *len)
        fail(path);
    fclose(f);
    return text;
}

static uint64_t itself(uint64_t number) {
    return number;
}

static uint64_t run_of(uint64_t number) {
    return number / (RUN_STEPS * RUNS_AT_ONCE) * RUNS_AT_ONCE + number % RUNS_AT_ONCE;
}

static uint64_t user_of(uint64_t number) {
    return number % USERS;
}

static void find_places(void) {
    static const struct {
        const char *mark;
        uint64_t (*of)(uint64_t number);
    } kinds[] = {{"########", itself}, {"$$$$$$$$", run_of}, {"%%%%%%%%", user_of}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char *at = g.request, *end = g.request + g.request_len;
        while (g.place_count < PLACES_MAX &&
               (at = memmem(at, (size_t)(end - at), kinds[k].mark, PLACE_DIGITS)) != NULL) {
            g.places[g.place_count].at = (size_t)(at - g.request);
            g.places[g.place_count++].of = kinds[k].of;
            at += PLACE_DIGITS;
        }
    }
}

static void make_request(const char *body_file, const char *headers) {
    size_t body_len;
    char *body = read_file(body_file, &body_len);
    g.request = malloc(body_len + strlen(headers) + 1024);
    if (g.request == NULL)
        fail("malloc");
    int head = sprintf(g.request,
                       "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                       "Accept: application/json\r\nContent-Type: application/json\r\n"
                       "User-Agent: OpenAI/Python 1.109.1\r\nAuthorization: Bearer sk-load\r\n"
                       "%sContent-Length: %zu\r\n\r\n",
                       g.port, headers, body_len);
    memcpy(g.request + head, body, body_len);
    g.request_len = (size_t)head + body_len;
    free(body);
    find_places();
}

int main(int argc, char **argv) {
    const char *body = NULL;
    char headers[4096] = "";
    g.port = argc > 1 ? atoi(argv[1]) : 0;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--body") == 0)
            body = argv[i + 1];
        else if (strcmp(argv[i], "--connections") == 0)
            g.connections = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--seconds") == 0)
            g.seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--rate") == 0)
            g.rate = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--requests") == 0)
            g.limit = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            g.first = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--header") == 0)
            snprintf(headers + strlen(headers), sizeof headers - strlen(headers), "%s\r\n", argv[i + 1]);
    }
    if (g.port == 0 || body == NULL || g.connections < 1 || g.connections > CONNECTIONS_MAX) {
        fputs("usage: load PORT --body FILE [--connections N] [--seconds S] [--rate R] "
              "[--requests N] [--first N] [--header \"Name: value\"]...\n", stderr);
        return 2;
    }
    make_request(body, headers);
    g.epoll = epoll_create1(0);
    g.clients = calloc((size_t)g.connections, sizeof *g.clients);
    g.idle = calloc((size_t)g.connections, sizeof(struct client *));
    g.samples = malloc(SAMPLES_MAX * sizeof *g.samples); // touched as it fills
    if (g.clients == NULL || g.idle == NULL || g.samples == NULL)
        fail("malloc");
    for (int i = 0; i < g.connections; i++)
        open_client(&g.clients[i]);
    double seconds = (double)run() / 1e9;
    qsort(g.samples, g.sample_count, sizeof *g.samples, compare);
    printf("{\"requests\":%llu,\"errors\":%llu,\"events\":%llu,\"seconds\":%.3f,\"p50_us\":%u,"
           "\"p99_us\":%u,\"p999_us\":%u}\n",
           (unsigned long long)g.requests, (unsigned long long)g.errors,
           (unsigned long long)g.events, seconds, percentile(0.50), percentile(0.99),
           percentile(0.999));
    return 0;
}
