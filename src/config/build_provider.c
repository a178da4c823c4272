// Providers: where answers come from.
#include "loader.h"

// ----------------------------------------------------------------- base_url

// What a message may show of a URL: no user and password, no query (some
// providers take their key there).
static const char *shown_url(struct loader *l, struct slice url) {
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] == '?' || url.ptr[i] == '#') {
            url.len = i;
            break;
        }
    size_t at = url.len;
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] == '@')
            at = i;
    if (at == url.len)
        return loader_shown(l, url);
    ptrdiff_t scheme = slice_find(url, SLICE("://"));
    struct slice before = slice_make(url.ptr, scheme < 0 ? 0 : (size_t)scheme + 3);
    return loader_shown(l, arena_printf(l->scratch, "%.*s***%.*s", SLICE_ARG(before),
                                        SLICE_ARG(slice_from(url, at))));
}

static bool valid_port(struct slice text) {
    uint64_t port;
    return slice_to_u64(text, &port) && port >= 1 && port <= 65535;
}

static bool valid_host(struct slice authority) {
    if (slice_starts_with(authority, SLICE("["))) {
        ptrdiff_t end = slice_find_char(authority, ']');
        struct slice behind = slice_from(authority, (size_t)(end + 1));
        return end > 1 &&
               (behind.len == 0 || (behind.ptr[0] == ':' && valid_port(slice_from(behind, 1))));
    }
    ptrdiff_t colon = slice_find_char(authority, ':');
    if (colon < 0)
        return authority.len > 0;
    return colon > 0 && valid_port(slice_from(authority, (size_t)colon + 1));
}

static bool valid_url(struct slice url) {
    bool https = slice_starts_with(url, SLICE("https://"));
    if (!https && !slice_starts_with(url, SLICE("http://")))
        return false;
    struct slice rest = slice_from(url, https ? 8 : 7);
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.ptr[i];
        if (c <= ' ' || c >= 0x7F || strchr("?#@\\\"<>{}|^`", c) != NULL)
            return false;
    }
    ptrdiff_t slash = slice_find_char(rest, '/');
    return valid_host(slice_make(rest.ptr, slash < 0 ? rest.len : (size_t)slash));
}

static void check_base_url(struct loader *l, cfg_t *section, struct config_provider *p) {
    if (p->base_url.len == 0) {
        loader_error(l, loader_line(l, section, NULL),
                     "provider \"%s\" has no base_url; expected one such as "
                     "\"https://api.openai.com/v1\"",
                     loader_shown(l, p->name));
    } else if (!valid_url(p->base_url)) {
        loader_error(l, loader_line(l, section, "base_url"),
                     "base_url: \"%s\" is not valid; expected http:// or https://, a host and a "
                     "path, without user, query or fragment",
                     shown_url(l, p->base_url));
    } else {
        while (slice_ends_with(p->base_url, SLICE("/")))
            p->base_url.len--;
    }
}

// ------------------------------------------------------------- pass_headers

static bool is_field_name(struct slice name) { // RFC 9110 5.1: a token
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c >= 0x7F || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
            return false;
    }
    return name.len > 0;
}

// What Farthing sets itself, what holds for one hop only, and what is not for
// the provider: the tenant's key, and Farthing's own headers.
static bool is_reserved(struct slice name) {
    static const char *const reserved[] = {
        "authorization",  "x-api-key",         "host",       "connection",
        "content-length", "transfer-encoding", "keep-alive", "te",
        "trailer",        "upgrade",           "expect",     "proxy-authorization",
        "cookie"};
    struct slice own = SLICE("x-farthing-");
    for (size_t i = 0; i < FARTHING_COUNT(reserved); i++)
        if (slice_equal_nocase(name, slice_of(reserved[i])))
            return true;
    return name.len >= own.len && slice_equal_nocase(slice_make(name.ptr, own.len), own);
}

static void check_pass_headers(struct loader *l, cfg_t *section, const struct config_provider *p) {
    for (size_t i = 0; i < p->pass_headers.count; i++) {
        struct slice name = p->pass_headers.items[i];
        int line = loader_item_line(l, section, "pass_headers", i);
        if (!is_field_name(name))
            loader_error(l, line,
                         "pass_headers: \"%s\" is not valid; expected the name of a header "
                         "field",
                         loader_shown(l, name));
        else if (is_reserved(name))
            loader_error(l, line,
                         "pass_headers: \"%s\" is not passed on; expected a header field "
                         "that is meant for the provider",
                         loader_shown(l, name));
    }
}

// ----------------------------------------------------------------- sections

static void read_key(struct loader *l, cfg_t *section, struct config_provider *p) {
    p->passthrough_key = slice_equal(p->api_key, SLICE("passthrough"));
    if (p->passthrough_key)
        p->api_key = SLICE_NONE;
    const char *given = loader_text(section, "api_key");
    if (given != NULL && given[0] == '\0')
        loader_warn(l, loader_line(l, section, "api_key"),
                    "api_key is empty: requests to \"%s\" go without a key",
                    loader_shown(l, p->name));
}

// "adaptive", or "adaptive 200": the provider's own pace, but never more than that.
static void read_max_inflight(struct loader *l, cfg_t *section, struct config_provider *p) {
    enum { MOST = 1000000, MOST_ADAPTIVE = 1024, INITIAL = 256 };
    const char *text = loader_text(section, "max_inflight");
    struct slice value = text != NULL ? slice_of(text) : SLICE_NONE;
    struct slice adaptive = SLICE("adaptive");
    p->max_inflight = INITIAL;
    if (text == NULL)
        return;
    p->adaptive_inflight = slice_starts_with(value, adaptive);
    if (slice_equal(value, adaptive)) {
        p->max_inflight = MOST_ADAPTIVE;
        return;
    }
    if (p->adaptive_inflight)
        value = value.ptr[adaptive.len] == ' ' ? slice_trim(slice_from(value, adaptive.len))
                                               : SLICE_NONE;
    if (!slice_to_i64(value, &p->max_inflight) || p->max_inflight < p->adaptive_inflight ||
        p->max_inflight > MOST)
        loader_error(l, loader_line(l, section, "max_inflight"),
                     "max_inflight: \"%s\" is not valid; expected a whole number from 0 to %d, "
                     "\"adaptive\" or \"adaptive 200\"",
                     loader_shown(l, slice_of(text)), MOST);
}

static void read_output_cap_field(struct loader *l, cfg_t *section, struct config_provider *p) {
    static const char *const fields[] = {"auto", "max_tokens", "max_completion_tokens"}; // as enum
    p->output_cap_field = (enum config_output_field)loader_choice(
        l, section, "output_cap_field", fields, FARTHING_COUNT(fields), CONFIG_OUTPUT_AUTO);
}

static void build_provider(struct loader *l, cfg_t *section, void *element) {
    struct config_provider *p = element;
    p->name = loader_title(l, section);
    loader_fill_named(l, section, "", "provider", p);
    loader_fill_named(l, cfg_getsec(section, "retry"), "provider", "retry", &p->retry);
    loader_fill_named(l, cfg_getsec(section, "breaker"), "provider", "breaker", &p->breaker);
    if (slice_find_char(p->name, '/') >= 0)
        loader_error(l, loader_line(l, section, NULL),
                     "provider \"%s\": expected a name without a slash", loader_shown(l, p->name));
    static const char *const dialects[] = {"openai", "anthropic"};
    p->dialect = slice_of(
        dialects[loader_choice(l, section, "dialect", dialects, FARTHING_COUNT(dialects), 0)]);
    read_key(l, section, p);
    read_max_inflight(l, section, p);
    read_output_cap_field(l, section, p);
    check_base_url(l, section, p);
    check_pass_headers(l, section, p);
}

void loader_build_providers(struct loader *l, cfg_t *root) {
    struct config *c = loader_config(l);
    struct config_provider *all =
        loader_build_each(l, root, "provider", sizeof *all, build_provider, &c->provider_count);
    for (size_t i = 0; i < c->provider_count; i++)
        all[i].index = (unsigned)i;
    c->providers = all;
    if (c->provider_count == 0)
        loader_error(l, 1,
                     "there is no provider; expected at least one section provider \"NAME\" {"
                     " base_url = \"...\" }");
}
