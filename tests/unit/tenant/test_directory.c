// Who is asking: keys by their SHA-256, and the bearer token of a header.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "farthing/tenant.h"

enum { MANY = 500 };

static void append_key(struct buffer *out, struct slice key) {
    uint8_t digest[DIGEST_LEN];
    char hex[2 * DIGEST_LEN + 1];
    digest_sha256(key, digest);
    digest_hex(digest, DIGEST_LEN, hex);
    buffer_printf(out, "\"sha256:%s\"", hex);
}

static const struct config *load(struct slice text) {
    struct buffer messages = {0};
    const struct config *c = config_load_text(text, "t.conf", &messages);
    if (c == NULL)
        fail_msg("%.*s", SLICE_ARG(buffer_slice(&messages)));
    buffer_free(&messages);
    return c;
}

static const struct config_tenant *identify(const struct tenant_directory *d, struct slice key) {
    uint8_t digest[DIGEST_LEN];
    digest_sha256(key, digest);
    return tenant_identify(d, digest);
}

static void expect(const struct tenant_directory *d, const char *key, const char *tenant) {
    const struct config_tenant *t = identify(d, slice_of(key));
    if (tenant == NULL)
        assert_null(t);
    else if (t == NULL || !slice_equal(t->name, slice_of(tenant)))
        fail_msg("\"%s\" is %.*s, not %s", key, t != NULL ? (int)t->name.len : 6,
                 t != NULL ? t->name.ptr : "nobody", tenant);
}

// Two tenants; the provider passes the client's key on, and still its hash
// tells the tenants apart.
static const struct config *two_tenants(void) {
    struct buffer text = {0};
    BUFFER_LITERAL(&text, "provider \"p\" { base_url = \"http://h\" api_key = \"passthrough\" }\n"
                          "tenant \"acme\" { keys = {");
    append_key(&text, SLICE("sk-acme-1"));
    BUFFER_LITERAL(&text, ", ");
    append_key(&text, SLICE("sk-acme-2"));
    BUFFER_LITERAL(&text, "} }\ntenant \"globex\" { keys = {");
    append_key(&text, SLICE("sk-globex"));
    BUFFER_LITERAL(&text, "} }\n");
    const struct config *c = load(buffer_slice(&text));
    buffer_free(&text);
    return c;
}

static void a_key_is_its_tenant_s(void **state) {
    (void)state;
    const struct config *c = two_tenants();
    struct tenant_directory *d = tenant_directory_new(c);
    expect(d, "sk-acme-1", "acme");
    expect(d, "sk-acme-2", "acme");
    expect(d, "sk-globex", "globex");
    assert_ptr_equal(identify(d, SLICE("sk-globex")), &c->tenants[1]);
    tenant_directory_free(d);
    config_unref(c);
}

static void every_other_key_is_nobody_s(void **state) {
    (void)state;
    const struct config *c = two_tenants();
    struct tenant_directory *d = tenant_directory_new(c);
    static const char *const keys[] = {"",           "sk-acme",    "sk-acme-11", "SK-ACME-1",
                                       " sk-acme-1", "sk-acme-1 ", "acme",       "default"};
    for (size_t i = 0; i < FARTHING_COUNT(keys); i++)
        expect(d, keys[i], NULL);
    assert_null(tenant_identify(d, NULL));
    tenant_directory_free(d);
    config_unref(c);
}

// The digest is compared whole: one bit that differs, wherever, is another key.
static void every_bit_of_a_digest_counts(void **state) {
    (void)state;
    const struct config *c = two_tenants();
    struct tenant_directory *d = tenant_directory_new(c);
    uint8_t digest[DIGEST_LEN];
    digest_sha256(SLICE("sk-acme-1"), digest);
    for (size_t bit = 0; bit < DIGEST_LEN * 8; bit++) {
        digest[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_null(tenant_identify(d, digest));
        digest[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_non_null(tenant_identify(d, digest));
    tenant_directory_free(d);
    config_unref(c);
}

static void without_tenants_everybody_is_default(void **state) {
    (void)state;
    const struct config *c = load(SLICE("provider \"p\" { base_url = \"http://h\" }"));
    struct tenant_directory *d = tenant_directory_new(c);
    expect(d, "anything", "default");
    expect(d, "", "default");
    assert_ptr_equal(tenant_identify(d, NULL), &c->tenants[0]);
    tenant_directory_free(d);
    tenant_directory_free(NULL);
    config_unref(c);
}

// What Farthing asks for itself is a tenant without keys: nobody who asks is it.
static void farthing_s_own_tenant_is_nobody_s(void **state) {
    (void)state;
    static const char shadow[] =
        "tier \"s\" { models = {\"p/m\"} }\n"
        "route \"r\" { shadow { tier = s percent = 1 budget = 1 } }\n";
    struct buffer text = {0};
    buffer_printf(&text, "provider \"p\" { base_url = \"http://h\" }\n%s", shadow);
    const struct config *c = load(buffer_slice(&text));
    struct tenant_directory *d = tenant_directory_new(c);
    assert_non_null(c->own);
    expect(d, "farthing", "default");
    expect(d, "", "default");
    assert_ptr_equal(tenant_identify(d, NULL), &c->tenants[0]);
    tenant_directory_free(d);
    config_unref(c);
    BUFFER_LITERAL(&text, "tenant \"acme\" { keys = {");
    append_key(&text, SLICE("sk"));
    BUFFER_LITERAL(&text, "} }\n");
    c = load(buffer_slice(&text));
    d = tenant_directory_new(c);
    assert_non_null(c->own);
    expect(d, "sk", "acme");
    expect(d, "farthing", NULL);
    expect(d, "", NULL);
    assert_null(tenant_identify(d, NULL));
    tenant_directory_free(d);
    config_unref(c);
    buffer_free(&text);
}

// More keys than buckets at first: chains and growth.
static void many_keys_are_told_apart(void **state) {
    (void)state;
    struct buffer text = {0};
    char key[32];
    BUFFER_LITERAL(&text, "provider \"p\" { base_url = \"http://h\" }\n");
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "sk-%d", i);
        buffer_printf(&text, "tenant \"t%d\" { keys = {", i);
        append_key(&text, slice_of(key));
        BUFFER_LITERAL(&text, "} }\n");
    }
    const struct config *c = load(buffer_slice(&text));
    struct tenant_directory *d = tenant_directory_new(c);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(key, sizeof key, "sk-%d", i);
        snprintf(name, sizeof name, "t%d", i);
        expect(d, key, name);
    }
    expect(d, "sk-500", NULL);
    tenant_directory_free(d);
    config_unref(c);
    buffer_free(&text);
}

static void a_digest_may_be_written_in_capitals(void **state) {
    (void)state;
    struct buffer text = {0};
    BUFFER_LITERAL(&text, "provider \"p\" { base_url = \"http://h\" }\ntenant \"t\" { keys = {");
    size_t from = text.len + strlen("\"sha256:");
    append_key(&text, SLICE("sk"));
    for (size_t i = from; i < text.len; i++)
        if (text.ptr[i] >= 'a' && text.ptr[i] <= 'f')
            text.ptr[i] = (char)(text.ptr[i] - 'a' + 'A');
    BUFFER_LITERAL(&text, "} }\n");
    const struct config *c = load(buffer_slice(&text));
    struct tenant_directory *d = tenant_directory_new(c);
    expect(d, "sk", "t");
    tenant_directory_free(d);
    config_unref(c);
    buffer_free(&text);
}

static void keys_in_plain_are_refused_unseen(void **state) {
    (void)state;
    static const char *const keys[] = {"sk-hush", "sha256:hush", "sha256:", "SHA256:hush",
                                       "plain:hush"};
    for (size_t i = 0; i < FARTHING_COUNT(keys); i++) {
        struct buffer text = {0}, messages = {0};
        buffer_printf(
            &text, "provider \"p\" { base_url = \"http://h\" }\ntenant \"t\" { keys = {\"%s\"} }",
            keys[i]);
        assert_null(config_load_text(buffer_slice(&text), "t.conf", &messages));
        struct slice said = buffer_slice(&messages);
        assert_true(slice_starts_with(said, SLICE("t.conf:2: keys: key 1 of tenant \"t\"")));
        assert_true(slice_find(said, SLICE("hush")) < 0);
        buffer_free(&text);
        buffer_free(&messages);
    }
}

// ------------------------------------------------------------------ bearer

static void the_bearer_token_of_a_header(void **state) {
    (void)state;
    static const struct {
        const char *header, *token; // token NULL: none
    } cases[] = {
        {"Bearer sk-1", "sk-1"},
        {"bearer sk-1", "sk-1"},
        {"BEARER sk-1", "sk-1"},
        {"bEaReR sk-1", "sk-1"},
        {"Bearer  sk-1", "sk-1"},
        {"Bearer    sk-1   ", "sk-1"},
        {"Bearer sk-1\t", "sk-1"},
        {"Bearer \tsk-1", "sk-1"},
        {"Bearer a=b/c+d~._-", "a=b/c+d~._-"},
        {"Bearer Bearer sk", "Bearer sk"},
        {"", NULL},
        {"Bearer", NULL},
        {"Bearer ", NULL},
        {"Bearer    ", NULL},
        {"Bearersk-1", NULL},
        {"Bearer\tsk-1", NULL},
        {"sk-1", NULL},
        {"Basic c2s6MQ==", NULL},
        {"Token sk-1", NULL},
        {"Bearer: sk-1", NULL},
        {" ", NULL},
        {"B", NULL},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct slice token = tenant_bearer(slice_of(cases[i].header));
        if (!slice_equal(token, slice_of(cases[i].token)))
            fail_msg("\"%s\": \"%.*s\"", cases[i].header, SLICE_ARG(token));
    }
    assert_int_equal(tenant_bearer(SLICE_NONE).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_its_tenant_s),
        cmocka_unit_test(every_other_key_is_nobody_s),
        cmocka_unit_test(every_bit_of_a_digest_counts),
        cmocka_unit_test(without_tenants_everybody_is_default),
        cmocka_unit_test(farthing_s_own_tenant_is_nobody_s),
        cmocka_unit_test(many_keys_are_told_apart),
        cmocka_unit_test(a_digest_may_be_written_in_capitals),
        cmocka_unit_test(keys_in_plain_are_refused_unseen),
        cmocka_unit_test(the_bearer_token_of_a_header),
    };
    return cmocka_run_group_tests_name("tenant/directory", tests, NULL, NULL);
}
