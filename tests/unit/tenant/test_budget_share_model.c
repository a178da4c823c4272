// budget_share.lua by itself, against a model that knows what every instance really did:
// calls that come twice, late, out of order or never, whose answers are lost, instances
// that die, that are away for longer than their term and come back; amounts up to 2^63.
// Whatever happens, what was spent and what may be spent is never more than there is.
#include "budget_share_scene.h"
// After it: cmocka's.

static const char script_text[] =
#include "budget_share.lua.h"
    ;
static const struct store_script script = {"budget_share", script_text};

enum { ACTORS = 4, STEPS = 3000, LATE = 3, BLOCK_MAX = 512 };

// One lease of one instance: what it goes by, and what it has done.
struct actor {
    char name[16];
    config_pico spent, reserved, held;
    uint64_t heard;
    struct span_share said;
    char late[LATE][BLOCK_MAX]; // calls that are still on their way
    uint64_t late_numbers[LATE];
};

struct model {
    struct budget_scene *on;
    struct store_client *client;
    struct event_base *loop;
    config_pico amount;
    bool mortal, over; // over: nobody wants more
    uint64_t number, births;
    struct actor actors[ACTORS];
    config_pico dead; // what they really spent
};

struct heard {
    bool done;
    struct buffer text;
};

static void on_heard(void *arg, enum store_status status, struct slice value, int64_t expires_ms) {
    (void)expires_ms;
    struct heard *h = arg;
    assert_int_equal(status, STORE_OK);
    buffer_append(&h->text, value);
    h->done = true;
}

static void call(struct model *m, const struct actor *a, uint64_t number, const char *block,
                 struct share_told *told, struct buffer *text) {
    char number_text[24];
    snprintf(number_text, sizeof number_text, "%llu", (unsigned long long)number);
    const struct slice key = SLICE("{t:model}:budget::all");
    const struct slice args[] = {SLICE("report"), slice_of(a->name), slice_of(number_text),
                                 SLICE("1"), SLICE("1000"), slice_of(block)};
    const struct store_call c = {
        .script = &script, .keys = &key, .key_count = 1, .args = args, .arg_count = 6};
    struct heard h = {0};
    assert_non_null(store_run(m->client, &c, on_heard, &h));
    while (!h.done)
        event_base_loop(m->loop, EVLOOP_ONCE);
    buffer_clear(text);
    buffer_append(text, buffer_slice(&h.text));
    buffer_free(&h.text);
    struct slice rest = buffer_slice(text), line;
    assert_true(slice_split(&rest, '\n', &line) && slice_split(&rest, '\n', &line));
    if (!budget_share_parse(line, told))
        fail_msg("%.*s", SLICE_ARG(line));
    assert_int_equal(told->window_count, 1);
}

static void be_born(struct model *m, struct actor *a) {
    *a = (struct actor){0};
    snprintf(a->name, sizeof a->name, "i%llu", (unsigned long long)++m->births);
}

static config_pico some(config_pico most) {
    return most > 0 ? (config_pico)random_below((uint64_t)most + 1) : 0;
}

static config_pico used_of(const struct actor *a) {
    return a->spent + a->reserved;
}

static void write_block(const struct model *m, struct actor *a, char out[BLOCK_MAX]) {
    if (random_below(3) == 0) // it lowers its ceiling before it says so
        a->held = used_of(a) + some(a->held - used_of(a));
    config_pico more = m->over ? 0 : some(m->amount / (config_pico)(1 + random_below(8)));
    config_pico need = pico_add(used_of(a), more);
    need = need > a->held ? need : a->held;
    const struct share_window w = {.window = {0, INT64_MAX},
                                   .until_ms = INT64_MAX,
                                   .spent = a->spent,
                                   .held = a->held,
                                   .least = random_below(2) == 0 ? need : a->held,
                                   .need = need,
                                   .wanted = pico_add(need, more),
                                   .said = a->said};
    struct buffer text = {0};
    buffer_printf(&text, "%s.1 %llu %lld 0:fixed:utc %lld 0 1 0 4 1", a->name,
                  (unsigned long long)a->heard, (long long)m->amount, (long long)SHARE_FOREVER_MS);
    budget_share_put_window(&text, &w);
    assert_true(text.len < BLOCK_MAX);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    buffer_free(&text);
}

static void take_answer(struct actor *a, uint64_t number, config_pico spent,
                        const struct share_told *told) {
    const struct share_told_window *w = &told->windows[0];
    assert_true(w->ceiling >= a->held); // never less than it goes by
    a->held = w->ceiling;
    a->heard = number;
    a->said = (struct span_share){.spent_told = spent,
                                  .ceiling_told = w->ceiling,
                                  .told = number,
                                  .reset = w->reset,
                                  .base = w->base,
                                  .total = w->total,
                                  .open = w->open};
}

static void report(struct model *m, struct actor *a) {
    char block[BLOCK_MAX];
    struct share_told told;
    struct buffer text = {0};
    uint64_t number = ++m->number;
    write_block(m, a, block);
    size_t fate = random_below(8);
    if (fate < LATE) { // not now; and another may come before it
        memcpy(a->late[fate], block, sizeof block);
        a->late_numbers[fate] = number;
        return;
    }
    call(m, a, number, block, &told, &text);
    if (fate == 4)
        call(m, a, number, block, &told, &text); // twice
    if (fate != 5) // its answer is lost
        take_answer(a, number, a->spent, &told);
    buffer_free(&text);
}

// Whoever has sent it has given it up.
static void arrive_late(struct model *m, struct actor *a) {
    size_t i = random_below(LATE);
    struct share_told told;
    struct buffer text = {0};
    if (a->late_numbers[i] != 0)
        call(m, a, a->late_numbers[i], a->late[i], &told, &text);
    a->late_numbers[i] = 0;
    buffer_free(&text);
}

static void do_something(struct model *m, struct actor *a) {
    config_pico part;
    switch (random_below(16)) {
    case 0:
        if (m->mortal && random_below(8) == 0) {
            m->dead += a->spent + some(a->reserved);
            be_born(m, a);
        }
        return;
    case 1:
        arrive_late(m, a);
        return;
    case 2:
    case 3:
    case 4:
    case 5:
        a->reserved += some(a->held - used_of(a)); // it may, without asking
        return;
    case 6:
    case 7:
        part = some(a->reserved / 8);
        a->spent += part; // and the rest is given back
        a->reserved = 0;
        return;
    case 8:
        usleep(1100); // longer than a term
        return;
    default:
        report(m, a);
    }
}

static config_pico promised(const struct model *m) {
    config_pico sum = m->dead;
    for (size_t i = 0; i < ACTORS; i++)
        sum += m->actors[i].held;
    return sum;
}

static config_pico really_spent(const struct model *m) {
    config_pico sum = m->dead;
    for (size_t i = 0; i < ACTORS; i++)
        sum += m->actors[i].spent;
    return sum;
}

static void finish(struct model *m) {
    struct share_told told;
    struct buffer text = {0};
    config_pico total = 0;
    m->over = true;
    usleep(3000);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < ACTORS; i++) {
            struct actor *a = &m->actors[i];
            char block[BLOCK_MAX];
            a->reserved = 0;
            a->held = a->spent;
            write_block(m, a, block);
            call(m, a, ++m->number, block, &told, &text);
            take_answer(a, m->number, a->spent, &told);
            total = told.windows[0].total;
        }
    // Of who died, what it held counts.
    assert_true(total >= really_spent(m) && total <= m->amount);
    assert_true(m->mortal || total == really_spent(m));
    buffer_free(&text);
}

static void play(struct share_scene *s, config_pico amount, bool mortal, unsigned seed) {
    struct model m = {.on = instance(s, 0, ""), .amount = amount, .mortal = mortal};
    m.client = m.on->client;
    m.loop = m.on->loop;
    random_seed(seed);
    for (size_t i = 0; i < ACTORS; i++)
        be_born(&m, &m.actors[i]);
    config_pico highest = 0;
    for (int i = 0; i < STEPS; i++) {
        do_something(&m, &m.actors[random_below(ACTORS)]);
        config_pico sum = promised(&m);
        assert_true(sum <= amount);
        highest = sum > highest ? sum : highest;
    }
    assert_true(highest > amount / 2); // they did press
    finish(&m);
}

static void test_small_amounts(void **state) {
    play(*state, 1000, true, 1);
}

static void test_usual_amounts(void **state) {
    play(*state, 50 * USD + 123456789, true, 2);
}

static void test_amounts_beyond_what_a_double_holds(void **state) {
    play(*state, INT64_MAX / 4 + 7, true, 3);
}

// Whoever was away for longer than its term gets back what counted as spent.
static void test_nobody_dies(void **state) {
    play(*state, 7000 * USD + 1, false, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHARE(test_small_amounts),
        SHARE(test_usual_amounts),
        SHARE(test_amounts_beyond_what_a_double_holds),
        SHARE(test_nobody_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
