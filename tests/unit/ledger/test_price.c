// What an answer costs: each token once, each kind at its price, the steps by
// length, and no overflow however large the figures.
#include "support.h"

#define USD(n) ((int64_t)((n) * INT64_C(1000000)) * 1000000) // for a million tokens
#define NONE_SET {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, NULL}

static const struct price above_500k = {.input = USD(8), .cached_input = -1, .cache_write = -1,
    .cache_write_1h = -1, .output = USD(16), .reasoning = -1, .input_audio = -1,
    .output_audio = -1, .cached_audio = -1, .request = -1};
static const struct price above_200k = {.input = USD(4), .cached_input = USD(2), .cache_write = -1,
    .cache_write_1h = -1, .output = USD(12), .reasoning = -1, .input_audio = -1,
    .output_audio = -1, .cached_audio = -1, .request = -1, .step_above = 500000,
    .above = &above_500k};

// Every price another power, so that a token in the wrong place shows.
static const struct price every_kind = {.input = USD(1), .cached_input = USD(10),
    .cache_write = USD(100), .cache_write_1h = USD(1000), .output = USD(2), .reasoning = USD(20),
    .input_audio = USD(10000), .output_audio = USD(200), .cached_audio = -1, .request = -1};
static const struct price plain = {.input = USD(2), .cached_input = -1, .cache_write = -1,
    .cache_write_1h = -1, .output = USD(6), .reasoning = -1, .input_audio = -1, .output_audio = -1,
    .cached_audio = -1, .request = -1, .step_above = 200000, .above = &above_200k};
static const struct price a_request = {.input = USD(1), .cached_input = -1, .cache_write = USD(3),
    .cache_write_1h = -1, .output = USD(1), .reasoning = -1, .input_audio = -1, .output_audio = -1,
    .cached_audio = -1, .request = INT64_C(5000000000)};
static const struct price unset = NONE_SET;

static const struct {
    const char *what;
    const struct price *price;
    struct api_usage usage;
    const char *cost;
} rows[] = {
    {"nothing", &plain, {.known = true}, "0"},
    {"plain", &plain, {.input_tokens = 1000, .output_tokens = 500}, "0.005"},
    {"one token", &plain, {.input_tokens = 1}, "0.000002"},
    {"cached is part of input", &every_kind, {.input_tokens = 100, .cached_tokens = 40},
     "0.00046"}, // 60*1 + 40*10
    {"all cached", &every_kind, {.input_tokens = 100, .cached_tokens = 100}, "0.001"},
    {"written is part of input", &every_kind,
     {.input_tokens = 100, .cache_write_tokens = 30}, "0.00307"}, // 70*1 + 30*100
    {"1 h is part of written", &every_kind,
     {.input_tokens = 100, .cache_write_tokens = 30, .cache_write_1h_tokens = 10},
     "0.01207"}, // 70*1 + 20*100 + 10*1000
    {"audio is part of input", &every_kind, {.input_tokens = 10, .input_audio_tokens = 4},
     "0.040006"},
    {"reasoning is part of output", &every_kind, {.output_tokens = 100, .reasoning_tokens = 90},
     "0.00182"}, // 10*2 + 90*20
    {"audio is part of output", &every_kind, {.output_tokens = 100, .output_audio_tokens = 50},
     "0.0101"}, // 50*2 + 50*200
    {"everything at once", &every_kind,
     {.input_tokens = 1000, .output_tokens = 500, .cached_tokens = 100, .cache_write_tokens = 50,
      .cache_write_1h_tokens = 20, .reasoning_tokens = 300, .input_audio_tokens = 7,
      .output_audio_tokens = 11},
     "0.103421"}, // 843+1000+3000+20000+70000 + 378+6000+2200
    {"unset prices fall back", &plain,
     {.input_tokens = 100, .output_tokens = 10, .cached_tokens = 10, .cache_write_tokens = 10,
      .cache_write_1h_tokens = 5, .reasoning_tokens = 5, .input_audio_tokens = 5,
      .output_audio_tokens = 2, .input_image_tokens = 3, .output_image_tokens = 1},
     "0.00026"},
    {"1 h falls back to 5 min", &a_request,
     {.input_tokens = 10, .cache_write_tokens = 10, .cache_write_1h_tokens = 10}, "0.00503"},
    {"a request has its price", &a_request, {.known = true}, "0.005"},
    {"at the step", &plain, {.input_tokens = 200000, .output_tokens = 1000}, "0.406"},
    {"over it all tokens cost more", &plain,
     {.input_tokens = 200001, .output_tokens = 1000, .cached_tokens = 1}, "0.812002"},
    {"at the second", &plain, {.input_tokens = 500000}, "2"},
    {"over the second", &plain, {.input_tokens = 500001}, "4.000008"},
    {"output does not step", &plain, {.input_tokens = 1, .output_tokens = 900000}, "5.400002"},
    {"parts larger than the whole", &every_kind,
     {.input_tokens = 10, .output_tokens = 10, .cached_tokens = 999, .cache_write_tokens = 999,
      .cache_write_1h_tokens = 999, .reasoning_tokens = 999, .input_audio_tokens = 999},
     "0.0003"},
    {"1 h larger than written", &every_kind,
     {.input_tokens = 10, .cache_write_tokens = 2, .cache_write_1h_tokens = 9}, "0.002008"},
    {"negative figures", &every_kind,
     {.input_tokens = -5, .output_tokens = 10, .cached_tokens = -7, .reasoning_tokens = -1},
     "0.00002"},
    {"no price at all", &unset, {.input_tokens = 1000, .output_tokens = 1000}, "0"},
};

static void test_costs(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        char text[MONEY_TEXT_MAX];
        struct money cost = price_cost(rows[i].price, &rows[i].usage);
        struct slice got = slice_make(text, money_format(cost, text));
        if (!slice_equal(got, slice_of(rows[i].cost)))
            fail_msg("%s: %.*s, not %s", rows[i].what, SLICE_ARG(got), rows[i].cost);
    }
}

static void test_rounds_up_once(void **state) {
    (void)state;
    // One pico for a million tokens: less than a pico a token, never free.
    struct price p = NONE_SET;
    p.input = p.output = p.cached_input = 1;
    assert_int_equal(price_cost(&p, &(struct api_usage){.input_tokens = 1}).pico, 1);
    assert_int_equal(
        price_cost(&p,
                   &(struct api_usage){.input_tokens = 2, .cached_tokens = 1, .output_tokens = 1})
            .pico,
        1);
    assert_int_equal(price_cost(&p, &(struct api_usage){.input_tokens = 1000000}).pico, 1);
    assert_int_equal(price_cost(&p, &(struct api_usage){.input_tokens = 1000001}).pico, 2);
    assert_int_equal(price_cost(&p, &(struct api_usage){.known = true}).pico, 0);
}

static void test_saturates(void **state) {
    (void)state;
    struct price p = NONE_SET;
    p.input = p.output = p.request = INT64_MAX;
    struct api_usage u = {.input_tokens = INT64_MAX, .output_tokens = INT64_MAX};
    assert_int_equal(price_cost(&p, &u).pico, INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_rounds_up_once),
        cmocka_unit_test(test_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
