// Sixteen numbers at a time, in AVX-512: bfloat16 or float32 in memory, float32 in registers.
#pragma once

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512BF16__)
#error "this processor has no AVX512-BF16"
#endif

using bf16 = uint16_t;
constexpr long LANES = 16;

// The first `count` lanes; all of them from 16 on.
inline __mmask16 first(long count) { return count >= LANES ? 0xFFFF : (__mmask16)((1u << count) - 1); }

inline __m512 widen(__m256i half) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
inline __m512 load(const bf16* from) { return widen(_mm256_loadu_si256((const __m256i*)from)); }
inline __m512 load(const bf16* from, __mmask16 lanes) { return widen(_mm256_maskz_loadu_epi16(lanes, from)); }

// To the nearest, ties to even; a NaN stays one.
inline __m256i narrow(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }
inline void store(bf16* to, __m512 x) { _mm256_storeu_si256((__m256i*)to, narrow(x)); }
inline void store(bf16* to, __m512 x, __mmask16 lanes) { _mm256_mask_storeu_epi16(to, lanes, narrow(x)); }

inline __m512 load(const float* from) { return _mm512_loadu_ps(from); }
inline __m512 load(const float* from, __mmask16 lanes) { return _mm512_maskz_loadu_ps(lanes, from); }
inline void store(float* to, __m512 x) { _mm512_storeu_ps(to, x); }
inline void store(float* to, __m512 x, __mmask16 lanes) { _mm512_mask_storeu_ps(to, lanes, x); }

inline __m512 all(float x) { return _mm512_set1_ps(x); }

constexpr float LOG2_E = 1.44269504088896341f;

// 2 to the x, to 2^-18; 2^-120 from there down, for what is subnormal is slow; infinity far above, NaN of NaN.
inline __m512 power_of_two(__m512 x) {
    x = _mm512_min_ps(all(200.0f), _mm512_max_ps(all(-120.0f), x));
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(x, whole);
    __m512 y = _mm512_fmadd_ps(rest, all(9.56051501e-03f), all(5.59170810e-02f));
    y = _mm512_fmadd_ps(y, rest, all(2.40249814e-01f));
    y = _mm512_fmadd_ps(y, rest, all(6.93121963e-01f));
    y = _mm512_fmadd_ps(y, rest, all(9.99999191e-01f));
    return _mm512_scalef_ps(y, whole);
}

// The same to 2^-23, for x of at most 0; 0 from -126 down, and of NaN.
inline __m512 falling_power(__m512 x) {
    const __mmask16 there = _mm512_cmp_ps_mask(x, all(-126.0f), _CMP_GT_OQ);
    const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(x, whole);
    __m512 y = _mm512_fmadd_ps(rest, all(1.52527338e-05f), all(1.54035304e-04f));  // ln(2)^k / k!
    y = _mm512_fmadd_ps(y, rest, all(1.33335581e-03f));
    y = _mm512_fmadd_ps(y, rest, all(9.61812911e-03f));
    y = _mm512_fmadd_ps(y, rest, all(5.55041087e-02f));
    y = _mm512_fmadd_ps(y, rest, all(2.40226507e-01f));
    y = _mm512_fmadd_ps(y, rest, all(6.93147181e-01f));
    y = _mm512_fmadd_ps(y, rest, all(1.0f));
    return _mm512_maskz_scalef_ps(there, y, whole);
}

// 1 / (1 + e^-x), to 2^-14; NaN of NaN.
inline __m512 sigmoid(__m512 x) {
    const __m512 below = power_of_two(_mm512_mul_ps(x, all(-LOG2_E)));
    return _mm512_rcp14_ps(_mm512_add_ps(all(1.0f), below));
}
