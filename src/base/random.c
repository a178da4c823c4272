// Randomness for identifiers, jitter and hash seeds: xoshiro256** (Blackman
// and Vigna, 2018), one state a thread, seeded from the system. Not for keys.
#include "farthing/base.h"

#include <string.h>
#include <sys/random.h>

static _Thread_local uint64_t state[4];
static _Thread_local bool seeded;

static uint64_t rotated(uint64_t x, int k) {
    return (x << k) | (x >> (64 - k));
}

void random_seed(uint64_t seed) {
    for (int i = 0; i < 4; i++) { // splitmix64 fills the state
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        state[i] = z ^ (z >> 31);
    }
    seeded = true;
}

uint64_t random_u64(void) {
    if (!seeded) {
        uint64_t seed;
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
            seed = clock_mono_ns() ^ (uint64_t)(uintptr_t)&seed;
        random_seed(seed);
    }
    uint64_t result = rotated(state[1] * 5, 7) * 9;
    uint64_t t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = rotated(state[3], 45);
    return result;
}

uint64_t random_below(uint64_t bound) {
    // Rejection of the uneven rest keeps it unbiased.
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value;
    do
        value = random_u64();
    while (value >= limit);
    return value % bound;
}

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void random_id(char out[RANDOM_ID_LEN + 1]) {
    uint64_t time = (uint64_t)clock_wall_ms();
    for (int i = 9; i >= 0; i--) {
        out[i] = alphabet[time & 31];
        time >>= 5;
    }
    uint64_t high = random_u64(), low = random_u64();
    for (int i = 0; i < 8; i++) {
        out[10 + i] = alphabet[(high >> (5 * i)) & 31];
        out[18 + i] = alphabet[(low >> (5 * i)) & 31];
    }
    out[RANDOM_ID_LEN] = '\0';
}

bool random_id_time(struct slice id, int64_t *ms) {
    *ms = 0;
    if (id.len != RANDOM_ID_LEN)
        return false;
    for (int i = 0; i < 10; i++) {
        const char *digit = id.ptr[i] != '\0' ? strchr(alphabet, id.ptr[i]) : NULL;
        if (digit == NULL || (i == 0 && digit - alphabet > 7)) // 48 bits
            return false;
        *ms = *ms << 5 | (digit - alphabet);
    }
    return true;
}
