// The mailbox: every message arrives once, in each sender's order, on the
// loop's thread; from many threads at once.
#include "support.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>

enum { SENDERS = 4, EACH = 5000 };

struct letter {
    struct mail mail;
    struct office *office;
    unsigned sender, number;
};

struct office {
    struct event_base *loop;
    struct mailbox *box;
    pthread_t thread; // the loop's
    unsigned next[SENDERS], received, stop_after;
};

static void on_letter(struct mail *m) {
    struct letter *l = (struct letter *)m;
    struct office *o = l->office;
    assert_true(pthread_equal(pthread_self(), o->thread));
    assert_int_equal(l->number, o->next[l->sender]);
    o->next[l->sender]++;
    if (++o->received == o->stop_after)
        event_base_loopbreak(o->loop);
    free(l); // the mail is the receiver's
}

static void post(struct office *o, unsigned sender, unsigned number) {
    struct letter *l = base_alloc(sizeof *l);
    *l = (struct letter){{.run = on_letter}, o, sender, number};
    mailbox_post(o->box, &l->mail);
}

struct sender {
    struct office *office;
    unsigned number;
    pthread_t thread;
};

static void *send_all(void *arg) {
    const struct sender *s = arg;
    for (unsigned i = 0; i < EACH; i++)
        post(s->office, s->number, i);
    return NULL;
}

static void start(struct sender *all, struct office *o) {
    for (unsigned i = 0; i < SENDERS; i++) {
        all[i] = (struct sender){.office = o, .number = i};
        assert_int_equal(pthread_create(&all[i].thread, NULL, send_all, &all[i]), 0);
    }
}

static void join(struct sender *all) {
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(all[i].thread, NULL);
}

static int set_up(void **state) {
    struct office *o = base_calloc(1, sizeof *o);
    o->loop = event_base_new();
    o->box = mailbox_new(o->loop);
    o->thread = pthread_self();
    *state = o;
    return 0;
}

static int tear_down(void **state) {
    struct office *o = *state;
    mailbox_free(o->box);
    event_base_free(o->loop);
    free(o);
    return 0;
}

static void mail_waits_for_the_loop(void **state) {
    struct office *o = *state;
    post(o, 0, 0);
    post(o, 0, 1);
    assert_int_equal(o->received, 0); // never from within mailbox_post
    event_base_loop(o->loop, EVLOOP_NONBLOCK);
    assert_int_equal(o->received, 2);
    event_base_loop(o->loop, EVLOOP_NONBLOCK);
    assert_int_equal(o->received, 2);
    post(o, 0, 2);
    event_base_loop(o->loop, EVLOOP_NONBLOCK);
    assert_int_equal(o->received, 3);
}

static void mail_of_many_threads_arrives_in_order(void **state) {
    struct office *o = *state;
    struct sender senders[SENDERS];
    o->stop_after = SENDERS * EACH;
    start(senders, o);
    event_base_dispatch(o->loop); // a lost wake-up would leave it here
    join(senders);
    assert_int_equal(o->received, SENDERS * EACH);
}

static void what_is_left_runs_when_the_box_is_freed(void **state) {
    struct office *o = *state;
    struct sender senders[SENDERS];
    start(senders, o);
    join(senders);
    assert_int_equal(o->received, 0);
    mailbox_free(o->box);
    o->box = NULL;
    assert_int_equal(o->received, SENDERS * EACH);
}

struct chain {
    struct mail mail;
    struct office *office;
    unsigned left;
};

static void on_chain(struct mail *m) {
    struct chain *c = (struct chain *)m;
    if (c->left-- > 0)
        mailbox_post(c->office->box, m);
}

// Mail that is posted while mail is read is mail as any other.
static void a_reader_may_post(void **state) {
    struct office *o = *state;
    struct chain c = {{.run = on_chain}, o, 10};
    mailbox_post(o->box, &c.mail);
    while (c.left != UINT32_MAX)
        event_base_loop(o->loop, EVLOOP_ONCE);
    c.left = 10;
    mailbox_post(o->box, &c.mail);
    mailbox_free(o->box); // also at the end
    o->box = NULL;
    assert_int_equal(c.left, UINT32_MAX);
}

int main(void) {
    evthread_use_pthreads();
#define OFFICE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        OFFICE_TEST(mail_waits_for_the_loop),
        OFFICE_TEST(mail_of_many_threads_arrives_in_order),
        OFFICE_TEST(what_is_left_runs_when_the_box_is_freed),
        OFFICE_TEST(a_reader_may_post),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    libevent_global_shutdown();
    return failed;
}
