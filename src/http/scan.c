// Heads: see scan.h.
#include "scan.h"

static enum scan_verdict bad(struct scan_refusal *r, const char *why) {
    return scan_refuse(r, API_ERROR_INVALID_REQUEST, 400, why);
}

// -------------------------------------------------------------- request line

static enum scan_verdict check_method(struct slice method, struct scan_refusal *r) {
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    if (!scan_is_token(method))
        return bad(r, "The method is not valid.");
    if (SLICE_IS_ONE_OF(method, known))
        return SCAN_DONE;
    if (slice_equal(method, SLICE("CONNECT")) || slice_equal(method, SLICE("TRACE")))
        return scan_refuse(r, API_ERROR_METHOD_NOT_ALLOWED, 405, "This method is not served.");
    return bad(r, "The method is not known.");
}

// What follows "http://" or "https://"; SLICE_NONE when it starts otherwise.
static struct slice after_scheme(struct slice target) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < FARTHING_COUNT(schemes); i++) {
        struct slice scheme = slice_of(schemes[i]);
        if (target.len >= scheme.len &&
            slice_equal_nocase(slice_make(target.ptr, scheme.len), scheme))
            return slice_from(target, scheme.len);
    }
    return SLICE_NONE;
}

// RFC 9112 3.2.2: a server must accept this form. The authority is not looked
// at: what is served does not depend on the host. Userinfo is refused (RFC
// 9110 4.2.4).
static enum scan_verdict read_absolute(struct slice rest, struct slice *target,
                                       struct scan_refusal *r) {
    size_t authority = 0;
    while (authority < rest.len && rest.ptr[authority] != '/' && rest.ptr[authority] != '?') {
        if (rest.ptr[authority] == '@')
            return bad(r, "The request target has user information.");
        authority++;
    }
    if (authority == 0 || rest.ptr[0] == ':')
        return bad(r, "The request target has no host.");
    *target = slice_from(rest, authority);
    return SCAN_DONE;
}

// origin-form, absolute-form, or "*" for OPTIONS (RFC 9112 3.2).
static enum scan_verdict read_target(struct slice target, struct scan_head *head,
                                     struct scan_refusal *r) {
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return bad(r, "The request target has a character that is not allowed.");
    }
    struct slice rest = after_scheme(target);
    if (rest.ptr != NULL) {
        if (read_absolute(rest, &target, r) == SCAN_REFUSED)
            return SCAN_REFUSED;
    } else if (slice_equal(target, SLICE("*")) && slice_equal(head->method, SLICE("OPTIONS"))) {
        head->path = target;
        return SCAN_DONE;
    } else if (target.len == 0 || target.ptr[0] != '/') {
        return bad(r, "The request target is not valid.");
    }
    ptrdiff_t mark = slice_find_char(target, '?');
    head->path = mark < 0 ? target : slice_make(target.ptr, (size_t)mark);
    head->query = mark < 0 ? SLICE_NONE : slice_from(target, (size_t)mark + 1);
    if (head->path.len == 0) // absolute-form only
        head->path = SLICE("/");
    return SCAN_DONE;
}

static enum scan_verdict read_version(struct slice version, struct scan_head *head,
                                      struct scan_refusal *r) {
    if (slice_equal(version, SLICE("HTTP/1.1")))
        return SCAN_DONE;
    head->http_1_0 = slice_equal(version, SLICE("HTTP/1.0"));
    if (head->http_1_0)
        return SCAN_DONE;
    bool other = version.len == 8 && slice_starts_with(version, SLICE("HTTP/")) &&
                 version.ptr[5] >= '0' && version.ptr[5] <= '9' && version.ptr[6] == '.' &&
                 version.ptr[7] >= '0' && version.ptr[7] <= '9';
    // 1.2 would have to be read as 1.1 (RFC 9110 2.5) but does not exist.
    return other
               ? scan_refuse(r, API_ERROR_INVALID_REQUEST, 505, "This HTTP version is not served.")
               : bad(r, "The HTTP version is not valid.");
}

static enum scan_verdict read_request_line(struct slice line, struct scan_head *head,
                                           struct scan_refusal *r) {
    ptrdiff_t first = slice_find_char(line, ' ');
    if (first <= 0)
        return bad(r, "The request line is not valid.");
    head->method = slice_make(line.ptr, (size_t)first);
    struct slice rest = slice_from(line, (size_t)first + 1);
    ptrdiff_t second = slice_find_char(rest, ' ');
    if (second <= 0)
        return bad(r, "The request line is not valid.");
    enum scan_verdict verdict = read_version(slice_from(rest, (size_t)second + 1), head, r);
    if (verdict == SCAN_DONE)
        verdict = check_method(head->method, r);
    return verdict == SCAN_DONE ? read_target(slice_make(rest.ptr, (size_t)second), head, r)
                                : verdict;
}

// -------------------------------------------------------------------- fields

struct framing {
    unsigned hosts, lengths, encodings;
    bool says_close, says_keep_alive;
};

static enum scan_verdict read_length(struct slice value, struct scan_head *head,
                                     struct framing *f, struct scan_refusal *r) {
    if (++f->lengths > 1)
        return bad(r, "There is more than one Content-Length.");
    head->has_length = true;
    return slice_to_u64(value, &head->length) ? SCAN_DONE
                                              : bad(r, "The Content-Length is not a number.");
}

static enum scan_verdict read_encoding(struct slice value, struct scan_head *head,
                                       struct framing *f, struct scan_refusal *r) {
    if (++f->encodings > 1)
        return bad(r, "There is more than one Transfer-Encoding.");
    head->chunked = slice_equal_nocase(value, SLICE("chunked"));
    if (head->chunked)
        return SCAN_DONE;
    struct slice part, last = SLICE_NONE;
    bool list = slice_find_char(value, ',') >= 0;
    while (slice_split(&value, ',', &part))
        last = slice_trim(part);
    // Another coding, properly announced, is only not understood (RFC 9112 6.1).
    return list && slice_equal_nocase(last, SLICE("chunked"))
               ? scan_refuse(r, API_ERROR_INVALID_REQUEST, 501,
                             "This transfer coding is not served.")
               : bad(r, "The Transfer-Encoding is not valid.");
}

static void read_connection(struct slice value, struct framing *f) {
    struct slice part;
    while (slice_split(&value, ',', &part)) {
        part = slice_trim(part);
        if (slice_equal_nocase(part, SLICE("close")))
            f->says_close = true;
        else if (slice_equal_nocase(part, SLICE("keep-alive")))
            f->says_keep_alive = true;
    }
}

static enum scan_verdict read_expect(struct slice value, struct scan_head *head,
                                     struct scan_refusal *r) {
    if (!slice_equal_nocase(value, SLICE("100-continue")))
        return scan_refuse(r, API_ERROR_INVALID_REQUEST, 417, "This expectation cannot be met.");
    head->expects_continue = !head->http_1_0;
    return SCAN_DONE;
}

static enum scan_verdict check_host(struct slice value, struct framing *f, struct scan_refusal *r) {
    f->hosts++;
    for (size_t i = 0; i < value.len; i++)
        if (strchr(" \t,/@\\?#", value.ptr[i]) != NULL)
            return bad(r, "The Host is not valid.");
    return SCAN_DONE;
}

static enum scan_verdict notice(const struct api_header *h, struct scan_head *head,
                                struct framing *f, struct scan_refusal *r) {
    switch (scan_field_of(h->name)) {
    case SCAN_FIELD_LENGTH:
        return read_length(h->value, head, f, r);
    case SCAN_FIELD_ENCODING:
        return read_encoding(h->value, head, f, r);
    case SCAN_FIELD_HOST:
        return check_host(h->value, f, r);
    case SCAN_FIELD_EXPECT:
        return read_expect(h->value, head, r);
    case SCAN_FIELD_CONNECTION:
        read_connection(h->value, f);
        break;
    case SCAN_FIELD_OTHER:
        break;
    }
    return SCAN_DONE;
}

static enum scan_verdict read_field(struct slice line, struct api_header *out,
                                    struct scan_refusal *r) {
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return bad(r, "A header field is folded over two lines.");
    size_t length = scan_token_length(line);
    if (length == 0 || length == line.len)
        return bad(r, "A header field has no name or no colon.");
    if (line.ptr[length] != ':') // a blank before the colon is among these
        return bad(r, "A header field's name is not valid.");
    out->name = slice_make(line.ptr, length);
    out->value = slice_trim(slice_from(line, length + 1));
    return scan_is_value(out->value)
               ? SCAN_DONE
               : bad(r, "A header field's value has a control character.");
}

// The rules that span fields; RFC 9112 3.2, 6.1, 6.3, 9.3.
static enum scan_verdict check_framing(struct scan_head *head, const struct framing *f,
                                       struct scan_refusal *r) {
    if (f->lengths > 0 && f->encodings > 0)
        return bad(r, "There is a Content-Length beside a Transfer-Encoding.");
    if (f->encodings > 0 && head->http_1_0)
        return bad(r, "HTTP/1.0 has no Transfer-Encoding.");
    if (f->hosts > 1 || (f->hosts == 0 && !head->http_1_0))
        return bad(r, f->hosts > 1 ? "There is more than one Host." : "There is no Host.");
    head->keep_alive = !f->says_close && (!head->http_1_0 || f->says_keep_alive);
    return SCAN_DONE;
}

static struct slice next_line(struct slice *rest) {
    // The lines' ends were checked by scan_find_end.
    ptrdiff_t lf = slice_find_char(*rest, '\n');
    struct slice line = slice_make(rest->ptr, (size_t)lf - 1);
    *rest = slice_from(*rest, (size_t)lf + 1);
    return line;
}

// ---------------------------------------------------------------- the end

// A request line that can be seen to be wrong is not waited upon.
static enum scan_verdict check_line(struct slice bytes, struct scan_progress *progress,
                                    struct scan_refusal *refusal) {
    ptrdiff_t lf = progress->line_checked ? -1 : slice_find_char(bytes, '\n');
    if (lf < 1)
        return SCAN_MORE;
    progress->line_checked = true;
    struct scan_head scratch = {0};
    enum scan_verdict verdict =
        read_request_line(slice_make(bytes.ptr, (size_t)lf - 1), &scratch, refusal);
    return verdict == SCAN_DONE ? SCAN_MORE : verdict;
}

static enum scan_verdict too_large(struct scan_refusal *refusal) {
    return scan_refuse(refusal, API_ERROR_HEADERS_TOO_LARGE, 431, "The head is too large.");
}

enum scan_verdict scan_find_end(struct slice bytes, const struct scan_limits *limits,
                                struct scan_progress *progress, size_t *end,
                                struct scan_refusal *refusal) {
    // Something else than HTTP (a TLS hello, say) may never send a line's end.
    if (bytes.len > 0 && scan_token_length(slice_make(bytes.ptr, 1)) == 0)
        return bad(refusal, "This is not an HTTP request.");
    while (progress->seen < bytes.len) {
        const char *lf = memchr(bytes.ptr + progress->seen, '\n', bytes.len - progress->seen);
        if (lf == NULL)
            break;
        size_t at = (size_t)(lf - bytes.ptr);
        if (bytes.ptr[at - 1] != '\r') // at > 0: the first byte is a token's
            return bad(refusal, "A line of the head ends without a carriage return.");
        progress->seen = at + 1;
        if (at >= 3 && bytes.ptr[at - 2] == '\n') {
            *end = at + 1;
            return *end <= limits->max_bytes ? SCAN_DONE : too_large(refusal);
        }
    }
    progress->seen = bytes.len;
    if (bytes.len > limits->max_bytes)
        return too_large(refusal);
    return check_line(bytes, progress, refusal);
}

static struct api_header *next_field(struct scan_head *head, size_t *room, struct arena *arena) {
    if (head->field_count == *room) {
        struct api_header *more = arena_alloc(arena, 2 * *room * sizeof *more);
        memcpy(more, head->fields, *room * sizeof *more);
        head->fields = more;
        *room *= 2;
    }
    return &head->fields[head->field_count++];
}

enum scan_verdict scan_head(struct slice bytes, const struct scan_limits *limits,
                            struct arena *arena, struct scan_head *head,
                            struct scan_refusal *refusal) {
    struct framing f = {0};
    struct slice rest = bytes, line = next_line(&rest);
    *head = (struct scan_head){0};
    enum scan_verdict verdict = read_request_line(line, head, refusal);
    size_t max = limits->max_fields < SCAN_FIELDS_MAX ? limits->max_fields : SCAN_FIELDS_MAX;
    size_t room = SCAN_FIELDS_FIRST;
    head->fields = arena_alloc(arena, room * sizeof *head->fields);
    while (verdict == SCAN_DONE) {
        line = next_line(&rest);
        if (line.len == 0)
            return check_framing(head, &f, refusal);
        if (head->field_count == max)
            return scan_refuse(refusal, API_ERROR_HEADERS_TOO_LARGE, 431,
                               "There are too many header fields.");
        struct api_header *field = next_field(head, &room, arena);
        verdict = read_field(line, field, refusal);
        if (verdict == SCAN_DONE)
            verdict = notice(field, head, &f, refusal);
    }
    return verdict;
}
