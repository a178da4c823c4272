// A redis-server of a test's own, on a socket in the test's directory and, when
// asked, on ports of this host.
#ifndef FARTHING_TEST_STORE_REDIS_SERVER_H
#define FARTHING_TEST_STORE_REDIS_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REDIS_SKIP = 77, REDIS_ARGUMENTS_MAX = 40 };

struct redis_server {
    pid_t pid;
    char socket_path[100];
    const char *config;                         // a file; NULL: none
    const char *more[REDIS_ARGUMENTS_MAX - 13]; // further arguments
};

static inline int redis_server_connect(const struct redis_server *r) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", r->socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

// One command in Redis's inline form, and the first bytes of its answer.
static inline void redis_server_ask(const struct redis_server *r, const char *line, char *answer,
                                    size_t size) {
    int fd = redis_server_connect(r);
    size_t got = 0;
    if (fd >= 0 && write(fd, line, strlen(line)) > 0 && write(fd, "\r\n", 2) == 2) {
        ssize_t n = read(fd, answer, size - 1);
        got = n > 0 ? (size_t)n : 0;
    }
    answer[got] = '\0';
    if (fd >= 0)
        close(fd);
}

static inline void redis_server_order(const struct redis_server *r, const char *line) {
    char answer[256];
    redis_server_ask(r, line, answer, sizeof answer);
    if (answer[0] != '+' && answer[0] != ':') {
        fprintf(stderr, "redis-server answered %s to %s\n", answer, line);
        abort();
    }
}

// It ends with the test, however that ends.
static inline void redis_server_exec(const struct redis_server *r) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    static const char *const usual[] = {
        "--port", "0", "--save", "", "--appendonly", "no", "--loglevel", "warning", "--unixsocket"};
    const char *arguments[REDIS_ARGUMENTS_MAX] = {"redis-server", r->config};
    size_t count = r->config != NULL ? 2 : 1;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        arguments[count++] = usual[i];
    arguments[count++] = r->socket_path;
    for (size_t i = 0; r->more[i] != NULL; i++)
        arguments[count++] = r->more[i];
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    execvp("redis-server", (char *const *)(uintptr_t)arguments);
    _exit(127);
}

// Ready when it returns. Where there is none, the whole test is skipped.
static inline void redis_server_start(struct redis_server *r) {
    r->pid = fork();
    if (r->pid == 0)
        redis_server_exec(r);
    for (;;) {
        int fd = redis_server_connect(r), status;
        if (fd >= 0) {
            close(fd);
            return;
        }
        if (waitpid(r->pid, &status, WNOHANG) == r->pid) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
                printf("redis-server is not installed\n");
                exit(REDIS_SKIP);
            }
            fprintf(stderr, "redis-server ended at its start\n");
            abort();
        }
        usleep(1000);
    }
}

static inline void redis_server_stop(struct redis_server *r) {
    if (r->pid <= 0)
        return;
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    unlink(r->socket_path);
    r->pid = 0;
}

// A port that nobody has, as far as that can be known.
static inline unsigned free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (const struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    close(fd);
    return ntohs(address.sin_port);
}

#endif
