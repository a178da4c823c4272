// The field table against OpenAI's own API description: every property of the
// request schemas has a row, and no row names a property that is not there.
#include "support.h"

#include <stdio.h>

enum { SKIPPED = 77, NESTING_MAX = 16 };

static const struct {
    enum api_endpoint endpoint;
    const char *schema;
    size_t least; // properties it had when this was written
} requests[] = {
    {API_CHAT_COMPLETIONS, "CreateChatCompletionRequest", 37},
    {API_COMPLETIONS, "CreateCompletionRequest", 18},
    {API_RESPONSES, "CreateResponse", 31},
    {API_EMBEDDINGS, "CreateEmbeddingRequest", 5},
};

static struct buffer text;
static struct json_doc *doc;
static struct arena *arena;

// False: there is no material here.
static bool load(void) {
    const char *base = getenv("FARTHING_MATERIAL");
    struct buffer path = {0};
    buffer_printf(&path, "%s/openai/openapi.json%c",
                  base != NULL ? base : SOURCE_ROOT "/../shared/material", '\0');
    FILE *f = fopen(path.ptr, "rb");
    if (f == NULL)
        printf("skipped: no %s\n", path.ptr);
    buffer_free(&path);
    if (f == NULL)
        return false;
    char chunk[65536];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        buffer_append(&text, slice_make(chunk, n));
    fclose(f);
    doc = json_doc_new();
    arena = arena_new(4096);
    return true;
}

static json_ref schema_called(struct slice name) {
    json_ref components = json_get(doc, JSON_ROOT, SLICE("components"));
    json_ref found = json_get(doc, json_get(doc, components, SLICE("schemas")), name);
    if (found == JSON_NONE)
        fail_msg("no schema %.*s", SLICE_ARG(name));
    return found;
}

// Calls `each` for every property of the schema, through $ref and allOf, oneOf, anyOf.
static void walk(json_ref schema, unsigned depth, void (*each)(void *, struct slice), void *arg) {
    static const char *const combiners[] = {"allOf", "oneOf", "anyOf"};
    assert_true(depth < NESTING_MAX);
    struct slice target = json_string(doc, json_get(doc, schema, SLICE("$ref")), arena);
    if (target.ptr != NULL) {
        struct slice prefix = SLICE("#/components/schemas/");
        assert_true(slice_starts_with(target, prefix));
        walk(schema_called(slice_from(target, prefix.len)), depth + 1, each, arg);
        return;
    }
    for (size_t i = 0; i < FARTHING_COUNT(combiners); i++) {
        json_ref list = json_get(doc, schema, slice_of(combiners[i]));
        if (list == JSON_NONE)
            continue;
        for (json_ref part = json_first(doc, list); part != JSON_NONE;
             part = json_next(doc, list, part))
            walk(part, depth + 1, each, arg);
    }
    json_ref properties = json_get(doc, schema, SLICE("properties"));
    if (properties == JSON_NONE)
        return;
    for (json_ref key = json_first(doc, properties); key != JSON_NONE;
         key = json_next(doc, properties, key))
        each(arg, json_string(doc, key, arena));
}

struct visit {
    enum api_endpoint endpoint;
    bool seen[128]; // rows of the table
    unsigned without_row;
};

static void check_property(void *arg, struct slice name) {
    struct visit *v = arg;
    size_t count;
    const struct cache_field *fields = cache_fields(&count);
    assert_true(count <= FARTHING_COUNT(v->seen));
    for (size_t i = 0; i < count; i++) {
        if (!slice_equal(fields[i].name, name) ||
            fields[i].rule[v->endpoint] == CACHE_FIELD_UNKNOWN)
            continue;
        v->seen[i] = true;
        return;
    }
    print_error("%s: no row for \"%.*s\"\n", api_endpoint_name(v->endpoint), SLICE_ARG(name));
    v->without_row++;
}

// Known to us on every endpoint: Farthing reads its attributes from it.
static bool is_ours(struct slice name) {
    return slice_equal(name, SLICE("metadata"));
}

static void test_schemas(void **state) {
    (void)state;
    struct error err;
    if (!json_parse(doc, buffer_slice(&text), NULL, &err))
        fail_msg("openapi.json: %s", err.text);
    size_t count;
    const struct cache_field *fields = cache_fields(&count);
    for (size_t r = 0; r < FARTHING_COUNT(requests); r++) {
        struct visit v = {.endpoint = requests[r].endpoint};
        walk(schema_called(slice_of(requests[r].schema)), 0, check_property, &v);
        assert_int_equal(v.without_row, 0);
        size_t seen = 0;
        for (size_t i = 0; i < count; i++) {
            seen += v.seen[i];
            bool known = fields[i].rule[v.endpoint] != CACHE_FIELD_UNKNOWN;
            if (known && !v.seen[i] && !is_ours(fields[i].name))
                fail_msg("%s has no property \"%.*s\"", requests[r].schema,
                         SLICE_ARG(fields[i].name));
        }
        assert_true(seen >= requests[r].least);
    }
}

int main(void) {
    if (!load())
        return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schemas)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_doc_free(doc);
    arena_free(arena);
    buffer_free(&text);
    return failed;
}
