// The address of a Redis: what each form says, and what is refused.
#include "config_fixture.h"
#include "store_url.h"

struct row {
    const char *url;
    bool tls;
    const char *host; // NULL: a socket
    unsigned port;
    const char *socket_path, *user, *password;
    unsigned database;
};

static void accepted(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"redis://h", false, "h", 6379, "", "", "", 0},
        {"redis://h/", false, "h", 6379, "", "", "", 0},
        {"redis://h:1", false, "h", 1, "", "", "", 0},
        {"redis://h:65535/15", false, "h", 65535, "", "", "", 15},
        {"rediss://cache.example.com:6380/0", true, "cache.example.com", 6380, "", "", "", 0},
        {"REDISS://H", true, "H", 6379, "", "", "", 0},
        {"redis://127.0.0.1:7000", false, "127.0.0.1", 7000, "", "", "", 0},
        {"redis://[::1]", false, "::1", 6379, "", "", "", 0},
        {"rediss://[fe80::1]:7000/3", true, "fe80::1", 7000, "", "", "", 3},
        {"redis://:secret@h", false, "h", 6379, "", "", "secret", 0},
        {"redis://me:secret@h:7/2", false, "h", 7, "", "me", "secret", 2},
        {"redis://me@h", false, "h", 6379, "", "me", "", 0},
        {"redis://me:a:b@h", false, "h", 6379, "", "me", "a:b", 0},
        {"redis://me:a@b@h", false, "h", 6379, "", "me", "a@b", 0},
        {"redis://m%65:%40%3A%2f%23%25%20@h", false, "h", 6379, "", "me", "@:/#% ", 0},
        {"redis://@h", false, "h", 6379, "", "", "", 0},
        {"redis+unix:///run/redis.sock", false, NULL, 0, "/run/redis.sock", "", "", 0},
        {"redis+unix:///run/re%20dis?db=4", false, NULL, 0, "/run/re dis", "", "", 4},
        {"redis+unix://me:p@/s", false, NULL, 0, "/s", "me", "p", 0},
        {"redis://my_redis-1.svc/65535", false, "my_redis-1.svc", 6379, "", "", "", 65535},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct config_redis got = {0};
        struct error err;
        struct arena *arena = arena_new(1024);
        if (!config_parse_redis_url(arena, slice_of(r->url), &got, &err))
            fail_msg("%s: %s", r->url, err.text);
        bool same = got.tls == r->tls && slice_equal(got.host, slice_of(r->host)) &&
                    got.port == r->port && slice_equal(got.socket_path, slice_of(r->socket_path)) &&
                    slice_equal(got.user, slice_of(r->user)) &&
                    slice_equal(got.password, slice_of(r->password)) && got.database == r->database;
        if (!same)
            fail_msg("%s is read otherwise", r->url);
        arena_free(arena);
    }
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *url, *says;
    } rows[] = {
        {"", "expected redis://"},
        {"h", "expected redis://"},
        {"://h", "expected redis://"},
        {"http://h", "scheme is not known"},
        {"redis+tcp://h", "scheme is not known"},
        {"redis://", "host is not valid"},
        {"redis://:6379", "host is not valid"},
        {"redis:///0", "host is not valid"},
        {"redis://a b", "host is not valid"},
        {"redis://a,b", "host is not valid"},
        {"redis://h%41", "host is not valid"},
        {"redis://[::1", "IPv6"},
        {"redis://[1.2.3.4]", "IPv6"},
        {"redis://[]", "IPv6"},
        {"redis://[::1]7", "port is not valid"},
        {"redis://h:", "port is not valid"},
        {"redis://h:0", "port is not valid"},
        {"redis://h:65536", "port is not valid"},
        {"redis://h:x", "port is not valid"},
        {"redis://h:1:2", "port is not valid"},
        {"redis://h/x", "database is not valid"},
        {"redis://h/-1", "database is not valid"},
        {"redis://h/1/2", "database is not valid"},
        {"redis://h/65536", "database is not valid"},
        {"redis://h?db=1", "no meaning"},
        {"redis://h/1?", "no meaning"},
        {"redis://h#1", "no meaning"},
        {"redis://:hush#x@h", "%23"},
        {"redis://:hush%@h", "percent"},
        {"redis://:hush%4@h", "percent"},
        {"redis://:hush%4g@h", "percent"},
        {"redis://:hush%00@h", "%00"},
        {"redis+unix://", "whole path"},
        {"redis+unix:///", "whole path"},
        {"redis+unix://h/path", "whole path"},
        {"redis+unix:///s?db=x", "database is not valid"},
        {"redis+unix:///s?database=1", "?db=N"},
        {"redis+sentinel://a,b,c", "names no master"},
        {"redis+sentinel://a/", "names no master"},
        {"redis+sentinel://a//0", "names no master"},
        {"redis+sentinel://a/hush!", "names no master"},
        {"redis+sentinel:///m", "host is not valid"},
        {"redis+sentinel://a,,b/m", "host is not valid"},
        {"redis+sentinel://a,b,/m", "host is not valid"},
        {"redis+sentinel://a:0,b/m", "port is not valid"},
        {"redis+sentinel://a/m/x", "database is not valid"},
        {"redis+sentinel://a/m?db=1", "no meaning"},
        {"redis+cluster://", "host is not valid"},
        {"redis+cluster://a,[::1,b", "IPv6"},
        {"redis+cluster://a/1", "no databases but 0"},
        {"redis+cluster://a/hush", "no databases but 0"},
        {"redis+cluster://a,b?x", "no meaning"},
        {"redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "more than 16 hosts"},
        {"redis+unix:///1234567890123456789012345678901234567890123456789012345678901234567890"
         "12345678901234567890123456789012345678",
         "too long"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct config_redis got = {0};
        struct error err;
        struct arena *arena = arena_new(1024);
        if (config_parse_redis_url(arena, slice_of(rows[i].url), &got, &err))
            fail_msg("\"%s\" is accepted", rows[i].url);
        if (strstr(err.text, rows[i].says) == NULL || strstr(err.text, "hush") != NULL)
            fail_msg("\"%s\": %s", rows[i].url, err.text);
        arena_free(arena);
    }
}

static void several_hosts(void **state) {
    (void)state;
    static const struct {
        const char *url;
        enum config_redis_kind kind;
        bool tls;
        const char *seeds; // as they are told apart: HOST:PORT HOST:PORT
        const char *master, *user, *password;
        unsigned database;
    } rows[] = {
        {"redis+sentinel://a/m", CONFIG_REDIS_SENTINEL, false, "a:26379", "m", "", "", 0},
        {"redis+sentinel://a,b:1,[::1]:2,[::2]/my.ma_st-er1/3", CONFIG_REDIS_SENTINEL, false,
         "a:26379 b:1 ::1:2 ::2:26379", "my.ma_st-er1", "", "", 3},
        {"REDISS+Sentinel://me:p,w@a,b/m/", CONFIG_REDIS_SENTINEL, true, "a:26379 b:26379", "m",
         "me", "p,w", 0},
        {"redis+cluster://a", CONFIG_REDIS_CLUSTER, false, "a:6379", "", "", "", 0},
        {"redis+cluster://a,10.0.0.1:7001,[::1]/", CONFIG_REDIS_CLUSTER, false,
         "a:6379 10.0.0.1:7001 ::1:6379", "", "", "", 0},
        {"rediss+cluster://:p@a:1,a:2/0", CONFIG_REDIS_CLUSTER, true, "a:1 a:2", "", "", "p", 0},
        {"redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", CONFIG_REDIS_CLUSTER, false,
         "1:6379 2:6379 3:6379 4:6379 5:6379 6:6379 7:6379 8:6379 9:6379 10:6379 11:6379 12:6379 "
         "13:6379 14:6379 15:6379 16:6379",
         "", "", "", 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct config_redis got = {0};
        struct error err;
        struct arena *arena = arena_new(1024);
        struct buffer seeds = {0};
        if (!config_parse_redis_url(arena, slice_of(rows[i].url), &got, &err))
            fail_msg("%s: %s", rows[i].url, err.text);
        for (size_t n = 0; n < got.seed_count; n++)
            buffer_printf(&seeds, "%s%.*s:%u", n > 0 ? " " : "", SLICE_ARG(got.seeds[n].host),
                          got.seeds[n].port);
        bool same = got.kind == rows[i].kind && got.tls == rows[i].tls && got.host.len == 0 &&
                    slice_equal(buffer_slice(&seeds), slice_of(rows[i].seeds)) &&
                    slice_equal(got.master, slice_of(rows[i].master)) &&
                    slice_equal(got.user, slice_of(rows[i].user)) &&
                    slice_equal(got.password, slice_of(rows[i].password)) &&
                    got.database == rows[i].database;
        if (!same)
            fail_msg("%s is read otherwise", rows[i].url);
        buffer_free(&seeds);
        arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted), cmocka_unit_test(several_hosts),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
