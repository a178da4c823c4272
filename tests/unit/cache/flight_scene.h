// The scene of the single flight's tests: one loop, some people with a seat
// each, and what their callbacks said, as text: "more done(200)".
#ifndef FARTHING_TEST_FLIGHT_SCENE_H
#define FARTHING_TEST_FLIGHT_SCENE_H

#include "support.h"

#include <event2/event.h>

#include "farthing/flight.h"

enum { JOIN_BYTES = 20000, KEEP_BYTES = 100000, HOLD_BYTES = 40000, SEATS = 8 };

struct world;

enum within { NEVER, IN_MORE, IN_FINISH, IN_PROMOTE, IN_ALONE };

struct person {
    struct world *world;
    struct flight *seat; // NULL: left
    enum flight_role role;
    struct buffer told, read;
    struct cache_entry *entry;
    enum within leave_in;
    bool reads; // all there is, in on_more and on_finish
    enum within act_in;
    void (*act)(struct person *p); // once
};

struct world {
    struct event_base *loop;
    struct mailbox *box;
    struct flights *all;
    struct person people[SEATS];
};

extern const struct flight_callbacks person_callbacks;

void leave(struct person *p);
void read_all(struct person *p);
struct person *join_key(struct world *w, size_t i, bool streams, uint64_t key);
// With a wish; there may be no seat.
struct person *join_as(struct world *w, size_t i, bool streams, enum flight_wish wish,
                       bool keep_all);
struct person *join_stream(struct world *w, size_t i);
struct person *join_whole(struct world *w, size_t i);
struct person *join_leader(struct world *w, size_t i);
void run_mail(struct world *w);
// What was said since it was last asked.
void assert_told(struct person *p, const char *expected);
void assert_read(const struct person *p, struct slice expected);
void begin(struct person *leader, const char *model);
void append(struct person *leader, const char *text);
void finish(struct person *leader, enum flight_end end, int status, const char *body);
void append_many(struct person *leader, size_t bytes);
struct flights_stats figures(struct world *w);
int set_up(void **state);
int tear_down(void **state);

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
