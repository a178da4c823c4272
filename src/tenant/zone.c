// TZif, RFC 9636: a header, a block of data with 32-bit times for old readers, and
// from version 2 on both again with 64-bit times and a rule for the time after.
#include "zone.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HEADER_BYTES = 44,
    FILE_BYTES_MAX = 1 << 20,
    OFFSET_MOST = 26 * 3600, // RFC 9636, 3.2: above -25 h and below 26 h
};
#define ZONEINFO "/usr/share/zoneinfo" // or TZDIR, as for the C library

struct zone {
    int64_t *at;     // of each change, ascending
    int32_t *offset; // from then on
    size_t count;
    int32_t before; // the first change
    bool has_rule;  // for the time after the last
    struct zone_rule rule;
};

// --------------------------------------------------------------------- parsing

static uint64_t big_endian(const char *p, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)p[i];
    return value;
}

struct header {
    int version; // '\0' is 1
    size_t ut_flags, standard_flags, leaps, times, types, chars;
};

static bool read_header(struct slice s, struct header *h) {
    if (s.len < HEADER_BYTES || memcmp(s.ptr, "TZif", 4) != 0)
        return false;
    size_t *const counts[] = {&h->ut_flags, &h->standard_flags, &h->leaps,
                              &h->times,    &h->types,          &h->chars};
    h->version = s.ptr[4] == '\0' ? 1 : s.ptr[4] - '0';
    for (size_t i = 0; i < FARTHING_COUNT(counts); i++)
        *counts[i] = (size_t)big_endian(s.ptr + 20 + 4 * i, 4);
    return h->types > 0;
}

static size_t block_bytes(const struct header *h, size_t time_bytes) {
    return h->times * (time_bytes + 1) + h->types * 6 + h->chars + h->leaps * (time_bytes + 4) +
           h->standard_flags + h->ut_flags;
}

static bool read_offset(const char *types, const struct header *h, size_t type, int32_t *out) {
    if (type >= h->types)
        return false;
    *out = (int32_t)(uint32_t)big_endian(types + 6 * type, 4);
    return *out > -OFFSET_MOST && *out < OFFSET_MOST;
}

static bool read_block(struct zone *z, const char *p, const struct header *h, size_t time_bytes) {
    const char *indices = p + h->times * time_bytes, *types = indices + h->times;
    if (!read_offset(types, h, 0, &z->before))
        return false;
    z->at = base_calloc(h->times + 1, sizeof *z->at);
    z->offset = base_calloc(h->times + 1, sizeof *z->offset);
    z->count = h->times;
    for (size_t i = 0; i < h->times; i++) {
        uint64_t raw = big_endian(p + i * time_bytes, time_bytes);
        z->at[i] = time_bytes == 8 ? (int64_t)raw : (int32_t)(uint32_t)raw;
        if ((i > 0 && z->at[i] <= z->at[i - 1]) ||
            !read_offset(types, h, (uint8_t)indices[i], &z->offset[i]))
            return false;
    }
    return true;
}

static bool read_footer(struct zone *z, struct slice s) {
    ptrdiff_t end = s.len > 0 && s.ptr[0] == '\n' ? slice_find_char(slice_from(s, 1), '\n') : -1;
    if (end < 0)
        return false;
    struct slice text = slice_make(s.ptr + 1, (size_t)end);
    z->has_rule = text.len > 0;
    return !z->has_rule || zone_rule_parse(text, &z->rule);
}

static bool read_all(struct zone *z, struct slice s) {
    struct header h;
    size_t time_bytes = 4;
    if (!read_header(s, &h))
        return false;
    if (h.version >= 2) {
        size_t skip = HEADER_BYTES + block_bytes(&h, 4);
        if (skip > s.len)
            return false;
        s = slice_from(s, skip);
        time_bytes = 8;
        if (!read_header(s, &h))
            return false;
    }
    size_t bytes = HEADER_BYTES + block_bytes(&h, time_bytes);
    return bytes <= s.len && h.leaps == 0 && read_block(z, s.ptr + HEADER_BYTES, &h, time_bytes) &&
           (h.version < 2 || read_footer(z, slice_from(s, bytes)));
}

struct zone *zone_parse(struct slice bytes, struct error *err) {
    struct zone *z = base_calloc(1, sizeof *z);
    if (read_all(z, bytes))
        return z;
    zone_free(z);
    error_set(err, "not a time zone in the format of RFC 9636 without leap seconds");
    return NULL;
}

void zone_free(struct zone *z) {
    if (z == NULL)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

// The name comes from the configuration: it must stay in the directory.
static bool is_name(struct slice name) {
    return name.len > 0 && name.len < 256 && name.ptr[0] != '/' &&
           slice_find(name, SLICE("..")) < 0 && memchr(name.ptr, '\0', name.len) == NULL;
}

struct zone *zone_load(struct slice name, struct error *err) {
    const char *directory = getenv("TZDIR");
    struct buffer path = {0};
    FILE *f = NULL;
    buffer_printf(&path, "%s/%.*s",
                  directory != NULL && directory[0] != '\0' ? directory : ZONEINFO,
                  SLICE_ARG(name));
    if (is_name(name))
        f = fopen(path.ptr, "rbe");
    buffer_free(&path);
    if (f == NULL) {
        error_set(err, "no such time zone: \"%.*s\"", SLICE_ARG(name));
        return NULL;
    }
    char *bytes = base_alloc(FILE_BYTES_MAX);
    size_t len = fread(bytes, 1, FILE_BYTES_MAX, f); // of a directory: nothing
    fclose(f);
    struct zone *z = zone_parse(slice_make(bytes, len), err);
    free(bytes);
    return z;
}

// ---------------------------------------------------------------------- asking

// How many changes lie at or before this moment?
static size_t changes_until(const struct zone *z, int64_t seconds) {
    size_t low = 0, high = z->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->at[middle] <= seconds)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t zone_offset(const struct zone *z, int64_t seconds, int64_t *until) {
    size_t n = changes_until(z, seconds);
    if (n == z->count && z->has_rule)
        return zone_rule_offset(&z->rule, seconds, until);
    *until = n < z->count ? z->at[n] : INT64_MAX;
    return n > 0 ? z->offset[n - 1] : z->before;
}

int64_t zone_moment(const struct zone *z, int64_t local) {
    int64_t t = local - OFFSET_MOST, until; // there the local clock shows less
    for (;; t = until) {
        int32_t offset = zone_offset(z, t, &until);
        int64_t moment = local - offset > t ? local - offset : t;
        if (moment < until)
            return moment;
    }
}
