// The strict reader of request heads and chunked bodies: bytes in, verdicts
// out, no I/O. RFC 9112 throughout; where it leaves a choice between leniency
// and refusal, a proxy refuses: what two parsers read differently is how
// requests are smuggled.
#ifndef FARTHING_HTTP_SCAN_H
#define FARTHING_HTTP_SCAN_H

#include "farthing/api.h"
#include "farthing/base.h"

enum scan_verdict {
    SCAN_MORE,    // not all there yet
    SCAN_DONE,
    SCAN_REFUSED, // the refusal is set; the connection cannot be used further
};

struct scan_refusal {
    enum api_error error;
    int status;
    const char *why; // for the client; a literal
};

static inline enum scan_verdict scan_refuse(struct scan_refusal *r, enum api_error error,
                                            int status, const char *why) {
    *r = (struct scan_refusal){error, status, why};
    return SCAN_REFUSED;
}

struct scan_limits {
    size_t max_bytes;
    unsigned max_fields;
};

enum {
    SCAN_FIELDS_MAX = 1000,
    SCAN_FIELDS_FIRST = 24, // room at first: SDKs send 10 to 20
};

// A head that was read. Slices point into the scanned bytes.
struct scan_head {
    struct slice method, path, query;
    bool http_1_0;
    bool keep_alive;
    bool expects_continue;
    bool chunked;
    bool has_length;
    uint64_t length;
    struct api_header *fields; // from the arena
    size_t field_count;
};

size_t scan_token_length(struct slice s); // of the token (RFC 9110 5.6.2) that s starts with
bool scan_is_token(struct slice s);
bool scan_is_value(struct slice s); // a field's: no control characters but tabs

// The fields that say something about the message or the connection itself.
enum scan_field {
    SCAN_FIELD_OTHER,
    SCAN_FIELD_HOST,
    SCAN_FIELD_EXPECT,
    SCAN_FIELD_CONNECTION,
    SCAN_FIELD_LENGTH,
    SCAN_FIELD_ENCODING,
};
enum scan_field scan_field_of(struct slice name);

// How far the search for a head's end has come; starts as zeros.
struct scan_progress {
    size_t seen;       // bytes that need no second look
    bool line_checked; // the request line was judged before its head was whole
};

// Where the head ends: SCAN_DONE with *end behind the empty line. Called again
// with the same bytes and more behind them. Refuses what can never become a
// head as soon as it shows.
enum scan_verdict scan_find_end(struct slice bytes, const struct scan_limits *limits,
                                struct scan_progress *progress, size_t *end,
                                struct scan_refusal *refusal);
// Reads a whole head, as scan_find_end found it.
enum scan_verdict scan_head(struct slice bytes, const struct scan_limits *limits,
                            struct arena *arena, struct scan_head *head,
                            struct scan_refusal *refusal);

enum chunk_state {
    CHUNK_SIZE,      // digits of the size
    CHUNK_BLANK,     // between the size and a semicolon (RFC 9112 7.1.1: BWS)
    CHUNK_EXTENSION, // ignored, bounded
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER,    // start of a trailer line
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_IN, // within its value
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
};

// Starts as zeros.
struct scan_chunks {
    enum chunk_state state;
    uint64_t left;   // of the chunk's data
    unsigned digits; // of its size
    size_t overhead; // bytes of extensions and trailers, bounded
};

// Decodes as much of `bytes` as belongs to the body, which is appended to
// `body`; *used says how much that was. SCAN_DONE at the body's end.
enum scan_verdict scan_chunked(struct scan_chunks *c, struct slice bytes, size_t *used,
                               struct buffer *body, size_t max_body, struct scan_refusal *refusal);

#endif
