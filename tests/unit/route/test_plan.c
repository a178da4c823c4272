// Which models may serve a request, in which order: each row asks and names
// the whole chain, as "provider/model" with "@tier" behind it.
#include "route_fixture.h"

enum { CHAIN_MAX = 16 };

// Two providers of one dialect and one of the other; tiers that overlap.
static const char declared[] =
    "provider \"openai\" { base_url = \"http://o\" }\n"
    "provider \"azure\" { base_url = \"http://a\" }\n"
    "provider \"claude\" { base_url = \"http://c\" dialect = \"anthropic\" }\n"
    "model \"openai/loose\" { }\n"
    "model \"azure/alias\" { upstream_model = \"deployment-7\" }\n"
    "model \"claude/sonnet\" { upstream_model = \"claude-sonnet-4\" }\n"
    "tier \"small\" { models = {\"openai/mini\"} }\n"
    "tier \"middle\" { models = {\"azure/gpt-4o\"} }\n"
    "tier \"large\" { models = {\"openai/gpt-4o\", \"azure/gpt-4o\"} }\n"
    "route \"chain\" { tiers = {\"large\", \"small\"} }\n"
    "route \"ours\" { tiers = {\"small\"} override_model = true }\n"
    "route \"any\" { override_model = true }\n";

static const char one_provider[] = "provider \"only\" { base_url = \"http://o\" }\n";
static const char one_claude[] =
    "provider \"only\" { base_url = \"http://o\" dialect = anthropic }\n";
static const char both_dialects[] =
    "provider \"c\" { base_url = \"http://c\" dialect = anthropic }\n"
    "provider \"o\" { base_url = \"http://o\" }\n";
static const char two_alike[] = "provider \"a\" { base_url = \"http://a\" }\n"
                                "provider \"b\" { base_url = \"http://b\" }\n";

#define ALL "openai/mini@small azure/gpt-4o@middle openai/gpt-4o@large"

struct row {
    const char *config, *route; // route NULL: none
    enum api_endpoint endpoint;
    const char *model, *tier;
    const char *chain; // "": no model fits
};

#define CHAT API_CHAT_COMPLETIONS

static const struct row rows[] = {
    // auto, and nothing said: the route's tiers or all.
    {declared, NULL, CHAT, "auto", "", ALL},
    {declared, NULL, CHAT, "", "", ALL},
    {declared, "chain", CHAT, "auto", "",
     "openai/gpt-4o@large azure/gpt-4o@large openai/mini@small"},
    {declared, "ours", CHAT, "auto", "", "openai/mini@small"},
    {declared, NULL, CHAT, "Auto", "", ""},
    // A tier: from there on in the chain.
    {declared, NULL, CHAT, "small", "", ALL},
    {declared, NULL, CHAT, "middle", "", "azure/gpt-4o@middle openai/gpt-4o@large"},
    {declared, NULL, CHAT, "large", "", "openai/gpt-4o@large azure/gpt-4o@large"},
    {declared, "chain", CHAT, "large", "",
     "openai/gpt-4o@large azure/gpt-4o@large openai/mini@small"},
    {declared, "chain", CHAT, "small", "", "openai/mini@small"},
    // One that is not of the chain comes before all of it.
    {declared, "chain", CHAT, "middle", "",
     "azure/gpt-4o@middle openai/gpt-4o@large openai/mini@small"},
    // The header's tier goes before what the body names.
    {declared, NULL, CHAT, "auto", "large", "openai/gpt-4o@large azure/gpt-4o@large"},
    {declared, NULL, CHAT, "openai/mini", "large", "openai/gpt-4o@large azure/gpt-4o@large"},
    {declared, "ours", CHAT, "auto", "large",
     "openai/gpt-4o@large azure/gpt-4o@large openai/mini@small"},
    {declared, "chain", CHAT, "auto", "middle",
     "azure/gpt-4o@middle openai/gpt-4o@large openai/mini@small"},
    {declared, "chain", CHAT, "azure/alias", "middle",
     "azure/gpt-4o@middle openai/gpt-4o@large openai/mini@small"},
    {declared, "any", CHAT, "auto", "large", "openai/gpt-4o@large azure/gpt-4o@large"},
    // provider/model: first that, then the chain.
    {declared, NULL, CHAT, "openai/gpt-4o", "",
     "openai/gpt-4o@large openai/mini@small azure/gpt-4o@middle"},
    {declared, "chain", CHAT, "openai/mini", "",
     "openai/mini@small openai/gpt-4o@large azure/gpt-4o@large"},
    {declared, NULL, CHAT, "openai/loose", "", "openai/loose@ " ALL},
    {declared, NULL, CHAT, "azure/alias", "", "azure/alias=deployment-7@ " ALL},
    {declared, NULL, CHAT, "openai/unheard-of", "", "openai/unheard-of@ " ALL},
    {declared, NULL, CHAT, "openai/ft:a/b", "", "openai/ft:a/b@ " ALL},
    {declared, NULL, CHAT, "openai/", "", ""},
    {declared, NULL, CHAT, "/gpt-4o", "", ""},
    {declared, NULL, CHAT, "OpenAI/gpt-4o", "", ""},
    // A bare name: every provider that declares it, then the chain.
    {declared, NULL, CHAT, "mini", "", ALL},
    {declared, NULL, CHAT, "gpt-4o", "",
     "azure/gpt-4o@middle openai/gpt-4o@large openai/mini@small"},
    {declared, NULL, CHAT, "loose", "", "openai/loose@ " ALL},
    {declared, NULL, CHAT, "alias", "", "azure/alias=deployment-7@ " ALL},
    {declared, NULL, CHAT, "deployment-7", "", "azure/alias=deployment-7@ " ALL},
    {declared, NULL, CHAT, "claude-sonnet-4", "", "claude/sonnet=claude-sonnet-4@ " ALL},
    {declared, NULL, CHAT, "unheard-of", "", ""},
    {declared, NULL, CHAT, "GPT-4o", "", ""},
    {declared, NULL, API_MESSAGES, "claude-new", "", "claude/claude-new@ " ALL},
    // override_model: what the body names does not matter, known or not.
    {declared, "ours", CHAT, "openai/gpt-4o", "", "openai/mini@small"},
    {declared, "ours", CHAT, "unheard-of", "", "openai/mini@small"},
    {declared, "ours", CHAT, "large", "", "openai/mini@small"},
    {declared, "any", CHAT, "unheard-of", "", ALL},
    // One provider and nothing declared: every name is its own.
    {one_provider, NULL, CHAT, "gpt-4o", "", "only/gpt-4o@"},
    {one_provider, NULL, CHAT, "only/gpt-4o", "", "only/gpt-4o@"},
    {one_provider, NULL, CHAT, "meta-llama/Llama-3", "", "only/meta-llama/Llama-3@"},
    {one_provider, NULL, CHAT, "only/", "", "only/only/@"},
    {one_provider, NULL, API_MESSAGES, "claude", "", "only/claude@"},
    {one_provider, NULL, CHAT, "auto", "", ""},
    {one_claude, NULL, CHAT, "gpt-4o", "", "only/gpt-4o@"},
    // Where one provider speaks the request's dialect, it is that one.
    {both_dialects, NULL, CHAT, "gpt-4o", "", "o/gpt-4o@"},
    {both_dialects, NULL, API_EMBEDDINGS, "e", "", "o/e@"},
    {both_dialects, NULL, API_MESSAGES, "claude", "", "c/claude@"},
    {both_dialects, NULL, API_MESSAGES, "o/gpt-4o", "", "o/gpt-4o@"},
    {two_alike, NULL, CHAT, "gpt-4o", "", ""},
    {two_alike, NULL, CHAT, "b/gpt-4o", "", "b/gpt-4o@"},
    {two_alike, NULL, API_MESSAGES, "claude", "", ""},
    // Paths that name no model need only a provider.
    {one_provider, NULL, API_OTHER, "", "", "only=@"},
    {both_dialects, NULL, API_OTHER, "", "", "o=@"},
    {two_alike, NULL, API_OTHER, "", "", "a=@"},
};

static void write_chain(struct buffer *out, const struct route_candidate *chain, size_t count) {
    buffer_clear(out);
    for (size_t i = 0; i < count; i++) {
        const struct route_candidate *c = &chain[i];
        buffer_printf(out, "%s%.*s", i > 0 ? " " : "", SLICE_ARG(c->name));
        ptrdiff_t slash = slice_find_char(c->name, '/');
        if (slash < 0 || !slice_equal(slice_from(c->name, (size_t)slash + 1), c->upstream_model))
            buffer_printf(out, "=%.*s", SLICE_ARG(c->upstream_model));
        buffer_append_char(out, '@');
        if (c->tier != NULL)
            buffer_append(out, c->tier->name);
    }
}

static void check_candidates(const struct route_candidate *chain, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_non_null(chain[i].provider);
        assert_true(slice_starts_with(chain[i].name, chain[i].provider->name));
        if (chain[i].model != NULL) {
            assert_ptr_equal(chain[i].model->provider, chain[i].provider);
            assert_true(slice_equal(chain[i].model->upstream_model, chain[i].upstream_model));
        }
    }
}

static void check_row(const struct row *row, size_t number) {
    const struct config *c = load(row->config);
    struct arena *arena = arena_new(1024);
    struct route_candidate chain[CHAIN_MAX];
    struct route_question q = {
        .endpoint = row->endpoint, .model = slice_of(row->model), .tier = slice_of(row->tier)};
    const struct config_route *route =
        row->route != NULL ? config_route_find(c, slice_of(row->route)) : NULL;
    assert_true((route == NULL) == (row->route == NULL));
    struct error err = {""};
    struct buffer seen = {0};
    size_t count = route_plan(c, route, &q, arena, chain, CHAIN_MAX, &err);
    write_chain(&seen, chain, count);
    if (!slice_equal(buffer_slice(&seen), slice_of(row->chain)))
        fail_msg("row %zu (\"%s\"): \"%.*s\", not \"%s\"", number, row->model,
                 SLICE_ARG(buffer_slice(&seen)), row->chain);
    check_candidates(chain, count);
    assert_int_equal(err.text[0] != '\0', count == 0);
    if (count == 0)
        assert_non_null(strstr(err.text, row->model));
    buffer_free(&seen);
    arena_free(arena);
    config_unref(c);
}

static void each_way_of_asking_has_its_chain(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++)
        check_row(&rows[i], i);
}

static void the_chain_ends_at_what_the_caller_has_room_for(void **state) {
    (void)state;
    const struct config *c = load(declared);
    struct arena *arena = arena_new(1024);
    struct route_candidate chain[CHAIN_MAX];
    struct route_question q = {.model = SLICE("openai/gpt-4o")};
    for (size_t max = 1; max <= 3; max++) {
        memset(chain, 0x5A, sizeof chain);
        assert_int_equal(route_plan(c, NULL, &q, arena, chain, max, NULL), max);
        struct route_candidate untouched;
        memset(&untouched, 0x5A, sizeof untouched);
        assert_memory_equal(&chain[max], &untouched, sizeof untouched);
    }
    arena_free(arena);
    config_unref(c);
}

static void an_unknown_model_s_error_says_what_to_ask_for(void **state) {
    (void)state;
    static const struct {
        const char *config, *model, *says;
    } cases[] = {
        {declared, "nope", "\"auto\", a tier"},
        {two_alike, "nope", "say \"provider/model\""},
        {two_alike, "nope", "the first is \"a\""},
    };
    char huge[4096];
    memset(huge, 'x', sizeof huge);
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        const struct config *c = load(cases[i].config);
        struct arena *arena = arena_new(1024);
        struct route_candidate chain[CHAIN_MAX];
        struct error err;
        struct route_question q = {.model = slice_of(cases[i].model)};
        assert_int_equal(route_plan(c, NULL, &q, arena, chain, CHAIN_MAX, &err), 0);
        assert_non_null(strstr(err.text, cases[i].says));
        // A name as long as a client likes still leaves the advice in the text.
        q.model = slice_make(huge, sizeof huge);
        assert_int_equal(route_plan(c, NULL, &q, arena, chain, CHAIN_MAX, &err), 0);
        assert_non_null(strstr(err.text, cases[i].says));
        arena_free(arena);
        config_unref(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_of_asking_has_its_chain),
        cmocka_unit_test(the_chain_ends_at_what_the_caller_has_room_for),
        cmocka_unit_test(an_unknown_model_s_error_says_what_to_ask_for),
    };
    return cmocka_run_group_tests_name("route/plan", tests, NULL, NULL);
}
