// The sample of the contract and the file that is shipped, word for word, and
// what holds where a file says nothing.
#include "config_fixture.h"

// As the contract prints it; the placeholders ("...") are filled in and the
// second provider, which the sample only names, is declared.
static const char sample[] =
    "server   { listen = {\"127.0.0.1:4000\"}  admin_listen = \"127.0.0.1:4001\"  workers = "
    "\"auto\"\n"
    "           max_body = \"32m\"  drain_timeout = \"30s\"  tls_certificate = \"...\"  tls_key = "
    "\"...\" }\n"
    "store    { kind = \"embedded\"  path = \"farthing-data\" }      # or kind = \"redis\"  url = "
    "\"rediss://host:6379/0\"\n"
    "cache    { memory = \"256m\"  ttl = \"1h\" }\n"
    "\n"
    "provider \"openai\" {\n"
    "  dialect = \"openai\"  base_url = \"https://api.openai.com/v1\"  api_key = "
    "\"${OPENAI_API_KEY}\"\n"
    "  max_inflight = 256  connect_timeout = \"5s\"  first_byte_timeout = \"60s\"  idle_timeout = "
    "\"120s\"\n"
    "  retry   { attempts = 3  backoff = \"200ms\"  backoff_max = \"8s\"  budget_percent = 20 }\n"
    "  breaker { failures = 5  window = \"30s\"  open_for = \"15s\" }\n"
    "}\n"
    "model \"openai/gpt-4o-mini\" { context_window = 128000 }      # prices come from the "
    "catalogue\n"
    "tier  \"small\"  { models = {\"openai/gpt-4o-mini\"} }\n"
    "tier  \"large\"  { models = {\"openai/gpt-4o\", \"azure/gpt-4o\"}  balance = "
    "\"least_inflight\" }\n"
    "\n"
    "classifier {\n"
    "  rule \"security\" { keywords = {\"OWASP\", \"CVE-\"}  tier = \"large\" }\n"
    "  rule \"short\"    { max_input_tokens = 200  no_tools = true  tier = \"small\" }\n"
    "  default_tier = \"large\"\n"
    "}\n"
    "route \"support\" {\n"
    "  match      { features = {\"support_*\"}  models = {\"auto\"}  paths = "
    "{\"/v1/chat/completions\"} }\n"
    "  tiers      = {\"small\", \"large\"}                            # the chain, cheapest first\n"
    "  escalate_on = {\"error\", \"timeout\", \"length\", \"empty\", \"json_schema\", "
    "\"refusal\"}\n"
    "  fallback_temperature = 0.1\n"
    "  max_output_tokens = 300   max_input_tokens = 6000   max_cost = \"0.05 usd\"\n"
    "  concise   = true                                           # adds the instruction\n"
    "  cache      { ttl = \"10m\"  scope = \"tenant\"  when_temperature_above_zero = true }\n"
    "}\n"
    "tenant \"acme\" {\n"
    "  keys = {\"" DIGEST_A "\"}   routes = {\"*\"}\n"
    "  concurrency = 20  queue = 100  queue_timeout = \"10s\"\n"
    "  requests = \"600/min\"   tokens = \"200000/min\"\n"
    "  budget \"daily\"   { amount = \"50 usd\"  window = \"1d\" }\n"
    "  budget \"support\" { amount = \"5 usd\"   window = \"1d\"  feature = \"support_*\" }\n"
    "}\n"
    "log      { cost_log = \"farthing-data/cost.jsonl\"  level = \"info\" }\n"
    "provider \"azure\" { base_url = \"https://x.openai.azure.com/openai/v1\" }\n";

static void check_sample_providers(const struct config *c) {
    const struct config_provider *p = config_provider_find(c, SLICE("openai"));
    assert_slice(p->api_key, "sk-from-the-environment");
    assert_false(p->passthrough_key);
    assert_slice(p->base_url, "https://api.openai.com/v1");
    assert_int_equal(p->max_inflight, 256);
    assert_int_equal(p->first_byte_timeout_ms, 60000);
    assert_int_equal(p->retry.backoff_max_ms, 8000);
    assert_int_equal(p->retry.budget_percent, 20);
    assert_int_equal(p->breaker.open_for_ms, 15000);
    assert_int_equal(config_provider_find(c, SLICE("azure"))->index, 1);
    assert_null(config_provider_find(c, SLICE("open")));
}

static void check_sample_models(const struct config *c) {
    assert_int_equal(c->model_count, 3);
    const struct config_model *m = config_model_find(c, SLICE("openai/gpt-4o-mini"));
    assert_int_equal(m->context_window, 128000);
    assert_int_equal(m->input_price, CONFIG_UNSET);
    assert_slice(m->upstream_model, "gpt-4o-mini");
    assert_slice(config_model_find(c, SLICE("azure/gpt-4o"))->provider->name, "azure");
    const struct config_tier *large = config_tier_find(c, SLICE("large"));
    assert_int_equal(large->model_count, 2);
    assert_int_equal(large->balance, CONFIG_BALANCE_LEAST_INFLIGHT);
    assert_int_equal(c->classifier.rule_count, 2);
    assert_ptr_equal(c->classifier.rules[0].tier, large);
    assert_int_equal(c->classifier.rules[0].no_tools, CONFIG_UNSET);
    assert_int_equal(c->classifier.rules[1].no_tools, 1);
    assert_ptr_equal(c->classifier.default_tier, large);
}

static void check_sample_route(const struct config_route *r) {
    assert_int_equal(r->tier_count, 2);
    assert_slice(r->match_features.items[0], "support_*");
    assert_int_equal(r->escalate_on,
                     1u << CONFIG_ESCALATE_ERROR | 1u << CONFIG_ESCALATE_TIMEOUT |
                         1u << CONFIG_ESCALATE_LENGTH | 1u << CONFIG_ESCALATE_EMPTY |
                         1u << CONFIG_ESCALATE_JSON_SCHEMA | 1u << CONFIG_ESCALATE_REFUSAL);
    assert_int_equal(r->fallback_temperature_milli, 100);
    assert_int_equal(r->caps.max_output_tokens, 300);
    assert_int_equal(r->caps.max_cost, INT64_C(50000000000));
    assert_true(r->concise);
    assert_int_equal(r->cache.ttl_ms, 600000);
    assert_true(r->cache.enabled && r->cache.when_temperature_above_zero);
    assert_int_equal(r->on_client_gone, CONFIG_GONE_DEFAULT);
}

static void check_sample_tenant(const struct config_tenant *t) {
    assert_int_equal(t->key_count, 1);
    assert_int_equal(t->limits.concurrency, 20);
    assert_int_equal(t->limits.queue_timeout_ms, 10000);
    assert_int_equal(t->limits.tokens_per_minute, 200000);
    assert_int_equal(t->budget_count, 2);
    assert_int_equal(t->budgets[1].amount, INT64_C(5000000000000));
    assert_int_equal(t->budgets[1].window_ms, 86400000);
    assert_slice(t->budgets[1].feature, "support_*");
}

static void the_contract_s_sample_is_accepted(void **state) {
    (void)state;
    setenv("OPENAI_API_KEY", "sk-from-the-environment", 1);
    const struct config *c = load_valid(sample);
    unsetenv("OPENAI_API_KEY");
    assert_slice(c->file, "t.conf");
    assert_slice(c->server.listen.items[0], "127.0.0.1:4000");
    check_sample_providers(c);
    check_sample_models(c);
    check_sample_route(config_route_find(c, SLICE("support")));
    check_sample_tenant(config_tenant_find(c, SLICE("acme")));
    assert_int_equal(c->warnings.count, 2); // the sample's TLS files are not there
    assert_true(warns(c, "tls_certificate: cannot read") && warns(c, "tls_key: cannot read"));
    config_unref(c);
}

static void without_the_variable_the_sample_is_refused(void **state) {
    (void)state;
    unsetenv("OPENAI_API_KEY");
    refused_at(sample, 7, "\"OPENAI_API_KEY\" is not set", NULL);
}

static void the_shipped_file_is_accepted(void **state) {
    (void)state;
    struct buffer messages = {0};
    const struct config *c = config_load(SOURCE_ROOT "/conf/routing.conf", &messages);
    if (c == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&messages)));
    assert_int_equal(c->warnings.count, 0);
    assert_true(c->providers[0].passthrough_key);
    assert_int_equal(c->providers[0].api_key.len, 0);
    assert_false(c->has_tenant_sections);
    config_unref(c);
    buffer_free(&messages);
}

static void what_is_left_out_has_the_default(void **state) {
    (void)state;
    const struct config *c = load_valid(PROVIDER "route \"r\" { }\n");
    assert_int_equal(c->server.listen.count, 1);
    assert_slice(c->server.listen.items[0], CONFIG_API_LISTEN_DEFAULT);
    assert_slice(c->server.admin_listen, CONFIG_ADMIN_LISTEN_DEFAULT);
    assert_in_range(c->server.workers, 1, 64);
    assert_int_equal(c->server.max_body_bytes, 32 << 20);
    assert_int_equal(c->server.stream_buffer_bytes, 64 << 10);
    assert_int_equal(c->server.tls_certificate.len, 0);
    assert_slice(c->store.path, "farthing-data");
    assert_true(c->cache.enabled);
    assert_int_equal(c->cache.ttl_ms, 3600000);
    assert_slice(c->log.cost_log, "farthing-data/cost.jsonl");
    assert_int_equal(c->log.level, LOG_INFO);
    assert_slice(c->providers[0].dialect, "openai");
    assert_int_equal(c->providers[0].retry.attempts, 3);
    assert_true(c->providers[0].tls_verify && c->providers[0].include_usage);
    assert_int_equal(c->routes[0].cache.ttl_ms, CONFIG_UNSET);
    assert_true(c->routes[0].cache.when_temperature_unset);
    assert_int_equal(c->routes[0].caps.max_cost, CONFIG_UNSET);
    assert_int_equal(c->tenant_count, 1);
    assert_slice(c->tenants[0].name, "default");
    assert_int_equal(c->tenants[0].key_count, 0);
    assert_true(c->tenants[0].may_override_route);
    assert_null(c->classifier.default_tier);
    assert_int_equal(c->warnings.count, 0);
    config_unref(c);
}

static void what_is_done_without_a_shared_store_is_said_by_function(void **state) {
    (void)state;
    const struct config *c = load_valid(PROVIDER "store { kind = redis url = \"redis://h\" }\n");
    assert_false(c->store.on_failure.idempotency_local || c->store.on_failure.budgets_open ||
                 c->store.on_failure.limits_closed);
    assert_false(warns(c, "on_store_failure"));
    config_unref(c);
    c = load_valid(PROVIDER "store { kind = redis url = \"redis://h\"\n on_store_failure {\n"
                            "idempotency = local budgets = open limits = closed } }\n");
    assert_true(c->store.on_failure.idempotency_local && c->store.on_failure.budgets_open &&
                c->store.on_failure.limits_closed);
    assert_false(warns(c, "on_store_failure"));
    config_unref(c);
    c = load_valid(PROVIDER "store {\n on_store_failure { budgets = open } }\n");
    assert_true(c->store.on_failure.budgets_open && !c->store.on_failure.idempotency_local);
    assert_true(warns(c, "t.conf:3: warning: on_store_failure: has no effect"));
    config_unref(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract_s_sample_is_accepted),
        cmocka_unit_test(without_the_variable_the_sample_is_refused),
        cmocka_unit_test(the_shipped_file_is_accepted),
        cmocka_unit_test(what_is_left_out_has_the_default),
        cmocka_unit_test(what_is_done_without_a_shared_store_is_said_by_function),
    };
    return cmocka_run_group_tests_name("config/sample", tests, NULL, NULL);
}
