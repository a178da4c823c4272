// Entries: the copy in memory, and the form in the store, which comes back
// exactly or not at all.
#include "support.h"

static const struct cache_key key = {{1, 2, 3}};

static struct buffer encoded(const struct cache_answer *a) {
    struct buffer b = {0};
    entry_encode(&key, a, &b);
    return b;
}

// The checksum made right again, as a careless writer of another version would.
static void seal(struct buffer *b) {
    uint8_t sum[DIGEST_LEN];
    struct digest *d = digest_new();
    digest_update(d, slice_make(key.bytes, DIGEST_LEN));
    digest_update(d, slice_make(b->ptr, b->len - 8));
    digest_finish(d, sum);
    digest_free(d);
    memcpy(b->ptr + b->len - 8, sum, 8);
}

static bool is_accepted(const struct cache_key *k, struct slice bytes) {
    struct cache_entry *e = entry_decode(k, bytes);
    if (e != NULL)
        cache_entry_release(e);
    return e != NULL;
}

static void check_same(const struct cache_answer *a, const struct cache_answer *b) {
    assert_int_equal(a->endpoint, b->endpoint);
    assert_slice_equal(a->body, b->body);
    assert_slice_equal(a->content_type, b->content_type);
    assert_slice_equal(a->provider, b->provider);
    assert_slice_equal(a->model, b->model);
    assert_slice_equal(a->tier, b->tier);
    assert_slice_equal(a->finish_reason, b->finish_reason);
    assert_slice_equal(a->request_id, b->request_id);
    assert_int_equal(a->status, b->status);
    assert_memory_equal(a->fingerprint, b->fingerprint, DIGEST_LEN);
    assert_int_equal(a->birth.born, b->birth.born);
    assert_memory_equal(a->tags, b->tags, sizeof a->tags);
    assert_int_equal(a->cost_known, b->cost_known);
    assert_int_equal(a->cost_pico, b->cost_pico);
    assert_int_equal(a->created_ms, b->created_ms);
    assert_int_equal(a->expires_ms, b->expires_ms);
    assert_int_equal(a->usage.known, b->usage.known);
    assert_int_equal(a->usage.input_tokens, b->usage.input_tokens);
    assert_int_equal(a->usage.output_tokens, b->usage.output_tokens);
    assert_int_equal(a->usage.cached_tokens, b->usage.cached_tokens);
    assert_int_equal(a->usage.cache_write_tokens, b->usage.cache_write_tokens);
    assert_int_equal(a->usage.cache_write_1h_tokens, b->usage.cache_write_1h_tokens);
    assert_int_equal(a->usage.reasoning_tokens, b->usage.reasoning_tokens);
    assert_int_equal(a->usage.input_audio_tokens, b->usage.input_audio_tokens);
    assert_int_equal(a->usage.output_audio_tokens, b->usage.output_audio_tokens);
    assert_int_equal(a->usage.input_image_tokens, b->usage.input_image_tokens);
    assert_int_equal(a->usage.output_image_tokens, b->usage.output_image_tokens);
}

static struct cache_answer plain(void) {
    return answer_of(SLICE("{\"id\":\"chatcmpl-1\"}"));
}

static struct cache_answer every_field(void) {
    struct cache_answer a = plain();
    a.endpoint = API_MESSAGES;
    a.cost_pico = INT64_MAX;
    a.created_ms = INT64_MIN;
    a.expires_ms = -1;
    a.usage = (struct api_usage){true, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    a.status = CACHE_STATUS_MAX;
    a.request_id = SLICE("01JZZZZZZZZZZZZZZZZZZZZZZZ");
    memset(a.fingerprint, 0xfe, DIGEST_LEN);
    a.birth.born = UINT64_MAX;
    for (size_t i = 0; i < FARTHING_COUNT(a.tags); i++)
        a.tags[i] = UINT64_MAX - i;
    return a;
}

static struct cache_answer bytes_of_all_kinds(void) {
    static const char odd[] = "\0\xff\n\"\\\x7f\0";
    struct cache_answer a = plain();
    a.body = slice_make(odd, sizeof odd);
    a.model = slice_make(odd, 1);
    return a;
}

static struct cache_answer nothing(void) {
    return (struct cache_answer){.endpoint = API_EMBEDDINGS};
}

static struct cache_answer (*const samples[])(void) = {plain, every_field, bytes_of_all_kinds,
                                                       nothing};

static void test_round_trip(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(samples); i++) {
        struct cache_answer a = samples[i]();
        struct buffer b = encoded(&a);
        struct cache_entry *e = entry_decode(&key, buffer_slice(&b));
        assert_non_null(e);
        // Independent of the bytes it came from.
        memset(b.ptr, 'x', b.len);
        check_same(cache_entry_answer(e), &a);
        assert_memory_equal(e->key.bytes, key.bytes, DIGEST_LEN);
        assert_int_equal(e->bytes, entry_size(&a));
        cache_entry_release(e);
        buffer_free(&b);
    }
}

// How many purges this process had ordered is no other's affair.
static void test_the_local_birth_stays_here(void **state) {
    (void)state;
    struct cache_answer a = plain();
    a.birth = (struct cache_birth){7, 3};
    struct buffer b = encoded(&a);
    struct cache_entry *e = entry_decode(&key, buffer_slice(&b));
    assert_int_equal(cache_entry_answer(e)->birth.born, 7);
    assert_int_equal(cache_entry_answer(e)->birth.local, 0);
    cache_entry_release(e);
    buffer_free(&b);
}

static void test_large_body(void **state) {
    (void)state;
    size_t len = 3000000;
    char *body = base_alloc(len);
    memset(body, 'b', len);
    struct cache_answer a = answer_of(slice_make(body, len));
    struct buffer b = encoded(&a);
    struct cache_entry *e = entry_decode(&key, buffer_slice(&b));
    assert_non_null(e);
    check_same(cache_entry_answer(e), &a);
    assert_true(e->bytes >= len);
    cache_entry_release(e);
    buffer_free(&b);
    free(body);
}

static void test_appends(void **state) {
    (void)state;
    struct cache_answer a = plain();
    struct buffer b = {0};
    BUFFER_LITERAL(&b, "before");
    entry_encode(&key, &a, &b);
    assert_true(slice_starts_with(buffer_slice(&b), SLICE("before")));
    assert_true(is_accepted(&key, slice_from(buffer_slice(&b), 6)));
    buffer_free(&b);
}

static void test_same_answer_same_bytes(void **state) {
    (void)state;
    // Padding and whatever lay on the stack must not get into the file.
    struct cache_answer a, b;
    memset(&a, 0xaa, sizeof a);
    memset(&b, 0x55, sizeof b);
    a.usage.known = b.usage.known = true;
    a = every_field();
    b = every_field();
    struct buffer x = encoded(&a), y = encoded(&b);
    assert_slice_equal(buffer_slice(&x), buffer_slice(&y));
    buffer_free(&x);
    buffer_free(&y);
}

// Copies to the heap, so that a read behind the end is seen by a sanitizer.
static bool is_accepted_exact(struct slice bytes) {
    char *copy = base_alloc(bytes.len + 1);
    memcpy(copy, bytes.ptr, bytes.len);
    char *tight = base_realloc(copy, bytes.len > 0 ? bytes.len : 1);
    bool accepted = is_accepted(&key, slice_make(tight, bytes.len));
    free(tight);
    return accepted;
}

static void test_every_truncation_is_refused(void **state) {
    (void)state;
    struct cache_answer a = plain();
    struct buffer b = encoded(&a);
    for (size_t len = 0; len < b.len; len++)
        if (is_accepted_exact(slice_make(b.ptr, len)))
            fail_msg("accepted %zu of %zu bytes", len, b.len);
    assert_true(is_accepted_exact(buffer_slice(&b)));
    buffer_append_char(&b, '\0');
    assert_false(is_accepted_exact(buffer_slice(&b)));
    buffer_free(&b);
}

static void test_every_flipped_bit_is_refused(void **state) {
    (void)state;
    struct cache_answer a = plain();
    struct buffer b = encoded(&a);
    for (size_t at = 0; at < b.len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            b.ptr[at] = (char)(b.ptr[at] ^ (1 << bit));
            if (is_accepted(&key, buffer_slice(&b)))
                fail_msg("accepted with bit %u of byte %zu flipped", bit, at);
            b.ptr[at] = (char)(b.ptr[at] ^ (1 << bit));
        }
    assert_true(is_accepted(&key, buffer_slice(&b)));
    buffer_free(&b);
}

static void test_other_key_is_refused(void **state) {
    (void)state;
    struct cache_answer a = plain();
    struct buffer b = encoded(&a);
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        struct cache_key other = key;
        other.bytes[i] ^= 1;
        assert_false(is_accepted(&other, buffer_slice(&b)));
    }
    buffer_free(&b);
}

// Where the numbers stand: magic, endpoint, cost_known, usage.known, status, 13
// others, the birth, 5 tags, 7 lengths.
enum {
    AT_ENDPOINT = 8,
    AT_COST_KNOWN = 16,
    AT_USAGE_KNOWN = 24,
    AT_STATUS = 32,
    AT_BIRTH = 40 + 13 * 8,
    AT_LENGTHS = AT_BIRTH + 6 * 8,
};

static void test_nonsense_with_a_right_checksum_is_refused(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
    } cases[] = {
        {0, 0},                                 // magic
        {AT_ENDPOINT, API_ENDPOINT_COUNT},      {AT_ENDPOINT, UINT64_MAX},
        {AT_COST_KNOWN, 2},                     {AT_COST_KNOWN, UINT64_MAX},
        {AT_USAGE_KNOWN, 2},                    {AT_LENGTHS, UINT64_MAX},
        {AT_STATUS, CACHE_STATUS_MAX + 1},      {AT_STATUS, UINT64_MAX},
        {AT_STATUS, (UINT64_C(1) << 32) + 200}, {AT_LENGTHS + 48, UINT64_MAX},
        {AT_LENGTHS, 0},                        {AT_LENGTHS + 40, 5},
        {AT_LENGTHS + 40, UINT64_MAX - 7},      {AT_LENGTHS + 40, 0},
    };
    struct cache_answer a = plain();
    for (size_t i = 0; i < FARTHING_COUNT(cases); i++) {
        struct buffer b = encoded(&a);
        for (unsigned k = 0; k < 8; k++)
            b.ptr[cases[i].at + k] = (char)(cases[i].value >> 8 * k & 0xff);
        seal(&b);
        if (is_accepted(&key, buffer_slice(&b)))
            fail_msg("case %zu accepted", i);
        buffer_free(&b);
    }
    struct buffer b = encoded(&a); // and that seal() does what it should
    seal(&b);
    assert_true(is_accepted(&key, buffer_slice(&b)));
    buffer_free(&b);
}

// As the version before wrote them: without birth and tags. Its bytes must not be
// taken for a shorter entry of today's.
static void test_an_older_version_is_not_there(void **state) {
    (void)state;
    struct cache_answer a = plain();
    struct buffer now = encoded(&a), then = {0};
    BUFFER_LITERAL(&then, "FTHENT03");
    buffer_append(&then, slice_make(now.ptr + AT_ENDPOINT, AT_BIRTH - AT_ENDPOINT));
    buffer_append(&then, slice_from(buffer_slice(&now), AT_LENGTHS));
    seal(&then);
    assert_false(is_accepted_exact(buffer_slice(&then)));
    memcpy(then.ptr, now.ptr, 8); // nor when it claims to be of this version
    seal(&then);
    assert_false(is_accepted_exact(buffer_slice(&then)));
    buffer_free(&now);
    buffer_free(&then);
}

static void test_references(void **state) {
    (void)state;
    struct cache_answer a = plain();
    struct cache_entry *e = entry_new(&key, &a);
    assert_ptr_equal(entry_ref(e), e);
    cache_entry_release(e);
    check_same(cache_entry_answer(e), &a); // a sanitizer would see it freed
    cache_entry_release(e);
}

static void test_size_counts_everything(void **state) {
    (void)state;
    struct cache_answer a = nothing();
    size_t empty = entry_size(&a);
    assert_true(empty >= sizeof(struct cache_entry));
    struct slice *const strings[] = {&a.body, &a.content_type,  &a.provider,  &a.model,
                                     &a.tier, &a.finish_reason, &a.request_id};
    for (size_t i = 0; i < FARTHING_COUNT(strings); i++) {
        *strings[i] = SLICE("ten bytes!");
        assert_int_equal(entry_size(&a), empty + 10 * (i + 1));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_the_local_birth_stays_here),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_same_answer_same_bytes),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_other_key_is_refused),
        cmocka_unit_test(test_nonsense_with_a_right_checksum_is_refused),
        cmocka_unit_test(test_an_older_version_is_not_there),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_size_counts_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
