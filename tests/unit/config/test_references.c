// What refers to what: route to tier to model to provider, names, addresses,
// URLs, keys of tenants; and that all errors are told, not only the first.
#include "config_fixture.h"

struct refusal {
    const char *text;
    int line;
    const char *says, *also;
};

#define TIER "tier \"small\" { models = {\"p/m\"} }\n"

static const struct refusal references[] = {
    {"", 1, "there is no provider", "provider \"NAME\""},
    {" \n\n# only a comment\n", 1, "there is no provider", NULL},
    {PROVIDER "\ntier \"t\" {\n models = {\"q/m\"}\n}\n", 4, "the provider of \"q/m\"", "known: p"},
    {PROVIDER "tier \"t\" {\n models = {\"p/a\",\n \"p/b\",\n \"q/m\"} }\n", 5, "q/m", "known: p"},
    {PROVIDER "tier \"t\" { models = {\"gpt\"} }", 2, "\"gpt\" is not a model", "provider/model"},
    {PROVIDER "tier \"t\" { models = {\"p/\"} }", 2, "\"p/\" is not a model", "provider/model"},
    {PROVIDER "tier \"t\" { models = {\"/m\"} }", 2, "\"/m\" is not a model", "provider/model"},
    {PROVIDER "tier \"t\" { models = {\"\"} }", 2, "\"\" is not a model", "provider/model"},
    {PROVIDER "\n\ntier \"t\" {\n}\n", 4, "tier \"t\" has no models", "models = {"},
    {PROVIDER "tier \"t\" { models = {} }", 2, "has no models", NULL},
    {PROVIDER "tier \"auto\" { models = {\"p/m\"} }", 2, "tier \"auto\"", "not \"auto\""},
    {PROVIDER "tier \"p/m\" { models = {\"p/m\"} }", 2, "tier \"p/m\"", "without a slash"},
    {PROVIDER "model \"gpt\" { }", 2, "\"gpt\" is not a model", "provider/model"},
    {PROVIDER "\nmodel \"openai/gpt\" {\n context_window = 1 }", 3, "openai/gpt", "known: p"},
    {PROVIDER TIER "route \"r\" {\n tiers = {\"small\",\n\"smal\"} }", 5, "no tier \"smal\"",
     "known: small"},
    {PROVIDER "route \"r\" { tiers = {\"x\"} }", 2, "no tier \"x\"", "none is declared"},
    {PROVIDER TIER "classifier {\n\n rule \"r\" {\n keywords = {\"a\"} } }", 5,
     "rule \"r\" has no outcome", "tier = \"NAME\""},
    {"\nprovider \"q\" {\n\n api_key = \"k\"\n}\n", 2, "provider \"q\" has no base_url",
     "https://"},
    {"provider \"a/b\" { base_url = \"http://h\" }", 1, "provider \"a/b\"", "without a slash"},
    {"provider \"\" { base_url = \"http://h\" }", 1, "provider \"\"", "1 to 128 bytes"},
    {PROVIDER "route \"\" { }", 2, "route \"\"", "1 to 128 bytes"},
    {PROVIDER "route \"a\\nb\" { }", 2, "route \"a\\x0ab\"", "control characters"},
    {PROVIDER "tenant \"t\" { }", 2, "tenant \"t\" has no keys", "sha256:"},
    {PROVIDER "tenant \"t\" { keys = {} }", 2, "tenant \"t\" has no keys", "sha256:"},
    {PROVIDER "tenant \"t\" {\n keys = {\"" DIGEST_A "\",\n\"" DIGEST_B "0\"} }", 4,
     "key 2 of tenant \"t\"", "64 hex"},
    {PROVIDER "tenant \"t\" { keys = {\"" DIGEST_A "\"} }\ntenant \"u\" {\n keys = {\"" DIGEST_A
              "\"} }",
     4, "key 1 of tenant \"u\"", "a key of tenant \"t\" already"},
    {PROVIDER "tenant \"t\" { keys = {\"" DIGEST_A "\",\n \"" DIGEST_A "\"} }", 3, "key 2",
     "each key once"},
    {PROVIDER "tenant \"t\" { keys = {\"" DIGEST_A "\"}\n budget \"b\" {\n window = \"1d\" } }", 3,
     "budget \"b\" has no amount", "50 usd"},
    {PROVIDER "\ntenant \"farthing\" { keys = {\"" DIGEST_A "\"} }", 3, "tenant \"farthing\"",
     "Farthing's own requests"},
    {PROVIDER TIER "\nclassifier {\n category \"c\" { tier = small } }", 5,
     "category \"c\" has no examples", "examples = {\"what a user says\"}"},
    {PROVIDER TIER "classifier {\n category \"c\" { tier = small\n examples = {} } }", 4,
     "category \"c\" has no examples", "examples = {"},
    {PROVIDER TIER "classifier {\n category \"c\" { examples = {\"a\"} } }", 4,
     "category \"c\" has no tier", "tier = \"NAME\""},
    {PROVIDER TIER "classifier {\n category \"c\" {\n examples = {\"a\",\n\"\"} tier = small } }",
     6, "examples: \"\"", "what a user says"},
    {PROVIDER TIER "classifier {\n category \"\" { examples = {\"a\"} tier = small } }", 4,
     "category \"\" has no valid name", "1 to 128 bytes"},
    {PROVIDER TIER "classifier { embedding_table = \"t\"\n embedding_model = \"p/m\" }", 4,
     "embedding_model: vectors are made by embedding_table", "one of the two"},
    {"provider \"a\" { base_url = \"http://h\" dialect = anthropic }\n"
     "model \"a/m\" { }\nclassifier {\n\n embedding_model = \"a/m\" }",
     5, "the provider of \"a/m\" has the dialect anthropic", "dialect = \"openai\""},
    {PROVIDER TIER "route \"r\" {\n canary { percent = 5 } }", 4, "canary has no tier",
     "tier = \"NAME\""},
    {PROVIDER TIER "route \"r\" {\n canary { tier = small } }", 4, "canary has no percent",
     "percent = 5"},
    {PROVIDER TIER "route \"r\" {\n\n canary { } }", 5, "canary has no tier", "percent = 5"},
    {PROVIDER TIER "route \"r\" {\n shadow { percent = 5 budget = 1 } }", 4, "shadow has no tier",
     "tier = \"NAME\""},
    {PROVIDER TIER "route \"r\" {\n shadow { tier = small budget = 1 } }", 4,
     "shadow has no percent", "percent = 2"},
    {PROVIDER TIER "route \"r\" {\n shadow { tier = small percent = 2 } }", 4,
     "shadow has no budget", "budget = \"1 usd\""},
    {PROVIDER TIER "route \"r\" {\n shadow { window = 1w } }", 4, "shadow has no tier",
     "shadow has no budget"},
    {PROVIDER "route \"r\" {\n canary { tier = a percent = 1 } }", 3, "no tier \"a\"",
     "none is declared"},
    {PROVIDER "route \"r\" {\n override_model = true }", 3, "override_model: there is no tier",
     "tier"},
    {PROVIDER "tenant \"t\" { keys = {\n\"sha256:"
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"} }",
     3, "key 1 of tenant \"t\" is the digest of an empty text", NULL},
};

static void names_that_refer_to_nothing_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(references); i++)
        refused_at(references[i].text, references[i].line, references[i].says, references[i].also);
}

static void every_kind_of_section_refuses_a_second_of_the_name(void **state) {
    (void)state;
    static const char *const twice[] = {
        "\nprovider \"p\" { base_url = \"http://h\" }",
        "model \"p/m\" { }\nmodel \"p/m\" { }",
        TIER TIER,
        "route \"r\" { }\nroute \"r\" { }",
        "tenant \"t\" { keys = {\"" DIGEST_A "\"} }\ntenant \"t\" { keys = {\"" DIGEST_B "\"} }",
        TIER "classifier { rule \"r\" { tier = small }\n  rule \"r\" { tier = small } }",
        TIER "classifier { category \"c\" { examples = {\"a\"} tier = small }\n"
             "  category \"c\" { examples = {\"b\"} tier = small } }",
    };
    for (size_t i = 0; i < FARTHING_COUNT(twice); i++) {
        struct buffer text = {0};
        buffer_printf(&text, "%s%s", PROVIDER, twice[i]);
        buffer_append_char(&text, '\0');
        refused_at(text.ptr, i >= 5 ? 4 : 3, "is taken by an earlier section", "a name of its own");
        buffer_free(&text);
    }
}

static void all_errors_are_told_in_the_order_of_lines(void **state) {
    (void)state;
    char *messages = load_refused("server { workers = 99\n max_body = \"1\" }\n"
                                  "provider \"p\" { dialect = \"x\"\n base_url = \"y\" }\n"
                                  "tier \"t\" { models = {\"q/a\",\n\"r/b\"} }\n"
                                  "route \"r\" { tiers = {\"u\"} }\n");
    const char *rest = messages;
    for (int line = 1; line <= 7; line++) {
        char where[32];
        snprintf(where, sizeof where, "t.conf:%d: ", line);
        rest = strstr(rest, where);
        if (rest == NULL)
            fail_msg("line %d is missing or out of order in:\n%s", line, messages);
    }
    free(messages);
}

// ---------------------------------------------------------------- addresses

struct address {
    const char *text;
    bool valid, loopback;
};

static const struct address addresses[] = {
    {"127.0.0.1:5000", true, true},
    {"127.8.9.10:1", true, true},
    {"localhost:0", true, true},
    {"LOCALHOST:1", true, true},
    {"[::1]:4000", true, true},
    {"[0:0:0:0:0:0:0:1]:1", true, true},
    {"0.0.0.0:4000", true, false},
    {"[::]:4000", true, false},
    {"10.0.0.1:80", true, false},
    {":4000", true, false},
    {"*:4000", true, false},
    {"127.0.0.1.example:1", true, false},
    {"127.example:1", true, false},
    {"127.1:80", true, false},
    {"[::ffff:10.0.0.1]:1", true, false},
    {"example.com:80", true, false},
    {"localhost.evil:1", true, false},
    {"127.0.0.1", false, false},
    {"127.0.0.1:", false, false},
    {"127.0.0.1:65536", false, false},
    {"127.0.0.1:-1", false, false},
    {"127.0.0.1:http", false, false},
    {"::1:4000", false, false},
    {"[::1]", false, false},
    {"[::1]4000", false, false},
    {"[]:80", false, false},
    {"[127.0.0.1]:80", false, false},
    {"[::1:80", false, false},
    {"", false, false},
    {"127.0.0.1 :80", false, false},
    {"http://127.0.0.1:80", false, false},
    {"[11111111111111111111111111111111111111111111111111111]:80", false, false},
};

static void listen_takes_loopback_only_without_tenants(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(addresses); i++)
        for (int tenants = 0; tenants < 2; tenants++)
            for (int admin = 0; admin < 2; admin++) {
                struct buffer text = {0};
                buffer_printf(&text, "%s%s\nserver {\n %s = \"%s\" }\n%c", PROVIDER,
                              tenants ? "tenant \"t\" { keys = {\"" DIGEST_A "\"} }" : "",
                              admin ? "admin_listen" : "listen", addresses[i].text, '\0');
                if (!addresses[i].valid)
                    refused_at(text.ptr, 4, addresses[i].text, "expected host:port");
                else if (!tenants && !addresses[i].loopback)
                    refused_at(text.ptr, 4, addresses[i].text, "no tenant section");
                else
                    config_unref(load_valid(text.ptr));
                buffer_free(&text);
            }
}

static void an_address_is_listened_on_once(void **state) {
    (void)state;
    refused_at(PROVIDER "server { listen = {\"127.0.0.1:7\",\n\"127.0.0.1:7\"} }", 3, "127.0.0.1:7",
               "already");
    refused_at(PROVIDER "server { listen = {\"127.0.0.1:7\"}\nadmin_listen = \"127.0.0.1:7\" }", 3,
               "admin_listen", "already");
    refused_at(PROVIDER "server {\nadmin_listen = \"127.0.0.1:4000\" }", 3, "127.0.0.1:4000",
               "already");
    config_unref(load_valid(
        PROVIDER
        "server { listen = {\"127.0.0.1:0\", \"127.0.0.1:0\"} admin_listen = \"127.0.0.1:0\" }"));
}

// --------------------------------------------------------------------- URLs

static void base_urls(void **state) {
    (void)state;
    static const struct {
        const char *text, *kept; // NULL: refused
        const char *hidden;      // never in the message
    } urls[] = {
        {"https://api.openai.com/v1", "https://api.openai.com/v1", NULL},
        {"https://api.openai.com/v1/", "https://api.openai.com/v1", NULL},
        {"http://h", "http://h", NULL},
        {"http://h/", "http://h", NULL},
        {"http://127.0.0.1:8080/x//", "http://127.0.0.1:8080/x", NULL},
        {"http://[::1]:8080/v1", "http://[::1]:8080/v1", NULL},
        {"http://[::1]", "http://[::1]", NULL},
        {"https://h/a%20b", "https://h/a%20b", NULL},
        {"api.openai.com/v1", NULL, NULL},
        {"//h/v1", NULL, NULL},
        {"HTTPS://h", NULL, NULL},
        {"ftp://h", NULL, NULL},
        {"unix:/run/x", NULL, NULL},
        {"http://", NULL, NULL},
        {"https:///v1", NULL, NULL},
        {"http://:80/v1", NULL, NULL},
        {"http://h:/v1", NULL, NULL},
        {"http://h:0/v1", NULL, NULL},
        {"http://h:65536/v1", NULL, NULL},
        {"http://h:80:80/v1", NULL, NULL},
        {"http://[::1]x/v1", NULL, NULL},
        {"http://[::1/v1", NULL, NULL},
        {"http://[]/v1", NULL, NULL},
        {"http://h/v 1", NULL, NULL},
        {"http://h/v1\\n", NULL, NULL},
        {"http://h/v1\\x7f", NULL, NULL},
        {"http://h\xC3\xA9/v1", NULL, NULL},
        {"http://h/#a", NULL, NULL},
        {"http://h/v1?key=hush", NULL, "hush"},
        {"http://user:hush@h/v1", NULL, "hush"},
        {"http://hush@h/v1", NULL, "hush"},
        {"user:hush@h/v1", NULL, "hush"},
        {"http://a:hu@sh@h/v1", NULL, "hu@sh"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(urls); i++) {
        struct buffer text = {0};
        buffer_printf(&text, "\nprovider \"p\" {\n base_url = \"%s\" }%c", urls[i].text, '\0');
        if (urls[i].kept != NULL) {
            const struct config *c = load_valid(text.ptr);
            assert_slice(c->providers[0].base_url, urls[i].kept);
            config_unref(c);
        } else {
            refused_at(text.ptr, 3, "base_url: ", "http:// or https://");
        }
        if (urls[i].hidden != NULL) {
            char *messages = load_refused(text.ptr);
            assert_silent(messages, urls[i].hidden);
            free(messages);
        }
        buffer_free(&text);
    }
}

static void what_is_odd_but_valid_is_warned_about(void **state) {
    (void)state;
    const struct config *c = load_valid(
        PROVIDER "server { tls_certificate = \"/nowhere/c.pem\"\n tls_key = \"/nowhere/k.pem\" }\n"
                 "route \"r\" { }\n"
                 "tenant \"t\" { keys = {\"" DIGEST_A "\"}\n routes = {\"r\",\n \"s*\"} }\n"
                 "server { workers = 1\n workers = 2 }\n");
    assert_true(
        warns(c, "t.conf:2: warning: tls_certificate: cannot read the file \"/nowhere/c.pem\""));
    assert_true(warns(c, "t.conf:3: warning: tls_key: cannot read"));
    assert_true(warns(c, "t.conf:7: warning: routes: no route fits \"s*\""));
    assert_true(
        warns(c, "t.conf:9: warning: workers is set twice in this section, before at t.conf:8"));
    assert_int_equal(c->warnings.count, 4);
    assert_int_equal(c->server.workers, 2);
    config_unref(c);
}

static void the_same_key_in_two_sections_is_no_repetition(void **state) {
    (void)state;
    const struct config *c = load_valid(
        "provider \"a\" { base_url = \"http://h\" retry { attempts = 1 } }\n"
        "provider \"b\" { base_url = \"http://h\" retry { attempts = 2 } }\n"
        "model \"a/x\" { max_output_tokens = 1 } model \"b/x\" { max_output_tokens = 1 }\n"
        "route \"c\" { max_output_tokens = 1 } cache { ttl = \"1s\" }\n"
        "route \"d\" { cache { ttl = \"1s\" } }\n");
    assert_false(warns(c, "twice"));
    assert_int_equal(c->providers[1].retry.attempts, 2);
    config_unref(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_refer_to_nothing_are_refused),
        cmocka_unit_test(every_kind_of_section_refuses_a_second_of_the_name),
        cmocka_unit_test(all_errors_are_told_in_the_order_of_lines),
        cmocka_unit_test(listen_takes_loopback_only_without_tenants),
        cmocka_unit_test(an_address_is_listened_on_once),
        cmocka_unit_test(base_urls),
        cmocka_unit_test(what_is_odd_but_valid_is_warned_about),
        cmocka_unit_test(the_same_key_in_two_sections_is_no_repetition),
    };
    return cmocka_run_group_tests_name("config/references", tests, NULL, NULL);
}
