// Sixteen numbers at a time: one AVX-512 register, or a pair of AVX2's. The same few verbs for both.
#pragma once

#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <initializer_list>

constexpr long LANES = 16;

using half = uint16_t;  // float16
using bf16 = uint16_t;

#ifdef __AVX512F__

using F = __m512;
using I = __m512i;

inline F all(float x) { return _mm512_set1_ps(x); }
inline F load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, F x) { _mm512_storeu_ps(to, x); }
inline F load_half(const half* from) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from)); }
inline F load_bf16(const bf16* from) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)from)), 16));
}
inline F load_bytes(const int8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)from)));
}
inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F subtract(F a, F b) { return _mm512_sub_ps(a, b); }
inline F multiply(F a, F b) { return _mm512_mul_ps(a, b); }
inline F divide(F a, F b) { return _mm512_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F largest(F a, F b) { return _mm512_max_ps(a, b); }
inline F smallest(F a, F b) { return _mm512_min_ps(a, b); }
inline F magnitude(F a) { return _mm512_abs_ps(a); }
inline F to_floats(I a) { return _mm512_cvtepi32_ps(a); }
inline I all_ints(int32_t x) { return _mm512_set1_epi32(x); }
inline I add_ints(I a, I b) { return _mm512_add_epi32(a, b); }
inline F nearest(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline float sum_of(F a) { return _mm512_reduce_add_ps(a); }
inline float largest_of(F a) { return _mm512_reduce_max_ps(a); }
// Whole numbers of at most eight bits.
inline void store_bytes(int8_t* to, F a) { _mm_storeu_si128((__m128i*)to, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a))); }
// a where the lane's number is from `low` to `high`, else `other`.
inline F between(F a, int low, int high, F other) {
    const I lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 seen = _mm512_cmpge_epi32_mask(lane, all_ints(low)) & _mm512_cmple_epi32_mask(lane, all_ints(high));
    return _mm512_mask_mov_ps(other, seen, a);
}
// 2^whole times a, for whole numbers; 0 where there is no such small number.
inline F scaled(F a, F whole) { return _mm512_scalef_ps(a, whole); }

// Sixty-four codes; four neighbours belong to one lane.
using Codes = __m512i;
inline Codes load_codes(const uint8_t* from) { return _mm512_loadu_si512(from); }
inline Codes low_nibbles(Codes a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
inline Codes high_nibbles(Codes a) { return _mm512_and_si512(_mm512_srli_epi16(a, 4), _mm512_set1_epi8(15)); }
// Each lane's sum and, added to it, its four codes (0 to 255) times the four signed bytes of `x`.
inline I dot(I sum, Codes codes, int32_t x) {
#ifdef __AVX512VNNI__
    return _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(x));
#else
    const __m512i bytes = _mm512_set1_epi32(x), low = _mm512_set1_epi16(255);
    const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(codes, 8), _mm512_srai_epi16(bytes, 8));
    const __m512i even =
        _mm512_madd_epi16(_mm512_and_si512(codes, low), _mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8));
    return _mm512_add_epi32(sum, _mm512_add_epi32(odd, even));
#endif
}
// The first and the second of each lane's two bfloat16.
inline F first_bf16(Codes a) { return _mm512_castsi512_ps(_mm512_slli_epi32(a, 16)); }
inline F second_bf16(Codes a) { return _mm512_castsi512_ps(_mm512_and_si512(a, _mm512_set1_epi32(0xFFFF0000))); }

#else

#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "this processor has no AVX2"
#endif

struct F { __m256 a, b; };
struct I { __m256i a, b; };

inline F all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline void store(float* to, F x) { _mm256_storeu_ps(to, x.a), _mm256_storeu_ps(to + 8, x.b); }
inline __m256 of_half(const half* from) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from)); }
inline F load_half(const half* from) { return {of_half(from), of_half(from + 8)}; }
inline __m256 of_bf16(const bf16* from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)from)), 16));
}
inline F load_bf16(const bf16* from) { return {of_bf16(from), of_bf16(from + 8)}; }
inline __m256 of_bytes(const int8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)from)));
}
inline F load_bytes(const int8_t* from) { return {of_bytes(from), of_bytes(from + 8)}; }
inline F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline F subtract(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline F multiply(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F divide(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
inline F largest(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline F smallest(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline F magnitude(F x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline F to_floats(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline I all_ints(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline I add_ints(I x, I y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
constexpr int NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
inline F nearest(F x) { return {_mm256_round_ps(x.a, NEAREST), _mm256_round_ps(x.b, NEAREST)}; }
inline float sum_of(F x) {
    const __m256 sum = _mm256_add_ps(x.a, x.b);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float largest_of(F x) {
    const __m256 top = _mm256_max_ps(x.a, x.b);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
inline void store_bytes(int8_t* to, F x) {
    const __m256i wide = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
    const __m256i ordered = _mm256_permute4x64_epi64(wide, 0xD8);
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128((__m128i*)to, bytes);
}
inline __m256 chosen(__m256 x, __m256i lane, int low, int high, __m256 other) {
    const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(low), lane);
    const __m256i above = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(high));
    return _mm256_blendv_ps(x, other, _mm256_castsi256_ps(_mm256_or_si256(below, above)));
}
inline F between(F x, int low, int high, F other) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return {chosen(x.a, lane, low, high, other.a), chosen(x.b, lane, low - 8, high - 8, other.b)};
}
inline __m256 shifted(__m256 x, __m256 whole) {
    const __m256i power = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
    const __m256i there = _mm256_cmpgt_epi32(power, _mm256_setzero_si256());
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_and_si256(there, _mm256_slli_epi32(power, 23))));
}
inline F scaled(F x, F whole) { return {shifted(x.a, whole.a), shifted(x.b, whole.b)}; }

using Codes = I;
inline Codes load_codes(const uint8_t* from) {
    return {_mm256_loadu_si256((const __m256i*)from), _mm256_loadu_si256((const __m256i*)(from + 32))};
}
inline Codes low_nibbles(Codes x) {
    const __m256i mask = _mm256_set1_epi8(15);
    return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
inline Codes high_nibbles(Codes x) { return low_nibbles({_mm256_srli_epi16(x.a, 4), _mm256_srli_epi16(x.b, 4)}); }
inline __m256i dot(__m256i sum, __m256i codes, int32_t x) {
    const __m256i bytes = _mm256_set1_epi32(x), low = _mm256_set1_epi16(255);
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), _mm256_srai_epi16(bytes, 8));
    const __m256i even =
        _mm256_madd_epi16(_mm256_and_si256(codes, low), _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(odd, even));
}
inline I dot(I sum, Codes codes, int32_t x) { return {dot(sum.a, codes.a, x), dot(sum.b, codes.b, x)}; }
inline F first_bf16(Codes x) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(x.a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(x.b, 16))};
}
inline F second_bf16(Codes x) {
    const __m256i high = _mm256_set1_epi32(0xFFFF0000);
    return {_mm256_castsi256_ps(_mm256_and_si256(x.a, high)), _mm256_castsi256_ps(_mm256_and_si256(x.b, high))};
}

#endif

// 2 to the x, to 2^-22; 0 from -150 down, and no more than 2^126.
inline F power_of_two(F x) {
    const F bounded = smallest(all(126.0f), largest(x, all(-150.0f))), whole = nearest(bounded);
    const F rest = subtract(bounded, whole);
    F y = fma(rest, all(1.52527338e-05f), all(1.54035304e-04f));  // ln(2)^k / k!
    for (const float k : {1.33335581e-03f, 9.61812911e-03f, 5.55041087e-02f, 2.40226507e-01f, 6.93147181e-01f, 1.0f})
        y = fma(y, rest, all(k));
    return scaled(y, whole);
}
