// Server-sent events, incremental (WHATWG HTML 9.2.6): lines end in LF, CRLF or
// CR, an empty line ends the event. Only the bytes of an unended event are
// kept; each byte is looked at once, however it is split.
#include <stdlib.h>

#include "farthing/provider.h"

enum {
    HELD_BYTES_KEPT = 16 << 10, // of a stream's memory between its events
    WINDOW_BYTES = 512, // searched at once: lines that end in CR would else search all for an LF
};

struct sse {
    struct buffer held; // of the event that has not ended
    bool line_empty;    // nothing but the line's end so far
    bool after_cr;      // an LF now belongs to the line's end before
    size_t max_event_bytes;
    struct buffer data; // joined data lines
    bool first;         // no event of the stream was read: a BOM may come
    bool failed;        // an event was too large
};

struct sse *sse_new(size_t max_event_bytes) {
    struct sse *s = base_calloc(1, sizeof *s);
    s->max_event_bytes = max_event_bytes;
    s->line_empty = true;
    s->first = true;
    return s;
}

void sse_free(struct sse *s) {
    if (s == NULL)
        return;
    buffer_free(&s->held);
    buffer_free(&s->data);
    free(s);
}

struct slice sse_rest(const struct sse *s) {
    return buffer_slice(&s->held);
}

static bool next_line(struct slice *rest, struct slice *line) {
    if (rest->len == 0)
        return false;
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != '\n' && rest->ptr[n] != '\r')
        n++;
    *line = slice_make(rest->ptr, n);
    size_t end = n;
    if (end < rest->len)
        end += rest->ptr[end] == '\r' && end + 1 < rest->len && rest->ptr[end + 1] == '\n' ? 2 : 1;
    *rest = slice_from(*rest, end);
    return true;
}

// The fields of a whole event.
static void read_event(struct sse *s, struct slice raw, struct sse_event *event) {
    *event = (struct sse_event){.raw = raw};
    struct slice rest = raw, line, single = SLICE_NONE;
    size_t data_lines = 0;
    if (s->first && slice_starts_with(rest, SLICE("\xef\xbb\xbf")))
        rest = slice_from(rest, 3);
    s->first = false;
    buffer_clear(&s->data);
    while (next_line(&rest, &line)) {
        ptrdiff_t colon = slice_find_char(line, ':');
        if (line.len == 0 || colon == 0)
            continue; // the end, or a comment
        struct slice name = colon < 0 ? line : slice_make(line.ptr, (size_t)colon);
        struct slice value = colon < 0 ? SLICE_NONE : slice_from(line, (size_t)colon + 1);
        if (value.len > 0 && value.ptr[0] == ' ')
            value = slice_from(value, 1);
        if (slice_equal(name, SLICE("event")))
            event->name = value;
        if (!slice_equal(name, SLICE("data")))
            continue;
        if (data_lines == 1)
            buffer_append(&s->data, single);
        if (data_lines >= 1) {
            buffer_append_char(&s->data, '\n');
            buffer_append(&s->data, value);
        }
        single = value;
        data_lines++;
    }
    event->has_data = data_lines > 0;
    event->data = data_lines > 1 ? buffer_slice(&s->data) : single;
}

static size_t find_char(struct slice bytes, char c, size_t from, size_t end) {
    const char *at = memchr(bytes.ptr + from, c, end - from);
    return at != NULL ? (size_t)(at - bytes.ptr) : end;
}

// Where the event that `bytes` begin or go on with ends, or SIZE_MAX. A CR at
// the very end of what is there ends the event at once: nobody waits for the
// LF that may follow.
static size_t find_end(struct sse *s, struct slice bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c != '\n' && c != '\r') {
            size_t window = bytes.len - i < WINDOW_BYTES ? bytes.len : i + WINDOW_BYTES;
            size_t stop = find_char(bytes, '\r', i, find_char(bytes, '\n', i, window));
            s->line_empty = false;
            s->after_cr = false;
            i = stop - 1;
            continue;
        }
        if (c == '\n' && s->after_cr) {
            s->after_cr = false;
            continue; // the second half of a CRLF
        }
        bool ends = s->line_empty;
        s->after_cr = c == '\r';
        s->line_empty = true;
        if (!ends)
            continue;
        if (c == '\r' && i + 1 < bytes.len && bytes.ptr[i + 1] == '\n') {
            s->after_cr = false;
            return i + 2;
        }
        return i + 1;
    }
    return SIZE_MAX;
}

static void give_event(struct sse *s, struct slice raw, sse_on_event *on_event, void *arg) {
    struct sse_event event;
    read_event(s, raw, &event);
    on_event(arg, &event);
    buffer_clear(&s->held);
    if (s->held.cap > HELD_BYTES_KEPT)
        buffer_free(&s->held);
    if (s->data.cap > HELD_BYTES_KEPT)
        buffer_free(&s->data);
}

// The LF of a CRLF whose CR has already ended an event.
static struct slice give_late_lf(struct sse *s, struct slice bytes, sse_on_event *on_event,
                                 void *arg) {
    if (!s->after_cr || s->held.len > 0 || bytes.len == 0 || bytes.ptr[0] != '\n')
        return bytes;
    s->after_cr = false;
    on_event(arg, &(struct sse_event){.raw = slice_make(bytes.ptr, 1), .is_late_lf = true});
    return slice_from(bytes, 1);
}

bool sse_feed(struct sse *s, struct slice bytes, sse_on_event *on_event, void *arg) {
    bytes = give_late_lf(s, bytes, on_event, arg);
    while (bytes.len > 0 && !s->failed) {
        size_t end = find_end(s, bytes);
        struct slice part = slice_make(bytes.ptr, end != SIZE_MAX ? end : bytes.len);
        bytes = slice_from(bytes, part.len);
        if (part.len > s->max_event_bytes - s->held.len) {
            s->failed = true;
            break;
        }
        // What lies whole in what was read is not copied.
        bool whole = s->held.len == 0 && end != SIZE_MAX;
        if (!whole)
            buffer_append(&s->held, part);
        if (end != SIZE_MAX)
            give_event(s, whole ? part : buffer_slice(&s->held), on_event, arg);
    }
    return !s->failed;
}
