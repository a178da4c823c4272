// Prints what the ledger says that each line of stdin costs, for
// check_catalogue.py: "provider host model tier ms input output cached written
// written_1h reasoning", separated by tabs. "null" when the price is not known.
#include <stdio.h>
#include <stdlib.h>

#include "farthing/ledger.h"

enum { TEXTS = 4, FIGURES = 7 };

static bool read_line(char *line, struct slice *texts, int64_t *figures) {
    struct slice rest = slice_of(line), part;
    for (size_t i = 0; i < TEXTS; i++)
        if (!slice_split(&rest, '\t', &texts[i]))
            return false;
    for (size_t i = 0; i < FIGURES; i++)
        if (!slice_split(&rest, '\t', &part) || !slice_to_i64(part, &figures[i]))
            return false;
    return true;
}

int main(int argc, char **argv) {
    struct error err;
    struct prices *prices = argc == 2 ? prices_load(argv[1], &err) : NULL;
    if (prices == NULL)
        return 1;
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct slice texts[TEXTS];
        int64_t n[FIGURES];
        line[strcspn(line, "\n")] = '\0';
        if (!read_line(line, texts, n))
            return 1;
        struct price price;
        struct api_usage usage = {.known = true, .input_tokens = n[1], .output_tokens = n[2],
                                  .cached_tokens = n[3], .cache_write_tokens = n[4],
                                  .cache_write_1h_tokens = n[5], .reasoning_tokens = n[6]};
        char cost[MONEY_TEXT_MAX] = "null";
        size_t length = strlen(cost);
        if (prices_find(prices, texts[0], texts[1], texts[2], texts[3], n[0], &price))
            length = money_format(price_cost(&price, &usage), cost);
        printf("%.*s\n", (int)length, cost);
    }
    prices_unref(prices);
    return 0;
}
