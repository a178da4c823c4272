// Prices of one configuration: the file's own stand over the catalogue's, price by price
// and at every length of context.
#include "support.h"

static const struct config_model nothing = {
    .input_price = CONFIG_UNSET,
    .cached_input_price = CONFIG_UNSET,
    .cache_write_price = CONFIG_UNSET,
    .output_price = CONFIG_UNSET,
    .reasoning_price = CONFIG_UNSET,
};
static const struct price longest = {
    .input = 40, .output = 41, .cache_write = 42, .cache_write_1h = 43};
static const struct price longer = {
    .input = 30, .output = 31, .step_above = 200, .above = &longest};
static const struct price catalogue = {
    .input = 1, .cached_input = 2, .cache_write = 3, .cache_write_1h = 4, .output = 5,
    .reasoning = 6, .input_audio = 7, .request = 8, .step_above = 100, .above = &longer};

static void test_what_is_not_set_stays(void **state) {
    (void)state;
    struct price price = catalogue;
    price_override(&price, &nothing);
    assert_int_equal(price.input, 1);
    assert_int_equal(price.reasoning, 6);
    assert_int_equal(price.request, 8);
    assert_int_equal(price.above->input, 30);
    assert_int_equal(price.above->above->output, 41);
    price_free_steps(&price);
    assert_null(price.above);
}

static void test_what_is_set_holds_at_every_length(void **state) {
    (void)state;
    struct config_model own = nothing;
    struct price price = catalogue;
    own.input_price = 100;
    own.cache_write_price = 0; // free is a price
    price_override(&price, &own);
    for (const struct price *p = &price; p != NULL; p = p->above) {
        assert_int_equal(p->input, 100);
        assert_int_equal(p->cache_write, 0);
        assert_int_equal(p->cache_write_1h, 0);
    }
    assert_int_equal(price.output, 5);
    assert_int_equal(price.above->output, 31);
    assert_int_equal(price.above->step_above, 200);
    assert_int_equal(longer.input, 30); // the catalogue's is its own
    price_free_steps(&price);
}

static void test_each_price_has_its_key(void **state) {
    (void)state;
    const struct config_model own = {.input_price = 10, .cached_input_price = 20,
                                     .cache_write_price = 30, .output_price = 40,
                                     .reasoning_price = 50};
    struct price price = {0};
    price_override(&price, &own);
    assert_int_equal(price.input, 10);
    assert_int_equal(price.cached_input, 20);
    assert_int_equal(price.cache_write, 30);
    assert_int_equal(price.output, 40);
    assert_int_equal(price.reasoning, 50);
}

static void test_hosts(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"https://api.openai.com/v1", "api.openai.com"},
        {"http://127.0.0.1:8080/v1", "127.0.0.1"},
        {"https://host", "host"},
        {"host:1", "host"},
        {"", ""},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        assert_slice_equal(price_host(slice_of(rows[i][0])), slice_of(rows[i][1]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_set_stays),
        cmocka_unit_test(test_what_is_set_holds_at_every_length),
        cmocka_unit_test(test_each_price_has_its_key),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
