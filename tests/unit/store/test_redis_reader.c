// Replies out of bytes, however they are cut, and what is no reply.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After the four above.
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "redis_reader.h"

enum { MAX = 4096 };

static void write(const struct redis_reply *reply, struct buffer *out) {
    static const char *const signs[] = {"(nil)", "$", "+", "-", ":", "["};
    buffer_printf(out, "%s", signs[reply->kind]);
    if (reply->kind == REDIS_REPLY_IS_NUMBER)
        buffer_printf(out, "%lld", (long long)reply->number);
    for (size_t i = 0; i < reply->count; i++)
        write(reply->elements[i], out);
    buffer_append(out, redis_reply_slice(reply));
    buffer_append_char(out, reply->kind == REDIS_REPLY_IS_ARRAY ? ']' : '|');
    assert_int_equal(reply->bytes[reply->len], 0);
}

// The replies as one text: "+OK|(nil)|[:1|:2|]...", and "!" where the reader gave up.
static void read_all(struct slice bytes, size_t at_once, size_t max_elements, struct buffer *out) {
    struct redis_reader *r = redis_reader_new(MAX);
    redis_reader_allow_arrays(r, max_elements);
    struct redis_reply *reply = NULL;
    struct error err;
    bool ok = true;
    for (size_t from = 0; ok && from < bytes.len; from += at_once) {
        struct slice part = slice_from(bytes, from);
        part.len = part.len < at_once ? part.len : at_once;
        ok = redis_reader_feed(r, part, &err);
        while (ok && (ok = redis_reader_next(r, &reply, &err)) && reply != NULL) {
            write(reply, out);
            redis_reply_free(reply);
        }
    }
    if (!ok)
        buffer_append_char(out, '!');
    redis_reader_free(r);
}

static void test_replies(void **state) {
    (void)state;
    static const struct {
        struct slice bytes;
        const char *expected;
    } rows[] = {
        {SLICE("+OK\r\n"), "+OK|"},
        {SLICE("-OOM too much\r\n:17\r\n:-1\r\n"), "-OOM too much|:17|:-1|"},
        {SLICE("$-1\r\n$0\r\n\r\n$5\r\na\r\nbc\r\n"), "(nil)|$|$a\r\nbc|"},
        {SLICE("+OK\r\n$3\r\nab"), "+OK|"},
        {SLICE(""), ""},
        {SLICE("*1\r\n+OK\r\n"), "!"},
        {SLICE("*0\r\n"), "!"},
        {SLICE("*2147483647\r\n"), "!"},
        {SLICE("*9223372036854775807\r\n"), "!"},
        {SLICE("+OK\r\nHTTP/1.1 400 Bad Request\r\n"), "+OK|!"},
        {SLICE("$-2\r\n"), "!"},
        {SLICE("$99999999999999999999\r\n"), "!"},
        {SLICE("\0\0\0\0"), "!"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        for (size_t at_once = 1; at_once <= rows[i].bytes.len + 1; at_once++) {
            struct buffer out = {0};
            read_all(rows[i].bytes, at_once, 0, &out);
            buffer_append_char(&out, '\0');
            if (strcmp(out.ptr, rows[i].expected) != 0)
                fail_msg("row %zu by %zu bytes: \"%s\"", i, at_once, out.ptr);
            buffer_free(&out);
        }
}

static void test_arrays(void **state) {
    (void)state;
    enum { ELEMENTS = 6 };
    static const struct {
        const char *bytes, *expected;
    } rows[] = {
        {"*0\r\n*-1\r\n+OK\r\n", "[](nil)|+OK|"},
        {"*3\r\n$1\r\na\r\n:2\r\n$-1\r\n", "[$a|:2|(nil)|]"},
        {"*2\r\n*2\r\n*1\r\n*1\r\n-E\r\n:1\r\n+x\r\n", "[[[[-E|]]:1|]+x|]"},
        {"*6\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n*1\r\n:7\r\n",
         "[:1|:2|:3|:4|:5|:6|][:7|]"},           // each reply has the bound anew
        {"*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n", "!"}, // too deep
        {"*7\r\n", "!"},
        {"*4\r\n*3\r\n:1\r\n", "!"}, // too many together
        {"*5\r\n:1\r\n*1\r\n:1\r\n*1\r\n", "!"},
        {"*2147483647\r\n", "!"},
        {"*9223372036854775807\r\n", "!"},
        {"*2\r\n:1\r\nHTTP/1.1\r\n", "!"},
        {"*2\r\n:1\r\n*2\r\n$1\r\n", ""},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        for (size_t at_once = 1; at_once <= strlen(rows[i].bytes) + 1; at_once++) {
            struct buffer out = {0};
            read_all(slice_of(rows[i].bytes), at_once, ELEMENTS, &out);
            buffer_append_char(&out, '\0');
            if (strcmp(out.ptr, rows[i].expected) != 0)
                fail_msg("row %zu by %zu bytes: \"%s\"", i, at_once, out.ptr);
            buffer_free(&out);
        }
}

// How much is kept is bounded by us, whatever length is announced.
static void test_a_huge_reply_is_not_waited_for(void **state) {
    (void)state;
    static const char *const heads[] = {"$536870912\r\n", "+", "-ERR "};
    char chunk[1024];
    memset(chunk, 'x', sizeof chunk);
    for (size_t i = 0; i < FARTHING_COUNT(heads); i++) {
        struct redis_reader *r = redis_reader_new(MAX);
        struct redis_reply *reply;
        struct error err;
        assert_true(redis_reader_feed(r, slice_of(heads[i]), &err));
        unsigned fed = 0;
        while (fed < 100 && redis_reader_feed(r, slice_make(chunk, sizeof chunk), &err)) {
            assert_true(redis_reader_next(r, &reply, &err));
            assert_null(reply);
            fed++;
        }
        assert_in_range(fed, MAX / sizeof chunk, MAX / sizeof chunk + 1);
        redis_reader_free(r);
    }
}

// Many replies at once are no large one.
static void test_many_replies_at_once(void **state) {
    (void)state;
    struct buffer bytes = {0};
    for (unsigned i = 0; i < 10000; i++)
        BUFFER_LITERAL(&bytes, "+OK\r\n");
    struct redis_reader *r = redis_reader_new(MAX);
    struct redis_reply *reply;
    struct error err;
    unsigned got = 0;
    for (unsigned round = 0; round < 3; round++) {
        assert_true(redis_reader_feed(r, buffer_slice(&bytes), &err));
        while (redis_reader_next(r, &reply, &err) && reply != NULL) {
            got++;
            free(reply);
        }
    }
    assert_int_equal(got, 30000);
    redis_reader_free(r);
    redis_reader_free(NULL);
    buffer_free(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_a_huge_reply_is_not_waited_for),
        cmocka_unit_test(test_many_replies_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
