// Looking at the bytes of strings, many at a time. Strings are most of a
// prompt, so this decides the speed of the room: 16 bytes at a time with SSE2
// (every x86-64 has it), 8 at a time by plain arithmetic elsewhere, until a
// byte that means something: quote, backslash, control, not ASCII.
#ifndef FARTHING_JSON_SCAN_H
#define FARTHING_JSON_SCAN_H

#include "doc.h"

#if defined(__SSE2__) && !defined(FARTHING_JSON_PORTABLE)
#define FARTHING_JSON_SSE2
#include <emmintrin.h>
#endif

static inline bool scan_is_plain(char byte) {
    unsigned char c = (unsigned char)byte;
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

// What the letter behind a backslash makes of a string's flags; 0 where it is
// no escape of two bytes.
static inline uint8_t scan_short_escape(char letter) {
    static const uint8_t flags[256] = {
        ['"'] = NODE_ESCAPES, ['\\'] = NODE_ESCAPES, ['/'] = NODE_ESCAPES | NODE_RESPELL,
        ['b'] = NODE_ESCAPES, ['f'] = NODE_ESCAPES,  ['n'] = NODE_ESCAPES,
        ['r'] = NODE_ESCAPES, ['t'] = NODE_ESCAPES,
    };
    return flags[(unsigned char)letter];
}

#ifdef FARTHING_JSON_SSE2

enum { SCAN_BLOCK = 16 };

// A bit for each byte of the block that is not plain.
static inline unsigned scan_block(const char *s) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)s);
    // Signed: bytes over 0x7f are negative, so one comparison finds both
    // controls and what is not ASCII.
    __m128i odd = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(' ')),
                               _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                            _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
    return (unsigned)_mm_movemask_epi8(odd);
}

#else

enum { SCAN_BLOCK = 8 };

static inline unsigned scan_block(const char *s) {
    // A byte of x is zero where x - 0x01.. has its high bit and x has not;
    // without a byte over 0x7f, the lowest such bit is never a false one.
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t v;
    memcpy(&v, s, 8);
    uint64_t q = v ^ (ones * '"'), b = v ^ (ones * '\\');
    if (((v | (v - ones * 0x20) | (q - ones) | (b - ones)) & highs) == 0)
        return 0;
    unsigned mask = 0;
    for (unsigned i = 0; i < SCAN_BLOCK; i++)
        mask |= (unsigned)!scan_is_plain(s[i]) << i;
    return mask;
}

#endif

// The first byte at or behind s that is not plain; end when there is none.
static inline const char *scan_plain(const char *s, const char *end) {
    for (; end - s >= SCAN_BLOCK; s += SCAN_BLOCK) {
        unsigned mask = scan_block(s);
        if (mask != 0)
            return s + __builtin_ctz(mask);
    }
    while (s < end && scan_is_plain(*s))
        s++;
    return s;
}

// As scan_plain, but goes on behind escapes of two bytes and adds their flags:
// source code has one in each line, and to leave and look at the same block
// again would cost more than all the rest.
static inline const char *scan_text(const char *s, const char *end, uint8_t *flags) {
    while (end - s > SCAN_BLOCK) { // one more byte, for an escape that begins in the last
        unsigned mask = scan_block(s);
        size_t step = SCAN_BLOCK;
        while (mask != 0) {
            unsigned i = (unsigned)__builtin_ctz(mask);
            uint8_t escape = s[i] == '\\' ? scan_short_escape(s[i + 1]) : 0;
            if (escape == 0)
                return s + i;
            *flags |= escape;
            mask &= ~(3u << i);
            step = i == SCAN_BLOCK - 1 ? SCAN_BLOCK + 1 : SCAN_BLOCK;
        }
        s += step;
    }
    return scan_plain(s, end);
}

#endif
