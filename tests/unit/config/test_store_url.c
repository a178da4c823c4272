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
        {"redis+sentinel://a,b,c/hush", "redis+sentinel:// is not built yet"},
        {"rediss+sentinel://a,b,c/hush", "rediss+sentinel:// is not built yet"},
        {"redis+cluster://a,b,c", "redis+cluster:// is not built yet"},
        {"REDIS+CLUSTER://a,b,c", "redis+cluster:// is not built yet"},
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
