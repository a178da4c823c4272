// The log: logfmt lines to stderr, one write(2) each, so that lines of several
// threads do not mix.
#include "farthing/base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warning", "error"};
static _Atomic int threshold = LOG_INFO;

void log_set_level(enum log_level level) {
    atomic_store(&threshold, (int)level);
}

bool log_level_parse(struct slice name, enum log_level *out) {
    for (size_t i = 0; i < FARTHING_COUNT(names); i++)
        if (slice_equal(name, slice_of(names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

static bool is_control(struct slice s, size_t length) {
    unsigned char c = (unsigned char)s.ptr[0];
    // U+0080 to U+009F as well: some terminals obey them.
    return c < 0x20 || c == 0x7f || (length == 2 && c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0);
}

// What could end the value, forge a line or drive a terminal is escaped: quotes,
// backslashes, controls, and what is not UTF-8.
static size_t escape(struct slice text, char *out, size_t room) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    while (text.len > 0 && n + 4 <= room) {
        size_t length = slice_utf8(text);
        unsigned char c = (unsigned char)text.ptr[0];
        if (length == 0 || is_control(text, length)) {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
            length = 1;
        } else {
            if (c == '"' || c == '\\')
                out[n++] = '\\';
            memcpy(out + n, text.ptr, length);
            n += length;
        }
        text = slice_from(text, length);
    }
    return n;
}

void log_write(enum log_level level, const char *fmt, ...) {
    if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed))
        return;
    char text[1024], line[2048], time[25];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    clock_format_ms(clock_wall_ms(), time);
    int head = snprintf(line, sizeof line, "ts=%s level=%s msg=\"", time, names[level]);
    size_t n = (size_t)head;
    n += escape(slice_of(text), line + n, sizeof line - n - 2);
    line[n++] = '"';
    line[n++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored; // nowhere left to say it
}
