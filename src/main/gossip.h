// What instances with one shared store tell each other of providers and models, so
// that each need not find out by itself: open breakers, retries, tokens, past success.
// Nothing depends on it: who hears nothing goes by what it sees.
//
// Each says what is new about once a second, in one message of bounded size, and
// nothing where nothing is. Who has just come says hello; of those who have been there
// for some seconds one answers with all that it knows: each waits for a random part of
// a second, and who hears another's answer keeps his.
#ifndef FARTHING_MAIN_GOSSIP_H
#define FARTHING_MAIN_GOSSIP_H

#include "farthing/store.h"
#include "gossip_message.h"

struct event_base;

struct gossip_options {
    struct store *store;
    struct store_client *client; // of this loop
    struct event_base *loop;
    struct gossip_rooms rooms;
    int64_t period_ms; // between messages, about; 0: a second
};

struct gossip; // of one loop, one for the process
// NULL where the store is not shared.
struct gossip *gossip_new(const struct gossip_options *options);
void gossip_free(struct gossip *g); // says what it has not said; before its client. NULL is fine

#endif
