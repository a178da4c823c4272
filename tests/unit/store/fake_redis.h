// Something that speaks as Redis does until it is told to misbehave: it answers
// each command by its first word, from a thread of its own for each connection.
#ifndef FARTHING_TEST_STORE_FAKE_REDIS_H
#define FARTHING_TEST_STORE_FAKE_REDIS_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "scene.h"

struct fake_redis {
    char path[100];
    int listener;
    pthread_t thread;
    pthread_mutex_t lock; // of what follows
    char *answers[8][2];  // word and what is answered to it, instead of what is usual
    size_t answer_len[8];
    char last_answer_to[32];
    size_t at_once;   // bytes a write; 0: all
    size_t cut_after; // bytes of a GETRANGE's answer, then the connection ends; SIZE_MAX: never
    bool mute;        // commands are read, and answered once it is false again
    bool flood;       // after a GETRANGE's answer bytes without end
    bool stopping;
    unsigned connections, talking; // made so far; open now
    unsigned commands;
};

// One whole command out of the bytes: its length, 0 when it is not whole yet.
// `word` gets the first argument, `key` the second.
static inline size_t fake_parse(const char *bytes, size_t len, char word[32], char key[128]) {
    size_t at = 0;
    long count = 0;
    for (long i = -1; i < count; i++) {
        const char *end = memchr(bytes + at, '\n', len - at);
        if (end == NULL)
            return 0;
        long number = strtol(bytes + at + 1, NULL, 10);
        at = (size_t)(end - bytes) + 1;
        if (i < 0) {
            count = number;
            continue;
        }
        if (len - at < (size_t)number + 2)
            return 0;
        if (i == 0)
            snprintf(word, 32, "%.*s", (int)number, bytes + at);
        if (i == 1)
            snprintf(key, 128, "%.*s", (int)(number < 127 ? number : 127), bytes + at);
        at += (size_t)number + 2;
    }
    return at;
}

static inline struct slice fake_usual(const char *word, const char *key) {
    if (strcmp(word, "PING") == 0)
        return SLICE("+PONG\r\n");
    if (strcmp(word, "INFO") == 0)
        return SLICE("$19\r\nrun_id:of the fake\n\r\n");
    if (strcmp(word, "EVALSHA") == 0) // the beat
        return SLICE("$18\r\n1700000000000000 1\r\n");
    if (strcmp(word, "SUBSCRIBE") == 0) // to what need not be told
        return SLICE("*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    if (strcmp(word, "GETRANGE") == 0 && strstr(key, ":generation") != NULL)
        return SLICE("$3\r\nGEN\r\n");
    if (strcmp(word, "GETRANGE") == 0)
        return SLICE("$0\r\n\r\n");
    return strcmp(word, "UNLINK") == 0 ? SLICE(":1\r\n") : SLICE("+OK\r\n");
}

// A value's answer is that to "GETRANGE", a generation's that to "GENERATION".
static inline struct slice fake_answer(struct fake_redis *f, const char *word, const char *key) {
    bool is_generation = strcmp(word, "GETRANGE") == 0 && strstr(key, ":generation") != NULL;
    const char *named = is_generation ? "GENERATION" : word;
    for (size_t i = 0; i < FARTHING_COUNT(f->answers); i++)
        if (f->answers[i][0] != NULL && strcmp(f->answers[i][0], named) == 0)
            return slice_make(f->answers[i][1], f->answer_len[i]);
    return fake_usual(word, key);
}

static inline bool fake_write(int fd, struct slice bytes, size_t at_once) {
    while (bytes.len > 0) {
        size_t part = at_once > 0 && at_once < bytes.len ? at_once : bytes.len;
        ssize_t n = send(fd, bytes.ptr, part, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = slice_from(bytes, (size_t)n);
    }
    return true;
}

static inline bool fake_flood(int fd) {
    char junk[65536];
    memset(junk, 'x', sizeof junk);
    while (fake_write(fd, slice_make(junk, sizeof junk), 0))
        ;
    return false;
}

// Answers one command; false when the connection is to end.
static inline bool fake_serve(struct fake_redis *f, int fd, const char *word, const char *key) {
    bool is_value = strcmp(word, "GETRANGE") == 0 && strstr(key, ":generation") == NULL;
    pthread_mutex_lock(&f->lock);
    f->commands++;
    struct slice answer = fake_answer(f, word, key);
    char *copy = slice_dup(answer);
    size_t at_once = f->at_once, cut = is_value ? f->cut_after : SIZE_MAX;
    bool flood = f->flood && is_value;
    while (f->mute && !f->stopping) { // its state may change meanwhile
        pthread_mutex_unlock(&f->lock);
        usleep(1000);
        pthread_mutex_lock(&f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    bool ok = fake_write(fd, slice_make(copy, answer.len < cut ? answer.len : cut), at_once);
    free(copy);
    return ok && cut == SIZE_MAX && (!flood || fake_flood(fd));
}

static inline bool fake_is_stopping(struct fake_redis *f) {
    pthread_mutex_lock(&f->lock);
    bool stopping = f->stopping;
    pthread_mutex_unlock(&f->lock);
    return stopping;
}

static inline bool fake_readable(struct fake_redis *f, int fd) {
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    while (!fake_is_stopping(f))
        if (poll(&wanted, 1, 20) > 0)
            return true;
    return false;
}

struct fake_connection {
    struct fake_redis *fake;
    int fd;
};

static inline void *fake_talk(void *arg) {
    struct fake_connection *c = arg;
    struct fake_redis *f = c->fake;
    int fd = c->fd;
    struct buffer got = {0};
    char chunk[65536], word[32] = "", key[128] = "";
    while (fake_readable(f, fd)) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            break;
        buffer_append(&got, slice_make(chunk, (size_t)n));
        size_t len = 0;
        bool ok = true;
        while (ok && (len = fake_parse(got.ptr, got.len, word, key)) > 0) {
            ok = fake_serve(f, fd, word, key);
            buffer_consume(&got, len);
        }
        if (!ok)
            break;
    }
    buffer_free(&got);
    close(fd);
    free(c);
    pthread_mutex_lock(&f->lock);
    f->talking--;
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static inline void *fake_run(void *arg) {
    struct fake_redis *f = arg;
    while (fake_readable(f, f->listener)) {
        struct fake_connection *c = base_alloc(sizeof *c);
        pthread_t thread;
        *c = (struct fake_connection){f, accept(f->listener, NULL, NULL)};
        pthread_mutex_lock(&f->lock);
        f->connections++;
        f->talking++;
        pthread_mutex_unlock(&f->lock);
        if (pthread_create(&thread, NULL, fake_talk, c) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

static inline void fake_start(struct fake_redis *f, const char *directory) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *f = (struct fake_redis){.lock = PTHREAD_MUTEX_INITIALIZER, .cut_after = SIZE_MAX};
    snprintf(f->path, sizeof f->path, "%s/fake", directory);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", f->path);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(f->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(f->listener, 16) != 0 || pthread_create(&f->thread, NULL, fake_run, f) != 0)
        abort();
}

// What it answers from now on to commands of this word; NULL: what is usual.
static inline void fake_say(struct fake_redis *f, const char *word, struct slice answer) {
    pthread_mutex_lock(&f->lock);
    size_t i = 0;
    while (i < FARTHING_COUNT(f->answers) - 1 && f->answers[i][0] != NULL &&
           strcmp(f->answers[i][0], word) != 0)
        i++;
    free(f->answers[i][0]);
    free(f->answers[i][1]);
    f->answers[i][0] = answer.ptr != NULL ? slice_dup(slice_of(word)) : NULL;
    f->answers[i][1] = answer.ptr != NULL ? slice_dup(answer) : NULL;
    f->answer_len[i] = answer.len;
    pthread_mutex_unlock(&f->lock);
}

#define FAKE_SET(f, field, value)                                                                  \
    do {                                                                                           \
        pthread_mutex_lock(&(f)->lock);                                                            \
        (f)->field = (value);                                                                      \
        pthread_mutex_unlock(&(f)->lock);                                                          \
    } while (0)

static inline unsigned fake_connections(struct fake_redis *f) {
    pthread_mutex_lock(&f->lock);
    unsigned count = f->connections;
    pthread_mutex_unlock(&f->lock);
    return count;
}

static inline void fake_stop(struct fake_redis *f) {
    FAKE_SET(f, stopping, true);
    pthread_join(f->thread, NULL);
    for (unsigned talking = 1; talking > 0;) {
        pthread_mutex_lock(&f->lock);
        talking = f->talking;
        pthread_mutex_unlock(&f->lock);
        if (talking > 0)
            usleep(1000);
    }
    close(f->listener);
    for (size_t i = 0; i < FARTHING_COUNT(f->answers); i++) {
        free(f->answers[i][0]);
        free(f->answers[i][1]);
    }
    pthread_mutex_destroy(&f->lock);
}

#endif
