// Answers of /v1/embeddings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "similar.h"

static void vectors_stand_by_their_index(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,-4.5]}]}",
        ("{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":1,"
         "\"embedding\":[3,-4.5e0]},{\"embedding\":[1,2],\"index\":0}],"
         "\"usage\":{\"prompt_tokens\":3}}"),
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[3,-4.5]}]}",
    };
    for (size_t i = 0; i < FARTHING_COUNT(bodies); i++) {
        struct error err;
        size_t width = 0;
        float *v = similar_answer_parse(slice_of(bodies[i]), 2, &width, &err);
        if (v == NULL)
            fail_msg("%s", err.text);
        assert_int_equal(width, 2);
        assert_true(v[0] == 1 && v[1] == 2 && v[2] == 3 && v[3] == -4.5f);
        free(v);
    }
}

static void what_is_no_answer_is_told(void **state) {
    (void)state;
    static const struct {
        const char *body, *part;
    } rows[] = {
        {"", "byte 0"},
        {"[]", "0 vectors in its data, expected 2"},
        {"{\"error\":{}}", "0 vectors"},
        {"{\"data\":{}}", "0 vectors"},
        {"{\"data\":[{\"embedding\":[1]}]}", "1 vectors"},
        {"{\"data\":[{\"embedding\":[1]},{\"embedding\":[1]},{\"embedding\":[1]}]}", "3 vectors"},
        {"{\"data\":[1,2]}", "entry 0 of data has no embedding"},
        {"{\"data\":[{\"embedding\":[1]},{}]}", "entry 1 of data has no embedding"},
        {"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
         "entry 1 of data has no index of its own from 0 to 1"},
        {"{\"data\":[{\"index\":2,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}", "entry 0"},
        {"{\"data\":[{\"index\":-1,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
         "entry 0"},
        {"{\"data\":[{\"index\":\"0\",\"embedding\":[1]},{\"index\":1,\"embedding\":[1]}]}",
         "entry 0"},
        {"{\"data\":[{\"embedding\":[]},{\"embedding\":[1]}]}", "vector 0: expected a list"},
        {"{\"data\":[{\"embedding\":\"AAAA\"},{\"embedding\":[1]}]}", "vector 0: expected a list"},
        {"{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[1]}]}", "vector 1 has 1 numbers"},
        {"{\"data\":[{\"embedding\":[1,null]},{\"embedding\":[1,2]}]}",
         "vector 0: number 1 is none"},
        {"{\"data\":[{\"embedding\":[1e39]},{\"embedding\":[1]}]}", "vector 0: number 0 is none"},
        {"{\"data\":[{\"embedding\":[1e999]},{\"embedding\":[1]}]}", "vector 0: number 0 is none"},
    };
    for (size_t i = 0; i < FARTHING_COUNT(rows); i++) {
        struct error err;
        size_t width;
        float *v = similar_answer_parse(slice_of(rows[i].body), 2, &width, &err);
        if (v != NULL || slice_find(slice_of(err.text), slice_of(rows[i].part)) < 0)
            fail_msg("\"%s\" and not \"%s\"", v != NULL ? "" : err.text, rows[i].part);
    }
}

static void too_wide_is_refused(void **state) {
    (void)state;
    struct buffer body = {0};
    struct error err;
    size_t width;
    BUFFER_LITERAL(&body, "{\"data\":[{\"embedding\":[0");
    for (int i = 0; i < 8192; i++)
        BUFFER_LITERAL(&body, ",0");
    BUFFER_LITERAL(&body, "]}]}");
    assert_null(similar_answer_parse(buffer_slice(&body), 1, &width, &err));
    assert_true(slice_find(slice_of(err.text), SLICE("1 to 8192 numbers")) > 0);
    buffer_free(&body);
}

static void a_request_s_vector_has_length_one(void **state) {
    (void)state;
    struct arena *arena = arena_new(256);
    struct classify_vector v;
    struct error err;
    assert_true(
        classify_vector_parse(SLICE("{\"data\":[{\"embedding\":[3,4]}]}"), arena, &v, &err));
    assert_int_equal(v.count, 2);
    assert_true(v.values[0] == 0.6f && v.values[1] == 0.8f);
    assert_false(
        classify_vector_parse(SLICE("{\"data\":[{\"embedding\":[0,0]}]}"), arena, &v, &err));
    assert_string_equal(err.text, "the vector has no length");
    assert_false(classify_vector_parse(SLICE("{\"data\":[]}"), arena, &v, &err));
    assert_true(
        classify_vector_parse(SLICE("{\"data\":[{\"embedding\":[1e-40,3e38]}]}"), arena, &v, &err));
    assert_true(v.values[1] == 1);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_stand_by_their_index),
        cmocka_unit_test(what_is_no_answer_is_told),
        cmocka_unit_test(too_wide_is_refused),
        cmocka_unit_test(a_request_s_vector_has_length_one),
    };
    return cmocka_run_group_tests_name("route/similar_answer", tests, NULL, NULL);
}
