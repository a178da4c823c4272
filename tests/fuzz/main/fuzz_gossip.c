// Messages of other instances, on any bytes: whatever is said, what the rooms answer
// stays within its bounds, and what they tell is a message again.
#include "../check.h"
#include "gossip_message.h"

#define MODEL SLICE("p/m")

static const struct breaker_figures figures = {
    .failures = 5, .window_ms = 30000, .open_for_ms = 15000, .slow_call_ms = 0};

enum { NOW_MS = 100000000, WALL_MS = 1700000000 };

static void check_breaker(void *arg, const struct breaker_view *view) {
    (void)arg;
    CHECK(slice_equal(view->name, MODEL));
    CHECK(view->retry_in_ms >= 0 && view->retry_in_ms <= figures.open_for_ms);
    CHECK(view->state != BREAKER_STATE_HALF_OPEN);
    CHECK((view->state == BREAKER_STATE_OPEN) == view->hearsay);
}

static void check_rooms(const struct gossip_rooms *r) {
    breakers_visit(r->breakers, NOW_MS, check_breaker, NULL);
    struct estimate e = estimator_ask(r->estimator, MODEL, 1000);
    CHECK(e.likely <= e.most && e.likely >= 300 && e.most <= 3016);
    int64_t percent = past_percent(r->past, SLICE("t"), SLICE("f"), SLICE("small"));
    CHECK(percent >= -1 && percent <= 100);
    CHECK(past_count(r->past) <= PAST_MAX);
}

// What is known after any message can be told, and is read again.
static void check_telling(const struct gossip_rooms *r, struct json_doc *doc) {
    const struct gossip_head head = {GOSSIP_ALL, SLICE("x"), WALL_MS};
    struct gossip_head again;
    struct buffer text = {0};
    if (gossip_write(r, &head, GOSSIP_SLOW, NOW_MS, &text)) {
        CHECK(text.len <= GOSSIP_BYTES_MAX);
        CHECK(gossip_read(doc, buffer_slice(&text), &again));
        CHECK(again.say == GOSSIP_ALL && again.at_ms == WALL_MS);
        gossip_take(r, &again, doc, 2, NOW_MS, NOW_MS);
        check_rooms(r);
    }
    buffer_free(&text);
}

static struct gossip_rooms rooms_new(void) {
    struct gossip_rooms r = {breakers_new(), retry_budgets_new(), estimator_new(), past_new()};
    struct retry_budgets_loop *loop = retry_budgets_loop_new(r.retry_budgets);
    breakers_set_figures(r.breakers, MODEL, &figures, NOW_MS - 1000);
    retry_budget_note_good(loop, SLICE("p"), 20, NOW_MS - 1000);
    retry_budgets_loop_free(loop);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    log_set_level((enum log_level)(LOG_ERROR + 1));
    clock_freeze(WALL_MS, (uint64_t)NOW_MS * 1000000);
    struct gossip_rooms rooms = rooms_new();
    struct json_doc *doc = json_doc_new();
    struct gossip_head head;
    if (gossip_read(doc, slice_make(data, size), &head)) {
        gossip_take(&rooms, &head, doc, 3, NOW_MS - 100, NOW_MS);
        check_rooms(&rooms);
        check_telling(&rooms, doc);
    }
    json_doc_free(doc);
    breakers_free(rooms.breakers);
    retry_budgets_free(rooms.retry_budgets);
    estimator_free(rooms.estimator);
    past_free(rooms.past);
    return 0;
}
