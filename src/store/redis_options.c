// The options of a Redis, kept: where it is and who we are there.
#include <stdlib.h>

#include "redis.h"

static const char *copy(const char *text) {
    return text != NULL ? slice_dup(slice_of(text)) : NULL;
}

// All but the files, which are read once, when TLS is made ready.
void redis_options_copy(struct store_redis_options *to, const struct store_redis_options *from) {
    *to = *from;
    to->host = copy(from->host);
    to->socket_path = copy(from->socket_path);
    for (size_t i = 0; i < from->seed_count; i++)
        to->seeds[i].host = copy(from->seeds[i].host);
    to->master = copy(from->master);
    to->sentinel_user = copy(from->sentinel_user);
    to->sentinel_password = copy(from->sentinel_password);
    to->user = copy(from->user);
    to->password = copy(from->password);
    to->ca_file = to->certificate = to->key = NULL;
}

static void free_text(const char *text) {
    free((void *)(uintptr_t)text);
}

void redis_options_free(struct store_redis_options *o) {
    free_text(o->host);
    free_text(o->socket_path);
    for (size_t i = 0; i < o->seed_count; i++)
        free_text(o->seeds[i].host);
    free_text(o->master);
    free_text(o->sentinel_user);
    free_text(o->sentinel_password);
    free_text(o->user);
    free_text(o->password);
}

void redis_options_describe(const struct store_redis_options *o, struct buffer *out) {
    switch (o->kind) {
    case STORE_REDIS_SENTINEL:
        buffer_printf(out, "redis master \"%s\"", o->master);
        return;
    case STORE_REDIS_CLUSTER:
        buffer_printf(out, "redis cluster at %s:%u%s", o->seeds[0].host, o->seeds[0].port,
                      o->seed_count > 1 ? ", ..." : "");
        return;
    case STORE_REDIS_SINGLE:
        if (o->socket_path != NULL)
            buffer_printf(out, "redis at %s", o->socket_path);
        else
            buffer_printf(out, "redis at %s:%u", o->host, o->port);
        return;
    }
}
