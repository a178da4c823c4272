// What a shared store says of a counter: taken whole, within bounds, or not at all.
#include "../check.h"
#include "budget_room.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct share_told told;
    struct share_loss loss;
    if (!budget_share_parse(slice_make(data, size), &told))
        return 0;
    CHECK(told.window_count <= SHARE_WINDOWS && told.recovered >= 0 && told.open >= 0);
    for (size_t i = 0; i < told.window_count; i++)
        CHECK(told.windows[i].ceiling >= 0 && told.windows[i].open >= 0);
    for (size_t i = 0; i < told.loss_count; i++)
        CHECK(budget_share_next_loss(&told.losses, &loss));
    CHECK(told.losses.len == 0);
    return 0;
}
