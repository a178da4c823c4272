// The reader of server-sent events, at every split of its input.
#include "support.h"

// What was heard, in a line: name|data of each event that has data.
struct events {
    struct buffer raw;
    struct buffer said;
    size_t count; // of all calls
};

static void on_event(void *arg, const struct sse_event *event) {
    struct events *e = arg;
    e->count++;
    assert_true(event->raw.len > 0);
    buffer_append(&e->raw, event->raw);
    if (event->is_late_lf) {
        assert_text(event->raw, "\n");
        assert_false(event->has_data);
    }
    if (!event->has_data)
        return;
    buffer_append(&e->said, event->name);
    buffer_append_char(&e->said, '|');
    buffer_append(&e->said, event->data);
    buffer_append_char(&e->said, ';');
}

static void events_free(struct events *e) {
    buffer_free(&e->raw);
    buffer_free(&e->said);
}

// As feed_piece: from memory that is gone afterwards.
static bool feed(struct sse *s, struct slice piece, struct events *e) {
    char *own = base_alloc(piece.len > 0 ? piece.len : 1);
    if (piece.len > 0)
        memcpy(own, piece.ptr, piece.len);
    bool ok = sse_feed(s, slice_make(own, piece.len), on_event, e);
    free(own);
    return ok;
}

static const struct sample {
    const char *text;
    const char *said;
    const char *rest; // of an event that has not ended
} samples[] = {
    {"data: a\n\n", "|a;", ""},
    {"data: a\r\n\r\n", "|a;", ""},
    {"data: a\r\r", "|a;", ""},
    {"data: a\r\n\n", "|a;", ""},
    {"data: a\n\r\n", "|a;", ""},
    {"data: a\r\r\n", "|a;", ""},
    {"data: a\n\r", "|a;", ""},
    {"data:a\n\n", "|a;", ""},
    {"data:  a \n\n", "| a ;", ""},
    {"data:\ta\n\n", "|\ta;", ""},
    {"data: a:b: c\n\n", "|a:b: c;", ""},
    {"data\n\n", "|;", ""},
    {"data:\n\n", "|;", ""},
    {"data: \n\n", "|;", ""},
    {"data: a\ndata: b\n\n", "|a\nb;", ""},
    {"data: a\r\ndata:b\rdata: c\n\n", "|a\nb\nc;", ""},
    {"data\ndata\n\n", "|\n;", ""},
    {"data: a\ndata\ndata: b\n\n", "|a\n\nb;", ""},
    {"event: x\ndata: a\n\n", "x|a;", ""},
    {"data: a\nevent:x\n\n", "x|a;", ""},
    {"event: x\nevent: y\ndata: a\n\n", "y|a;", ""},
    {"event\ndata: a\n\n", "|a;", ""},
    {"event: x\n\ndata: a\n\n", "|a;", ""},
    {"id: 7\nretry: 10\ndata: a\n\n", "|a;", ""},
    {"Data: a\n\n", "", ""},
    {" data: a\n\n", "", ""},
    {"database: a\n\n", "", ""},
    {": comment\n\n", "", ""},
    {": comment\ndata: a\n: other\n\n", "|a;", ""},
    {":\n\n", "", ""},
    {"\n\n\n\ndata: a\n\n\n\n", "|a;", ""},
    {"\r\n\r\n\r\ndata: a\r\n\r\n\r\n", "|a;", ""},
    {"\xef\xbb\xbf"
     "data: a\n\ndata: b\n\n",
     "|a;|b;", ""},
    {"\xef\xbb\xbf\ndata: a\n\n", "|a;", ""},
    {"data: a\n\n\xef\xbb\xbf"
     "data: b\n\n",
     "|a;", ""},
    {"data: a\n\ndata: b\n\ndata: c\n\n", "|a;|b;|c;", ""},
    {"data: a\r\n\r\ndata: b\r\n\r\ndata: c\r\n\r\n", "|a;|b;|c;", ""},
    {"data: a\r\rdata: b\r\rdata: c\r\r", "|a;|b;|c;", ""},
    {"data: a\n\ndata: b", "|a;", "data: b"},
    {"data: a\n\ndata: b\n", "|a;", "data: b\n"},
    {"data: a\r\n\r\ndata: b\r\n", "|a;", "data: b\r\n"},
    {"data: b\r", "", "data: b\r"},
    {"d", "", "d"},
    {"\xef\xbb\xbf", "", "\xef\xbb\xbf"},
    {"data: \xe2\x82\xac\xff\n\n", "|\xe2\x82\xac\xff;", ""},
    {"", "", ""},
};

static void check(const struct sample *sample, const struct events *e, const struct sse *s) {
    struct buffer all = {0};
    assert_bytes(buffer_slice(&e->said), slice_of(sample->said), sample->text);
    assert_bytes(sse_rest(s), slice_of(sample->rest), sample->text);
    buffer_append(&all, buffer_slice(&e->raw));
    buffer_append(&all, sse_rest(s));
    assert_bytes(buffer_slice(&all), slice_of(sample->text), "nothing is lost");
    buffer_free(&all);
}

static void every_split_in_two(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(samples); i++) {
        struct slice text = slice_of(samples[i].text);
        for (size_t at = 0; at <= text.len; at++) {
            struct sse *s = sse_new(1024);
            struct events e = {0};
            assert_true(feed(s, slice_make(text.ptr, at), &e));
            assert_true(feed(s, slice_from(text, at), &e));
            check(&samples[i], &e, s);
            events_free(&e);
            sse_free(s);
        }
    }
}

static void byte_by_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(samples); i++) {
        struct slice text = slice_of(samples[i].text);
        struct sse *s = sse_new(1024);
        struct events e = {0};
        for (size_t at = 0; at < text.len; at++)
            assert_true(feed(s, slice_make(text.ptr + at, 1), &e));
        check(&samples[i], &e, s);
        events_free(&e);
        sse_free(s);
    }
}

static void nul_is_a_byte_like_others(void **state) {
    (void)state;
    struct sse *s = sse_new(1024);
    struct events e = {0};
    struct slice text = SLICE("data: a\0b\n\n");
    assert_true(feed(s, text, &e));
    assert_bytes(buffer_slice(&e.said), SLICE("|a\0b;"), "data");
    assert_bytes(buffer_slice(&e.raw), text, "raw");
    events_free(&e);
    sse_free(s);
}

static void an_event_is_given_as_soon_as_it_ends(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t events;
    } cases[] = {
        {"data: a\n\n", 1},     {"data: a\r\r", 1}, {"data: a\r\n\r", 1}, // the LF may never come
        {"data: a\r\n\r\n", 1}, {"data: a\n", 0},   {"data: a\r\n", 0},
    };
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct sse *s = sse_new(1024);
        struct events e = {0};
        assert_true(feed(s, slice_of(cases[i].text), &e));
        assert_int_equal(e.count, cases[i].events);
        events_free(&e);
        sse_free(s);
    }
}

static void late_lf_is_told(void **state) {
    (void)state;
    struct sse *s = sse_new(1024);
    struct events e = {0};
    assert_true(feed(s, SLICE("data: a\r\n\r"), &e));
    assert_true(feed(s, SLICE(""), &e));
    assert_int_equal(e.count, 1);
    assert_true(feed(s, SLICE("\ndata: b\n\n"), &e));
    assert_int_equal(e.count, 3);
    assert_bytes(buffer_slice(&e.said), SLICE("|a;|b;"), "said");
    events_free(&e);
    sse_free(s);
}

// An event of `length` bytes in all, in pieces of `piece`.
static bool takes(size_t limit, size_t length, size_t piece) {
    struct buffer text = {0};
    BUFFER_LITERAL(&text, "data: ");
    while (text.len < length - 2)
        buffer_append_char(&text, 'x');
    BUFFER_LITERAL(&text, "\n\n");
    struct sse *s = sse_new(limit);
    struct events e = {0};
    bool ok = true;
    for (size_t at = 0; at < length && ok; at += piece) {
        struct slice rest = slice_from(buffer_slice(&text), at);
        ok = feed(s, slice_make(rest.ptr, rest.len < piece ? rest.len : piece), &e);
    }
    assert_int_equal(e.count, ok ? 1 : 0);
    if (!ok) // and no more is taken, or kept
        assert_false(feed(s, SLICE("data: a\n\n"), &e));
    assert_true(sse_rest(s).len <= limit);
    events_free(&e);
    buffer_free(&text);
    sse_free(s);
    return ok;
}

static void size_is_bounded_however_it_comes(void **state) {
    (void)state;
    static const size_t pieces[] = {1, 7, 63, 64, 65, 1000};
    for (size_t i = 0; i < FARTHING_COUNT(pieces); i++) {
        assert_true(takes(64, 64, pieces[i]));
        assert_false(takes(64, 65, pieces[i]));
        assert_true(takes(100000, 100000, pieces[i]));
    }
}

// Lines longer than what is searched at once, ended in each way.
static void long_lines(void **state) {
    (void)state;
    static const char *const ends[] = {"\n", "\r", "\r\n"};
    for (size_t i = 0; i < FARTHING_COUNT(ends); i++)
        for (size_t length = 500; length < 530; length++) {
            struct buffer text = {0}, wanted = {0};
            for (size_t event = 0; event < 3; event++) {
                BUFFER_LITERAL(&text, "data:");
                BUFFER_LITERAL(&wanted, "|");
                for (size_t k = 0; k < length; k++) {
                    buffer_append_char(&text, 'x');
                    buffer_append_char(&wanted, 'x');
                }
                buffer_append(&text, slice_of(ends[i]));
                buffer_append(&text, slice_of(ends[i]));
                BUFFER_LITERAL(&wanted, ";");
            }
            struct sse *s = sse_new(1024);
            struct events e = {0};
            assert_true(feed(s, buffer_slice(&text), &e));
            assert_bytes(buffer_slice(&e.said), buffer_slice(&wanted), "said");
            assert_bytes(buffer_slice(&e.raw), buffer_slice(&text), "raw");
            events_free(&e);
            sse_free(s);
            buffer_free(&text);
            buffer_free(&wanted);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_in_two),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(nul_is_a_byte_like_others),
        cmocka_unit_test(an_event_is_given_as_soon_as_it_ends),
        cmocka_unit_test(late_lf_is_told),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(size_is_bounded_however_it_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
