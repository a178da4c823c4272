// Nothing that an answer may turn out to be costs more than its worst case: for
// prices and requests of every kind, and usages made up at random within them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worst_case.h"

#define NONE (-1)
#define UNSET_PRICE \
    {NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 0, NULL}

enum { USAGES = 4000, INPUT_MOST = 300000, OUTPUT_MOST = 5000 };

// ------------------------------------------------------------------------ tables

// Above 200,000 tokens dearer, as Gemini's and Claude's; and one that is cheaper there.
static const struct price dear_step = {.input = 6000000, .cached_input = 600000,
    .cache_write = 7500000, .cache_write_1h = 12000000, .output = 22500000, .reasoning = NONE,
    .input_audio = NONE, .output_audio = NONE, .cached_audio = NONE, .request = NONE};
static const struct price cheap_step = {.input = 10, .cached_input = NONE, .cache_write = NONE,
    .cache_write_1h = NONE, .output = 10, .reasoning = NONE, .input_audio = NONE,
    .output_audio = NONE, .cached_audio = NONE, .request = NONE};

static const struct {
    const char *name;
    struct price price;
} prices[] = {
    {"plain", {3000000, NONE, NONE, NONE, 15000000, NONE, NONE, NONE, NONE, NONE, 0, NULL}},
    {"a cache that is written", {3000000, 300000, 3750000, 6000000, 15000000, NONE, NONE, NONE,
                                 NONE, NONE, 0, NULL}},
    {"a cache whose reads are dearer", {100, 900, NONE, NONE, 300, NONE, NONE, NONE, NONE, NONE,
                                        0, NULL}},
    {"an hour in the cache only", {100, NONE, 100, 250, 300, NONE, NONE, NONE, NONE, NONE, 0, NULL}},
    {"audio", {2500000, 1250000, NONE, NONE, 10000000, NONE, 40000000, 80000000, NONE, NONE, 0,
               NULL}},
    {"reasoning that is dearer", {100, NONE, NONE, NONE, 300, 900, NONE, NONE, NONE, NONE, 0, NULL}},
    {"audio, reasoning and a cache", {7, 3, 11, 17, 19, 29, 23, 31, NONE, NONE, 0, NULL}},
    {"a price for each request", {1, NONE, NONE, NONE, 3, NONE, NONE, NONE, NONE, 5000000000, 0,
                                  NULL}},
    {"dearer from a length on", {3000000, 300000, 3750000, 6000000, 15000000, NONE, NONE, NONE,
                                 NONE, NONE, 200000, &dear_step}},
    {"cheaper from a length on", {3000000, NONE, NONE, NONE, 15000000, NONE, NONE, NONE, NONE,
                                  NONE, 1000, &cheap_step}},
    {"free", {0, NONE, NONE, NONE, 0, NONE, NONE, NONE, NONE, NONE, 0, NULL}},
};

static const struct {
    const char *name;
    enum api_endpoint endpoint;
    const char *body;
    unsigned parts; // what it makes possible
} requests[] = {
    {"chat", API_CHAT_COMPLETIONS, "{\"messages\":[]}", WORST_CACHE_WRITE},
    {"chat with audio in", API_CHAT_COMPLETIONS, "{\"type\":\"input_audio\"}",
     WORST_CACHE_WRITE | WORST_INPUT_AUDIO},
    {"chat with audio out", API_CHAT_COMPLETIONS, "{\"modalities\":[\"text\",\"audio\"]}",
     WORST_CACHE_WRITE | WORST_OUTPUT_AUDIO},
    {"chat that marks what is cached", API_CHAT_COMPLETIONS, "{\"cache_control\":{}}",
     WORST_CACHE_WRITE | WORST_CACHE_WRITE_1H},
    {"messages", API_MESSAGES, "{\"messages\":[]}", 0},
    {"messages that mark", API_MESSAGES, "{\"cache_control\":{\"ttl\":\"1h\"}}",
     WORST_CACHE_WRITE | WORST_CACHE_WRITE_1H},
    {"a hidden mark", API_MESSAGES, "{\"cache_contro\\u006c\":{}}",
     WORST_CACHE_WRITE | WORST_CACHE_WRITE_1H | WORST_INPUT_AUDIO | WORST_OUTPUT_AUDIO},
    {"another hidden one", API_MESSAGES, "\\u00e9 {\"cache\\u005Fcontrol\":{}}",
     WORST_CACHE_WRITE | WORST_CACHE_WRITE_1H | WORST_INPUT_AUDIO | WORST_OUTPUT_AUDIO},
    {"words with accents", API_MESSAGES, "{\"t\":\"caf\\u00e9 \\u00C9t\\u00e9\\u00\"}", 0},
};
enum { ALL_PARTS = WORST_INPUT_AUDIO | WORST_OUTPUT_AUDIO | WORST_CACHE_WRITE | WORST_CACHE_WRITE_1H };

// -------------------------------------------------------------------- properties

static int64_t up_to(int64_t most) {
    return (int64_t)(random_u64() % (uint64_t)(most + 1));
}

// A part of its whole: none, all or some.
static int64_t part_of(int64_t whole) {
    switch (up_to(3)) {
    case 0:
        return 0;
    case 1:
        return whole;
    default:
        return up_to(whole);
    }
}

static struct api_usage some_usage(int64_t input, int64_t output, unsigned parts) {
    struct api_usage u = {.known = true, .input_tokens = part_of(input), .output_tokens = part_of(output)};
    u.cached_tokens = part_of(u.input_tokens);
    u.input_image_tokens = part_of(u.input_tokens);
    u.reasoning_tokens = part_of(u.output_tokens);
    if ((parts & WORST_CACHE_WRITE) != 0)
        u.cache_write_tokens = part_of(u.input_tokens);
    if ((parts & WORST_CACHE_WRITE_1H) != 0)
        u.cache_write_1h_tokens = part_of(u.cache_write_tokens);
    if ((parts & WORST_INPUT_AUDIO) != 0)
        u.input_audio_tokens = part_of(u.input_tokens);
    if ((parts & WORST_OUTPUT_AUDIO) != 0)
        u.output_audio_tokens = part_of(u.output_tokens);
    return u;
}

static void check(const struct price *price, const char *name, unsigned asked, unsigned parts) {
    struct worst_case w = {.input = part_of(INPUT_MOST), .choices = 1 + up_to(3)};
    int64_t cap = part_of(OUTPUT_MOST);
    assert_true(worst_case_take(&w, price, parts, true));
    struct api_usage u = some_usage(w.input, cap * w.choices, asked);
    int64_t cost = price_cost(price, &u).pico, worst = worst_case_cost(&w, cap);
    if (cost > worst)
        fail_msg("%s: %lld of input, %lld of output cost %lld, over %lld", name,
                 (long long)u.input_tokens, (long long)u.output_tokens, (long long)cost,
                 (long long)worst);
}

static void no_usage_costs_more_than_the_worst_case(void **state) {
    (void)state;
    random_seed(7);
    for (size_t p = 0; p < FARTHING_COUNT(prices); p++)
        for (size_t r = 0; r < FARTHING_COUNT(requests); r++) {
            unsigned of = worst_parts_that_matter(&prices[p].price);
            unsigned parts = worst_parts(requests[r].endpoint, slice_of(requests[r].body), of);
            for (int i = 0; i < USAGES / 10; i++)
                check(&prices[p].price, prices[p].name, requests[r].parts, parts);
        }
}

static int64_t some_price(void) {
    return up_to(2) == 0 ? NONE : up_to(100000000);
}

static void nor_with_prices_made_up_at_random(void **state) {
    (void)state;
    random_seed(8);
    for (int i = 0; i < USAGES; i++) {
        struct price steps[3];
        for (int s = 0; s < 3; s++)
            steps[s] = (struct price){up_to(100000000), some_price(), some_price(), some_price(),
                                      up_to(100000000), some_price(), some_price(), some_price(),
                                      some_price(), some_price(), s < 2 ? 1 + up_to(INPUT_MOST) : 0,
                                      s < 2 ? &steps[s + 1] : NULL};
        unsigned asked = (unsigned)up_to(ALL_PARTS);
        check(&steps[0], "random", asked, asked & worst_parts_that_matter(&steps[0]));
    }
}

// Of two prices (of two service tiers) the dearer of each.
static void the_dearest_of_several_prices_counts(void **state) {
    (void)state;
    const struct price a = {10, NONE, NONE, NONE, 90, NONE, NONE, NONE, NONE, NONE, 0, NULL};
    const struct price b = {30, NONE, NONE, NONE, 20, NONE, NONE, NONE, NONE, NONE, 0, NULL};
    struct worst_case w = {.input = 1000000, .choices = 2};
    assert_true(worst_case_take(&w, &a, 0, true) && worst_case_take(&w, &b, 0, true));
    assert_int_equal(worst_case_cost(&w, 1000000), 30 + 2 * 90);
}

static void it_is_exact_where_all_is_known(void **state) {
    (void)state;
    struct worst_case w = {.input = 7, .choices = 1};
    assert_true(worst_case_take(&w, &prices[0].price, 0, true));
    const struct api_usage u = {.input_tokens = 7, .output_tokens = 11};
    assert_int_equal(worst_case_cost(&w, 11), price_cost(&prices[0].price, &u).pico);
}

static void parts_are_found_by_their_words(void **state) {
    (void)state;
    for (size_t r = 0; r < FARTHING_COUNT(requests); r++)
        assert_int_equal(worst_parts(requests[r].endpoint, slice_of(requests[r].body), ALL_PARTS),
                         requests[r].parts);
}

static void only_dearer_parts_matter(void **state) {
    (void)state;
    assert_int_equal(worst_parts_that_matter(&prices[0].price), 0);
    assert_int_equal(worst_parts_that_matter(&prices[4].price),
                     WORST_INPUT_AUDIO | WORST_OUTPUT_AUDIO);
    assert_int_equal(worst_parts_that_matter(&prices[3].price), WORST_CACHE_WRITE_1H);
}

static void half_a_price_is_none(void **state) {
    (void)state;
    struct price input_only = UNSET_PRICE, output_only = UNSET_PRICE, each = UNSET_PRICE;
    input_only.input = output_only.output = each.request = 5;
    struct worst_case w = {.input = 10, .choices = 1};
    assert_false(worst_case_take(&w, &input_only, 0, true));
    assert_false(worst_case_take(&w, &output_only, 0, true));
    assert_true(worst_case_take(&w, &input_only, 0, false)); // embeddings have no output
    assert_true(worst_case_take(&w, &each, 0, true));
}

static void nothing_overflows(void **state) {
    (void)state;
    const struct price most = {INT64_MAX, NONE, NONE, NONE, INT64_MAX, NONE, NONE, NONE, NONE,
                               INT64_MAX, 0, NULL};
    struct worst_case w = {.input = INT64_MAX, .choices = INT64_MAX};
    assert_true(worst_case_take(&w, &most, 0, true));
    assert_int_equal(worst_case_cost(&w, INT64_MAX), INT64_MAX);
    assert_int_equal(worst_case_cost(&w, 0), INT64_MAX);
    assert_int_equal(worst_case_cap_within(&w, INT64_MAX, INT64_MAX - 1), -1);
}

static void the_largest_cap_that_fits_is_found(void **state) {
    (void)state;
    struct worst_case w = {.input = 10, .choices = 3};
    assert_true(worst_case_take(&w, &prices[1].price, 0, true));
    for (int64_t cap = 0; cap < 400; cap += 7) {
        int64_t cost = worst_case_cost(&w, cap);
        assert_int_equal(worst_case_cap_within(&w, 400, cost), cap);
        assert_int_equal(worst_case_cap_within(&w, 400, cost - 1), cap - 1);
        assert_int_equal(worst_case_cap_within(&w, cap, INT64_MAX), cap);
    }
    assert_int_equal(worst_case_cap_within(&w, 400, worst_case_cost(&w, 0) - 1), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_usage_costs_more_than_the_worst_case),
        cmocka_unit_test(nor_with_prices_made_up_at_random),
        cmocka_unit_test(the_dearest_of_several_prices_counts),
        cmocka_unit_test(it_is_exact_where_all_is_known),
        cmocka_unit_test(parts_are_found_by_their_words),
        cmocka_unit_test(only_dearer_parts_matter),
        cmocka_unit_test(half_a_price_is_none),
        cmocka_unit_test(nothing_overflows),
        cmocka_unit_test(the_largest_cap_that_fits_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
