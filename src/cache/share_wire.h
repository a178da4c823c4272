// What the scripts answer and what instances tell each other, taken apart: bytes in,
// values out. False for anything that is not exactly what they write.
#ifndef FARTHING_CACHE_SHARE_WIRE_H
#define FARTHING_CACHE_SHARE_WIRE_H

#include "farthing/flight.h"

enum {
    SHARE_TOKEN_LEN = RANDOM_ID_LEN, // of a purchase, or of who waits for one
    SHARE_NAME_MAX = 100,            // of who waits: its channel, a blank, its token
};

// share_claim.lua
enum share_claim_kind {
    SHARE_CLAIM_OURS = 'O',
    SHARE_CLAIM_THEIRS = 'F',
    SHARE_CLAIM_RESULT = 'R',
    SHARE_CLAIM_NOBODYS = 'N',
};
struct share_claim {
    enum share_claim_kind kind;
    int64_t term_ms;     // THEIRS
    struct slice token;  // THEIRS
    struct slice result; // RESULT
};
bool share_wire_claim(struct slice answer, struct share_claim *out) FARTHING_MUST_CHECK;

// What an owner leaves for those who wait: how it ended, and the entry's bytes.
void share_wire_put_result(enum flight_end end, const struct cache_key *key,
                           const struct cache_answer *answer, struct buffer *out);
// NULL: it is none. The caller releases.
struct cache_entry *share_wire_result(struct slice bytes, const struct cache_key *key,
                                      enum flight_end *end) FARTHING_MUST_CHECK;

// share_read.lua
enum share_stream_flag {
    SHARE_STREAM_WAITS = '+', // more may come
    SHARE_STREAM_MORE = '>',  // more is there
    SHARE_STREAM_WHOLE = '1',
    SHARE_STREAM_BROKEN = '0',
    SHARE_STREAM_GAP = '!',
    SHARE_STREAM_NONE = '-',
};
struct share_stream {
    enum share_stream_flag flag;
    uint64_t number; // of the last entry
    struct slice head, bytes;
};
bool share_wire_stream(struct slice answer, struct share_stream *out) FARTHING_MUST_CHECK;

// share_hold.lua: the standing's digit, and with "2" a purchase.
bool share_wire_hold(struct slice answer, char *standing,
                     struct cache_key *purchase) FARTHING_MUST_CHECK;

// Messages. To an owner: "f" (TOKEN follows, for a stream or not: NAME), "u" (no more);
// to who waits: "m" (more of the stream), "e" (over), with its own token.
struct share_message {
    char kind;
    struct slice token, name; // name: of "f" and "u"
    bool streams;             // of "f"
};
bool share_wire_message(struct slice message, struct share_message *out) FARTHING_MUST_CHECK;

#endif
