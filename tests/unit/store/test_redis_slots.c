// Slots of keys, maps of clusters, and redirects: the vectors of the cluster's
// specification and of redis-server's own CLUSTER KEYSLOT, and what is no answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// After the four above.
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "redis_slots.h"

static void test_slots_of_keys(void **state) {
    (void)state;
    static const struct {
        struct slice key;
        unsigned slot;
    } rows[] = {
        {SLICE("123456789"), 0x31c3}, // the specification's
        {SLICE(""), 0},
        {SLICE("foo"), 12182},
        {SLICE("{foo}"), 12182},
        {SLICE("farthing:{foo}:budget:day"), 12182},
        {SLICE("foo{bar}{zap}"), 5061}, // bar
        {SLICE("bar"), 5061},
        {SLICE("foo{{bar}}zap"), 4015}, // {bar
        {SLICE("foo{}{bar}"), 8363},    // an empty tag is none
        {SLICE("foo{bar"), 15278},
        {SLICE("}foo{bar}"), 5061},
        {SLICE("{\0}"), 0},
        {SLICE("\xff\xfe\x80"), 11813},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        if (redis_slot_of(rows[i].key) != rows[i].slot)
            fail_msg("row %zu: slot %u", i, redis_slot_of(rows[i].key));
}

// -------------------------------------------------------------------- redirects

static void test_redirects(void **state) {
    (void)state;
    static const struct {
        const char *error;
        bool is_ask;
        unsigned slot;
        const char *host;
        unsigned port;
    } rows[] = {
        {"MOVED 3999 127.0.0.1:6381", false, 3999, "127.0.0.1", 6381},
        {"ASK 0 127.0.0.1:1", true, 0, "127.0.0.1", 1},
        {"MOVED 16383 ::1:65535", false, 16383, "::1", 65535},
        {"MOVED 1 cache-1.example.com:6379", false, 1, "cache-1.example.com", 6379},
        {"MOVED 1 :6379", false, 1, "", 6379},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct redis_redirect r;
        assert_true(redis_redirect_read(slice_of(rows[i].error), &r));
        assert_int_equal(r.is_ask, rows[i].is_ask);
        assert_int_equal(r.slot, rows[i].slot);
        assert_int_equal(r.port, rows[i].port);
        assert_true(slice_equal(r.host, slice_of(rows[i].host)));
    }
}

static void test_no_redirects(void **state) {
    (void)state;
    static const struct slice rows[] = {
        SLICE(""),
        SLICE("MOVED"),
        SLICE("MOVED 1"),
        SLICE("MOVED 1 "),
        SLICE("MOVED 1 h"),
        SLICE("MOVED 1 h:"),
        SLICE("MOVED 1 h:0"),
        SLICE("MOVED 1 h:65536"),
        SLICE("MOVED 1 h:x"),
        SLICE("MOVED 1 ?:6379"),
        SLICE("MOVED 1 h\0:6379"),
        SLICE("MOVED 16384 h:1"),
        SLICE("MOVED -1 h:1"),
        SLICE("MOVED x h:1"),
        SLICE("moved 1 h:1"),
        SLICE("ASKING 1 h:1"),
        SLICE("CLUSTERDOWN Hash slot not served"),
    };
    struct redis_redirect r;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        if (redis_redirect_read(rows[i], &r))
            fail_msg("row %zu is taken for a redirect", i);
}

// ------------------------------------------------------------------------- maps

// As the reader hands it over.
static struct redis_reply *read_reply(const char *bytes) {
    struct redis_reader *reader = redis_reader_new(1 << 20);
    struct redis_reply *reply = NULL;
    struct error err;
    redis_reader_allow_arrays(reader, REDIS_TOPOLOGY_ELEMENTS_MAX);
    assert_true(redis_reader_feed(reader, slice_of(bytes), &err));
    assert_true(redis_reader_next(reader, &reply, &err));
    assert_non_null(reply);
    redis_reader_free(reader);
    return reply;
}

static struct redis_topology *read_map(const char *bytes, struct error *err) {
    struct redis_reply *reply = read_reply(bytes);
    struct redis_topology *t = redis_topology_read(reply, SLICE("asked"), err);
    redis_reply_free(reply);
    return t;
}

#define NODE(host_len, host, port)                                                                 \
    "*4\r\n$" host_len "\r\n" host "\r\n:" port                                                    \
    "\r\n$2\r\nid\r\n*2\r\n$8\r\nhostname\r\n$1\r\nx\r\n"
#define OLD_NODE(host_len, host, port)                                                             \
    "*3\r\n$" host_len "\r\n" host "\r\n:" port "\r\n$2\r\nid\r\n"

static void assert_owner(const struct redis_topology *t, unsigned slot, const char *host,
                         unsigned port) {
    assert_int_not_equal(t->owner[slot], REDIS_NOBODY);
    const struct redis_place *place = &t->places[t->owner[slot]];
    assert_string_equal(place->host, host);
    assert_int_equal(place->port, port);
    assert_true(place->is_master);
}

static void test_maps(void **state) {
    (void)state;
    struct error err;
    struct redis_topology *t = read_map(
        "*3\r\n"
        "*4\r\n:0\r\n:5460\r\n" NODE("4", "10.1", "7000") NODE("4", "10.2", "7003") //
        "*3\r\n:5461\r\n:10922\r\n" OLD_NODE("3", "::1", "7001") "*4\r\n:10924\r\n:16383\r\n" NODE(
            "4", "10.1", "7002") NODE("4", "10.2", "7004"),
        &err);
    assert_non_null(t);
    assert_int_equal(t->count, 5);
    assert_int_equal(t->served, REDIS_SLOTS - 1);
    assert_owner(t, 0, "10.1", 7000);
    assert_owner(t, 5460, "10.1", 7000);
    assert_owner(t, 5461, "::1", 7001);
    assert_int_equal(t->owner[10923], REDIS_NOBODY);
    assert_owner(t, 16383, "10.1", 7002);
    unsigned replica = redis_topology_place(t, SLICE("10.2"), 7004);
    assert_int_equal(t->count, 5);
    assert_false(t->places[replica].is_master);
    redis_topology_own(t, 16383, replica); // as MOVED says
    redis_topology_own(t, 10923, replica);
    assert_int_equal(t->served, REDIS_SLOTS);
    assert_owner(t, 16383, "10.2", 7004);
    redis_topology_free(t);
}

// A node that has not heard its own address yet says none; one whose name is
// not known says "?", and is no use.
static void test_addresses_that_are_left_out(void **state) {
    (void)state;
    struct error err;
    struct redis_topology *t =
        read_map("*3\r\n"
                 "*3\r\n:0\r\n:0\r\n" OLD_NODE(
                     "0", "", "7000") "*3\r\n:1\r\n:1\r\n*3\r\n$-1\r\n:7001\r\n$1\r\nx\r\n"
                                      "*3\r\n:2\r\n:2\r\n" OLD_NODE("1", "?", "7002"),
                 &err);
    assert_non_null(t);
    assert_owner(t, 0, "asked", 7000);
    assert_owner(t, 1, "asked", 7001);
    assert_int_equal(t->owner[2], REDIS_NOBODY);
    assert_int_equal(t->served, 2);
    redis_topology_free(t);
    t = read_map("*0\r\n", &err);
    assert_non_null(t);
    assert_int_equal(t->served, 0);
    redis_topology_free(t);
}

static void test_no_maps(void **state) {
    (void)state;
    static const char *const rows[] = {
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n:2\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n*0\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\nh\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n:1\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n$1\r\n1\r\n",
        "*1\r\n*3\r\n:-1\r\n:1\r\n" OLD_NODE("1", "h", "1"),
        "*1\r\n*3\r\n:0\r\n:16384\r\n" OLD_NODE("1", "h", "1"),
        "*1\r\n*3\r\n:2\r\n:1\r\n" OLD_NODE("1", "h", "1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" OLD_NODE("1", "h", "65536"),
        "*1\r\n*4\r\n:0\r\n:1\r\n" OLD_NODE("1", "h", "1") ":7\r\n",
    };
    struct error err;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        if (read_map(rows[i], &err) != NULL)
            fail_msg("row %zu is taken for a map", i);
}

static void test_places_have_a_bound(void **state) {
    (void)state;
    struct redis_topology *t = redis_topology_new();
    for (unsigned i = 0; i < REDIS_PLACES_MAX; i++)
        assert_int_equal(redis_topology_place(t, SLICE("h"), i + 1), i);
    assert_int_equal(redis_topology_place(t, SLICE("g"), 1), REDIS_NOBODY);
    assert_int_equal(redis_topology_place(t, SLICE("h"), 1), 0);
    redis_topology_free(t);
    redis_topology_free(NULL);
}

// -------------------------------------------------------------------- sentinels

static void test_sentinels(void **state) {
    (void)state;
    struct redis_sentinel_place place;
    struct redis_reply *reply = read_reply("*2\r\n$3\r\n::1\r\n$4\r\n6379\r\n");
    assert_true(redis_sentinel_read_master(reply, &place));
    assert_true(slice_equal(place.host, SLICE("::1")));
    assert_int_equal(place.port, 6379);
    assert_false(redis_sentinel_read_other(reply, &place));
    redis_reply_free(reply);
    reply = read_reply("*8\r\n$4\r\nname\r\n$2\r\nip\r\n$2\r\nip\r\n$1\r\nh\r\n"
                       "$4\r\nport\r\n$5\r\n26379\r\n$5\r\nflags\r\n$8\r\nsentinel\r\n");
    assert_true(redis_sentinel_read_other(reply, &place));
    assert_true(slice_equal(place.host, SLICE("h")));
    assert_int_equal(place.port, 26379);
    assert_false(redis_sentinel_read_master(reply, &place));
    redis_reply_free(reply);
}

static void test_no_sentinels(void **state) {
    (void)state;
    static const char *const rows[] = {
        "*-1\r\n",
        "*0\r\n",
        "+OK\r\n",
        "*1\r\n$1\r\nh\r\n",
        "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
        "*2\r\n$1\r\nh\r\n$1\r\n0\r\n",
        "*2\r\n$1\r\nh\r\n$5\r\n65536\r\n",
        "*2\r\n$1\r\nh\r\n:1\r\n",
        "*2\r\n*0\r\n*0\r\n",
        "*3\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n", // the last has no value
        "*2\r\n$2\r\nip\r\n$1\r\nh\r\n",
    };
    struct redis_sentinel_place place;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct redis_reply *reply = read_reply(rows[i]);
        if (redis_sentinel_read_master(reply, &place) || redis_sentinel_read_other(reply, &place))
            fail_msg("row %zu is taken for a place", i);
        redis_reply_free(reply);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_of_keys),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_no_redirects),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_addresses_that_are_left_out),
        cmocka_unit_test(test_no_maps),
        cmocka_unit_test(test_places_have_a_bound),
        cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_no_sentinels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
