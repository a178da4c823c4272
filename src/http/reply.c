// Replies: heads, whole bodies, and streams.
#include "conn.h"

#include <stdio.h>
#include <time.h>

static const char *reason(int status) {
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown"; // RFC 9112 4: it has no meaning anyway
    }
}

// IMF-fixdate (RFC 9110 5.6.7), made once a second.
static struct slice date(struct http_server *s) {
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t now = clock_wall_ms() / 1000;
    if (now != s->date_second) {
        time_t seconds = (time_t)now;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        snprintf(s->date, sizeof s->date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                 tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec);
        s->date_second = now;
    }
    return slice_of(s->date);
}

// What would end its line, or say something about framing, is never let
// through: a provider's answer must not be able to split ours.
static bool is_safe(const struct api_header *h) {
    switch (scan_field_of(h->name)) {
    case SCAN_FIELD_LENGTH:
    case SCAN_FIELD_ENCODING:
    case SCAN_FIELD_CONNECTION:
        return false;
    case SCAN_FIELD_HOST:
    case SCAN_FIELD_EXPECT:
    case SCAN_FIELD_OTHER:
        break;
    }
    return !slice_equal_nocase(h->name, SLICE("date")) && scan_is_token(h->name) &&
           scan_is_value(h->value);
}

static struct buffer *begin_head(struct http_request *r, int status,
                                 const struct api_header *headers, size_t count) {
    struct buffer *out = &r->server->reply;
    buffer_clear(out);
    BUFFER_LITERAL(out, "HTTP/1.1 ");
    buffer_append_i64(out, status);
    buffer_append_char(out, ' ');
    buffer_append(out, slice_of(reason(status)));
    BUFFER_LITERAL(out, "\r\nDate: ");
    buffer_append(out, date(r->server));
    for (size_t i = 0; i < count; i++) {
        if (!is_safe(&headers[i]))
            continue;
        BUFFER_LITERAL(out, "\r\n");
        buffer_append(out, headers[i].name);
        BUFFER_LITERAL(out, ": ");
        buffer_append(out, headers[i].value);
    }
    if (r->server->draining)
        r->conn->closes = true;
    if (r->conn->closes)
        BUFFER_LITERAL(out, "\r\nConnection: close");
    else if (r->head.http_1_0)
        BUFFER_LITERAL(out, "\r\nConnection: keep-alive");
    return out;
}

// RFC 9110 6.4.1.
static bool is_bodyless(const struct http_request *r, int status) {
    return status == 204 || status == 304 || slice_equal(r->head.method, SLICE("HEAD"));
}

void http_reply(struct http_request *r, int status, const struct api_header *headers,
                size_t header_count, struct slice body) {
    if (r->is_own)
        own_reply(r, status, body);
    if (r->conn == NULL || r->reply != REPLY_NONE)
        return;
    struct buffer *head = begin_head(r, status, headers, header_count);
    if (status != 204 && status != 304) {
        BUFFER_LITERAL(head, "\r\nContent-Length: ");
        buffer_append_u64(head, body.len);
    }
    BUFFER_LITERAL(head, "\r\n\r\n");
    r->reply = REPLY_WHOLE;
    const struct slice parts[] = {buffer_slice(head), body};
    output_send(r->conn, parts, is_bodyless(r, status) ? 1 : 2);
}

void http_reply_error(struct http_request *r, enum api_error error, int status_or_0,
                      struct slice message, struct slice param, const struct api_header *headers,
                      size_t header_count) {
    const struct api_error_info *info = api_error_info(error);
    struct api_header all[128];
    size_t count = 0;
    all[count++] = (struct api_header){SLICE("Content-Type"), SLICE("application/json")};
    if (!info->retryable)
        all[count++] = (struct api_header){SLICE("x-should-retry"), SLICE("false")};
    for (size_t i = 0; i < header_count && count < FARTHING_COUNT(all); i++)
        if (!slice_equal_nocase(headers[i].name, SLICE("content-type")))
            all[count++] = headers[i];
    struct buffer body = {0};
    api_error_write(&body, error, message, param);
    http_reply(r, status_or_0 > 0 ? status_or_0 : info->status, all, count, buffer_slice(&body));
    buffer_free(&body);
}

void http_reply_begin(struct http_request *r, int status, const struct api_header *headers,
                      size_t header_count) {
    if (r->is_own)
        own_begin(r, status);
    if (r->conn == NULL || r->reply != REPLY_NONE)
        return;
    r->bodyless_reply = is_bodyless(r, status);
    r->chunked_reply = !r->head.http_1_0 && !r->bodyless_reply;
    if (r->head.http_1_0)
        r->conn->closes = true; // its end is the connection's
    struct buffer *head = begin_head(r, status, headers, header_count);
    if (r->chunked_reply)
        BUFFER_LITERAL(head, "\r\nTransfer-Encoding: chunked");
    BUFFER_LITERAL(head, "\r\n\r\n");
    r->reply = REPLY_STREAM;
    output_send(r->conn, &(struct slice){head->ptr, head->len}, 1);
}

bool http_reply_write(struct http_request *r, struct slice data) {
    if (r->is_own)
        own_write(r, data);
    if (r->conn == NULL || r->reply != REPLY_STREAM || data.len == 0 || r->bodyless_reply)
        return true;
    if (r->chunked_reply) {
        char size[24];
        int n = snprintf(size, sizeof size, "%zx\r\n", data.len);
        const struct slice parts[] = {slice_make(size, (size_t)n), data, SLICE("\r\n")};
        output_send(r->conn, parts, FARTHING_COUNT(parts));
    } else {
        output_send(r->conn, &data, 1);
    }
    if (r->conn == NULL || output_unsent(r->conn) <= (size_t)r->server->limits.stream_buffer_bytes)
        return true;
    r->drain_wanted = true;
    return false;
}

void http_reply_on_drain(struct http_request *r, void (*on_drain)(void *arg), void *arg) {
    r->on_drain = on_drain;
    r->on_drain_arg = arg;
}

static void end_reply(struct http_request *r, enum reply_state state) {
    r->reply = state;
    r->drain_wanted = false;
    if (state == REPLY_WHOLE && r->chunked_reply)
        output_send(r->conn, &SLICE("0\r\n\r\n"), 1);
    else if (output_unsent(r->conn) == 0)
        request_all_sent(r);
}

void http_reply_finish(struct http_request *r) {
    if (r->is_own)
        own_end(r, true);
    if (r->conn != NULL && r->reply == REPLY_STREAM)
        end_reply(r, REPLY_WHOLE);
}

void http_reply_abort(struct http_request *r) {
    if (r->is_own)
        own_end(r, false);
    if (r->conn == NULL || r->reply >= REPLY_WHOLE)
        return;
    r->conn->closes = true;
    end_reply(r, REPLY_BROKEN);
}

void reply_refusal(struct conn *c, const struct scan_refusal *refusal) {
    struct buffer body = {0}, head = {0};
    api_error_write(&body, refusal->error, slice_of(refusal->why), SLICE_NONE);
    buffer_printf(&head,
                  "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/json\r\n"
                  "Content-Length: %zu\r\n%sConnection: close\r\n\r\n",
                  refusal->status, reason(refusal->status), date(c->server).ptr, body.len,
                  api_error_info(refusal->error)->retryable ? "" : "x-should-retry: false\r\n");
    const struct slice parts[] = {buffer_slice(&head), buffer_slice(&body)};
    output_send(c, parts, FARTHING_COUNT(parts));
    buffer_free(&head);
    buffer_free(&body);
}
