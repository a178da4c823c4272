// Messages between instances: what is in them, how large they may become, and that
// damaged ones change nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "gossip_scene.h"

struct pair {
    struct gossip_rooms here, there;
    struct json_doc *doc;
};

static int set_up(void **state) {
    struct pair *p = calloc(1, sizeof *p);
    clock_freeze(1700000000000, 1000000000000);
    log_set_level((enum log_level)(LOG_ERROR + 1));
    metric_reset_for_test();
    p->here = rooms_new();
    p->there = rooms_new();
    p->doc = json_doc_new();
    *state = p;
    return 0;
}

static int tear_down(void **state) {
    struct pair *p = *state;
    json_doc_free(p->doc);
    rooms_free(&p->here);
    rooms_free(&p->there);
    clock_thaw();
    log_set_level(LOG_INFO);
    free(p);
    return 0;
}

static bool write(struct pair *p, enum gossip_say say, unsigned more, struct buffer *out) {
    const struct gossip_head head = {say, SLICE("01INSTANCE"), clock_wall_ms()};
    return gossip_write(&p->here, &head, more, mono_ms(), out);
}

static bool take(struct pair *p, struct slice text) {
    struct gossip_head head;
    if (!gossip_read(p->doc, text, &head))
        return false;
    gossip_take(&p->there, &head, p->doc, 2, mono_ms(), mono_ms());
    return true;
}

static bool hand_over(struct pair *p, enum gossip_say say) {
    struct buffer text = {0};
    bool said = write(p, say, GOSSIP_SLOW, &text);
    assert_int_equal(said, text.len > 0);
    if (said)
        assert_true(take(p, buffer_slice(&text)));
    buffer_free(&text);
    return said;
}

static void know_all(struct pair *p) {
    rooms_trip(&p->here);
    rooms_learn(&p->here);
    rooms_earn(&p->here);
}

// ------------------------------------------------------------------- contents

static void each_room_hears_its_section(void **state) {
    struct pair *p = *state;
    know_all(p);
    assert_true(hand_over(p, GOSSIP_NEWS));
    assert_true(rooms_is_open(&p->there));
    assert_in_range(rooms_likely(&p->there), 15000, 17000);
    assert_int_equal(rooms_percent(&p->there), 75);
    assert_int_equal(rooms_retries_milli(&p->there), 53000); // half of a hundred, and the floor
    assert_false(hand_over(p, GOSSIP_NEWS));
}

static void all_is_told_to_a_newcomer(void **state) {
    struct pair *p = *state;
    struct buffer text = {0};
    know_all(p);
    assert_true(write(p, GOSSIP_NEWS, GOSSIP_SLOW, &text)); // nobody heard it
    buffer_free(&text);
    assert_true(hand_over(p, GOSSIP_ALL));
    assert_true(rooms_is_open(&p->there));
    assert_int_equal(rooms_likely(&p->there), rooms_likely(&p->here));
    assert_int_equal(rooms_percent(&p->there), 75);
    assert_int_equal(rooms_retries_milli(&p->there), 3000); // runs off before it is of use
}

static void what_is_of_no_hurry_waits(void **state) {
    struct pair *p = *state;
    struct buffer text = {0};
    know_all(p);
    assert_true(write(p, GOSSIP_NEWS, 0, &text));
    assert_true(take(p, buffer_slice(&text)));
    assert_true(rooms_is_open(&p->there));
    assert_int_equal(rooms_likely(&p->there), 8500);
    buffer_clear(&text);
    assert_false(write(p, GOSSIP_NEWS, 0, &text));
    assert_int_equal(text.len, 0);
    buffer_free(&text);
    assert_true(hand_over(p, GOSSIP_NEWS));
    assert_int_equal(rooms_percent(&p->there), 75);
}

static void open_ones_are_told_again(void **state) {
    struct pair *p = *state;
    struct buffer text = {0};
    rooms_trip(&p->here);
    assert_true(write(p, GOSSIP_NEWS, 0, &text)); // nobody heard it
    buffer_clear(&text);
    assert_true(write(p, GOSSIP_NEWS, GOSSIP_OPEN, &text));
    assert_true(take(p, buffer_slice(&text)));
    assert_true(rooms_is_open(&p->there));
    buffer_free(&text);
}

static void a_hello_says_nothing_else(void **state) {
    struct pair *p = *state;
    struct buffer text = {0};
    know_all(p);
    assert_true(write(p, GOSSIP_HELLO, GOSSIP_SLOW, &text));
    assert_true(slice_equal(buffer_slice(&text), SLICE("{\"v\":1,\"say\":\"hello\",\"from\":"
                                                       "\"01INSTANCE\",\"at\":1700000000000}")));
    // Nor is anything heard of one.
    assert_true(take(p, SLICE("{\"v\":1,\"say\":\"hello\",\"from\":\"x\",\"at\":5,\"breakers\":"
                              "[[\"openai/gpt-4o\",\"open\",0,5000,0,5,5]]}")));
    assert_false(rooms_is_open(&p->there));
    buffer_free(&text);
}

static void what_is_there_already_stays(void **state) {
    struct pair *p = *state;
    struct buffer text = {0};
    buffer_append(&text, SLICE("before"));
    assert_false(write(p, GOSSIP_NEWS, GOSSIP_SLOW, &text));
    assert_true(slice_equal(buffer_slice(&text), SLICE("before")));
    rooms_trip(&p->here);
    assert_true(write(p, GOSSIP_NEWS, GOSSIP_SLOW, &text));
    assert_true(take(p, slice_from(buffer_slice(&text), 6)));
    buffer_free(&text);
}

// --------------------------------------------------------------------- bounds

// Everything is full: each message keeps its bound, and all comes over in the end.
static void messages_are_bounded(void **state) {
    enum { MODELS = 500, FEATURES = 800 };
    struct pair *p = *state;
    struct breakers_loop *loop = breakers_loop_new(p->here.breakers);
    const struct breaker_figures one_is_enough = {1, 30000, 60000, 0};
    char name[64];
    for (int i = 0; i < MODELS; i++) {
        struct breaker_ticket t;
        struct slice model = slice_make(name, (size_t)snprintf(name, sizeof name, "p/\"m-%d", i));
        estimator_learn(p->here.estimator, model, 1000, 900);
        assert_int_equal(breaker_admit(loop, model, &one_is_enough, mono_ms(), &t), BREAKER_CLOSED);
        assert_true(breaker_report(&t, BREAKER_BAD, 1, mono_ms()));
    }
    for (int i = 0; i < FEATURES; i++) {
        int n = snprintf(name, sizeof name, "feature-%d", i);
        past_note(p->here.past, SLICE("acme"), slice_make(name, (size_t)n), SLICE("small"), true);
    }
    struct buffer text = {0};
    size_t messages = 0;
    while (write(p, GOSSIP_NEWS, GOSSIP_SLOW, &text)) {
        assert_true(text.len <= GOSSIP_BYTES_MAX);
        assert_true(take(p, buffer_slice(&text)));
        buffer_clear(&text);
        messages++;
    }
    assert_in_range(messages, 3, 20);
    assert_int_equal(past_count(p->there.past), past_count(p->here.past));
    assert_true(write(p, GOSSIP_ALL, GOSSIP_SLOW, &text) && text.len <= GOSSIP_BYTES_MAX);
    buffer_free(&text);
    breakers_loop_free(loop);
}

static void what_is_no_message_is_refused(void **state) {
    static const char *const texts[] = {
        "",
        " ",
        "null",
        "[]",
        "5",
        "{}",
        "{\"v\":1}",
        "hello",
        "{\"v\":2,\"say\":\"news\",\"from\":\"x\",\"at\":5}",
        "{\"v\":\"1\",\"say\":\"news\",\"from\":\"x\",\"at\":5}",
        "{\"v\":1,\"say\":\"newt\",\"from\":\"x\",\"at\":5}",
        "{\"v\":1,\"say\":1,\"from\":\"x\",\"at\":5}",
        "{\"v\":1,\"say\":\"news\",\"from\":\"\",\"at\":5}",
        "{\"v\":1,\"say\":\"news\",\"from\":7,\"at\":5}",
        "{\"v\":1,\"say\":\"news\",\"at\":5}",
        "{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":\"5\"}",
        "{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":1e99}",
        "{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":-9223372036854775808}",
        "{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":5",
        "{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":5}}",
        "{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":5,\"breakers\":[[[[[[[[[[]]]]]]]]]]}",
    };
    struct pair *p = *state;
    struct gossip_head head;
    for (size_t i = 0; i < FARTHING_COUNT(texts); i++)
        if (gossip_read(p->doc, slice_of(texts[i]), &head))
            fail_msg("%s", texts[i]);
    struct buffer text = {0};
    buffer_printf(&text, "{\"v\":1,\"say\":\"news\",\"from\":\"%065d\",\"at\":5}", 0);
    assert_false(gossip_read(p->doc, buffer_slice(&text), &head)); // no instance's name
    buffer_clear(&text);
    buffer_append(&text, SLICE("{\"v\":1,\"say\":\"news\",\"from\":\"x\",\"at\":5,\"more\":\""));
    while (text.len < 2 * GOSSIP_BYTES_MAX)
        buffer_append_char(&text, 'x');
    buffer_append(&text, SLICE("\"}"));
    assert_false(gossip_read(p->doc, buffer_slice(&text), &head)); // too long
    buffer_free(&text);
}

static void what_is_not_known_is_passed_over(void **state) {
    struct pair *p = *state;
    assert_true(
        take(p, SLICE("{\"later\":{\"v\":9},\"v\":1,\"say\":\"news\",\"at\":5,\"from\":\"x\","
                      "\"weather\":[1,2,3],\"tokens\":null,\"past\":7,\"retries\":{},"
                      "\"breakers\":[[\"openai/gpt-4o\",\"open\",0,5000,0,5,5]]}")));
    assert_true(rooms_is_open(&p->there));
    assert_int_equal(rooms_likely(&p->there), 8500);
}

// A message with any byte of it another one is no message, or one that does no harm.
static void damaged_messages(void **state) {
    struct pair *p = *state;
    struct buffer text = {0};
    know_all(p);
    assert_true(write(p, GOSSIP_NEWS, GOSSIP_SLOW, &text));
    static const char bytes[] = {'0', '9', '-', '"', '[', ']', '}', ',', '\0', '\xff'};
    for (size_t at = 0; at < text.len; at++) {
        char was = text.ptr[at];
        for (size_t i = 0; i < sizeof bytes; i++) {
            text.ptr[at] = bytes[i];
            (void)take(p, buffer_slice(&text));
        }
        text.ptr[at] = was;
        (void)take(p, slice_make(text.ptr, at));
        int64_t percent = rooms_percent(&p->there);
        assert_true(percent >= CONFIG_UNSET && percent <= 100);
        assert_in_range(rooms_likely(&p->there), 3000, 30016);
    }
    buffer_free(&text);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        PAIR(each_room_hears_its_section),
        PAIR(all_is_told_to_a_newcomer),
        PAIR(what_is_of_no_hurry_waits),
        PAIR(open_ones_are_told_again),
        PAIR(a_hello_says_nothing_else),
        PAIR(what_is_there_already_stays),
        PAIR(messages_are_bounded),
        PAIR(what_is_no_message_is_refused),
        PAIR(what_is_not_known_is_passed_over),
        PAIR(damaged_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
