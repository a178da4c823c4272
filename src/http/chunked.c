// Chunked bodies (RFC 9112 7.1): see scan.h.
#include "scan.h"

enum {
    SIZE_DIGITS_MAX = 8, // 4 GiB in one chunk is more than any limit allows
    OVERHEAD_MAX = 8192, // extensions and trailers of a whole body: nobody sends any
};

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// One byte outside of chunk data; false when it may not stand there.
static bool step(struct scan_chunks *c, char byte, bool *done) {
    int digit = hex_value(byte);
    bool control = ((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f;
    switch (c->state) {
    case CHUNK_SIZE:
        if (digit >= 0 && c->digits < SIZE_DIGITS_MAX) {
            c->left = c->left << 4 | (unsigned)digit;
            c->digits++;
            return true;
        }
        if (c->digits == 0 || digit >= 0)
            return false;
        c->state = byte == '\r' ? CHUNK_SIZE_LF : byte == ';' ? CHUNK_EXTENSION : CHUNK_BLANK;
        return byte == '\r' || byte == ';' || byte == ' ' || byte == '\t';
    case CHUNK_BLANK:
        c->overhead++;
        if (byte == ';')
            c->state = CHUNK_EXTENSION;
        return byte == ';' || byte == ' ' || byte == '\t';
    case CHUNK_EXTENSION:
        c->overhead++;
        if (byte == '\r')
            c->state = CHUNK_SIZE_LF;
        return byte == '\r' || !control;
    case CHUNK_SIZE_LF:
        c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        c->digits = 0;
        return byte == '\n';
    case CHUNK_DATA_CR:
        c->state = CHUNK_DATA_LF;
        return byte == '\r';
    case CHUNK_DATA_LF:
        c->state = CHUNK_SIZE;
        return byte == '\n';
    case CHUNK_TRAILER:
        c->overhead++;
        c->state = byte == '\r' ? CHUNK_END_LF : CHUNK_TRAILER_NAME;
        return byte == '\r' || scan_is_token(slice_make(&byte, 1));
    case CHUNK_TRAILER_NAME:
        c->overhead++;
        if (byte == ':')
            c->state = CHUNK_TRAILER_IN;
        return byte == ':' || scan_is_token(slice_make(&byte, 1));
    case CHUNK_TRAILER_IN:
        c->overhead++;
        if (byte == '\r')
            c->state = CHUNK_TRAILER_LF;
        return byte == '\r' || !control;
    case CHUNK_TRAILER_LF:
        c->state = CHUNK_TRAILER;
        return byte == '\n';
    case CHUNK_END_LF:
        *done = true;
        return byte == '\n';
    case CHUNK_DATA:
        break;
    }
    return false;
}

enum scan_verdict scan_chunked(struct scan_chunks *c, struct slice bytes, size_t *used,
                               struct buffer *body, size_t max_body, struct scan_refusal *refusal) {
    size_t at = 0;
    bool done = false;
    while (at < bytes.len && !done) {
        if (c->state == CHUNK_DATA) {
            size_t n = bytes.len - at;
            if (n > c->left)
                n = (size_t)c->left;
            buffer_append(body, slice_make(bytes.ptr + at, n));
            at += n;
            c->left -= n;
            if (c->left == 0)
                c->state = CHUNK_DATA_CR;
            continue;
        }
        if (!step(c, bytes.ptr[at++], &done) || c->overhead > OVERHEAD_MAX)
            return scan_refuse(refusal, API_ERROR_INVALID_REQUEST, 400,
                               "The chunked body is not valid.");
        if (c->state == CHUNK_DATA && body->len + c->left > max_body)
            return scan_refuse(refusal, API_ERROR_REQUEST_TOO_LARGE, 413, "The body is too large.");
    }
    *used = at;
    return done ? SCAN_DONE : SCAN_MORE;
}
