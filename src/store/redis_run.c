// Scripts: EVALSHA, and where the server does not know the script (it was
// restarted, or is another), EVAL with its text, from which it learns it.
#include <stdio.h>
#include <stdlib.h>

#include "redis.h"

enum { PARTS_MAX = 3 + STORE_RUN_KEYS_MAX + STORE_RUN_ARGUMENTS_MAX };

// Before each script, on its first line: 6.2 lets none write after TIME otherwise.
static const char preamble[] =
    "if redis.replicate_commands then redis.replicate_commands() end ";

// What is sent of it and what it is called there are made once, and kept for as long
// as the thread lives: there are a dozen of them.
struct redis_script {
    struct redis_script *next;
    const struct store_script *script;
    struct buffer text;
    char name[2 * DIGEST_SHA1_LEN + 1];
};

static struct redis_script *script_of(struct redis *r, const struct store_script *script) {
    for (struct redis_script *s = r->scripts; s != NULL; s = s->next)
        if (s->script == script)
            return s;
    struct redis_script *s = base_calloc(1, sizeof *s);
    uint8_t digest[DIGEST_SHA1_LEN];
    buffer_append(&s->text, slice_of(preamble));
    buffer_append(&s->text, slice_of(script->text));
    digest_sha1(buffer_slice(&s->text), digest);
    digest_hex(digest, sizeof digest, s->name);
    s->script = script;
    s->next = r->scripts;
    r->scripts = s;
    return s;
}

void redis_scripts_free(struct redis *r) {
    for (struct redis_script *s = r->scripts, *next; s != NULL; s = next) {
        next = s->next;
        buffer_free(&s->text);
        free(s);
    }
    r->scripts = NULL;
}

static void send_run(struct redis_node *n, struct job *j, bool with_text) {
    const struct redis_script *script = script_of(n->redis, j->script);
    struct slice parts[PARTS_MAX];
    char count[24];
    int len = snprintf(count, sizeof count, "%zu", j->key_count);
    parts[0] = with_text ? SLICE("EVAL") : SLICE("EVALSHA");
    parts[1] = with_text ? buffer_slice(&script->text) : slice_of(script->name);
    parts[2] = slice_make(count, (size_t)len);
    for (size_t i = 0; i < j->part_count; i++)
        parts[3 + i] = j->parts[i];
    redis_track_not(n);
    struct redis_command *c = redis_send(n, COMMAND_RUN, NULL, parts, 3 + j->part_count);
    redis_take_job(c, j);
    c->with_text = with_text;
    if (redis_has_deadline(c))
        redis_arm_deadline(n, j->handed_ns);
}

void redis_send_run(struct redis *r, struct job *j) {
    struct redis_node *n = redis_route_for(r, j->parts[0], j);
    if (n != NULL)
        send_run(n, j, false);
}

bool redis_run_again(struct redis_node *n, struct redis_command *c, struct slice error) {
    if (c->kind != COMMAND_RUN || c->with_text || c->job == NULL ||
        !slice_starts_with(error, SLICE("NOSCRIPT")))
        return false;
    send_run(n, c->job, true);
    c->job = NULL;
    c->counted = false;
    redis_nothings_to_end(n); // who waits for all before waits for this, too
    return true;
}

enum store_status redis_run_value(const struct redis_reply *reply, struct buffer *out) {
    switch (reply->kind) {
    case REDIS_REPLY_IS_BYTES:
    case REDIS_REPLY_IS_STATUS:
        buffer_append(out, redis_reply_slice(reply));
        return STORE_OK;
    case REDIS_REPLY_IS_NUMBER:
        buffer_append_i64(out, reply->number);
        return STORE_OK;
    case REDIS_REPLY_IS_NIL:
        return STORE_MISSING;
    case REDIS_REPLY_IS_ERROR:
    case REDIS_REPLY_IS_ARRAY:
        break;
    }
    return STORE_FAILED;
}
