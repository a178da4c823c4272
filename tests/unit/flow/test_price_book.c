// Prices at hand follow the clock as the catalogue's do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "exchange.h"

// Cheaper at night, and dearer from a day on.
static const char catalogue[] =
    "{\"date\":\"2026-01-01\",\"source\":\"test\",\"providers\":[{\"id\":\"p\",\"names\":[\"p\"],"
    "\"hosts\":[],\"fallback\":[],\"service_tiers\":{},\"models\":[{\"id\":\"m\",\"match\":{\"equals\":\"m\"},"
    "\"prices\":[{\"input\":\"4\",\"output\":\"4\"},"
    "{\"input\":\"2\",\"output\":\"2\",\"start_time\":\"16:30:00Z\",\"end_time\":\"00:30:00Z\"},"
    "{\"input\":\"8\",\"output\":\"8\",\"from\":\"1970-01-02\"}]}]}]}";

enum { MINUTE = 60000, DAY = 86400000 };

static void a_price_that_changes_is_seen_to_change(void **state) {
    (void)state;
    static const struct {
        int64_t at_ms, usd;
    } rows[] = {{12 * 60 * MINUTE, 4}, {990 * MINUTE - 1, 4}, {990 * MINUTE, 2}, {991 * MINUTE, 2}, {DAY, 8}};
    struct error err;
    struct buffer messages = {0};
    const struct config *config = config_load_text(
        SLICE("provider \"p\" { base_url = \"http://127.0.0.1:1\" }"), "routing.conf", &messages);
    assert_non_null(config);
    struct prices *prices = prices_parse(slice_of(catalogue), &err);
    assert_non_null(prices);
    struct price_book *book = price_book_new(config, prices);
    const struct route_candidate c = {
        .provider = &config->providers[0], .upstream_model = SLICE("m"), .name = SLICE("p/m")};
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        clock_freeze(rows[i].at_ms, 1);
        const struct price *price = price_book_find(book, config, &c, SLICE_NONE);
        assert_non_null(price);
        assert_int_equal(price->input, rows[i].usd * 1000000000000);
    }
    clock_thaw();
    price_book_free(book);
    prices_unref(prices);
    config_unref(config);
    buffer_free(&messages);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_price_that_changes_is_seen_to_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
