// Idempotency-Keys among instances: who holds one, for what request, and until when.
#include "share_scene.h"

struct holder {
    struct share_key *key;
    unsigned calls;
    enum share_standing standing;
    struct cache_key purchase;
};

static void on_held(void *arg, enum share_standing standing, const struct cache_key *purchase) {
    struct holder *h = arg;
    h->calls++;
    h->standing = standing;
    h->purchase = *purchase;
}

// The name, what is asked and the purchase by number.
static void begin_hold(struct fleet *f, size_t instance, struct holder *h, uint64_t name,
                       uint64_t print, uint64_t purchase) {
    const struct cache_key keys[] = {key_number(name), key_number(print), key_number(purchase)};
    *h = (struct holder){0};
    h->key = share_key_hold(f->at[instance].share, &keys[0], &keys[1], &keys[2], on_held, h);
    assert_int_equal(h->calls, 0);
}

static void hold(struct fleet *f, size_t instance, struct holder *h, uint64_t name, uint64_t print,
                 uint64_t purchase) {
    begin_hold(f, instance, h, name, print, purchase);
    assert_non_null(h->key);
    AWAIT(f, h->calls > 0);
}

static void assert_stands(const struct holder *h, enum share_standing standing,
                          uint64_t purchase) {
    const struct cache_key expected = key_number(purchase);
    assert_int_equal(h->standing, standing);
    assert_memory_equal(h->purchase.bytes, expected.bytes, DIGEST_LEN);
}

static bool nothing_is_held(struct fleet *f) {
    char answer[256];
    redis_server_ask(&f->server, "KEYS farthing:{*}:key", answer, sizeof answer);
    return strcmp(answer, "*0\r\n") == 0;
}

static void the_first_says_what_is_bought(void **state) {
    struct fleet *f = *state;
    struct holder a, b, c, other;
    hold(f, 0, &a, 1, 10, 100);
    assert_stands(&a, SHARE_KEY_FIRST, 100);
    hold(f, 1, &b, 1, 10, 200);
    assert_stands(&b, SHARE_KEY_SAME, 100);
    hold(f, 1, &other, 1, 11, 300);
    assert_int_equal(other.standing, SHARE_KEY_OTHER);
    share_key_release(a.key); // it goes on for as long as anybody holds it
    share_key_release(other.key);
    hold(f, 0, &c, 1, 10, 400);
    assert_stands(&c, SHARE_KEY_SAME, 100);
    share_key_release(b.key);
    share_key_release(c.key);
    AWAIT(f, nothing_is_held(f));
    hold(f, 1, &other, 1, 11, 300);
    assert_stands(&other, SHARE_KEY_FIRST, 300);
    share_key_release(other.key);
}

static void keys_are_apart(void **state) {
    struct fleet *f = *state;
    struct holder a, b;
    hold(f, 0, &a, 1, 10, 100);
    hold(f, 1, &b, 2, 20, 200);
    assert_stands(&b, SHARE_KEY_FIRST, 200);
    share_key_release(a.key);
    share_key_release(b.key);
}

// Bytes of digests are any bytes: nothing of them is text.
static void digests_of_any_bytes(void **state) {
    struct fleet *f = *state;
    struct cache_key zeros = {{0}}, lines = {{'\r', '\n', 0, 'h', ':'}};
    struct holder a = {0}, b = {0};
    a.key = share_key_hold(f->at[0].share, &zeros, &lines, &zeros, on_held, &a);
    AWAIT(f, a.calls > 0);
    b.key = share_key_hold(f->at[1].share, &zeros, &lines, &lines, on_held, &b);
    AWAIT(f, b.calls > 0);
    assert_int_equal(b.standing, SHARE_KEY_SAME);
    assert_memory_equal(b.purchase.bytes, zeros.bytes, DIGEST_LEN);
    share_key_release(a.key);
    share_key_release(b.key);
}

static void one_who_goes_before_it_was_told_holds_nothing(void **state) {
    struct fleet *f = *state;
    struct holder a;
    begin_hold(f, 0, &a, 1, 10, 100);
    share_key_release(a.key);
    store_flush(f->at[0].store);
    run_all(f);
    assert_int_equal(a.calls, 0);
    assert_true(nothing_is_held(f));
}

// As when its instance died: what it held is over with its term, whoever else holds on.
static void a_dead_holder_counts_until_its_term_is_over(void **state) {
    struct fleet *f = *state;
    struct holder a, b, other;
    char hex[2 * DIGEST_LEN + 1], line[256];
    digest_hex(key_number(1).bytes, DIGEST_LEN, hex);
    hold(f, 0, &a, 1, 10, 100);
    share_key_release(a.key);
    store_flush(f->at[0].store);
    snprintf(line, sizeof line,
             "HSET farthing:{%s}:key print x purchase x h:dead 9999999999999 h:late 1", hex);
    redis_server_order(&f->server, line);
    hold(f, 1, &other, 1, 11, 300);
    assert_int_equal(other.standing, SHARE_KEY_OTHER);
    share_key_release(other.key);
    snprintf(line, sizeof line, "HSET farthing:{%s}:key h:dead 1", hex);
    redis_server_order(&f->server, line);
    hold(f, 1, &b, 1, 10, 100);
    assert_stands(&b, SHARE_KEY_FIRST, 100);
    share_key_release(b.key);
    AWAIT(f, nothing_is_held(f));
}

static void without_redis_there_is_no_word(void **state) {
    struct fleet *f = *state;
    struct holder a, b, held;
    hold(f, 1, &held, 2, 10, 100);
    kill(f->server.pid, SIGSTOP);
    begin_hold(f, 0, &a, 1, 10, 100);
    assert_non_null(a.key);
    redis_server_stop(&f->server);
    AWAIT(f, a.calls > 0);
    assert_stands(&a, SHARE_KEY_NO_WORD, 100);
    begin_hold(f, 0, &b, 1, 10, 100);
    assert_null(b.key);
    share_key_release(a.key);
    share_key_release(held.key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FLEET_TEST(the_first_says_what_is_bought),
        FLEET_TEST(keys_are_apart),
        FLEET_TEST(digests_of_any_bytes),
        FLEET_TEST(one_who_goes_before_it_was_told_holds_nothing),
        FLEET_TEST(a_dead_holder_counts_until_its_term_is_over),
        FLEET_TEST(without_redis_there_is_no_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
