// Prices as one configuration has them: the catalogue's, and over them what the file's
// own model sections say.
#include <stdlib.h>

#include "farthing/ledger.h"

struct slice price_host(struct slice base_url) {
    ptrdiff_t scheme = slice_find(base_url, SLICE("://"));
    struct slice rest = slice_from(base_url, scheme < 0 ? 0 : (size_t)scheme + 3);
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != ':')
        n++;
    return slice_make(rest.ptr, n);
}

static void set(int64_t *price, config_pico said) {
    if (said != CONFIG_UNSET)
        *price = said;
}

static void set_all(struct price *price, const struct config_model *own) {
    set(&price->input, own->input_price);
    set(&price->cached_input, own->cached_input_price);
    set(&price->cache_write, own->cache_write_price);
    set(&price->cache_write_1h, own->cache_write_price);
    set(&price->output, own->output_price);
    set(&price->reasoning, own->reasoning_price);
}

void price_override(struct price *price, const struct config_model *own) {
    set_all(price, own);
    for (; price->above != NULL; price = (struct price *)(uintptr_t)price->above) {
        struct price *step = base_alloc(sizeof *step);
        *step = *price->above;
        set_all(step, own);
        price->above = step;
    }
}

bool price_configured(const struct prices *p, const struct config_provider *provider,
                      struct slice upstream_model, const struct config_model *own,
                      struct slice service_tier, int64_t now_ms, struct price *out) {
    static const struct config_model nothing = {
        .input_price = CONFIG_UNSET,
        .cached_input_price = CONFIG_UNSET,
        .cache_write_price = CONFIG_UNSET,
        .output_price = CONFIG_UNSET,
        .reasoning_price = CONFIG_UNSET,
    };
    if (own == NULL)
        own = &nothing;
    *out = (struct price){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, NULL};
    bool known = p != NULL && prices_find(p, provider->name, price_host(provider->base_url),
                                          upstream_model, service_tier, now_ms, out);
    price_override(out, own);
    return known || own->input_price != CONFIG_UNSET || own->output_price != CONFIG_UNSET;
}

void price_free_steps(struct price *price) {
    while (price->above != NULL) {
        struct price *step = (struct price *)(uintptr_t)price->above;
        price->above = step->above;
        free(step);
    }
}
