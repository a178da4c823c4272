// The model's file. Little-endian:
//
//   16 bytes  "farthing learned"
//   u32       version
//   u32       buckets, u32 signals, u32 knots: as in learn.h; others are refused
//   u64 * 3   rows, of these small_ok, large_ok
//   f64       strength of the regularisation
//   f64 * 8   scales, base, slope, offset, of small and large each
//   f64 * 4   mean, deviation and both weights, of each signal
//   f64       each knot
//   6 bytes   i16, i16, u16: each bucket
//   32 bytes  SHA-256 of all before
//
// Fixed in size: some 770 KB.
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "learn_model.h"

static const char magic[16] = {'f', 'a', 'r', 't', 'h', 'i', 'n', 'g',
                               ' ', 'l', 'e', 'a', 'r', 'n', 'e', 'd'};
enum {
    VERSION = 1,
    HEAD_BYTES = sizeof magic + 4 * 4 + 3 * 8 + 8,
    FILE_BYTES = HEAD_BYTES + 8 * (4 * LEARN_HEADS) + LEARN_SIGNALS * 4 * 8 + LEARN_KNOTS * 8 +
                 LEARN_BUCKETS * 6 + DIGEST_LEN,
};

// ----------------------------------------------------------------- life

struct learn_model *learn_model_new(void) {
    struct learn_model *m = base_calloc(1, sizeof *m);
    atomic_init(&m->references, 1);
    return m;
}

struct learn_model *learn_model_ref(struct learn_model *m) {
    atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
    return m;
}

void learn_model_unref(struct learn_model *m) {
    if (m != NULL && atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) == 1)
        free(m);
}

struct learn_model_info learn_model_info(const struct learn_model *m) {
    return m->info;
}

// ---------------------------------------------------------------- bytes

static void put(struct buffer *out, uint64_t value, size_t bytes) {
    char raw[8];
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (char)(value >> (8 * i) & 0xff);
    buffer_append(out, slice_make(raw, bytes));
}

static void put_double(struct buffer *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put(out, bits, 8);
}

static uint64_t take(struct slice *in, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)in->ptr[i] << (8 * i);
    *in = slice_from(*in, bytes);
    return value;
}

// What is no number, or absurd, would make every score so.
static double take_double(struct slice *in, bool *good) {
    uint64_t bits = take(in, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value) || fabs(value) > 1e9)
        *good = false;
    return value;
}

// -------------------------------------------------------------- writing

void learn_model_write(const struct learn_model *m, struct buffer *out) {
    const double *heads[] = {m->scales, m->base, m->slope, m->offset};
    const uint32_t head[] = {VERSION, LEARN_BUCKETS, LEARN_SIGNALS, LEARN_KNOTS};
    uint8_t digest[DIGEST_LEN];
    size_t start = out->len;
    buffer_reserve(out, FILE_BYTES);
    buffer_append(out, slice_make(magic, sizeof magic));
    for (size_t i = 0; i < FARTHING_COUNT(head); i++)
        put(out, head[i], 4);
    put(out, m->info.rows, 8);
    put(out, m->info.small_ok, 8);
    put(out, m->info.large_ok, 8);
    put_double(out, m->info.strength);
    for (size_t i = 0; i < FARTHING_COUNT(heads); i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            put_double(out, heads[i][h]);
    for (size_t i = 0; i < LEARN_SIGNALS; i++) {
        put_double(out, m->signals[i].mean);
        put_double(out, m->signals[i].deviation);
        for (size_t h = 0; h < LEARN_HEADS; h++)
            put_double(out, m->signals[i].weights[h]);
    }
    for (size_t i = 0; i < LEARN_KNOTS; i++)
        put_double(out, m->knots[i]);
    for (size_t i = 0; i < LEARN_BUCKETS; i++) {
        const struct learn_bucket *b = &m->buckets[i];
        put(out, (uint64_t)b->norm << 32 | (uint32_t)(uint16_t)b->weights[LEARN_LARGE] << 16 |
                     (uint16_t)b->weights[LEARN_SMALL], 6);
    }
    digest_sha256(slice_from(buffer_slice(out), start), digest);
    buffer_append(out, slice_make(digest, sizeof digest));
}

// -------------------------------------------------------------- reading

static bool check_head(struct slice file, struct error *err) {
    static const struct {
        const char *what;
        uint32_t wanted;
    } sizes[] = {{"buckets", LEARN_BUCKETS}, {"signals", LEARN_SIGNALS}, {"knots", LEARN_KNOTS}};
    uint8_t digest[DIGEST_LEN];
    if (!slice_starts_with(file, slice_make(magic, sizeof magic)))
        return error_set(err, "this is no model: expected a file that `farthingctl train` wrote");
    if (file.len < HEAD_BYTES)
        return error_set(err, "the model is damaged: %zu bytes, and it should have %d", file.len,
                         FILE_BYTES);
    struct slice in = slice_from(file, sizeof magic);
    unsigned version = (unsigned)take(&in, 4);
    if (version != VERSION)
        return error_set(err, "the model has version %u, and this program reads %d: train it again",
                         version, VERSION);
    for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
        unsigned seen = (unsigned)take(&in, 4);
        if (seen != sizes[i].wanted)
            return error_set(err, "the model is damaged: %u %s, expected %u", seen, sizes[i].what,
                             sizes[i].wanted);
    }
    if (file.len != FILE_BYTES)
        return error_set(err, "the model is damaged: %zu bytes, and it should have %d", file.len,
                         FILE_BYTES);
    digest_sha256(slice_make(file.ptr, file.len - DIGEST_LEN), digest);
    if (memcmp(digest, file.ptr + file.len - DIGEST_LEN, DIGEST_LEN) != 0)
        return error_set(err, "the model is damaged: its checksum does not fit");
    return true;
}

static bool take_model(struct learn_model *m, struct slice in) {
    double *heads[] = {m->scales, m->base, m->slope, m->offset};
    bool good = true;
    m->info.rows = take(&in, 8);
    m->info.small_ok = take(&in, 8);
    m->info.large_ok = take(&in, 8);
    m->info.strength = take_double(&in, &good);
    for (size_t i = 0; i < FARTHING_COUNT(heads); i++)
        for (size_t h = 0; h < LEARN_HEADS; h++)
            heads[i][h] = take_double(&in, &good);
    for (size_t i = 0; i < LEARN_SIGNALS; i++) {
        m->signals[i].mean = take_double(&in, &good);
        m->signals[i].deviation = take_double(&in, &good);
        good = good && m->signals[i].deviation > 1e-9;
        for (size_t h = 0; h < LEARN_HEADS; h++)
            m->signals[i].weights[h] = take_double(&in, &good);
    }
    for (size_t i = 0; i < LEARN_KNOTS; i++) {
        m->knots[i] = take_double(&in, &good);
        good = good && (i == 0 || m->knots[i] >= m->knots[i - 1]);
    }
    for (size_t i = 0; i < LEARN_BUCKETS; i++) {
        uint64_t b = take(&in, 6);
        m->buckets[i] = (struct learn_bucket){{(int16_t)(uint16_t)b, (int16_t)(uint16_t)(b >> 16)},
                                              (uint16_t)(b >> 32)};
    }
    return good;
}

struct learn_model *learn_model_parse(struct slice file, struct error *err) {
    if (!check_head(file, err))
        return NULL;
    struct learn_model *m = learn_model_new();
    if (take_model(m, slice_from(file, sizeof magic + 4 * 4)))
        return m;
    learn_model_unref(m);
    error_set(err, "the model is damaged: it holds what is no number");
    return NULL;
}

// One byte more than a model has is enough to see that it is none.
static bool read_file(int file, char *bytes, size_t *len) {
    for (*len = 0; *len < FILE_BYTES + 1;) {
        ssize_t n = read(file, bytes + *len, FILE_BYTES + 1 - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return true;
}

struct learn_model *learn_model_load(const char *path, struct error *err) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO has no end
    if (file < 0) {
        error_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *bytes = base_alloc(FILE_BYTES + 1);
    size_t len;
    struct learn_model *m = NULL;
    struct error why;
    if (!read_file(file, bytes, &len))
        error_set(err, "%s: %s", path, strerror(errno));
    else if ((m = learn_model_parse(slice_make(bytes, len), &why)) == NULL)
        error_set(err, "%s: %s", path, why.text);
    free(bytes);
    close(file);
    return m;
}
