// Prices at hand: what a model costs, from the file where it says so and from
// the catalogue otherwise, found once for each model.
#include <stdlib.h>

#include "exchange.h"

enum { BOOK_MAX = 4096 }; // clients may invent models

struct page {
    bool known;
    struct price price;
};

struct price_book {
    const struct config *config; // for which pages are kept
    struct prices *prices;
    struct table *pages; // "provider/model tier" -> page
    struct page scratch;
};

struct price_book *price_book_new(const struct config *config, struct prices *prices) {
    struct price_book *b = base_calloc(1, sizeof *b);
    b->config = config_ref(config);
    b->prices = prices != NULL ? prices_ref(prices) : NULL;
    b->pages = table_new();
    return b;
}

static void free_pages(struct table *pages) {
    size_t cursor = 0;
    struct slice key;
    void *page;
    while (table_next(pages, &cursor, &key, &page))
        free(page);
    table_free(pages);
}

void price_book_free(struct price_book *b) {
    if (b == NULL)
        return;
    free_pages(b->pages);
    prices_unref(b->prices);
    config_unref(b->config);
    free(b);
}

static struct slice host_of(struct slice url) {
    ptrdiff_t scheme = slice_find(url, SLICE("://"));
    struct slice rest = slice_from(url, scheme < 0 ? 0 : (size_t)scheme + 3);
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != ':')
        n++;
    return slice_make(rest.ptr, n);
}

static void override(int64_t *price, int64_t said) {
    if (said != CONFIG_UNSET)
        *price = said;
}

// The file's prices stand over the catalogue's, one by one.
static void look_up(struct price_book *b, const struct route_candidate *c,
                    struct slice service_tier, struct page *page) {
    const struct config_model *m = c->model;
    page->price = (struct price){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, NULL};
    page->known = b->prices != NULL &&
                  prices_find(b->prices, c->provider->name, host_of(c->provider->base_url),
                              c->upstream_model, service_tier, clock_wall_ms(), &page->price);
    if (m == NULL || (m->input_price == CONFIG_UNSET && m->output_price == CONFIG_UNSET))
        return;
    page->known = true;
    // A price of one's own is flat: the catalogue's steps were of another price.
    page->price.above = NULL;
    page->price.step_above = 0;
    page->price.request = -1;
    override(&page->price.input, m->input_price);
    override(&page->price.output, m->output_price);
    page->price.cached_input = m->cached_input_price;
    page->price.cache_write = m->cache_write_price;
    page->price.cache_write_1h = -1;
    page->price.reasoning = m->reasoning_price;
    page->price.input_audio = page->price.output_audio = page->price.cached_audio = -1;
}

const struct price *price_book_find(struct price_book *b, const struct config *config,
                                    const struct route_candidate *c, struct slice service_tier) {
    if (config != b->config) { // an exchange older than the reload
        look_up(b, c, service_tier, &b->scratch);
        return b->scratch.known ? &b->scratch.price : NULL;
    }
    struct buffer key = {0};
    buffer_append(&key, c->name);
    buffer_append_char(&key, ' ');
    buffer_append(&key, service_tier);
    struct page *page = table_get(b->pages, buffer_slice(&key));
    if (page == NULL) {
        if (table_count(b->pages) >= BOOK_MAX) {
            free_pages(b->pages);
            b->pages = table_new();
        }
        page = base_alloc(sizeof *page);
        look_up(b, c, service_tier, page);
        table_put(b->pages, buffer_slice(&key), page);
    }
    buffer_free(&key);
    return page->known ? &page->price : NULL;
}
