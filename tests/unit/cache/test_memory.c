// One shard: what it keeps and what it lets go, and that its bytes are bounded
// and its queues and table agree whatever happens.
#include "memory.h"
#include "support.h"

enum { MAX_BYTES = 1 << 20, BODY_BYTES = 2000 };
static const int64_t usual_pico = 1000000000; // 0.001 USD
static char body[1 << 20];

static struct cache_entry *entry_of(uint64_t n, size_t body_bytes, int64_t cost_pico) {
    struct cache_key key = key_number(n);
    struct cache_answer a = answer_of(slice_make(body, body_bytes));
    a.cost_known = cost_pico >= 0;
    a.cost_pico = cost_pico;
    return entry_new(&key, &a);
}

static void put(struct memory *m, uint64_t n) {
    memory_insert(m, entry_of(n, BODY_BYTES, usual_pico));
}

static struct cache_entry *find(struct memory *m, uint64_t n) {
    struct cache_key key = key_number(n);
    return memory_find(m, &key);
}

static void touch(struct memory *m, uint64_t n) {
    struct cache_entry *e = find(m, n);
    assert_non_null(e);
    memory_touch(e);
}

// Newcomers that nobody asks for again, as many as fill the shard `times` over.
static void flood(struct memory *m, uint64_t from, unsigned times) {
    for (uint64_t i = 0; i < times * (m->max_bytes / BODY_BYTES); i++)
        put(m, from + i);
}

// ---------------------------------------------------------------- invariants

static size_t check_queue(const struct queue *q, enum entry_queue which, size_t *bytes) {
    size_t count = 0;
    *bytes = 0;
    const struct cache_entry *newer = NULL;
    for (const struct cache_entry *e = q->newest; e != NULL; newer = e, e = e->older) {
        assert_int_equal(e->queue, which);
        assert_ptr_equal(e->newer, newer);
        assert_in_range(e->weight, 1, 255);
        *bytes += e->bytes;
        count++;
    }
    assert_ptr_equal(q->oldest, newer);
    assert_int_equal(q->bytes, *bytes);
    return count;
}

static void check(struct memory *m) {
    size_t small, main_bytes, in_buckets = 0;
    size_t count = check_queue(&m->small, QUEUE_SMALL, &small) +
                   check_queue(&m->main, QUEUE_MAIN, &main_bytes);
    assert_int_equal(count, m->count);
    for (size_t i = 0; i <= m->mask; i++)
        for (struct cache_entry *e = m->buckets[i]; e != NULL; e = e->next_in_bucket) {
            assert_ptr_equal(memory_find(m, &e->key), e);
            in_buckets++;
        }
    assert_int_equal(in_buckets, count);
    size_t tables = (m->mask + 1 + m->ghost_mask + 1) * 8;
    assert_int_equal(memory_bytes(m), small + main_bytes + tables);
    assert_true(memory_bytes(m) <= m->max_bytes || m->count == 0);
}

// -------------------------------------------------------------------- tests

static void test_finds_what_is_there(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    check(&m);
    assert_null(find(&m, 1));
    for (uint64_t i = 0; i < 300; i++) // the table grows on the way
        put(&m, i);
    for (uint64_t i = 0; i < 300; i++)
        assert_non_null(find(&m, i));
    assert_null(find(&m, 300));
    check(&m);
    memory_remove(&m, find(&m, 7));
    assert_null(find(&m, 7));
    check(&m);
    memory_clear(&m);
    assert_int_equal(m.count, 0);
    check(&m);
    memory_free(&m);
}

static void test_replaces(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    put(&m, 1);
    memory_insert(&m, entry_of(1, 5000, usual_pico));
    assert_int_equal(m.count, 1);
    assert_int_equal(find(&m, 1)->answer.body.len, 5000);
    check(&m);
    memory_free(&m);
}

static void test_replacing_keeps_the_standing(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    put(&m, 1);
    touch(&m, 1);
    put(&m, 1); // refreshed: it was asked for all the same
    flood(&m, 100, 2);
    assert_non_null(find(&m, 1));
    assert_int_equal(find(&m, 1)->queue, QUEUE_MAIN);
    put(&m, 1);
    assert_int_equal(find(&m, 1)->queue, QUEUE_MAIN);
    check(&m);
    memory_free(&m);
}

static void test_one_hit_wonders_do_not_displace(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    for (uint64_t i = 0; i < 50; i++) {
        put(&m, i);
        touch(&m, i);
    }
    flood(&m, 1000, 20);
    for (uint64_t i = 0; i < 50; i++)
        assert_non_null(find(&m, i));
    assert_true(m.evictions > 0);
    check(&m);
    memory_free(&m);
}

static void test_ghosts_come_back_into_main(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    for (uint64_t i = 0; i < 400; i++) { // main is full of what was used once
        put(&m, i);
        touch(&m, i);
    }
    flood(&m, 1000, 1);
    put(&m, 5000);
    for (uint64_t i = 6000; find(&m, 5000) != NULL; i++) // until the small queue lets it go
        put(&m, i);
    put(&m, 5000);
    assert_int_equal(find(&m, 5000)->queue, QUEUE_MAIN);
    put(&m, 5001); // never seen before
    assert_int_equal(find(&m, 5001)->queue, QUEUE_SMALL);
    memory_remove(&m, find(&m, 5000)); // a ghost comes back once
    put(&m, 5000);
    assert_int_equal(find(&m, 5000)->queue, QUEUE_SMALL);
    check(&m);
    memory_free(&m);
}

static void test_dear_ones_stay(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    for (uint64_t i = 0; i < 100; i++)
        put(&m, i); // what is usual
    memory_insert(&m, entry_of(900, BODY_BYTES, usual_pico * 10));
    memory_insert(&m, entry_of(901, BODY_BYTES, usual_pico / 10));
    flood(&m, 1000, 1);
    assert_non_null(find(&m, 900)); // unasked, by its price alone
    assert_null(find(&m, 901));
    check(&m);
    memory_free(&m);
}

static void test_price_decides_among_used_ones(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    for (uint64_t i = 0; i < 100; i++)
        put(&m, i);
    // Alike in use, each a hundredth of the shard; together too many.
    for (uint64_t i = 0; i < 200; i++) {
        int64_t pico = i % 2 == 0 ? usual_pico * 20 : usual_pico / 20;
        memory_insert(&m, entry_of(2000 + i, 9000, pico));
        touch(&m, 2000 + i);
    }
    size_t dear = 0, cheap = 0;
    for (uint64_t i = 0; i < 200; i++)
        *(i % 2 == 0 ? &dear : &cheap) += find(&m, 2000 + i) != NULL;
    assert_true(dear > 4 * cheap);
    check(&m);
    memory_free(&m);
}

static void test_weights(void **state) {
    (void)state;
    // Price against the mean, and the weight it gives (4 is the mean's).
    static const struct {
        int64_t times, of, weight;
    } cases[] = {{1, 1, 4},   {2, 1, 8},  {4, 1, 16},   {8, 1, 32},     {1000, 1, 32},
                 {1, 2, 2},   {1, 4, 1},  {1, 1000, 1}, {INT64_C(9000000000), 1, 32}};
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct memory m;
        memory_init(&m, MAX_BYTES);
        put(&m, 0); // the first is the mean
        int64_t pico = usual_pico / cases[i].of;
        pico = cases[i].times > INT64_MAX / pico ? INT64_MAX : pico * cases[i].times;
        memory_insert(&m, entry_of(1, BODY_BYTES, pico));
        assert_int_equal(find(&m, 1)->weight, cases[i].weight);
        memory_free(&m);
    }
}

static void test_unknown_price_is_the_mean(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    memory_insert(&m, entry_of(1, BODY_BYTES, -1));
    assert_int_equal(find(&m, 1)->weight, 4);
    put(&m, 2);
    int32_t mean = m.mean_price;
    memory_insert(&m, entry_of(3, BODY_BYTES, -1));
    assert_int_equal(find(&m, 3)->weight, 4);
    assert_int_equal(m.mean_price, mean);
    memory_insert(&m, entry_of(4, BODY_BYTES, 0)); // known, and nothing
    assert_int_equal(find(&m, 4)->weight, 1);
    memory_free(&m);
}

static void test_mean_follows(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    put(&m, 0);
    for (uint64_t i = 0; i < 2000; i++)
        memory_insert(&m, entry_of(i, BODY_BYTES, usual_pico * 100));
    memory_insert(&m, entry_of(5000, BODY_BYTES, usual_pico * 100));
    assert_in_range(find(&m, 5000)->weight, 3, 5); // dear once, usual now
    memory_free(&m);
}

static void test_expired_go_first(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    for (uint64_t i = 0; i < 300; i++) {
        put(&m, i);
        for (int use = 0; use < 20; use++)
            touch(&m, i);
    }
    flood(&m, 5000, 1);
    assert_int_equal(find(&m, 0)->queue, QUEUE_MAIN);
    m.now_ms = DIES_MS;
    // Newcomers outlive both what stands in main with all its credit, and what
    // was used in the small queue.
    for (uint64_t i = 0; i < 5; i++)
        touch(&m, 5000 + MAX_BYTES / BODY_BYTES - 1 - i);
    for (uint64_t i = 0; i < 350; i++) {
        struct cache_entry *e = entry_of(1000 + i, BODY_BYTES, usual_pico);
        e->answer.expires_ms = DIES_MS + 1;
        memory_insert(&m, e);
        memory_touch(e);
    }
    for (uint64_t i = 0; i < 350; i++)
        assert_non_null(find(&m, 1000 + i));
    size_t expired = 0;
    for (uint64_t i = 0; i < 300; i++)
        expired += find(&m, i) != NULL;
    assert_true(expired < 150);
    check(&m);
    memory_free(&m);
}

static void test_too_large_is_not_kept(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    for (uint64_t i = 0; i < 100; i++)
        put(&m, i);
    memory_insert(&m, entry_of(500, MAX_BYTES / 2 + 1, usual_pico * 1000));
    assert_null(find(&m, 500));
    for (uint64_t i = 0; i < 100; i++)
        assert_non_null(find(&m, i)); // nobody had to go for it
    memory_insert(&m, entry_of(5, MAX_BYTES / 2 + 1, usual_pico)); // in place of an old one
    assert_null(find(&m, 5));
    assert_int_equal(m.count, 99);
    check(&m);
    memory_insert(&m, entry_of(501, MAX_BYTES / 2 - 1000, usual_pico)); // just fits
    assert_non_null(find(&m, 501));
    check(&m);
    memory_free(&m);
}

static void test_tiny_shards(void **state) {
    (void)state;
    for (size_t bytes = 0; bytes < 3 * MEMORY_LEAST_BYTES; bytes += 97) {
        struct memory m;
        memory_init(&m, bytes);
        for (uint64_t i = 0; i < 50; i++) {
            memory_insert(&m, entry_of(i, (size_t)i, usual_pico));
            if (find(&m, i) != NULL)
                touch(&m, i);
            check(&m);
        }
        memory_free(&m);
    }
}

static void test_resize(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, MAX_BYTES);
    for (uint64_t i = 0; i < 4000; i++)
        memory_insert(&m, entry_of(i, 1, usual_pico));
    size_t full = m.count;
    memory_resize(&m, MAX_BYTES / 16);
    assert_in_range(m.count, 1, full / 8);
    check(&m);
    memory_resize(&m, MAX_BYTES / 16); // its tables shrank with it
    assert_true((m.mask + 1) * 8 < MAX_BYTES / 64);
    memory_resize(&m, 0);
    assert_int_equal(m.count, 0);
    check(&m);
    memory_resize(&m, 4 * MAX_BYTES);
    for (uint64_t i = 0; i < 1000; i++)
        put(&m, i);
    assert_int_equal(m.count, 1000);
    check(&m);
    struct memory fresh;
    memory_init(&fresh, 4 * MAX_BYTES);
    assert_int_equal(m.ghost_mask, fresh.ghost_mask); // it remembers as far back
    memory_free(&fresh);
    memory_free(&m);
}

static size_t count_with_credit_below(const struct queue *q, unsigned credit) {
    size_t count = 0;
    for (const struct cache_entry *e = q->newest; e != NULL; e = e->older)
        count += e->credit < credit;
    return count;
}

static void test_search_for_room_is_bounded(void **state) {
    (void)state;
    struct memory m;
    memory_init(&m, 64 << 20);
    uint64_t n = 0;
    for (; memory_bytes(&m) + 4096 < m.max_bytes; n++) {
        put(&m, n);
        for (int use = 0; use < 30; use++)
            touch(&m, n);
    }
    assert_true(n > 20000); // all with as much credit as there is
    while (m.evictions == 0)
        put(&m, n++);
    // One call made room, and few entries were moved or paid for it.
    assert_in_range(count_with_credit_below(&m.main, 256), 1, 1000);
    // It goes on so, until what is used stands in main.
    for (int i = 0; i < 2000; i++) {
        int64_t before = m.evictions;
        put(&m, n++);
        assert_in_range(m.evictions - before, 0, 3);
    }
    assert_true(m.small.bytes <= m.max_bytes / 10);
    // Now all of main is as hot as can be, and one of it has to go.
    for (struct cache_entry *e = m.main.newest; e != NULL; e = e->older)
        e->credit = 96;
    memory_resize(&m, memory_bytes(&m) - 1);
    assert_in_range(count_with_credit_below(&m.main, 96), 0, 1000);
    check(&m);
    memory_free(&m);
}

static void test_random_operations(void **state) {
    (void)state;
    struct memory m;
    random_seed(42);
    memory_init(&m, MAX_BYTES / 4);
    for (int step = 0; step < 60000; step++) {
        uint64_t n = random_below(300);
        struct cache_entry *e = find(&m, n);
        switch (random_below(20)) {
        case 0:
            if (e != NULL)
                memory_remove(&m, e);
            break;
        case 1:
            m.now_ms = (int64_t)random_below(2 * DIES_MS);
            break;
        case 2:
            if (random_below(50) == 0)
                memory_resize(&m, random_below(MAX_BYTES));
            break;
        case 3:
            if (random_below(200) == 0)
                memory_clear(&m);
            break;
        default:
            if (e != NULL)
                memory_touch(e);
            else
                memory_insert(&m, entry_of(n, random_below(20000),
                                           (int64_t)(random_u64() >> random_below(64)) / 2 - 1));
        }
        if (step % 50 == 0)
            check(&m);
    }
    check(&m);
    assert_true(m.evictions > 100);
    memory_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_is_there),
        cmocka_unit_test(test_replaces),
        cmocka_unit_test(test_replacing_keeps_the_standing),
        cmocka_unit_test(test_one_hit_wonders_do_not_displace),
        cmocka_unit_test(test_ghosts_come_back_into_main),
        cmocka_unit_test(test_dear_ones_stay),
        cmocka_unit_test(test_price_decides_among_used_ones),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_unknown_price_is_the_mean),
        cmocka_unit_test(test_mean_follows),
        cmocka_unit_test(test_expired_go_first),
        cmocka_unit_test(test_too_large_is_not_kept),
        cmocka_unit_test(test_tiny_shards),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_search_for_room_is_bounded),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
