// How many tokens an image, a recording or a file is. Their base64 is never
// taken for text; what matters is read from the few bytes of its head.
//
// Images by the formulas that OpenAI ("Images and vision", tiles of gpt-4o) and
// Anthropic ("Vision", width * height / 750) publish, whichever is more: the
// request may yet go to either. Models that count otherwise (gpt-4o-mini bills
// 33 tokens for each of gpt-4o's) are the calibration's affair.
#include "estimate.h"

enum {
    TILE_SIDE = 512,
    TILE_TOKENS = 170,
    IMAGE_LOW_TOKENS = 85, // and what each image costs besides its tiles
    LONG_SIDE = 2048,      // larger images are scaled down to fit this square,
    SHORT_SIDE = 768,      // and then until the shorter side is this
    // 8 tiles, of an image about 2048 x 768: the most that the formula can give.
    TILED_MOST_TOKENS = IMAGE_LOW_TOKENS + 8 * TILE_TOKENS,
    PIXELS_A_TOKEN = 750,
    PIXELS_MOST_TOKENS = 1600, // Anthropic scales down what would be more
    PATCH_SIDE = 32,           // detail "original": not scaled, by patches,
    PATCHES_MOST = 10000,      // of which this many are taken
    IMAGE_SIDE_MAX = 1 << 20,  // more is a mistake, and would overflow

    // Gemini counts 32 a second, OpenAI 10.
    AUDIO_TOKENS_A_SECOND = 32,
    AUDIO_BYTES_A_SECOND = 4000, // speech as MP3 at 32 kbit/s, if the head does not say

    FILE_TEXT_BYTES_A_TOKEN = 3,
    // Pages of a PDF are counted as text and as images, 1,500 to 3,000 tokens each;
    // a page is seldom less than 6 KB and providers take a hundred or so.
    FILE_BYTES_A_TOKEN = 4,
    FILE_LEAST_TOKENS = 1500,
    FILE_MOST_TOKENS = 250000,
    FILE_UNKNOWN_TOKENS = 20000, // by id or address: about ten pages
};

// -------------------------------------------------------------------- base64

// A byte of what base64 stands for, without decoding the rest; -1 behind its end
// and where it is no plain base64.
static int decoded_at(struct slice base64, size_t offset) {
    int value[2] = {0, 0};
    size_t at = offset / 3 * 4 + offset % 3;
    if (at + 1 >= base64.len)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        char c = base64.ptr[at + i];
        if (c >= 'A' && c <= 'Z')
            value[i] = c - 'A';
        else if (c >= 'a' && c <= 'z')
            value[i] = c - 'a' + 26;
        else if (c >= '0' && c <= '9')
            value[i] = c - '0' + 52;
        else if (c == '+' || c == '-')
            value[i] = 62;
        else if (c == '/' || c == '_')
            value[i] = 63;
        else
            return -1;
    }
    int shift = 2 * (int)(offset % 3); // 8 bits of the 12 that two letters hold
    return (value[0] << 6 | value[1]) >> (4 - shift) & 0xFF;
}

static bool decoded_is(struct slice base64, size_t offset, const char *wanted) {
    for (size_t i = 0; wanted[i] != '\0'; i++)
        if (decoded_at(base64, offset + i) != (uint8_t)wanted[i])
            return false;
    return true;
}

// `bytes` of them as a number; -1 where one is missing.
static int64_t decoded_number(struct slice base64, size_t offset, size_t bytes, bool little) {
    int64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        int byte = decoded_at(base64, offset + (little ? bytes - 1 - i : i));
        if (byte < 0)
            return -1;
        value = value << 8 | byte;
    }
    return value;
}

static int64_t decoded_bytes(struct slice base64) {
    return (int64_t)(base64.len / 4 * 3 + base64.len % 4);
}

// -------------------------------------------------------------------- images

struct size {
    int64_t width, height; // below 1: not known
};

static struct size size_of_webp(struct slice data) {
    if (decoded_is(data, 12, "VP8X"))
        return (struct size){decoded_number(data, 24, 3, true) + 1,
                             decoded_number(data, 27, 3, true) + 1};
    if (decoded_is(data, 12, "VP8L")) {
        int64_t bits = decoded_number(data, 21, 4, true);
        return bits < 0 ? (struct size){0, 0}
                        : (struct size){(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1};
    }
    if (!decoded_is(data, 12, "VP8 "))
        return (struct size){0, 0};
    int64_t width = decoded_number(data, 26, 2, true), height = decoded_number(data, 28, 2, true);
    return width < 0 || height < 0 ? (struct size){0, 0}
                                   : (struct size){width & 0x3FFF, height & 0x3FFF};
}

// The size stands in the frame's head, behind any number of other segments.
static struct size size_of_jpeg(struct slice data) {
    enum { SEGMENTS_MAX = 64 };
    size_t at = 2;
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        int mark = decoded_at(data, at + 1);
        int64_t len = decoded_number(data, at + 2, 2, false);
        if (decoded_at(data, at) != 0xFF || len < 2)
            break;
        bool frame = mark >= 0xC0 && mark <= 0xCF && mark != 0xC4 && mark != 0xC8 && mark != 0xCC;
        if (frame)
            return (struct size){decoded_number(data, at + 7, 2, false),
                                 decoded_number(data, at + 5, 2, false)};
        at += 2 + (size_t)len;
    }
    return (struct size){0, 0};
}

static struct size size_of(struct slice data) {
    if (decoded_is(data, 0, "\x89PNG"))
        return (struct size){decoded_number(data, 16, 4, false),
                             decoded_number(data, 20, 4, false)};
    if (decoded_is(data, 0, "GIF8"))
        return (struct size){decoded_number(data, 6, 2, true), decoded_number(data, 8, 2, true)};
    if (decoded_is(data, 0, "RIFF") && decoded_is(data, 8, "WEBP"))
        return size_of_webp(data);
    if (decoded_is(data, 0, "\xFF\xD8"))
        return size_of_jpeg(data);
    return (struct size){0, 0};
}

static int64_t pieces(int64_t length, int64_t side) {
    return (length + side - 1) / side;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t by_tiles(struct size s) {
    int64_t longer = s.width > s.height ? s.width : s.height;
    int64_t shorter = s.width > s.height ? s.height : s.width;
    if (longer > LONG_SIDE) {
        shorter = pieces(shorter * LONG_SIDE, longer);
        longer = LONG_SIDE;
    }
    if (shorter > SHORT_SIDE) {
        longer = pieces(longer * SHORT_SIDE, shorter);
        shorter = SHORT_SIDE;
    }
    return IMAGE_LOW_TOKENS + TILE_TOKENS * pieces(longer, TILE_SIDE) * pieces(shorter, TILE_SIDE);
}

static int64_t image(struct size s, struct slice detail) {
    bool known =
        s.width > 0 && s.height > 0 && s.width < IMAGE_SIDE_MAX && s.height < IMAGE_SIDE_MAX;
    if (slice_equal(detail, SLICE("low")))
        return IMAGE_LOW_TOKENS;
    if (slice_equal(detail, SLICE("original")))
        return !known ? PATCHES_MOST
                      : least(pieces(s.width, PATCH_SIDE) * pieces(s.height, PATCH_SIDE) +
                                  IMAGE_LOW_TOKENS,
                              PATCHES_MOST);
    if (!known)
        return PIXELS_MOST_TOKENS > TILED_MOST_TOKENS ? PIXELS_MOST_TOKENS : TILED_MOST_TOKENS;
    int64_t by_pixels = least(pieces(s.width * s.height, PIXELS_A_TOKEN), PIXELS_MOST_TOKENS);
    int64_t tiled = by_tiles(s);
    return tiled > by_pixels ? tiled : by_pixels;
}

// ----------------------------------------------------------------- data URLs

// "data:TYPE;base64,DATA". In JSON source its slashes may be escaped.
static bool split_data_url(struct slice url, struct slice *type, struct slice *data) {
    enum { HEAD_BYTES_MAX = 200 };
    struct slice head = url;
    if (head.len > HEAD_BYTES_MAX)
        head.len = HEAD_BYTES_MAX;
    ptrdiff_t at = slice_find(head, SLICE(";base64,"));
    if (!slice_starts_with(url, SLICE("data:")) || at < 0)
        return false;
    *type = slice_make(url.ptr + 5, (size_t)at - 5);
    *data = slice_from(url, (size_t)at + 8);
    return true;
}

int64_t estimate_image_base64(struct slice data, struct slice detail) {
    return image(size_of(data), detail);
}

int64_t estimate_image(struct slice url, struct slice detail) {
    struct slice type, data = SLICE_NONE;
    (void)split_data_url(url, &type, &data);
    return estimate_image_base64(data, detail);
}

// ----------------------------------------------------------- audio and files

int64_t estimate_audio_base64(struct slice data) {
    int64_t a_second = AUDIO_BYTES_A_SECOND;
    if (decoded_is(data, 0, "RIFF") && decoded_is(data, 8, "WAVEfmt ")) {
        int64_t told = decoded_number(data, 28, 4, true);
        if (told >= 1000)
            a_second = told;
    }
    return pieces(decoded_bytes(data) * AUDIO_TOKENS_A_SECOND, a_second);
}

static bool is_text(struct slice type) {
    static const char *const ends[] = {".txt", ".md", ".csv", ".json", ".html", ".xml", ".log"};
    if (slice_starts_with(type, SLICE("text")) || slice_ends_with(type, SLICE("json")))
        return true;
    for (size_t i = 0; i < FARTHING_COUNT(ends); i++)
        if (slice_ends_with(type, slice_of(ends[i])))
            return true;
    return false;
}

int64_t estimate_file_base64(struct slice data, struct slice type) {
    int64_t bytes = decoded_bytes(data);
    if (is_text(type))
        return pieces(bytes, FILE_TEXT_BYTES_A_TOKEN);
    if (slice_starts_with(type, SLICE("image")))
        return estimate_image_base64(data, SLICE_NONE);
    if (slice_starts_with(type, SLICE("audio")))
        return estimate_audio_base64(data);
    int64_t tokens = pieces(bytes, FILE_BYTES_A_TOKEN);
    return tokens < FILE_LEAST_TOKENS ? FILE_LEAST_TOKENS : least(tokens, FILE_MOST_TOKENS);
}

int64_t estimate_file(struct slice data, struct slice name) {
    struct slice type;
    if (data.len == 0)
        return FILE_UNKNOWN_TOKENS;
    return split_data_url(data, &type, &data) ? estimate_file_base64(data, type)
                                              : estimate_file_base64(data, name);
}

bool estimate_is_data_url(struct slice text) {
    struct slice type, data;
    return split_data_url(text, &type, &data);
}
