// What instances tell each other, as one message: written from the rooms, and read
// into them. No input or output here, and no clock.
//
// A JSON object of at most GOSSIP_BYTES_MAX bytes:
//   {"v":1,"say":"news","from":"01J...","at":1700000000000,"breakers":[...],
//    "retries":[...],"tokens":[...],"past":[...]}
// A section is its room's affair (breaker.h, estimate.h, past.h), and left out when
// there is nothing to say; one that is not known here is passed over, and so is a
// message of another version.
#ifndef FARTHING_MAIN_GOSSIP_MESSAGE_H
#define FARTHING_MAIN_GOSSIP_MESSAGE_H

#include "farthing/breaker.h"
#include "farthing/estimate.h"
#include "farthing/past.h"

enum { GOSSIP_BYTES_MAX = 32 * 1024 };

struct gossip_rooms {
    struct breakers *breakers;
    struct retry_budgets *retry_budgets;
    struct estimator *estimator;
    struct past *past;
};

enum gossip_say {
    GOSSIP_HELLO, // who has just come asks for what is known
    GOSSIP_NEWS,  // what is new here
    GOSSIP_ALL,   // what is known here: an answer to a hello
};

struct gossip_head {
    enum gossip_say say;
    struct slice from; // store_instance; of what was read: in the message
    int64_t at_ms;     // store_now_ms when it was said
};

// What else than what is new and urgent is to be said, as bits.
enum gossip_more {
    GOSSIP_SLOW = 1, // what changes with nearly every request, and is of use in the long run
    GOSSIP_OPEN = 2, // all breakers that are open: others may not have heard of them
};

// Appends a message. False: there is nothing to say, and nothing was appended.
bool gossip_write(const struct gossip_rooms *rooms, const struct gossip_head *head, unsigned more,
                  int64_t now_ms, struct buffer *out);

// False: it is no message, or of another version. The doc then has its sections.
bool gossip_read(struct json_doc *doc, struct slice message,
                 struct gossip_head *head) FARTHING_MUST_CHECK;
// Gives the rooms what it says. sent_ms is at_ms by clock_mono_ms.
void gossip_take(const struct gossip_rooms *rooms, const struct gossip_head *head,
                 const struct json_doc *doc, unsigned instances, int64_t sent_ms, int64_t now_ms);

#endif
