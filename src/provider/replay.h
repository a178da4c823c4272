// What the replays of the endpoints share.
#ifndef FARTHING_PROVIDER_REPLAY_H
#define FARTHING_PROVIDER_REPLAY_H

#include "farthing/provider.h"

struct replay {
    const struct json_doc *doc;
    struct arena *arena;
    struct buffer *out;
    bool include_usage;
    int64_t sequence; // responses: sequence_number
};

// The next piece of a JSON string's inside: some 24 bytes, to the next blank,
// never within an escape or a UTF-8 sequence. Empty at the end.
struct slice replay_piece(struct slice *rest);

bool replay_chunks(struct replay *r, bool chat); // replay_chat.c
bool replay_response(struct replay *r);          // replay_responses.c
bool replay_message(struct replay *r);           // replay_messages.c

#endif
