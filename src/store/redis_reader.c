// hiredis keeps all bytes of a reply until the last is there, and believes the
// length that is announced; so what waits is counted here, and over the bound
// the reader is given up before more is kept. It asks functions of ours for
// each object: the same source does for hiredis 0.14 and for 1.x.
#include "redis_reader.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

enum { LINE_BYTES_MAX = 64 }; // of a reply besides its payload: type, length, ends of lines

struct redis_reader {
    redisReader *reader;
    size_t max_bytes;
    size_t max_elements, elements; // of arrays: allowed, and of the reply that is begun
    size_t pending;                // bytes fed since the last whole reply
    // What `pending` will be when the reply that is begun is whole is not known
    // to us, only to hiredis: a reply is whole when it says so.
};

static struct redis_reply *reply_new(enum redis_reply_kind kind, const char *bytes, size_t len) {
    struct redis_reply *r = base_alloc(sizeof *r + len + 1);
    *r = (struct redis_reply){.kind = kind, .len = len};
    if (len > 0)
        memcpy(r->bytes, bytes, len);
    r->bytes[len] = '\0';
    return r;
}

// What is in an array is handed over by hiredis in its order, each with its parent.
static void *belongs(const redisReadTask *task, struct redis_reply *r) {
    struct redis_reply *parent = task->parent != NULL ? task->parent->obj : NULL;
    if (parent != NULL)
        parent->elements[task->idx] = r;
    return r;
}

static void *on_string(const redisReadTask *task, char *bytes, size_t len) {
    enum redis_reply_kind kind = task->type == REDIS_REPLY_ERROR    ? REDIS_REPLY_IS_ERROR
                                 : task->type == REDIS_REPLY_STATUS ? REDIS_REPLY_IS_STATUS
                                                                    : REDIS_REPLY_IS_BYTES;
    return belongs(task, reply_new(kind, bytes, len));
}

static size_t depth_of(const redisReadTask *task) {
    size_t depth = 1;
    for (; task->parent != NULL; task = task->parent)
        depth++;
    return depth;
}

#if HIREDIS_MAJOR >= 1
static void *on_array(const redisReadTask *task, size_t elements) {
#else
static void *on_array(const redisReadTask *task, int elements) {
#endif
    struct redis_reader *reader = task->privdata;
    size_t count = (size_t)elements, begun = task->parent != NULL ? reader->elements : 0;
    if (count > reader->max_elements - begun || reader->max_elements == 0 ||
        depth_of(task) > REDIS_REPLY_DEPTH_MAX)
        return NULL; // which hiredis takes for the end of memory, and gives up
    reader->elements = begun + count;
    struct redis_reply *r = reply_new(REDIS_REPLY_IS_ARRAY, NULL, 0);
    if (count > 0)
        r->elements = base_calloc(count, sizeof(struct redis_reply *));
    r->count = count;
    return belongs(task, r);
}

static void *on_number(const redisReadTask *task, long long value) {
    struct redis_reply *r = reply_new(REDIS_REPLY_IS_NUMBER, NULL, 0);
    r->number = value;
    return belongs(task, r);
}

static void *on_nil(const redisReadTask *task) {
    return belongs(task, reply_new(REDIS_REPLY_IS_NIL, NULL, 0));
}

#if HIREDIS_MAJOR >= 1 // RESP3, which is not asked for
static void *on_double(const redisReadTask *task, double value, char *text, size_t len) {
    (void)task;
    (void)value;
    (void)text;
    (void)len;
    return NULL;
}

static void *on_bool(const redisReadTask *task, int value) {
    (void)task;
    (void)value;
    return NULL;
}
#endif

// Not deeper than REDIS_REPLY_DEPTH_MAX. Elements that did not come are NULL.
void redis_reply_free(struct redis_reply *r) {
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++)
        redis_reply_free(r->elements[i]);
    free(r->elements);
    free(r);
}

static void free_object(void *reply) {
    redis_reply_free(reply);
}

static redisReplyObjectFunctions functions = {
    .createString = on_string,
    .createArray = on_array,
    .createInteger = on_number,
    .createNil = on_nil,
    .freeObject = free_object,
#if HIREDIS_MAJOR >= 1
    .createDouble = on_double,
    .createBool = on_bool,
#endif
};

struct redis_reader *redis_reader_new(size_t max_bytes) {
    struct redis_reader *r = base_calloc(1, sizeof *r);
    r->max_bytes = max_bytes;
    r->reader = redisReaderCreateWithFunctions(&functions);
    if (r->reader == NULL)
        abort(); // out of memory, as base_alloc does
    r->reader->privdata = r;
    return r;
}

void redis_reader_allow_arrays(struct redis_reader *r, size_t max_elements) {
    r->max_elements = max_elements;
}

void redis_reader_free(struct redis_reader *r) {
    if (r == NULL)
        return;
    redisReaderFree(r->reader);
    free(r);
}

// A read brings at most some thousand bytes more than one reply has: those are
// taken out by redis_reader_next before the next feed.
bool redis_reader_feed(struct redis_reader *r, struct slice bytes, struct error *err) {
    if (r->pending > r->max_bytes + LINE_BYTES_MAX)
        return error_set(err, "a reply is larger than %zu bytes", r->max_bytes);
    r->pending += bytes.len;
    return redisReaderFeed(r->reader, bytes.ptr, bytes.len) == REDIS_OK ||
           error_set(err, "%s", r->reader->errstr);
}

bool redis_reader_next(struct redis_reader *r, struct redis_reply **out, struct error *err) {
    void *reply = NULL;
    *out = NULL;
    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
        return error_set(err, "what came is no reply of Redis's: %s", r->reader->errstr);
    if (reply == NULL)
        return true;
    *out = reply;
    r->pending = r->reader->len - r->reader->pos; // what lies behind it
    return true;
}
