// Spaces and their generations: learned when they are first used on a
// connection, and asked for again each second, which is how soon a purge by
// another instance is seen here. Who keeps values in front of the store hears
// of it, too (store_watch).
#include <stdlib.h>

#include "redis.h"

static const char prefix[] = REDIS_PREFIX;

struct redis_space *redis_space_of(struct redis *r, const char *name) {
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next)
        if (strcmp(s->name, name) == 0)
            return s;
    struct redis_space *s = base_calloc(1, sizeof *s);
    s->name = slice_dup(slice_of(name));
    s->era = 1;
    s->next = r->spaces;
    r->spaces = s;
    return s;
}

void redis_space_append_key(const struct redis_space *space, struct slice key, struct buffer *out) {
    buffer_printf(out, "%s%s:%s:", prefix, space->name, space->generation);
    if (key.len != DIGEST_LEN) {
        buffer_append(out, key);
        return;
    }
    char hex[2 * DIGEST_LEN + 1];
    digest_hex((const uint8_t *)key.ptr, DIGEST_LEN, hex);
    buffer_printf(out, "{%s}", hex);
}

bool redis_space_read_key(const struct redis_space *space, struct slice name,
                          uint8_t digest[DIGEST_LEN], struct slice *key) {
    enum { TAGGED = 2 * DIGEST_LEN + 2 };
    struct buffer before = {0};
    redis_space_append_key(space, SLICE_NONE, &before);
    bool is_here = slice_starts_with(name, buffer_slice(&before));
    if (is_here)
        *key = slice_from(name, before.len);
    buffer_free(&before);
    if (is_here && key->len == TAGGED && key->ptr[0] == '{' && key->ptr[TAGGED - 1] == '}' &&
        digest_unhex(slice_make(key->ptr + 1, TAGGED - 2), digest, DIGEST_LEN))
        *key = slice_make(digest, DIGEST_LEN);
    return is_here;
}

void redis_space_append_generation_key(const struct redis_space *space, struct buffer *out) {
    buffer_printf(out, "%s%s:generation", prefix, space->name);
}

// That the generation is to come from.
static struct redis_node *node_of(struct redis *r, const struct redis_space *space) {
    struct buffer name = {0};
    redis_space_append_generation_key(space, &name);
    struct redis_node *n = redis_route_of(r, buffer_slice(&name));
    buffer_free(&name);
    return n;
}

static void arm_deadline(struct redis *r, const struct redis_space *space, const struct job *read) {
    struct redis_node *n = node_of(r, space);
    if (n != NULL)
        redis_arm_deadline(n, read->handed_ns);
}

static bool is_read(const struct job *j) {
    return j->op != NULL;
}

void redis_space_wait(struct redis *r, struct redis_space *space, struct job *j) {
    j->next = NULL;
    if (space->waiting_first == NULL)
        space->waiting_first = j;
    else
        space->waiting_last->next = j;
    space->waiting_last = j;
    if (is_read(j))
        arm_deadline(r, space, j);
    if (space->state != SPACE_UNKNOWN)
        return;
    const struct redis_node *n = node_of(r, space);
    if (n == NULL || !redis_node_is_open(n)) { // a part of a cluster is away
        redis_space_give_up(r, space);
        return;
    }
    space->state = SPACE_ASKED;
    redis_send_generation(r, space, COMMAND_GENERATION);
}

static struct job *take_waiting(struct redis_space *space) {
    struct job *first = space->waiting_first;
    space->waiting_first = space->waiting_last = NULL;
    return first;
}

void redis_space_learn(struct redis *r, struct redis_space *space, struct slice generation) {
    if (space->purging)
        return;
    bool was_emptied =
        space->generation[0] != '\0' && !slice_equal(slice_of(space->generation), generation);
    memcpy(space->generation, generation.ptr, generation.len);
    space->generation[generation.len] = '\0';
    space->state = SPACE_KNOWN;
    if (was_emptied) { // before anything is read from the new one, or written there
        space->era++;
        r->watcher.emptied(r->watcher.arg, space->name);
    }
    if (r->kept_first != NULL)
        redis_set_timer(r->keep, 0);
    for (struct job *j = take_waiting(space), *next; j != NULL; j = next) {
        next = j->next;
        redis_perform(r, j);
    }
}

// Takes out those that `is_it` says; what becomes of them is the caller's affair.
static struct job *take_some(struct redis_space *space,
                             bool (*is_it)(const struct job *j, const void *arg), const void *arg) {
    struct job **at = &space->waiting_first, *kept = NULL, *taken = NULL;
    while (*at != NULL) {
        struct job *j = *at;
        if (!is_it(j, arg)) {
            kept = j;
            at = &j->next;
            continue;
        }
        *at = j->next;
        j->next = taken;
        taken = j;
    }
    space->waiting_last = kept;
    return taken;
}

static bool is_write(const struct job *j, const void *arg) {
    (void)arg;
    return j->kind == JOB_PUT || j->kind == JOB_DELETE;
}

static bool is_of_client(const struct job *j, const void *client) {
    return j->op != NULL && j->op->client == client;
}

static void finish_some(struct redis *r, struct job *j, enum store_status status) {
    for (struct job *next; j != NULL; j = next) {
        next = j->next;
        redis_job_done(r, j, status);
    }
}

void redis_spaces_forget_client(struct redis *r, const struct store_client *client) {
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next)
        finish_some(r, take_some(s, is_of_client, client), STORE_FAILED);
}

// From here on this instance uses the new generation; others learn of it. What
// could not be written is written at the next beat or on the next connection.
void redis_space_purge(struct redis *r, struct redis_space *space) {
    // What was to be written before is written and purged, as it were.
    finish_some(r, take_some(space, is_write, NULL), STORE_OK);
    random_id(space->generation);
    space->era++;
    space->purging = true;
    space->state = SPACE_KNOWN;
    redis_send_generation(r, space, COMMAND_PURGE);
    for (struct job *j = take_waiting(space), *next; j != NULL; j = next) {
        next = j->next;
        redis_perform(r, j);
    }
}

void redis_spaces_ask(struct redis *r) {
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next) {
        if (s->state == SPACE_UNKNOWN)
            s->state = SPACE_ASKED;
        if (!s->purging)
            redis_send_generation(r, s, COMMAND_GENERATION);
        else if (s->purges_sent == 0)
            redis_send_generation(r, s, COMMAND_PURGE);
    }
}

// Reads fail, writes are kept for later; who only waits for their end has it.
void redis_space_give_up(struct redis *r, struct redis_space *space) {
    for (struct job *j = take_waiting(space), *next; j != NULL; j = next) {
        next = j->next;
        if (j->kind == JOB_FLUSH || j->kind == JOB_STOP)
            redis_perform(r, j);
        else
            redis_job_refuse(r, j);
    }
    if (!space->purging)
        space->state = SPACE_UNKNOWN;
}

static bool is_late_read(const struct job *j, const void *until_ns) {
    return is_read(j) && j->handed_ns <= *(const uint64_t *)until_ns;
}

// What is to be written waits for the generation as long as the connection stands: it
// could not be kept, since a purge may come between that would not be seen.
void redis_spaces_check_deadlines(struct redis *r, uint64_t now, uint64_t timeout_ns) {
    uint64_t until_ns = now > timeout_ns ? now - timeout_ns : 0;
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next) {
        finish_some(r, take_some(s, is_late_read, &until_ns), STORE_FAILED);
        const struct job *j = s->waiting_first;
        while (j != NULL && !is_read(j))
            j = j->next;
        if (j != NULL)
            arm_deadline(r, s, j);
    }
}

// A purge that was written while that one could not be asked is to be seen before
// anything is read again.
void redis_spaces_forget(struct redis *r, const struct redis_node *n) {
    for (struct redis_space *s = r->spaces; s != NULL; s = s->next)
        if (n == NULL || node_of(r, s) == n || node_of(r, s) == NULL)
            redis_space_give_up(r, s);
}

void redis_spaces_free(struct redis *r) {
    for (struct redis_space *s = r->spaces, *next; s != NULL; s = next) {
        next = s->next;
        free(s->name);
        free(s);
    }
    r->spaces = NULL;
}
