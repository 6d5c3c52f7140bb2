// Which numbers of a row are dropped: a function of the seed, the row and the place, so that nothing is kept of it.
#pragma once

#include <cstdint>
#include <immintrin.h>

// The finaliser of SplitMix64 (Steele et al. 2014), of a row's number under a seed.
inline uint64_t row_key(uint64_t seed, uint64_t row) {
    uint64_t x = seed + (row + 1) * 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

struct Chance {
    uint64_t seed;
    uint32_t least;  // of 2^32 chances, so many are dropped
    float scale;     // what is kept is multiplied by it

    // `dropped` of 2^32.
    Chance(long seed, long dropped)
        : seed((uint64_t)seed), least((uint32_t)dropped), scale((float)(4294967296.0 / (4294967296.0 - dropped))) {}
};

// One row's; `kept(i)` tells of the 16 numbers from i on. Two rounds of multiplying and folding over a key of 64 bits,
// in which each bit of the place moves each bit of the result.
struct RowChance {
    __m512i first, second, least;

    RowChance(const Chance& chance, uint64_t row) {
        const uint64_t key = row_key(chance.seed, row);
        const __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        first = _mm512_add_epi32(places, _mm512_set1_epi32((int)key));
        second = _mm512_set1_epi32((int)(key >> 32));
        least = _mm512_set1_epi32((int)chance.least);
    }

    __mmask16 kept(long i) const {
        __m512i x = _mm512_add_epi32(first, _mm512_set1_epi32((int)i));
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
        x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7FEB352D));
        x = _mm512_xor_si512(_mm512_xor_si512(x, _mm512_srli_epi32(x, 15)), second);
        x = _mm512_mullo_epi32(x, _mm512_set1_epi32((int)0x846CA68B));
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
        return _mm512_cmpge_epu32_mask(x, least);
    }
};
