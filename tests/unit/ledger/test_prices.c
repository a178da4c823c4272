// The catalogue: what it finds and what it must not, and that an odd file is
// refused with its reason instead of giving wrong prices.
#include "support.h"

#define CATALOGUE SOURCE_ROOT "/conf/prices.json"
#define NOON INT64_C(1795262400000)    // 2026-11-21T12:00:00Z
#define AT_2025_01 INT64_C(1735689600000) // 2025-01-01T00:00:00Z

static struct prices *parse(const char *text) {
    struct error err;
    struct prices *p = prices_parse(slice_of(text), &err);
    if (p == NULL)
        fail_msg("%s", err.text);
    return p;
}

static bool find(const struct prices *p, const char *provider, const char *host, const char *model,
                 const char *tier, struct price *out) {
    return prices_find(p, slice_of(provider), slice_of(host), slice_of(model), slice_of(tier), NOON,
                       out);
}

// ------------------------------------------------------------- the real file

static struct prices *load(void) {
    struct error err;
    struct prices *p = prices_load(CATALOGUE, &err);
    if (p == NULL)
        fail_msg("%s", err.text);
    return p;
}

static void test_the_catalogue_loads(void **state) {
    (void)state;
    struct prices *p = load();
    assert_true(prices_count(p) > 300);
    assert_int_equal(prices_date(p).len, 10);
    assert_true(slice_find(prices_source(p), SLICE("genai-prices")) >= 0);
    struct prices *same = prices_ref(p);
    prices_unref(p);
    assert_true(prices_count(same) > 300);
    prices_unref(same);
    prices_unref(NULL);
}

// That its figures are right is check_catalogue.py's; here, that names are found.
static void test_known_models(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"openai", "api.openai.com", "gpt-4o"},
        {"openai", "api.openai.com", "GPT-4o-2024-08-06"},
        {"my-own-name", "api.openai.com", "gpt-4o-mini"},
        {"openai", "proxy.example", "gpt-4.1-nano"},
        {"OpenAI-eu", "", "text-embedding-3-small"},
        {"openai_batch", "", "o3"},
        {"anthropic", "api.anthropic.com", "claude-sonnet-4-5-20250929"},
        {"google", "generativelanguage.googleapis.com", "models/gemini-2.5-flash"},
        {"vertex", "us-central1-aiplatform.googleapis.com", "gemini-2.0-flash"},
        {"gemini", "", "gemini-2.5-flash-lite"},
        {"deepseek", "api.deepseek.com", "deepseek-chat"},
        {"mistral", "api.mistral.ai", "mistral-large-latest"},
        {"xai", "api.x.ai", "grok-3-mini"},
        {"groq", "api.groq.com", "llama-3.3-70b-versatile"},
        {"moonshotai", "api.moonshot.cn", "kimi-k2-0711-preview"},
        {"together", "api.together.xyz", "meta-llama/Llama-3.3-70B-Instruct-Turbo"},
    };
    struct prices *p = load();
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct price price = {0};
        if (!find(p, rows[i][0], rows[i][1], rows[i][2], "", &price) || price.input <= 0)
            fail_msg("no price for %s at %s", rows[i][2], rows[i][1]);
    }
    prices_unref(p);
}

static void test_unknown(void **state) {
    (void)state;
    static const char *const rows[][4] = {
        {"openai", "api.openai.com", "no-such-model", ""},
        {"openai", "api.openai.com", "", ""},
        {"openai", "api.openai.com", "gpt-4o", "priority"}, // no one share of the price
        {"openai", "api.openai.com", "gpt-4o", "nonsense"},
        {"openai", "api.openai.com", "whisper-1", ""},      // sold by the hour
        {"openaix", "", "gpt-4o", ""},
        {"open", "", "gpt-4o", ""},
        {"", "", "gpt-4o", ""},
        {"x", "api.openai.community", "gpt-4o", ""},
        {"x", "notapi.openai.com", "gpt-4o", ""},
        {"openai", "api.groq.com", "gpt-4o", ""}, // Groq does not sell it
    };
    struct prices *p = load();
    char long_name[400];
    struct price price;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        if (find(p, rows[i][0], rows[i][1], rows[i][2], rows[i][3], &price))
            fail_msg("%s has a price at %s %s", rows[i][2], rows[i][0], rows[i][1]);
    memset(long_name, 'g', sizeof long_name);
    assert_false(prices_find(p, SLICE("openai"), SLICE_NONE,
                             slice_make(long_name, sizeof long_name), SLICE_NONE, NOON, &price));
    prices_unref(p);
}

// ------------------------------------------------------------- look-up rules

#define ONE_MODEL(match, prices)                                                        \
    "{\"date\":\"2026-01-02\",\"source\":\"test\",\"providers\":[{\"id\":\"a\","        \
    "\"names\":[\"a\"],\"hosts\":[\"a.example\"],\"service_tiers\":{\"batch\":50,"      \
    "\"flex\":75,\"same\":100},\"models\":[{\"id\":\"The-Id\",\"match\":" match         \
    ",\"prices\":" prices "}]}]}"
#define FLAT "[{\"input\":\"1\",\"output\":\"2\"}]"

static void test_match_clauses(void **state) {
    (void)state;
    static const struct {
        const char *text, *model;
        bool found;
    } rows[] = {
        {ONE_MODEL("{\"equals\":\"Big\"}", FLAT), "bIg", true},
        {ONE_MODEL("{\"equals\":\"big\"}", FLAT), "bigger", false},
        {ONE_MODEL("{\"equals\":\"big\"}", FLAT), "the-ID", true},
        {ONE_MODEL("{\"starts_with\":\"big\"}", FLAT), "bigger", true},
        {ONE_MODEL("{\"starts_with\":\"big\"}", FLAT), "a-big", false},
        {ONE_MODEL("{\"ends_with\":\"big\"}", FLAT), "a-big", true},
        {ONE_MODEL("{\"ends_with\":\"big\"}", FLAT), "bigger", false},
        {ONE_MODEL("{\"contains\":\"ig\"}", FLAT), "bigger", true},
        {ONE_MODEL("{\"contains\":\"x\"}", FLAT), "bigger", false},
        {ONE_MODEL("{\"or\":[{\"equals\":\"a\"},{\"equals\":\"b\"}]}", FLAT), "b", true},
        {ONE_MODEL("{\"or\":[{\"equals\":\"a\"},{\"equals\":\"b\"}]}", FLAT), "c", false},
        {ONE_MODEL("{\"and\":[{\"contains\":\"a\"},{\"contains\":\"b\"}]}", FLAT), "ba", true},
        {ONE_MODEL("{\"and\":[{\"contains\":\"a\"},{\"contains\":\"b\"}]}", FLAT), "b", false},
        {ONE_MODEL("{\"not\":{\"contains\":\"a\"}}", FLAT), "b", true},
        {ONE_MODEL("{\"not\":{\"contains\":\"a\"}}", FLAT), "ab", false},
        {ONE_MODEL("{\"like\":\"m-####-##\"}", FLAT), "m-2026-01", true},
        {ONE_MODEL("{\"like\":\"m-####-##\"}", FLAT), "m-2026-0x", false},
        {ONE_MODEL("{\"like\":\"m-####-##\"}", FLAT), "m-2026-011", false},
        {ONE_MODEL("{\"like\":\"m-####-##\"}", FLAT), "m-2026-", false},
        {ONE_MODEL("{\"like\":\"m-#*\"}", FLAT), "m-2-beta", true},
        {ONE_MODEL("{\"like\":\"m-#*\"}", FLAT), "m-2", true},
        {ONE_MODEL("{\"like\":\"m-#*\"}", FLAT), "m-beta", false},
        {ONE_MODEL("{\"like\":\"m*\"}", FLAT), "m", true},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct prices *p = parse(rows[i].text);
        struct price price;
        if (find(p, "a", "", rows[i].model, "", &price) != rows[i].found)
            fail_msg("row %zu: %s", i, rows[i].model);
        prices_unref(p);
    }
}

static void test_hosts_before_names(void **state) {
    (void)state;
    struct prices *p = parse(
        "{\"providers\":[{\"names\":[\"a\"],\"hosts\":[\"api.a\"],\"models\":[{\"id\":\"m\","
        "\"match\":{\"equals\":\"m\"},\"prices\":[{\"input\":\"1\"}]}]},"
        "{\"names\":[\"b\"],\"hosts\":[\"b.example\"],\"models\":[{\"id\":\"m\","
        "\"match\":{\"equals\":\"m\"},\"prices\":[{\"input\":\"2\"}]}]}]}");
    static const struct {
        const char *provider, *host;
        int dollars; // 0: not found
    } rows[] = {
        {"a", "", 1},           {"b", "", 2},           {"a", "b.example", 2},
        {"b", "api.a.cn", 1},   {"b", "x.api.a", 1},    {"a-b", "X.B.Example", 2},
        {"c", "api.ab", 0},     {"c", "xb.example", 0}, {"c", "b.examples", 0},
        {"a_x", "elsewhere", 1},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct price price = {0};
        bool found = find(p, rows[i].provider, rows[i].host, "m", "", &price);
        if (found != (rows[i].dollars > 0) ||
            price.input != rows[i].dollars * INT64_C(1000000000000))
            fail_msg("%s at %s", rows[i].provider, rows[i].host);
    }
    prices_unref(p);
}

static void test_fallback(void **state) {
    (void)state;
    struct prices *p = parse(
        "{\"providers\":[{\"names\":[\"a\"],\"hosts\":[],\"service_tiers\":{\"flex\":50},"
        "\"models\":[{\"id\":\"m\",\"match\":{\"equals\":\"m\"},\"prices\":[{\"input\":\"2\"}]},"
        "{\"id\":\"n\",\"match\":{\"equals\":\"n\"},\"prices\":[{\"input\":\"4\"}]}]},"
        "{\"names\":[\"b\"],\"fallback\":[\"gone\",\"a\"],\"models\":[{\"id\":\"n\","
        "\"match\":{\"equals\":\"n\"},\"prices\":[{\"input\":\"8\"}]}]}]}");
    struct price price;
    assert_true(find(p, "b", "", "m", "", &price)); // b sells a's m at a's price
    assert_int_equal(price.input, INT64_C(2000000000000));
    assert_true(find(p, "b", "", "m", "flex", &price));
    assert_int_equal(price.input, INT64_C(1000000000000));
    assert_true(find(p, "b", "", "n", "", &price)); // and its own n at its own
    assert_int_equal(price.input, INT64_C(8000000000000));
    assert_false(find(p, "b", "", "n", "flex", &price));
    assert_false(find(p, "b", "", "o", "", &price));
    prices_unref(p);
}

static void test_service_tiers_scale_everything(void **state) {
    (void)state;
    struct prices *p = parse(ONE_MODEL(
        "{\"equals\":\"m\"}",
        "[{\"input\":\"4\",\"cached_input\":\"0.4\",\"cache_write\":\"8\",\"cache_write_1h\":"
        "\"12\","
        "\"output\":\"16\",\"reasoning\":\"20\",\"input_audio\":\"24\",\"output_audio\":\"28\","
        "\"cached_audio\":\"32\",\"request\":\"0.004\",\"steps\":[{\"above\":10,\"input\":\"40\","
        "\"output\":\"80\"},{\"above\":20,\"input\":\"400\",\"output\":\"800\"}]}]"));
    struct price whole, half;
    assert_true(find(p, "a", "", "m", "default", &whole));
    assert_true(find(p, "a", "", "m", "batch", &half));
    const int64_t *w[] = {&whole.input,          &whole.cached_input, &whole.cache_write,
                          &whole.cache_write_1h, &whole.output,       &whole.reasoning,
                          &whole.input_audio,    &whole.output_audio, &whole.cached_audio};
    const int64_t *h[] = {&half.input, &half.cached_input, &half.cache_write, &half.cache_write_1h,
                          &half.output, &half.reasoning, &half.input_audio, &half.output_audio,
                          &half.cached_audio};
    for (size_t i = 0; i < FARTHING_COUNT(w); i++) {
        assert_true(*w[i] > 0);
        assert_int_equal(*h[i] * 2, *w[i]);
    }
    assert_int_equal(half.request, whole.request); // a request is a request
    // The steps too, each of them, and the standard ones stay what they were.
    struct api_usage u = {.input_tokens = 15, .output_tokens = 1};
    assert_money_equal(price_cost(&whole, &u), "0.00468");
    assert_money_equal(price_cost(&half, &u), "0.00434");
    u.input_tokens = 21;
    assert_money_equal(price_cost(&half, &u), "0.0086");
    assert_true(find(p, "a", "", "m", "same", &half));
    assert_int_equal(half.input, whole.input);
    for (size_t i = 0; i < 4; i++) {
        static const char *const standard[] = {"", "auto", "standard", "on_demand"};
        assert_true(find(p, "a", "", "m", standard[i], &half));
        assert_int_equal(half.output, whole.output);
    }
    prices_unref(p);
}

static void test_prices_by_day_and_time(void **state) {
    (void)state;
    struct prices *p = parse(ONE_MODEL("{\"equals\":\"m\"}",
        "[{\"input\":\"1\"},{\"input\":\"2\",\"from\":\"2025-01-01\"},{\"input\":\"3\","
        "\"from\":\"2028-02-29\"},{\"input\":\"4\",\"start_time\":\"16:30:00Z\","
        "\"end_time\":\"16:45:00Z\"},{\"input\":\"5\",\"start_time\":\"23:30:00Z\","
        "\"end_time\":\"00:30:00Z\"}]"));
    static const struct {
        int64_t ms;
        int dollars;
    } rows[] = {
        {AT_2025_01 - 3600000, 1},                     // 2024-12-31T23:00
        {AT_2025_01 + 1800000, 2},                     // from 00:30
        {AT_2025_01, 5},                               // within 23:30 to 00:30
        {AT_2025_01 + 84600000, 5},                    // 23:30
        {AT_2025_01 + 84599999, 2},
        {AT_2025_01 + 59400000, 4},                    // 16:30
        {AT_2025_01 + 60299999, 4},
        {AT_2025_01 + 60300000, 2},                    // 16:45
        {INT64_C(1835395200000) + 7200000, 3},         // 2028-02-29T02:00
        {INT64_C(1835395200000) - 7200000, 2},         // the day before, 22:00
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct price price;
        assert_true(
            prices_find(p, SLICE("a"), SLICE_NONE, SLICE("m"), SLICE_NONE, rows[i].ms, &price));
        if (price.input != rows[i].dollars * INT64_C(1000000000000))
            fail_msg("row %zu: %lld", i, (long long)price.input);
    }
    prices_unref(p);
}

static void test_amounts_round_up(void **state) {
    (void)state;
    struct prices *p = parse(ONE_MODEL("{\"equals\":\"m\"}",
        "[{\"input\":\"0.08333333333333334\",\"output\":\"0.5000000000000000\"}]"));
    struct price price;
    assert_true(find(p, "a", "", "m", "", &price));
    assert_int_equal(price.input, INT64_C(83333333334));
    assert_int_equal(price.output, INT64_C(500000000000));
    prices_unref(p);
}

// ------------------------------------------------------------------- refusal

static void test_refused(void **state) {
    (void)state;
#define MATCH(match) ONE_MODEL(match, FLAT)
#define PRICE(price) ONE_MODEL("{\"equals\":\"m\"}", price)
    static const char *const rows[][2] = {
        {"", ""},
        {"{", ""},
        {"[]", "providers"},
        {"{}", "providers"},
        {"{\"providers\":{}}", "providers"},
        {"{\"providers\":[{\"names\":\"a\"}]}", "names"},
        {"{\"providers\":[{\"names\":[1]}]}", "names"},
        {"{\"providers\":[{\"hosts\":[\"\"]}]}", "hosts"}, // would be at every host
        {"{\"providers\":[{\"models\":{}}]}", "models"},
        {"{\"providers\":[{\"models\":[{}]}]}", "id"},
        {"{\"providers\":[{\"models\":[7]}]}", "id"},
        {"{\"providers\":[{\"service_tiers\":[]}]}", "service_tiers"},
        {"{\"providers\":[{\"service_tiers\":{\"batch\":\"50\"}}]}", "service tier"},
        {"{\"providers\":[{\"service_tiers\":{\"batch\":-1}}]}", "service tier"},
        {"{\"providers\":[{\"service_tiers\":{\"batch\":1001}}]}", "service tier"},
        {MATCH("{}"), "the-id"},
        {MATCH("7"), "match"},
        {MATCH("{\"regex\":\"x\"}"), "match"},
        {MATCH("{\"equals\":7}"), "match"},
        {MATCH("{\"contains\":\"\"}"), "match"}, // would fit every model
        {MATCH("{\"and\":[]}"), "and"},
        {MATCH("{\"or\":{}}"), "or"},
        {MATCH("{\"or\":[7]}"), "match"},
        {MATCH("{\"or\":[{\"or\":[{\"or\":[{\"or\":[{\"or\":[{\"or\":[{\"or\":[{\"or\":[{\"or\":["
               "{\"equals\":\"m\"}]}]}]}]}]}]}]}]}]}"), "deep"},
        {PRICE("[]"), "prices"},
        {PRICE("{}"), "prices"},
        {PRICE("[[]]"), "object"},
        {PRICE("[{\"input\":1}]"), "input"},
        {PRICE("[{\"input\":\"-1\"}]"), "input"},
        {PRICE("[{\"output\":\"\"}]"), "output"},
        {PRICE("[{\"output\":\"1e3\"}]"), "output"},
        {PRICE("[{\"reasoning\":\"0.1234567890123x\"}]"), "reasoning"},
        {PRICE("[{\"input\":\"99999999\"}]"), "input"},
        {PRICE("[{\"steps\":{}}]"), "steps"},
        {PRICE("[{\"steps\":[{\"input\":\"1\"}]}]"), "above"},
        {PRICE("[{\"steps\":[{\"above\":0}]}]"), "above"},
        {PRICE("[{\"steps\":[{\"above\":9},{\"above\":9}]}]"), "above"}, // not ascending
        {PRICE("[{\"from\":\"2025-13-01\"}]"), "from"},
        {PRICE("[{\"from\":\"2025-1-01\"}]"), "from"},
        {PRICE("[{\"from\":20250101}]"), "from"},
        {PRICE("[{\"start_time\":\"24:00:00Z\",\"end_time\":\"01:00:00Z\"}]"), "start_time"},
        {PRICE("[{\"start_time\":\"10-00\",\"end_time\":\"01:00:00Z\"}]"), "start_time"},
        {PRICE("[{\"start_time\":\"10:00:00Z\"}]"), "end_time"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct error err = {{0}};
        if (prices_parse(slice_of(rows[i][0]), &err) != NULL)
            fail_msg("row %zu was taken: %s", i, rows[i][0]);
        if (strstr(err.text, rows[i][1]) == NULL || err.text[0] == '\0')
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.text, rows[i][1]);
    }
}

static void test_files_that_cannot_be_read(void **state) {
    (void)state;
    struct error err;
    assert_null(prices_load("/nonexistent/prices.json", &err));
    assert_non_null(strstr(err.text, "No such file"));
    assert_null(prices_load("/", &err));
    assert_non_null(strstr(err.text, "directory"));
    assert_null(prices_load("/dev/null", &err));
    assert_non_null(strstr(err.text, "not valid"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_catalogue_loads),
        cmocka_unit_test(test_known_models),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_match_clauses),
        cmocka_unit_test(test_hosts_before_names),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_service_tiers_scale_everything),
        cmocka_unit_test(test_prices_by_day_and_time),
        cmocka_unit_test(test_amounts_round_up),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_files_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
