// Attention over stretches of keys with AVX-512 alone, its weights dropped at random where that is asked for. Scores,
// weights and sums are float32 in the cache, whatever the tensors are; backwards they are computed again. A head of one
// row of the batch is worked on by one thread, ROWS queries at a time.
#include "chance.h"
#include "vectors.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

namespace {

constexpr long ROWS = 24, STEP = 6;  // queries at a time, and of those so many in registers

// C (6, W · 16) = A (6, depth) · B (depth, …), columns of B from b on.
template <int W>
inline void tile(const float* a, long a_step, const float* b, long b_step, float* c, long c_step, long depth) {
    __m512 sum[STEP][W] = {};
    for (long h = 0; h < depth; ++h) {
        __m512 line[W];
        for (int w = 0; w < W; ++w) line[w] = _mm512_loadu_ps(b + h * b_step + w * LANES);
        for (int r = 0; r < STEP; ++r) {
            const __m512 number = all(a[r * a_step + h]);
            for (int w = 0; w < W; ++w) sum[r][w] = _mm512_fmadd_ps(number, line[w], sum[r][w]);
        }
    }
    for (int r = 0; r < STEP; ++r)
        for (int w = 0; w < W; ++w) _mm512_storeu_ps(c + r * c_step + w * LANES, sum[r][w]);
}

// C (rows, columns) = A · B for columns that are a multiple of 16 and rows that are one of 6.
inline void product(const float* a, long a_step, const float* b, long b_step, float* c, long c_step, long rows,
                    long columns, long depth) {
    for (long i = 0; i < columns; i += 4 * LANES)
        for (long r = 0; r < rows; r += STEP) {
            const float* from = a + r * a_step;
            float* to = c + r * c_step + i;
            switch (std::min(4L, (columns - i) / LANES)) {
                case 4: tile<4>(from, a_step, b + i, b_step, to, c_step, depth); break;
                case 3: tile<3>(from, a_step, b + i, b_step, to, c_step, depth); break;
                case 2: tile<2>(from, a_step, b + i, b_step, to, c_step, depth); break;
                default: tile<1>(from, a_step, b + i, b_step, to, c_step, depth);
            }
        }
}

// C (count, W · 16) += Aᵀ · B with A (rows, count) and B (rows, W · 16); K columns of A at a time, up to K - 1 beyond.
template <int W>
inline void add_outer(const float* a, long a_step, const float* b, float* c, long rows, long count) {
    constexpr int K = 24 / W;
    for (long s = 0; s < count; s += K) {
        __m512 sum[K][W];
        for (int k = 0; k < K; ++k)
            for (int w = 0; w < W; ++w) sum[k][w] = _mm512_loadu_ps(c + ((s + k) * W + w) * LANES);
        for (long r = 0; r < rows; ++r) {
            __m512 line[W];
            for (int w = 0; w < W; ++w) line[w] = _mm512_loadu_ps(b + (r * W + w) * LANES);
            for (int k = 0; k < K; ++k) {
                const __m512 number = all(a[r * a_step + s + k]);
                for (int w = 0; w < W; ++w) sum[k][w] = _mm512_fmadd_ps(number, line[w], sum[k][w]);
            }
        }
        for (int k = 0; k < K; ++k)
            for (int w = 0; w < W; ++w) _mm512_storeu_ps(c + ((s + k) * W + w) * LANES, sum[k][w]);
    }
}

// One tensor (B, N, T, H) by the numbers from one row, position and head to the next.
template <class T>
struct Heads {
    T* at;
    long row, place, head;
    Heads(T* at, const long* steps) : at(at), row(steps[0]), place(steps[1]), head(steps[2]) {}
    T* of(long b, long n, long t) const { return at + b * row + n * head + t * place; }
};

struct Sizes {
    long B, N, T, S, H;
    long columns() const { return (S + LANES - 1) / LANES * LANES; }
    long stride() const { return columns() + 2 * LANES; }  // of the scratch; rows do not fall on one set of the cache
};

float* scratch(long count) {
    static thread_local std::unique_ptr<float, decltype(&std::free)> kept(nullptr, &std::free);
    static thread_local long room = 0;
    if (count > room) {
        kept.reset((float*)std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64));
        room = count;
    }
    return kept.get();
}

template <class T>
inline void copy_lines(const Heads<const T>& from, long b, long n, long begin, long count, long H, float* to) {
    for (long t = 0; t < count; ++t)
        for (long h = 0; h < H; h += LANES) _mm512_storeu_ps(to + t * H + h, load(from.of(b, n, begin + t) + h));
}

// (H, stride) of (S, H); zero behind the S.
inline void turn(const float* from, long S, long columns, long H, float* to, long stride) {
    for (long s = 0; s < columns; s += LANES)
        for (long h = 0; h < H; ++h) {
            const __m512i places = _mm512_mullo_epi32(
                _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32((int)H));
            const __mmask16 there = s < S ? first(S - s) : 0;
            const __m512 line = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, places, from + s * H + h, 4);
            _mm512_storeu_ps(to + h * stride + s, line);
        }
}

inline __mmask16 within(long i, long begin, long end) {
    const __mmask16 before = i >= begin ? 0 : (begin - i >= LANES ? 0xFFFF : (__mmask16)((1u << (begin - i)) - 1));
    const __mmask16 until = i >= end ? 0 : first(end - i);
    return until & (__mmask16)~before;
}

// How many of `rows` queries share keys with the first one: those of the next text would be scored for nothing. Queries
// that see themselves alone, as padding does, stay together.
inline long together(const int* begins, const int* ends, long rows) {
    for (long r = 1; r < rows; ++r)
        if (ends[0] - begins[0] > 1 && begins[r] >= ends[0]) return r;
    return rows;
}

template <class T>
void forward(const Heads<const T>& q, const Heads<const T>& k, const Heads<const T>& v, const int* from,
             const int* until, T* out, float* sums, const Sizes& z, float scale, const Chance& chance) {
    const long H = z.H, columns = z.columns(), stride = z.stride();
    const __m512 slope = all(scale * LOG2_E);
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (long b = 0; b < z.B; ++b)
        for (long n = 0; n < z.N; ++n) {
            float* keys = scratch(H * stride + columns * H * 2 + ROWS * (2 * H + stride));
            float *values = keys + H * stride, *lines = values + columns * H, *mine = lines + columns * H;
            float *scores = mine + ROWS * H, *mixed = scores + ROWS * stride;
            copy_lines(k, b, n, 0, z.S, H, lines);
            turn(lines, z.S, columns, H, keys, stride);
            copy_lines(v, b, n, 0, z.S, H, values);
            std::fill(values + z.S * H, values + columns * H, 0.0f);
            for (long t = 0, rows; t < z.T; t += rows) {
                const int *begins = from + b * z.T + t, *ends = until + b * z.T + t;
                rows = together(begins, ends, std::min(ROWS, z.T - t));
                const long whole = (rows + STEP - 1) / STEP * STEP;
                copy_lines(q, b, n, t, rows, H, mine);
                std::fill(mine + rows * H, mine + whole * H, 0.0f);
                const long low = *std::min_element(begins, begins + rows) / LANES * LANES;
                const long high = (*std::max_element(ends, ends + rows) + LANES - 1) / LANES * LANES;
                product(mine, H, keys + low, stride, scores + low, stride, whole, high - low, H);
                float inverse[ROWS];
                for (long r = 0; r < rows; ++r) {
                    float* line = scores + r * stride;
                    __m512 top = all(-INFINITY), sum = _mm512_setzero_ps();
                    for (long i = low; i < high; i += LANES) {
                        const __mmask16 seen = within(i, begins[r], ends[r]);
                        top = _mm512_mask_max_ps(top, seen, top, _mm512_loadu_ps(line + i));
                    }
                    const float most = _mm512_reduce_max_ps(top) * scale * LOG2_E;
                    const RowChance drawn(chance, (uint64_t)((b * z.N + n) * z.T + t + r));
                    for (long i = low; i < high; i += LANES) {
                        const __mmask16 seen = within(i, begins[r], ends[r]);
                        const __m512 power = _mm512_fmsub_ps(_mm512_loadu_ps(line + i), slope, all(most));
                        const __m512 weight = _mm512_maskz_mov_ps(seen, falling_power(power));
                        sum = _mm512_add_ps(sum, weight);
                        const __mmask16 kept = chance.least ? drawn.kept(i) : (__mmask16)0xFFFF;
                        _mm512_storeu_ps(line + i, _mm512_maskz_mov_ps(kept, weight));
                    }
                    const float total = _mm512_reduce_add_ps(sum);
                    sums[(b * z.N + n) * z.T + t + r] = most + std::log2(total);
                    inverse[r] = chance.scale / total;
                }
                for (long r = rows; r < whole; ++r) std::fill(scores + r * stride + low, scores + r * stride + high, 0.0f);
                product(scores + low, stride, values + low * H, H, mixed, H, whole, H, high - low);
                for (long r = 0; r < rows; ++r)
                    for (long h = 0; h < H; h += LANES) {
                        const __m512 line = _mm512_mul_ps(_mm512_loadu_ps(mixed + r * H + h), all(inverse[r]));
                        store(out + ((b * z.T + t + r) * z.N + n) * H + h, line);
                    }
            }
        }
}

template <class T>
inline void put(T* to, const float* from, const Sizes& z, long length, long b, long n) {
    for (long t = 0; t < length; ++t)
        for (long h = 0; h < z.H; h += LANES)
            store(to + ((b * length + t) * z.N + n) * z.H + h, _mm512_loadu_ps(from + t * z.H + h));
}

template <class T, int W>
void backward(const Heads<const T>& q, const Heads<const T>& k, const Heads<const T>& v, const int* from,
              const int* until, const T* out, const float* sums, const T* grad, T* q_grad, T* k_grad, T* v_grad,
              const Sizes& z, float scale, const Chance& chance) {
    constexpr long H = W * LANES;
    const long columns = z.columns(), stride = z.stride(), room = (columns + 2 * LANES) * H;
    const long steps[] = {z.T * z.N * H, z.N * H, H};
    const Heads<const T> slopes(grad, steps), given(out, steps);
    const __m512 power = all(scale * LOG2_E);
#pragma omp parallel for schedule(dynamic) collapse(2)
    for (long b = 0; b < z.B; ++b)
        for (long n = 0; n < z.N; ++n) {
            float* keys = scratch(2 * H * stride + 4 * room + ROWS * (4 * H + 2 * stride));
            float *values = keys + H * stride, *lines = values + H * stride, *other = lines + room;
            float *of_keys = other + room, *of_values = of_keys + room, *mine = of_values + room;
            float *slope = mine + ROWS * H, *old = slope + ROWS * H, *moved = old + ROWS * H;
            float *weights = moved + ROWS * H, *errors = weights + ROWS * stride;
            copy_lines(v, b, n, 0, z.S, H, other);
            turn(other, z.S, columns, H, values, stride);
            copy_lines(k, b, n, 0, z.S, H, lines);
            turn(lines, z.S, columns, H, keys, stride);
            std::fill(lines + z.S * H, lines + columns * H, 0.0f);
            std::fill(of_keys, of_keys + room, 0.0f);
            std::fill(of_values, of_values + room, 0.0f);
            for (long t = 0; t < z.T; t += ROWS) {
                const long rows = std::min(ROWS, z.T - t), whole = (rows + STEP - 1) / STEP * STEP;
                copy_lines(q, b, n, t, rows, H, mine);
                copy_lines(slopes, b, n, t, rows, H, slope);
                copy_lines(given, b, n, t, rows, H, old);
                std::fill(mine + rows * H, mine + whole * H, 0.0f);
                std::fill(slope + rows * H, slope + whole * H, 0.0f);
                const int *begins = from + b * z.T + t, *ends = until + b * z.T + t;
                const long low = *std::min_element(begins, begins + rows) / LANES * LANES;
                const long high = (*std::max_element(ends, ends + rows) + LANES - 1) / LANES * LANES;
                product(mine, H, keys + low, stride, weights + low, stride, whole, high - low, H);
                product(slope, H, values + low, stride, errors + low, stride, whole, high - low, H);
                for (long r = 0; r < rows; ++r) {
                    __m512 sum = _mm512_setzero_ps();
                    for (long h = 0; h < H; h += LANES)
                        sum = _mm512_fmadd_ps(_mm512_loadu_ps(slope + r * H + h), _mm512_loadu_ps(old + r * H + h), sum);
                    const __m512 level = all(_mm512_reduce_add_ps(sum));
                    const long number = (b * z.N + n) * z.T + t + r;
                    const RowChance drawn(chance, (uint64_t)number);
                    float *line = weights + r * stride, *error = errors + r * stride;
                    for (long i = low; i < high; i += LANES) {
                        const __mmask16 seen = within(i, begins[r], ends[r]);
                        const __mmask16 kept = chance.least ? drawn.kept(i) : (__mmask16)0xFFFF;
                        const __m512 below = _mm512_fmsub_ps(_mm512_loadu_ps(line + i), power, all(sums[number]));
                        const __m512 weight = _mm512_maskz_mov_ps(seen, falling_power(below));
                        const __m512 fall = _mm512_maskz_mul_ps(kept, _mm512_loadu_ps(error + i), all(chance.scale));
                        const __m512 away = _mm512_mul_ps(weight, _mm512_sub_ps(fall, level));
                        _mm512_storeu_ps(line + i, _mm512_maskz_mul_ps(kept, weight, all(chance.scale)));
                        _mm512_storeu_ps(error + i, _mm512_mul_ps(away, all(scale)));
                    }
                    for (float* each : {line, error}) {  // `add_outer` reads a little beyond
                        _mm512_storeu_ps(each + high, _mm512_setzero_ps());
                        _mm512_storeu_ps(each + high + LANES, _mm512_setzero_ps());
                    }
                }
                for (long r = rows; r < whole; ++r)
                    std::fill(errors + r * stride + low, errors + r * stride + high, 0.0f);
                product(errors + low, stride, lines + low * H, H, moved, H, whole, H, high - low);
                for (long r = 0; r < rows; ++r)
                    for (long h = 0; h < H; h += LANES)
                        store(q_grad + ((b * z.T + t + r) * z.N + n) * H + h, _mm512_loadu_ps(moved + r * H + h));
                add_outer<W>(errors + low, stride, mine, of_keys + low * H, rows, high - low);
                add_outer<W>(weights + low, stride, slope, of_values + low * H, rows, high - low);
            }
            put(k_grad, of_keys, z, z.S, b, n);
            put(v_grad, of_values, z, z.S, b, n);
        }
}

template <class T>
void chosen_backward(const T* q, const T* k, const T* v, const int* from, const int* until, const T* out,
                     const float* sums, const T* grad, T* q_grad, T* k_grad, T* v_grad, const long* q_steps,
                     const long* k_steps, const long* v_steps, const Sizes& z, float scale, const Chance& chance) {
    const Heads<const T> qs(q, q_steps), ks(k, k_steps), vs(v, v_steps);
    const auto run = z.H == 32 ? backward<T, 2> : z.H == 64 ? backward<T, 4> : z.H == 96 ? backward<T, 6> : backward<T, 8>;
    run(qs, ks, vs, from, until, out, sums, grad, q_grad, k_grad, v_grad, z, scale, chance);
}

}  // namespace

// `q` (B, N, T, H), `k` and `v` (B, N, S, H) by their steps; each query sees the keys `from` … `until` - 1, (B, T). `out`
// and the gradients are (B, T, N, H), `sums` (B, N, T) the logarithm to base 2 of the sum of each query's weights. H is
// 32, 64, 96 or 128. Of 2^32 weights, `dropped` are.
#define ATTENTION(T, NAME)                                                                                          \
    void vector_attention_forward_##NAME(const T* q, const T* k, const T* v, const int* from, const int* until,    \
                                          T* out, float* sums, const long* q_steps, const long* k_steps,            \
                                          const long* v_steps, long B, long N, long length, long S, long H,         \
                                          float scale, long seed, long dropped) {                                   \
        const Heads<const T> qs(q, q_steps), ks(k, k_steps), vs(v, v_steps);                                        \
        forward(qs, ks, vs, from, until, out, sums, Sizes{B, N, length, S, H}, scale, Chance(seed, dropped));       \
    }                                                                                                               \
    void vector_attention_backward_##NAME(const T* q, const T* k, const T* v, const int* from, const int* until,   \
                                           const T* out, const float* sums, const T* grad, T* q_grad, T* k_grad,    \
                                           T* v_grad, const long* q_steps, const long* k_steps,                     \
                                           const long* v_steps, long B, long N, long length, long S, long H,        \
                                           float scale, long seed, long dropped) {                                  \
        chosen_backward(q, k, v, from, until, out, sums, grad, q_grad, k_grad, v_grad, q_steps, k_steps, v_steps,   \
                        Sizes{B, N, length, S, H}, scale, Chance(seed, dropped));                                   \
    }

extern "C" {
ATTENTION(float, float32)
ATTENTION(bf16, bfloat16)
}
