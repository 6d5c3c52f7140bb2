// Attention whose queries see a stretch of keys each, forward and backward, a head at a time.
//
// Scores are never rounded: they stay in float32 until the softmax (Dao et al. 2022, arXiv:2205.14135; Dao 2023,
// arXiv:2307.08691, for what the backward pass keeps: the logarithm of each row's sum).
#include "tiles.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <sys/syscall.h>
#include <unistd.h>

namespace {

struct Shape {
    long rows, heads, kv_heads, queries, keys, size;
    float scale;
};

// (rows, positions, heads, size) in memory.
struct Heads {
    const bf16* at;
    long row, position, head;

    const bf16* of(long r, long h) const { return at + r * row + h * head; }
};

constexpr long KEYS = 64;  // keys at a time in the backward pass

thread_local Scratch scratch;

// `count` positions of a head, contiguous, with zeros up to `padded`.
bf16* copied(const bf16* from, long step, long count, long padded, long size) {
    bf16* to = scratch.take<bf16>(padded * size);
    for (long i = 0; i < count; ++i) std::memcpy(to + i * size, from + i * step, size * sizeof(bf16));
    std::memset(to + count * size, 0, (padded - count) * size * sizeof(bf16));
    return to;
}

// Lowest and highest key that any of 32 queries sees.
struct Stretch {
    long from, to;
};

Stretch seen(const int32_t* from, const int32_t* to, long begin, long end) {
    return {*std::min_element(from + begin, from + end), *std::max_element(to + begin, to + end)};
}

__mmask16 visible(long key, const int32_t* from, const int32_t* to) {  // to which of 16 queries
    const __m512i k = _mm512_set1_epi32((int)key);
    return _mm512_cmple_epi32_mask(_mm512_loadu_si512(from), k) & _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(to), k);
}

void forward(const Shape& s, const bf16* q, const bf16* k, const bf16* v, long q_step, long k_step, long v_step,
             const int32_t* from, const int32_t* to, bf16* out, long out_step, float* sums) {
    const long size = s.size, queries = up_to(s.queries, 32), keys = up_to(s.keys, 32);
    scratch.open(2 * (queries + 4 * keys) * size * 2 + keys * 32 * 8 + 32 * size * 4 + (1 << 14));
    const bf16* Q = copied(q, q_step, s.queries, queries, size);
    const bf16* K = copied(k, k_step, s.keys, keys, size);
    const bf16* V = copied(v, v_step, s.keys, keys, size);
    bf16* KT = scratch.take<bf16>(keys * size);
    bf16* VP = scratch.take<bf16>(keys * size);
    pack_transposed(K, size, keys, size, KT);
    pack(V, size, keys, size, VP, keys);
    float* scores = scratch.take<float>(32 * (keys + 16));
    bf16* shares = scratch.take<bf16>(32 * (keys + 32));
    float* mixed = scratch.take<float>(32 * size);
    const long score_row = keys + 16, share_row = keys + 32;
    const Tiles tiles;
    for (long t = 0; t < s.queries; t += 32) {
        const long end = std::min(t + 32, s.queries);
        const Stretch all_of = seen(from, to, t, end);
        const long begin = all_of.from / 32 * 32, stop = up_to(all_of.to, 32);
        for (long key = begin; key < stop; key += 32)
            multiply<false>(Q + t * size, size, KT + key * size, size * PANEL, size / 32, scores + key, score_row);
        for (long i = t; i < t + 32; ++i) {
            float* line = scores + (i - t) * score_row;
            bf16* share = shares + (i - t) * share_row;
            if (i >= end) {
                std::memset(share + begin, 0, (stop - begin) * sizeof(bf16));
                continue;
            }
            const __m512i low = _mm512_set1_epi32(from[i]), high = _mm512_set1_epi32(to[i]);
            const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            __m512 top = all(-std::numeric_limits<float>::infinity());
            for (long key = begin; key < stop; key += LANES) {
                const __m512i here = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)key));
                const __mmask16 sees = _mm512_cmpge_epi32_mask(here, low) & _mm512_cmplt_epi32_mask(here, high);
                const __m512 hidden = all(-std::numeric_limits<float>::infinity());
                const __m512 x = _mm512_mask_mul_ps(hidden, sees, _mm512_loadu_ps(line + key), all(s.scale));
                _mm512_storeu_ps(line + key, x);
                top = _mm512_max_ps(top, x);
            }
            const float highest = _mm512_reduce_max_ps(top);
            __m512 sum = _mm512_setzero_ps();
            for (long key = begin; key < stop; key += LANES) {
                const __m512 p = exponential(_mm512_sub_ps(_mm512_loadu_ps(line + key), all(highest)));
                sum = _mm512_add_ps(sum, p);
                store(share + key, p);
            }
            const float total = _mm512_reduce_add_ps(sum);
            sums[i] = highest + std::log(total);
            line[0] = 1.0f / total;
        }
        for (long h = 0; h < size; h += 32)
            multiply<false>(shares + begin, share_row, VP + h * keys + begin * PANEL, keys * PANEL,
                            (stop - begin) / 32, mixed + h, size);
        for (long i = t; i < end; ++i) {
            const __m512 inverse = all(scores[(i - t) * score_row]);
            for (long h = 0; h < size; h += LANES)
                store(out + i * out_step + h, _mm512_mul_ps(_mm512_loadu_ps(mixed + (i - t) * size + h), inverse));
        }
    }
}

// What queries bring to the gradient of one head of keys, whose sums are `k_grad` and `v_grad`.
void backward(const Shape& s, const bf16* q, const bf16* K, const bf16* V, const bf16* KT, const bf16* out,
              const bf16* grad, long q_step, long out_step, const int32_t* from, const int32_t* to, const float* sums,
              float* k_grad, float* v_grad, bf16* q_grad, long q_grad_step) {
    const long size = s.size, queries = up_to(s.queries, 32), keys = up_to(s.keys, KEYS), wide = queries + 32;
    const bf16* Q = copied(q, q_step, s.queries, queries, size);
    const bf16* G = copied(grad, out_step, s.queries, queries, size);
    bf16 *QT = scratch.take<bf16>(queries * size), *GT = scratch.take<bf16>(queries * size);
    bf16 *QP = scratch.take<bf16>(queries * size), *GP = scratch.take<bf16>(queries * size);
    pack_transposed(Q, size, queries, size, QT);
    pack_transposed(G, size, queries, size, GT);
    pack(Q, size, queries, size, QP, queries);
    pack(G, size, queries, size, GP, queries);
    float *dots = scratch.take<float>(queries), *logs = scratch.take<float>(queries);
    int32_t *low = scratch.take<int32_t>(queries), *high = scratch.take<int32_t>(queries);
    for (long t = 0; t < queries; ++t) {
        const bool real = t < s.queries;
        __m512 dot = _mm512_setzero_ps();
        for (long h = 0; real && h < size; h += LANES)
            dot = _mm512_fmadd_ps(load(out + t * out_step + h), load(G + t * size + h), dot);
        dots[t] = _mm512_reduce_add_ps(dot);
        logs[t] = real ? sums[t] : 0.0f;
        low[t] = real ? from[t] : 0;
        high[t] = real ? to[t] : 0;
    }
    bf16 *shares = scratch.take<bf16>(KEYS * wide), *errors = scratch.take<bf16>(KEYS * wide);
    bf16* packed = scratch.take<bf16>(KEYS * queries);
    float *scores = scratch.take<float>(KEYS * 32), *slopes = scratch.take<float>(KEYS * 32);
    float* turned = scratch.take<float>(size * wide);
    std::memset(turned, 0, size * wide * sizeof(float));
    for (long key = 0; key < s.keys; key += KEYS) {
        long begin = queries, stop = 0;
        for (long t = 0; t < queries; t += 32) {
            const Stretch all_of = seen(low, high, t, std::min(t + 32, s.queries));
            if (all_of.from >= key + KEYS || all_of.to <= key) continue;
            begin = std::min(begin, t);
            stop = t + 32;
        }
        for (long t = begin; t < stop; t += 32) {
            for (long half = 0; half < KEYS; half += 32) {
                const bf16 *k = K + (key + half) * size, *v = V + (key + half) * size;
                multiply<false>(k, size, QT + t * size, size * PANEL, size / 32, scores + half * 32, 32);
                multiply<false>(v, size, GT + t * size, size * PANEL, size / 32, slopes + half * 32, 32);
            }
            for (long c = 0; c < 32; c += LANES) {
                const __m512 log = _mm512_loadu_ps(logs + t + c), dot = _mm512_loadu_ps(dots + t + c);
                for (long i = 0; i < KEYS; i += 2) {
                    __m256i both[2];
                    for (long j = i; j < i + 2; ++j) {
                        const __mmask16 sees = visible(key + j, low + t + c, high + t + c);
                        const __m512 x = _mm512_fmsub_ps(_mm512_loadu_ps(scores + j * 32 + c), all(s.scale), log);
                        const __m512 p = _mm512_maskz_mov_ps(sees, exponential(x));
                        const __m512 slope = _mm512_sub_ps(_mm512_loadu_ps(slopes + j * 32 + c), dot);
                        both[j - i] = narrow(_mm512_mul_ps(_mm512_mul_ps(p, slope), all(s.scale)));
                        store(shares + j * wide + t + c, p);
                        _mm256_storeu_si256((__m256i*)(errors + j * wide + t + c), both[j - i]);
                    }
                    _mm512_storeu_si512(packed + (t + c) * KEYS + i * PANEL, interleave(both[0], both[1]));
                }
            }
            for (long h = 0; h < size; h += 32)
                multiply<true>(KT + h * (keys + 32) + key, keys + 32, packed + t * KEYS, KEYS * PANEL, KEYS / 32,
                               turned + h * wide + t, wide);
        }
        if (begin >= stop) continue;
        const long steps = (stop - begin) / 32;
        for (long half = 0; half < KEYS; half += 32)
            for (long h = 0; h < size; h += 32) {
                const long place = (key + half) * size + h, row = half * wide + begin, column = h * queries + begin * PANEL;
                multiply<true>(shares + row, wide, GP + column, queries * PANEL, steps, v_grad + place, size);
                multiply<true>(errors + row, wide, QP + column, queries * PANEL, steps, k_grad + place, size);
            }
    }
    __m512i block[16];
    for (long t = 0; t < s.queries; t += 16)
        for (long h = 0; h < size; h += 16) {
            for (long i = 0; i < 16; ++i) block[i] = _mm512_loadu_si512(turned + (h + i) * wide + t);
            transpose(block);
            for (long i = 0; i < std::min(16L, s.queries - t); ++i)
                store(q_grad + (t + i) * q_grad_step + h, _mm512_castsi512_ps(block[i]));
        }
}

void narrowed(const float* from, long count, long size, bf16* to, long step) {
    for (long i = 0; i < count; ++i)
        for (long h = 0; h < size; h += LANES) store(to + i * step + h, _mm512_loadu_ps(from + i * size + h));
}

}  // namespace

extern "C" {

// Linux lets a process use tiles once it has asked.
int allow_tiles() { return (int)syscall(SYS_arch_prctl, 0x1023, 18); }

// q, out: (rows, queries, heads, size); k, v: (rows, keys, kv_heads, size); each with its steps of row, position, head.
// from, to: (rows, queries) the keys that a query sees. sums: (rows, heads, queries), for the backward pass.
void attention_forward(const bf16* q, const bf16* k, const bf16* v, const int32_t* from, const int32_t* to, bf16* out,
                       float* sums, const long* q_steps, const long* k_steps, const long* v_steps, long rows,
                       long heads, long kv_heads, long queries, long keys, long size, float scale) {
    const Shape shape = {rows, heads, kv_heads, queries, keys, size, scale};
    const Heads Q = {q, q_steps[0], q_steps[1], q_steps[2]}, K = {k, k_steps[0], k_steps[1], k_steps[2]},
                V = {v, v_steps[0], v_steps[1], v_steps[2]};
#pragma omp parallel for schedule(dynamic, 1) collapse(2)
    for (long r = 0; r < rows; ++r)
        for (long h = 0; h < heads; ++h) {
            const long kv = h / (heads / kv_heads);
            forward(shape, Q.of(r, h), K.of(r, kv), V.of(r, kv), Q.position, K.position, V.position,
                    from + r * queries, to + r * queries, out + (r * queries * heads + h) * size, heads * size,
                    sums + (r * heads + h) * queries);
        }
}

// Gradients of q, k and v are contiguous, as is `out` and its `grad`.
void attention_backward(const bf16* q, const bf16* k, const bf16* v, const int32_t* from, const int32_t* to,
                        const bf16* out, const float* sums, const bf16* grad, bf16* q_grad, bf16* k_grad, bf16* v_grad,
                        const long* q_steps, const long* k_steps, const long* v_steps, long rows, long heads,
                        long kv_heads, long queries, long keys, long size, float scale) {
    const Shape shape = {rows, heads, kv_heads, queries, keys, size, scale};
    const Heads Q = {q, q_steps[0], q_steps[1], q_steps[2]}, K = {k, k_steps[0], k_steps[1], k_steps[2]},
                V = {v, v_steps[0], v_steps[1], v_steps[2]};
    const long group = heads / kv_heads, padded = up_to(keys, KEYS), tall = up_to(queries, 32), wide = tall + 32;
#pragma omp parallel for schedule(dynamic, 1) collapse(2)
    for (long r = 0; r < rows; ++r)
        for (long kv = 0; kv < kv_heads; ++kv) {
            const size_t kept = (2 * padded * size + size * (padded + 32)) * 2 + 2 * padded * size * 4 + 4096;
            scratch.open(kept + group * (6 * tall * size * 2 + 4 * tall * 4 + KEYS * (2 * wide + tall) * 2 +
                                         KEYS * 64 * 4 + size * wide * 4 + 4096));
            const bf16* Kc = copied(K.of(r, kv), K.position, keys, padded, size);
            const bf16* Vc = copied(V.of(r, kv), V.position, keys, padded, size);
            bf16* KT = scratch.take<bf16>(size * (padded + 32));
            turn(Kc, size, padded, size, KT, padded + 32);
            float *dk = scratch.take<float>(padded * size), *dv = scratch.take<float>(padded * size);
            std::memset(dk, 0, padded * size * sizeof(float));
            std::memset(dv, 0, padded * size * sizeof(float));
            const Tiles tiles;
            for (long h = kv * group; h < (kv + 1) * group; ++h) {
                const long place = (r * queries * heads + h) * size;
                backward(shape, Q.of(r, h), Kc, Vc, KT, out + place, grad + place, Q.position, heads * size,
                         from + r * queries, to + r * queries, sums + (r * heads + h) * queries, dk, dv,
                         q_grad + place, heads * size);
            }
            const long place = (r * keys * kv_heads + kv) * size;
            narrowed(dk, keys, size, k_grad + place, kv_heads * size);
            narrowed(dv, keys, size, v_grad + place, kv_heads * size);
        }
}
}
