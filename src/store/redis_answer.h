// What some answers of Redis say, out of their bytes. Pure: no sockets, no clock.
#ifndef FARTHING_STORE_REDIS_ANSWER_H
#define FARTHING_STORE_REDIS_ANSWER_H

#include "farthing/base.h"

// Of beat.lua: "MICROSECONDS COUNT". False: it is none.
bool redis_answer_beat(struct slice answer, int64_t *us, unsigned *instances) FARTHING_MUST_CHECK;
// "run_id:..." in what INFO says: new with each start of a server. Empty: it
// does not tell.
struct slice redis_answer_server(struct slice info);
// The part of a script's error that says what it is.
struct slice redis_answer_error(struct slice error);

#endif
