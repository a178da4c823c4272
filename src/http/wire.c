// Bytes over a socket, plain or TLS.
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn.h"

static ssize_t plain_result(ssize_t n) {
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_ERROR;
}

static ssize_t tls_result(struct conn *c, int code) {
    int error = SSL_get_error(c->ssl, code);
    if (error == SSL_ERROR_WANT_READ)
        return WIRE_AGAIN;
    if (error == SSL_ERROR_WANT_WRITE) {
        c->tls_wants_write = true;
        return WIRE_AGAIN;
    }
    return error == SSL_ERROR_ZERO_RETURN ? 0 : WIRE_ERROR;
}

static int tls_length(size_t n) {
    return n > INT32_MAX ? INT32_MAX : (int)n;
}

ssize_t wire_read(struct conn *c, void *to, size_t room) {
    if (c->ssl != NULL) {
        ERR_clear_error(); // another room's leftovers would be taken for ours
        int n = SSL_read(c->ssl, to, tls_length(room));
        return n > 0 ? n : tls_result(c, n);
    }
    ssize_t n;
    do
        n = recv(c->fd, to, room, 0);
    while (n < 0 && errno == EINTR);
    return plain_result(n);
}

ssize_t wire_drop(struct conn *c) {
    ssize_t n;
    do // tcp(7): MSG_TRUNC drops without copying
        n = recv(c->fd, NULL, 1 << 20, MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    return plain_result(n);
}

static ssize_t tls_write(struct conn *c, struct slice bytes) {
    ERR_clear_error();
    int n = SSL_write(c->ssl, bytes.ptr, tls_length(bytes.len));
    if (n > 0)
        return n;
    // No use of tls_wants_write: what is unsent waits for the socket anyway,
    // and must not make a paused connection read.
    int error = SSL_get_error(c->ssl, n);
    return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? WIRE_AGAIN : WIRE_ERROR;
}

ssize_t wire_write(struct conn *c, const struct slice *parts, size_t count) {
    if (c->ssl != NULL)
        return tls_write(c, parts[0]);
    struct iovec vector[WIRE_PARTS];
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
    for (size_t i = 0; i < count; i++)
        vector[i] = (struct iovec){(void *)(uintptr_t)parts[i].ptr, parts[i].len};
    ssize_t n;
    do
        n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return plain_result(n);
}

int wire_handshake(struct conn *c) {
    ERR_clear_error();
    int code = SSL_do_handshake(c->ssl);
    if (code == 1)
        return 1;
    return tls_result(c, code) == WIRE_AGAIN ? WIRE_AGAIN : WIRE_ERROR;
}
