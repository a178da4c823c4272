// Growable bytes; doubling, so that n appends cost n.
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>

void buffer_reserve(struct buffer *b, size_t extra) {
    if (b->cap - b->len >= extra)
        return;
    size_t wanted;
    if (__builtin_add_overflow(b->len, extra, &wanted) || wanted > SIZE_MAX / 2)
        base_too_large();
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < wanted)
        cap *= 2;
    b->ptr = base_realloc(b->ptr, cap);
    b->cap = cap;
}

void buffer_append(struct buffer *b, struct slice s) {
    if (s.len == 0)
        return;
    buffer_reserve(b, s.len);
    memcpy(b->ptr + b->len, s.ptr, s.len);
    b->len += s.len;
}

void buffer_append_char(struct buffer *b, char c) {
    buffer_reserve(b, 1);
    b->ptr[b->len++] = c;
}

void buffer_append_u64(struct buffer *b, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buffer_append(b, slice_make(digits + at, sizeof digits - at));
}

void buffer_append_i64(struct buffer *b, int64_t value) {
    if (value < 0)
        buffer_append_char(b, '-');
    buffer_append_u64(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buffer_printf(struct buffer *b, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    buffer_reserve(b, 128);
    int length = vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, args);
    if (length > 0 && (size_t)length >= b->cap - b->len) {
        buffer_reserve(b, (size_t)length + 1);
        vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, again);
    }
    if (length > 0)
        b->len += (size_t)length;
    va_end(again);
    va_end(args);
}

void buffer_consume(struct buffer *b, size_t n) {
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    b->len -= n;
    memmove(b->ptr, b->ptr + n, b->len);
}

void buffer_clear(struct buffer *b) {
    b->len = 0;
}

void buffer_free(struct buffer *b) {
    free(b->ptr);
    *b = (struct buffer){0};
}
