// Whoever waits, for a place or for the disk, and ends while he does: what his row says,
// and that nothing of his stays reserved.
#include "money_scene.h"

// Who goes while he waits for a place has waited.
static void a_wait_is_told_of_who_left_too(void **state) {
    (void)state;
    struct world *w = world_new("", "concurrency = 1 queue = 5");
    char *request = request_of("POST", "/v1/chat/completions", "application/json", CHAT(""));
    int first = loopback_connect(w->port), second = loopback_connect(w->port);
    loopback_send(first, request);
    while (w->requests == 0)
        loopback_turn(w->loop);
    loopback_send(second, request);
    while (flow_running(w->flow) < 2)
        loopback_turn(w->loop);
    close(second);
    while (flow_running(w->flow) > 1)
        loopback_turn(w->loop);
    assert_row(w, "queue", "\"queued_for\":\"tenant\"");
    close(first);
    free(request);
    world_free(w);
}

static void a_deadline_in_a_queue_is_the_deadlines(void **state) {
    (void)state;
    struct world *w = world_new("", "concurrency = 1 queue = 5");
    char *request = request_of("POST", "/v1/chat/completions", "application/json", CHAT(""));
    int first = loopback_connect(w->port);
    loopback_send(first, request);
    while (w->requests == 0)
        loopback_turn(w->loop);
    char *late = request_of("POST", "/v1/chat/completions", "application/json",
                            CHAT(",\"metadata\":{\"farthing_deadline_ms\":\"5\"}"));
    free(loopback_fetch(w->loop, w->port, late));
    assert_row(w, "deadline", "\"ended_by\":\"deadline\",\"refused_by\":\"tenant.queue_timeout\"");
    close(first);
    free(late);
    free(request);
    world_free(w);
}

// ---------------------------------------------------------------- safe on disk

enum { TURNS_MAX = 16 };

static int64_t rows_written(struct world *w) {
    struct ledger_stats stats;
    ledger_stats_get(w->shared.ledger, &stats);
    return stats.rows;
}

static size_t count_reserving(struct world *w) {
    struct buffer text = {0};
    size_t count = 0;
    flow_write_inflight(w->flow, &text);
    struct slice rest = buffer_slice(&text), word = SLICE("\"reserving\"");
    for (ptrdiff_t at; (at = slice_find(rest, word)) >= 0; count++)
        rest = slice_from(rest, (size_t)at + word.len);
    buffer_free(&text);
    return count;
}

enum disk_ending { CLIENT_LEAVES, LEADER_LEAVES, PROXY_STOPS, RELOAD, DISK_ENDINGS };

static void turn_until_all_ended(struct world *w, int expected_rows) {
    while (rows_written(w) < expected_rows || flow_running(w->flow) > 0)
        loopback_turn(w->loop);
}

// How often one was seen waiting for the disk.
static size_t end_after(int turns, enum disk_ending ending, const char *request) {
    struct world *w = world_make("", BUDGET("1"), true);
    size_t seen = 0;
    int clients = ending == LEADER_LEAVES ? 2 : 1; // they ask the same: one buys
    int fds[2];
    w->answer = ANSWER;
    for (int i = 0; i < clients; i++)
        loopback_send(fds[i] = loopback_connect(w->port), request);
    for (int i = 0; i < turns; i++) {
        loopback_turn(w->loop);
        seen += count_reserving(w);
    }
    if (ending == RELOAD)
        flow_reload(w->flow, w->config);
    if (ending == CLIENT_LEAVES || ending == LEADER_LEAVES)
        close(fds[0]);
    if (ending != PROXY_STOPS)
        turn_until_all_ended(w, clients);
    world_free(w);
    if (ending == PROXY_STOPS || ending == RELOAD)
        close(fds[0]);
    if (clients > 1)
        close(fds[1]);
    return seen;
}

// The first grant of a budget waits for the disk. Who leaves, or is ended, in each
// moment of that leaves a row, and nothing reserved.
static void who_waits_for_the_disk_may_end_at_any_moment(void **state) {
    (void)state;
    char *request = request_of("POST", "/v1/chat/completions", "application/json", CHAT(COLD));
    size_t seen = 0;
    for (int ending = 0; ending < DISK_ENDINGS; ending++)
        for (int turns = 3; turns < TURNS_MAX; turns++)
            seen += end_after(turns, (enum disk_ending)ending, request);
    assert_true(seen > 0); // else none of this was tested
    free(request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_is_told_of_who_left_too),
        cmocka_unit_test(a_deadline_in_a_queue_is_the_deadlines),
        cmocka_unit_test(who_waits_for_the_disk_may_end_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
