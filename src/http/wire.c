// Bytes over a socket, plain or TLS.
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn.h"

static ssize_t tls_result(struct conn *c, int code) {
    int error = SSL_get_error(c->ssl, code);
    if (error == SSL_ERROR_WANT_READ)
        return WIRE_AGAIN;
    if (error == SSL_ERROR_WANT_WRITE) {
        c->tls_wants_write = true;
        return WIRE_AGAIN;
    }
    ERR_clear_error();
    return error == SSL_ERROR_ZERO_RETURN ? 0 : WIRE_ERROR;
}

ssize_t wire_read(struct conn *c, void *to, size_t room) {
    if (c->ssl != NULL) {
        int n = SSL_read(c->ssl, to, room > INT32_MAX ? INT32_MAX : (int)room);
        return n > 0 ? n : tls_result(c, n);
    }
    ssize_t n;
    do
        n = recv(c->fd, to, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_ERROR;
    return n;
}

static ssize_t tls_write(struct conn *c, struct slice bytes) {
    int n = SSL_write(c->ssl, bytes.ptr, bytes.len > INT32_MAX ? INT32_MAX : (int)bytes.len);
    if (n > 0)
        return n;
    ssize_t result = tls_result(c, n);
    return result == 0 ? WIRE_ERROR : result;
}

ssize_t wire_write(struct conn *c, struct slice head, struct slice body) {
    if (c->ssl != NULL)
        return tls_write(c, head.len > 0 ? head : body);
    struct iovec parts[2] = {{(void *)(uintptr_t)head.ptr, head.len},
                             {(void *)(uintptr_t)body.ptr, body.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n;
    do
        n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_ERROR;
    return n;
}

int wire_handshake(struct conn *c) {
    int code = SSL_do_handshake(c->ssl);
    if (code == 1)
        return 1;
    return tls_result(c, code) == WIRE_AGAIN ? WIRE_AGAIN : WIRE_ERROR;
}
