// Images, recordings and files: their size from the heads of their formats, and
// tokens by the providers' formulas.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "farthing/estimate.h"

// The beginning of a file.
struct bytes {
    uint8_t data[4096];
    size_t len;
};

static void put(struct bytes *b, const void *data, size_t len) {
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_number(struct bytes *b, uint32_t value, size_t len, bool little) {
    for (size_t i = 0; i < len; i++)
        b->data[b->len++] = (uint8_t)(value >> 8 * (little ? i : len - 1 - i));
}

static struct bytes png(uint32_t width, uint32_t height) {
    struct bytes b = {.len = 0};
    put(&b, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    put_number(&b, width, 4, false);
    put_number(&b, height, 4, false);
    put(&b, "\x08\x06\0\0\0", 5);
    return b;
}

static struct bytes gif(uint32_t width, uint32_t height) {
    struct bytes b = {.len = 0};
    put(&b, "GIF89a", 6);
    put_number(&b, width, 2, true);
    put_number(&b, height, 2, true);
    return b;
}

// With a segment of `before` bytes in front, as cameras write it.
static struct bytes jpeg(uint32_t width, uint32_t height, size_t before) {
    struct bytes b = {.len = 0};
    put(&b, "\xFF\xD8\xFF\xE1", 4);
    put_number(&b, (uint32_t)before + 2, 2, false);
    b.len += before;
    put(&b, "\xFF\xC4\0\4..\xFF\xC2\0\x11\x08", 11);
    put_number(&b, height, 2, false);
    put_number(&b, width, 2, false);
    put(&b, "\3......", 7);
    return b;
}

static struct bytes webp(const char *kind, uint32_t width, uint32_t height) {
    struct bytes b = {.len = 0};
    put(&b, "RIFF....WEBP", 12);
    put(&b, kind, 4);
    put(&b, "....", 4);
    if (strcmp(kind, "VP8X") == 0) {
        put(&b, "....", 4);
        put_number(&b, width - 1, 3, true);
        put_number(&b, height - 1, 3, true);
    } else if (strcmp(kind, "VP8L") == 0) {
        put(&b, "\x2f", 1);
        put_number(&b, (width - 1) | (height - 1) << 14, 4, true);
    } else {
        put(&b, "...\x9d\x01\x2a", 6);
        put_number(&b, width, 2, true);
        put_number(&b, height | 0x4000, 2, true); // with a scale in the high bits
    }
    return b;
}

static struct bytes wav(uint32_t bytes_a_second, size_t sound) {
    struct bytes b = {.len = 0};
    put(&b, "RIFF....WAVEfmt \x10\0\0\0\1\0\1\0....", 28);
    put_number(&b, bytes_a_second, 4, true);
    b.len += sound;
    return b;
}

static void put_base64(struct buffer *out, const struct bytes *b) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < b->len; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < b->len ? b->data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buffer_append_char(out, i + k > b->len ? '=' : letters[bits >> (18 - 6 * k) & 63]);
    }
}

// Of a part with these bytes in base64 in it.
static int64_t tokens_of(const char *before, const struct bytes *b, const char *behind) {
    struct buffer text = {0};
    buffer_append(&text, slice_of(before));
    put_base64(&text, b);
    buffer_append(&text, slice_of(behind));
    struct json_doc *doc = json_doc_new();
    struct error err;
    assert_true(json_parse(doc, buffer_slice(&text), NULL, &err));
    int64_t tokens = estimate_value(doc, JSON_ROOT);
    json_doc_free(doc);
    buffer_free(&text);
    return tokens;
}

static int64_t image_tokens(const struct bytes *b, const char *detail) {
    char behind[64];
    snprintf(behind, sizeof behind, "\",\"detail\":\"%s\"}}", detail);
    return tokens_of("{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/x;base64,", b,
                     behind);
}

// OpenAI's examples ("Images and vision"): 1024 x 1024 is 765, 2048 x 4096 is 1105;
// Anthropic's ("Vision"): 1092 x 1092 is about 1590.
static const struct {
    uint32_t width, height;
    const char *detail;
    int64_t tokens;
} sizes[] = {
    {1, 1, "high", 255},
    {512, 512, "high", 350}, // 262,144 / 750 is more than one tile
    {400, 400, "auto", 255},
    {513, 100, "high", 425},
    {1024, 1024, "high", 1399}, // Anthropic's is more than 765
    {1092, 1092, "high", 1590},
    {2048, 4096, "high", 1600},
    {100, 8000, "high", 1067}, // 26 x 2048: four tiles; 800,000 / 750
    {2048, 768, "high", 1600},
    {4096, 1536, "", 1600},
    {100000, 100000, "high", 1600},
    {1024, 1024, "low", 85},
    {100000, 1, "low", 85},
    {1024, 1024, "original", 1024 + 85},
    {10000, 10000, "original", 10000},
    // Not possible: the most.
    {0, 10, "high", 1600},
    {10, 0, "high", 1600},
    {0xFFFFFFFF, 0xFFFFFFFF, "high", 1600},
    {0x7FFFFFFF, 2, "original", 10000},
};

static void images_cost_what_the_dearer_formula_says(void **state) {
    (void)state;
    for (size_t i = 0; i < FARTHING_COUNT(sizes); i++) {
        struct bytes b = png(sizes[i].width, sizes[i].height);
        if (image_tokens(&b, sizes[i].detail) != sizes[i].tokens)
            fail_msg("%u x %u %s: %lld", sizes[i].width, sizes[i].height, sizes[i].detail,
                     (long long)image_tokens(&b, sizes[i].detail));
    }
}

static void every_format_tells_its_size(void **state) {
    (void)state;
    const struct bytes images[] = {
        png(600, 1000),          gif(600, 1000),          jpeg(600, 1000, 0),
        jpeg(600, 1000, 3000),   webp("VP8X", 600, 1000), webp("VP8L", 600, 1000),
        webp("VP8 ", 600, 1000),
    };
    struct bytes other = png(1, 1);
    other.data[0] = 'x';
    for (size_t i = 0; i < FARTHING_COUNT(images); i++)
        assert_int_equal(image_tokens(&images[i], "high"), 800);
    assert_int_equal(image_tokens(&other, "high"), 1600);
}

// Cut anywhere, the size is either known or not; nothing behind the end is read.
static void heads_may_be_cut_anywhere(void **state) {
    (void)state;
    const struct bytes images[] = {png(10, 10),          gif(10, 10),
                                   jpeg(10, 10, 40),     webp("VP8X", 10, 10),
                                   webp("VP8L", 10, 10), webp("VP8 ", 10, 10)};
    for (size_t i = 0; i < FARTHING_COUNT(images); i++)
        for (size_t len = 0; len <= images[i].len; len++) {
            struct bytes cut = images[i];
            cut.len = len;
            int64_t tokens = image_tokens(&cut, "high");
            assert_true(tokens == 255 || (tokens == 1600 && len < images[i].len));
        }
}

// Marks that lead nowhere: a chain of segments ends somewhere.
static void endless_segments_end(void **state) {
    (void)state;
    struct bytes b = {.len = 0};
    put(&b, "\xFF\xD8", 2);
    for (int i = 0; i < 500; i++)
        put(&b, "\xFF\xE1\0\2", 4);
    assert_int_equal(image_tokens(&b, "high"), 1600);
    b.data[5] = 0; // a length that is none
    assert_int_equal(image_tokens(&b, "high"), 1600);
}

static void recordings_are_measured_in_seconds(void **state) {
    static const char part[] = "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"";
    (void)state;
    struct bytes b = wav(1000, 3000 - 32); // 3 seconds of 32 tokens
    assert_in_range(tokens_of(part, &b, "\"}}"), 96, 97);
    b = wav(0, 3000 - 32); // no such thing: as speech in MP3
    assert_in_range(tokens_of(part, &b, "\"}}"), 24, 25);
    memset(b.data, 0xFF, 4);
    assert_in_range(tokens_of(part, &b, "\"}}"), 24, 25);
}

static const struct {
    const char *before, *behind;
    int64_t least, most; // of 4000 bytes
} files[] = {
    {"{\"type\":\"input_file\",\"file_data\":\"data:application/pdf;base64,", "\"}", 1500, 1500},
    {"{\"type\":\"input_file\",\"filename\":\"a.pdf\",\"file_data\":\"", "\"}", 1500, 1500},
    {"{\"type\":\"input_file\",\"filename\":\"a.csv\",\"file_data\":\"", "\"}", 1333, 1335},
    {"{\"type\":\"input_file\",\"file_data\":\"data:text\\/csv;base64,", "\"}", 1333, 1335},
    {"{\"type\":\"file\",\"file\":{\"file_data\":\"data:audio/mp3;base64,", "\"}}", 32, 33},
    {"{\"type\":\"file\",\"file\":{\"file_data\":\"data:image/png;base64,", "\"}}", 1600, 1600},
    {"{\"type\":\"document\",\"source\":{\"media_type\":\"text/plain\",\"data\":\"", "\"}}", 1335,
     1337},
};

static void files_are_measured_by_their_kind(void **state) {
    (void)state;
    struct bytes b = {.len = 4000};
    for (size_t i = 0; i < FARTHING_COUNT(files); i++)
        assert_in_range(tokens_of(files[i].before, &b, files[i].behind), files[i].least,
                        files[i].most);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_cost_what_the_dearer_formula_says),
        cmocka_unit_test(every_format_tells_its_size),
        cmocka_unit_test(heads_may_be_cut_anywhere),
        cmocka_unit_test(endless_segments_end),
        cmocka_unit_test(recordings_are_measured_in_seconds),
        cmocka_unit_test(files_are_measured_by_their_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
