// The address of a Redis in its parts.
#ifndef FARTHING_CONFIG_STORE_URL_H
#define FARTHING_CONFIG_STORE_URL_H

#include "farthing/config.h"

// Fills what struct config_redis has from the url (in `arena`). No message
// shows anything of the text, which may hold a password.
bool config_parse_redis_url(struct arena *arena, struct slice url, struct config_redis *out,
                            struct error *err) FARTHING_MUST_CHECK;

#endif
