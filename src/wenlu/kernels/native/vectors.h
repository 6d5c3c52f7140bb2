// Sixteen numbers at a time, in AVX-512: bfloat16 in memory, float32 in registers.
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

inline __m512 all(float x) { return _mm512_set1_ps(x); }

// e to the x, to 2 units in the last place; 0 below -87, where float32 would be subnormal; NaN of NaN.
inline __m512 exponential(__m512 x) {
    x = _mm512_min_ps(all(89.0f), x);  // infinite from there on
    const __m512 in_twos = _mm512_mul_ps(x, all(1.44269504088896341f));
    const __m512 whole = _mm512_roundscale_ps(in_twos, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 rest = _mm512_fnmadd_ps(whole, all(0.693359375f), x);
    rest = _mm512_fnmadd_ps(whole, all(-2.12194440e-4f), rest);
    __m512 y = all(1.9875691500e-4f);
    y = _mm512_fmadd_ps(y, rest, all(1.3981999507e-3f));
    y = _mm512_fmadd_ps(y, rest, all(8.3334519073e-3f));
    y = _mm512_fmadd_ps(y, rest, all(4.1665795894e-2f));
    y = _mm512_fmadd_ps(y, rest, all(1.6666665459e-1f));
    y = _mm512_fmadd_ps(y, rest, all(5.0000001201e-1f));
    y = _mm512_fmadd_ps(y, _mm512_mul_ps(rest, rest), _mm512_add_ps(rest, all(1.0f)));
    const __mmask16 tiny = _mm512_cmp_ps_mask(x, all(-87.0f), _CMP_LT_OQ);
    return _mm512_mask_blend_ps(tiny, _mm512_scalef_ps(y, whole), _mm512_setzero_ps());
}

// 1 / (1 + e^-x), to 2^-12, which bfloat16 does not see; NaN of NaN.
inline __m512 sigmoid(__m512 x) {
    const __m512 twos = _mm512_min_ps(all(127.0f), _mm512_mul_ps(x, all(-1.44269504088896341f)));
    const __m512 whole = _mm512_roundscale_ps(twos, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(twos, whole);  // 2 to this, on [-1/2, 1/2], by a polynomial
    __m512 y = _mm512_fmadd_ps(rest, all(5.508877e-2f), all(2.4260466e-1f));
    y = _mm512_fmadd_ps(y, rest, all(6.9327628e-1f));
    y = _mm512_fmadd_ps(y, rest, all(9.999289e-1f));
    return _mm512_rcp14_ps(_mm512_add_ps(all(1.0f), _mm512_scalef_ps(y, whole)));
}
