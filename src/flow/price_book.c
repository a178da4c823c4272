// Prices at hand: what a model costs, from the file where it says so and from
// the catalogue otherwise, found once for each model.
#include <stdlib.h>

#include "exchange.h"

enum { BOOK_MAX = 4096 }; // clients may invent models

struct page {
    int64_t minute; // of which it is the price: some change by the hour or from a day on
    bool known;
    struct price price; // its steps by context length are the page's own
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
    void *value;
    while (table_next(pages, &cursor, &key, &value)) {
        struct page *page = value;
        price_free_steps(&page->price);
        free(page);
    }
    table_free(pages);
}

void price_book_free(struct price_book *b) {
    if (b == NULL)
        return;
    free_pages(b->pages);
    price_free_steps(&b->scratch.price);
    prices_unref(b->prices);
    config_unref(b->config);
    free(b);
}

static void look_up(struct price_book *b, const struct route_candidate *c,
                    struct slice service_tier, int64_t now_ms, struct page *page) {
    page->minute = now_ms / 60000;
    page->known = price_configured(b->prices, c->provider, c->upstream_model, c->model,
                                   service_tier, now_ms, &page->price);
}

const struct price *price_book_find(struct price_book *b, const struct config *config,
                                    const struct route_candidate *c, struct slice service_tier) {
    int64_t now_ms = clock_wall_ms();
    if (config != b->config) { // an exchange older than the reload
        price_free_steps(&b->scratch.price);
        look_up(b, c, service_tier, now_ms, &b->scratch);
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
        page = base_calloc(1, sizeof *page);
        look_up(b, c, service_tier, now_ms, page);
        table_put(b->pages, buffer_slice(&key), page);
    } else if (page->minute != now_ms / 60000) {
        price_free_steps(&page->price);
        look_up(b, c, service_tier, now_ms, page);
    }
    buffer_free(&key);
    return page->known ? &page->price : NULL;
}
