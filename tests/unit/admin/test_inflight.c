// What runs now, asked of loops that answer at once, later, badly, or never.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>

#include "scene.h"

enum { LOOPS = 4 };

#define OLD   "{\"id\":\"1\",\"tenant\":\"acme\",\"age_ms\":900}"
#define YOUNG "{\"id\":\"2\",\"tenant\":\"b/c & d\",\"age_ms\":5}"

// Loops that are asked: each has what it says, or nothing yet.
struct loops {
    struct scene *scene;
    const char *says[LOOPS]; // NULL: does not answer by itself
    struct admin_inflight_answer *asked[LOOPS];
    unsigned times;
};

static void ask_loops(void *arg, struct admin_inflight_answer *answer) {
    struct loops *l = arg;
    l->times++;
    for (unsigned i = 0; i < LOOPS; i++) {
        if (l->says[i] != NULL)
            admin_inflight_put(answer, slice_of(l->says[i]));
        else
            l->asked[i] = answer;
    }
}

static void put(struct loops *l, unsigned i, const char *text) {
    admin_inflight_put(l->asked[i], slice_of(text));
    l->asked[i] = NULL;
}

static int set_up(void **state) {
    struct loops *l = base_calloc(1, sizeof *l);
    l->scene = scene_new();
    l->scene->inflight = (struct admin_inflight_source){ask_loops, l, LOOPS};
    for (unsigned i = 0; i < LOOPS; i++)
        l->says[i] = "[]";
    scene_open(l->scene, false);
    *state = l;
    return 0;
}

static int tear_down(void **state) {
    struct loops *l = *state;
    void *scene = l->scene;
    scene_tear_down(&scene);
    for (unsigned i = 0; i < LOOPS; i++)
        if (l->asked[i] != NULL)
            put(l, i, "[]"); // long after the admin is gone
    free(l);
    return 0;
}

static void expect(struct loops *l, const char *path, const char *body) {
    char *got = scene_ask(l->scene, "GET", path);
    const char *at = strstr(got, "\r\n\r\n");
    assert_non_null(at);
    assert_string_equal(at + 4, body);
    free(got);
}

static void nothing_runs(void **state) {
    expect(*state, "/inflight", "{\"inflight\":[],\"incomplete\":false}\n");
}

static void all_loops_are_heard_and_the_oldest_comes_first(void **state) {
    struct loops *l = *state;
    l->says[0] = "[" YOUNG "]";
    l->says[2] = "[" OLD "," YOUNG "]";
    l->says[3] = ""; // has ended
    expect(l, "/inflight", "{\"inflight\":[" OLD "," YOUNG "," YOUNG "],\"incomplete\":false}\n");
}

static void one_tenant_is_shown_alone(void **state) {
    struct loops *l = *state;
    l->says[0] = "[" YOUNG ",{\"id\":\"3\",\"tenant\":null},{\"id\":\"4\"},5]";
    l->says[2] = "[" OLD "]";
    expect(l, "/inflight?tenant=acme", "{\"inflight\":[" OLD "],\"incomplete\":false}\n");
    expect(l, "/inflight?tenant=b%2Fc%20%26%20d",
           "{\"inflight\":[" YOUNG "],\"incomplete\":false}\n");
    expect(l, "/inflight?tenant=", "{\"inflight\":[],\"incomplete\":false}\n");
}

static void what_is_no_array_is_left_out_and_said(void **state) {
    struct loops *l = *state;
    static const char *const wrong[] = {"{}", "[", "[1,]", "5", "[\"x\"]]"};
    l->says[1] = "[\n" OLD " ]";
    for (size_t i = 0; i < FARTHING_COUNT(wrong); i++) {
        l->says[0] = wrong[i];
        expect(l, "/inflight", "{\"inflight\":[" OLD "],\"incomplete\":true}\n");
    }
}

// The timeout, for real: the one thing that a second is waited for.
static void who_does_not_answer_is_left_out(void **state) {
    struct loops *l = *state;
    l->says[0] = "[" OLD "]";
    l->says[3] = NULL;
    expect(l, "/inflight", "{\"inflight\":[" OLD "],\"incomplete\":true}\n");
    put(l, 3, "[" YOUNG "]"); // too late
    l->says[3] = "[]";
    expect(l, "/inflight", "{\"inflight\":[" OLD "],\"incomplete\":false}\n");
}

static void a_client_that_leaves_harms_nothing(void **state) {
    struct loops *l = *state;
    l->says[1] = l->says[2] = NULL;
    int fd = loopback_connect(l->scene->port);
    loopback_send(fd, "GET /inflight HTTP/1.1\r\nHost: x\r\n\r\n");
    while (l->times == 0)
        loopback_turn(l->scene->loop);
    close(fd);
    for (int i = 0; i < 5; i++)
        loopback_turn(l->scene->loop);
    put(l, 1, "[]");
    put(l, 2, "[]");
    l->says[1] = l->says[2] = "[" OLD "]";
    expect(l, "/inflight", "{\"inflight\":[" OLD "," OLD "],\"incomplete\":false}\n");
}

// The server and the admin go while a loop has still to answer (see tear_down).
static void the_admin_may_go_first(void **state) {
    struct loops *l = *state;
    l->says[1] = NULL;
    int fd = loopback_connect(l->scene->port);
    loopback_send(fd, "GET /inflight HTTP/1.1\r\nHost: x\r\n\r\n");
    while (l->times == 0)
        loopback_turn(l->scene->loop);
    close(fd);
}

// ----------------------------------------------------------------------- threads

struct teller {
    pthread_t thread;
    struct admin_inflight_answer *answer;
};

static void *tell(void *arg) {
    struct teller *t = arg;
    admin_inflight_put(t->answer, SLICE("[" OLD "]"));
    return NULL;
}

static struct teller tellers[LOOPS];

static void ask_threads(void *arg, struct admin_inflight_answer *answer) {
    (void)arg;
    for (unsigned i = 0; i < LOOPS; i++) {
        tellers[i].answer = answer;
        if (pthread_create(&tellers[i].thread, NULL, tell, &tellers[i]) != 0)
            abort();
    }
}

static void loops_answer_from_their_threads(void **state) {
    (void)state;
    struct scene *s = scene_new();
    s->inflight = (struct admin_inflight_source){ask_threads, NULL, LOOPS};
    scene_open(s, false);
    for (int round = 0; round < 50; round++) {
        scene_expect_page(s, "/inflight", "200",
                          "[" OLD "," OLD "," OLD "," OLD "],\"incomplete\":false}");
        for (unsigned i = 0; i < LOOPS; i++)
            pthread_join(tellers[i].thread, NULL);
    }
    void *scene = s;
    scene_tear_down(&scene);
}

#define LOOPS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        LOOPS_TEST(nothing_runs),
        LOOPS_TEST(all_loops_are_heard_and_the_oldest_comes_first),
        LOOPS_TEST(one_tenant_is_shown_alone),
        LOOPS_TEST(what_is_no_array_is_left_out_and_said),
        LOOPS_TEST(who_does_not_answer_is_left_out),
        LOOPS_TEST(a_client_that_leaves_harms_nothing),
        LOOPS_TEST(the_admin_may_go_first),
        cmocka_unit_test(loops_answer_from_their_threads),
    };
    return cmocka_run_group_tests_name("admin/inflight", tests, NULL, NULL);
}
