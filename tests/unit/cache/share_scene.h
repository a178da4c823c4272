// Two instances on one redis-server: each a store, a loop and flights of its own
// (flight_scene.h), as two processes would have; the test turns both loops.
#ifndef FARTHING_TEST_SHARE_SCENE_H
#define FARTHING_TEST_SHARE_SCENE_H

#include "flight_scene.h"

#include <stdio.h>

#include "../store/redis_server.h"
#include "../support/directory.h"
#include "farthing/share.h"

struct instance {
    char directory[64];
    struct world *world;
    struct store *store;
    struct store_client *client;
    struct share *share;
};

// One who has asked for the purchase that it leads.
struct buyer {
    struct instance *at;
    struct person *person;
    struct share_purchase *purchase; // NULL: finished, or followed
    bool asked;
    unsigned words;
    enum share_word word;
};

enum { INSTANCES = 2 };
struct fleet {
    struct redis_server server;
    struct instance at[INSTANCES];
    struct buyer buyers[INSTANCES * SEATS];
    size_t buyer_count;
};

static inline void open_instance(struct fleet *f, struct instance *i) {
    const struct store_redis_options redis = {.socket_path = f->server.socket_path,
                                              .connect_timeout_ms = 20000,
                                              .command_timeout_ms = 20000,
                                              .max_value_bytes = 1 << 20};
    struct error err;
    void *world;
    assert_int_equal(set_up(&world), 0);
    i->world = world;
    i->store = store_open_redis(&(struct store_options){i->directory, 1 << 20}, &redis, &err);
    assert_non_null(i->store);
    i->client = store_client_new(i->store, i->world->loop);
    i->share = share_new(i->world->loop, i->world->box, i->store, i->client);
}

static inline void close_instance(struct instance *i) {
    share_free(i->share);
    store_client_free(i->client);
    store_close(i->store);
    void *world = i->world;
    tear_down(&world);
    directory_remove(i->directory);
}

static inline void run_all(struct fleet *f) {
    for (size_t n = 0; n < INSTANCES; n++)
        run_mail(f->at[n].world);
}

// Whatever it takes, up to where something is wrong.
#define AWAIT(fleet, condition)                                 \
    do {                                                        \
        unsigned turns_ = 0;                                    \
        for (; !(condition) && turns_ < 20000; turns_++) {      \
            run_all(fleet);                                     \
            usleep(1000);                                       \
        }                                                       \
        assert_true(condition);                                 \
    } while (0)

static inline int64_t number_of(struct fleet *f, const char *command) {
    char answer[256];
    redis_server_ask(&f->server, command, answer, sizeof answer);
    return strtoll(answer + 1, NULL, 10);
}

// Messages are heard by who listens already.
static inline bool all_listen(struct fleet *f) {
    char answer[1024];
    redis_server_ask(&f->server, "PUBSUB CHANNELS farthing:flight:*", answer, sizeof answer);
    return answer[0] == '*' && strtol(answer + 1, NULL, 10) == INSTANCES;
}

static inline int fleet_set_up(void **state) {
    struct fleet *f = base_calloc(1, sizeof *f);
    for (size_t n = 0; n < INSTANCES; n++) {
        strcpy(f->at[n].directory, "share-test-XXXXXX");
        assert_non_null(mkdtemp(f->at[n].directory));
    }
    snprintf(f->server.socket_path, sizeof f->server.socket_path, "%s/redis", f->at[0].directory);
    redis_server_start(&f->server);
    for (size_t n = 0; n < INSTANCES; n++)
        open_instance(f, &f->at[n]);
    AWAIT(f, all_listen(f));
    *state = f;
    return 0;
}

static inline void give_back(struct buyer *b) {
    if (b->purchase != NULL)
        share_finish(b->purchase, FLIGHT_FAILED, 0, NULL);
    b->purchase = NULL;
}

static inline int fleet_tear_down(void **state) {
    struct fleet *f = *state;
    for (size_t n = 0; n < f->buyer_count; n++)
        give_back(&f->buyers[n]);
    for (size_t n = 0; n < INSTANCES; n++)
        close_instance(&f->at[n]);
    redis_server_stop(&f->server);
    free(f);
    return 0;
}

#define FLEET_TEST(function) \
    cmocka_unit_test_setup_teardown(function, fleet_set_up, fleet_tear_down)

// ------------------------------------------------------------------- buyers

static inline void on_word(void *arg, enum share_word word) {
    struct buyer *b = arg;
    b->words++;
    b->word = word;
}

// A person that leads asks, for whom it keeps or streams.
static inline struct buyer *begin_ask(struct fleet *f, size_t instance, struct person *leader,
                                      bool streams) {
    struct buyer *b = &f->buyers[f->buyer_count++];
    const struct cache_key key = key_number(0);
    *b = (struct buyer){.at = &f->at[instance], .person = leader};
    b->purchase =
        share_ask(b->at->share, &key, leader->seat, streams, false, on_word, b, &b->asked);
    assert_int_equal(b->words, 0);
    return b;
}

static inline struct buyer *ask(struct fleet *f, size_t instance, size_t person, bool streams) {
    struct person *p = join_key(f->at[instance].world, person, streams, 0);
    assert_int_equal(p->role, FLIGHT_LEADER);
    struct buyer *b = begin_ask(f, instance, p, streams);
    assert_true(b->asked);
    AWAIT(f, b->words > 0);
    return b;
}

static inline struct buyer *own(struct fleet *f, size_t instance, size_t person) {
    struct buyer *b = ask(f, instance, person, true);
    assert_int_equal(b->word, SHARE_OURS);
    return b;
}

static inline struct person *follow(struct fleet *f, size_t instance, size_t person,
                                    bool streams) {
    struct buyer *b = ask(f, instance, person, streams);
    assert_int_equal(b->word, SHARE_THEIRS);
    share_follow(b->purchase);
    b->purchase = NULL;
    b->person->reads = true;
    return b->person;
}

static inline void end_purchase(struct buyer *b, enum flight_end end, int status,
                                const char *body) {
    struct cache_answer answer = answer_of(slice_of(body));
    share_finish(b->purchase, end, status, body != NULL ? &answer : NULL);
    b->purchase = NULL;
    finish(b->person, end, status, body);
}

static inline bool has_waiter(const struct buyer *owner) {
    return flight_followers(owner->person->seat) > 0;
}

#endif
