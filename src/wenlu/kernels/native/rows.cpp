// What is done to each number or row by itself, so that the memory is read once.
#include "vectors.h"

#include <cmath>
#include <limits>

namespace {

constexpr float ROOT = 0.7978845608028654f;  // √(2/π)
constexpr float CUBE = 0.044715f;

// gelu(x) = x σ(2u), u = √(2/π) (x + 0.044715 x³): the approximation by tanh, written with a sigmoid.
inline __m512 gelu_gate(__m512 x, __m512 square) {
    const __m512 inner = _mm512_fmadd_ps(_mm512_mul_ps(square, x), all(CUBE), x);
    return sigmoid(_mm512_mul_ps(inner, all(2 * ROOT)));
}

inline __m512 gelu(__m512 x) { return _mm512_mul_ps(x, gelu_gate(x, _mm512_mul_ps(x, x))); }

inline __m512 gelu_slope(__m512 x) {
    const __m512 square = _mm512_mul_ps(x, x);
    const __m512 gate = gelu_gate(x, square);
    const __m512 inner = _mm512_fmadd_ps(square, all(6 * ROOT * CUBE), all(2 * ROOT));  // of 2u
    const __m512 falling = _mm512_mul_ps(gate, _mm512_sub_ps(all(1.0f), gate));
    return _mm512_fmadd_ps(_mm512_mul_ps(x, falling), inner, gate);
}

template <class F>
void each(long count, F work) {
    constexpr long BLOCK = 1 << 13;
#pragma omp parallel for schedule(static)
    for (long begin = 0; begin < count; begin += BLOCK) {
        const long end = begin + BLOCK < count ? begin + BLOCK : count;
        for (long i = begin; i < end; i += LANES) work(i, first(end - i));
    }
}

}  // namespace

extern "C" {

void gelu_forward(const bf16* x, bf16* out, long count) {
    each(count, [=](long i, __mmask16 lanes) { store(out + i, gelu(load(x + i, lanes)), lanes); });
}

// `out` may be `grad`.
void gelu_backward(const bf16* x, const bf16* grad, bf16* out, long count) {
    each(count, [=](long i, __mmask16 lanes) {
        const __m512 slope = gelu_slope(load(x + i, lanes));
        store(out + i, _mm512_mul_ps(load(grad + i, lanes), slope), lanes);
    });
}

// silu(gate) · up
void swiglu_forward(const bf16* gate, const bf16* up, bf16* out, long count) {
    each(count, [=](long i, __mmask16 lanes) {
        const __m512 g = load(gate + i, lanes);
        const __m512 opened = _mm512_mul_ps(_mm512_mul_ps(g, sigmoid(g)), load(up + i, lanes));
        store(out + i, opened, lanes);
    });
}

void swiglu_backward(const bf16* gate, const bf16* up, const bf16* grad, bf16* gate_grad, bf16* up_grad, long count) {
    each(count, [=](long i, __mmask16 lanes) {
        const __m512 g = load(gate + i, lanes), d = load(grad + i, lanes), s = sigmoid(g);
        const __m512 slope = _mm512_mul_ps(s, _mm512_fmadd_ps(g, _mm512_sub_ps(all(1.0f), s), all(1.0f)));
        store(up_grad + i, _mm512_mul_ps(d, _mm512_mul_ps(g, s)), lanes);
        store(gate_grad + i, _mm512_mul_ps(_mm512_mul_ps(d, load(up + i, lanes)), slope), lanes);
    });
}

// `sums` (width,) of the columns of `x` (rows, width).
void column_sums(const bf16* x, float* sums, long rows, long width) {
    constexpr long BLOCK = 4 * LANES;
#pragma omp parallel for schedule(static)
    for (long c = 0; c < width; c += BLOCK) {
        __m512 sum[4] = {};
        const long left = width - c;
        for (long r = 0; r < rows; ++r)
            for (long i = 0; i < 4; ++i)
                if (left > i * LANES)
                    sum[i] = _mm512_add_ps(sum[i], load(x + r * width + c + i * LANES, first(left - i * LANES)));
        for (long i = 0; i < 4; ++i)
            if (left > i * LANES) _mm512_mask_storeu_ps(sums + c + i * LANES, first(left - i * LANES), sum[i]);
    }
}

// (rows, width) logits become softmax(logits) less one at the target; `losses` (rows,) the cross-entropies in nats.
void softmax_errors(bf16* logits, const int64_t* targets, float* losses, long rows, long width) {
#pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; ++row) {
        bf16* line = logits + row * width;
        __m512 highest = all(-std::numeric_limits<float>::infinity());
        for (long i = 0; i < width; i += LANES) {
            const __mmask16 lanes = first(width - i);
            highest = _mm512_mask_max_ps(highest, lanes, highest, load(line + i, lanes));
        }
        const float top = _mm512_reduce_max_ps(highest);
        __m512 sum = _mm512_setzero_ps();
        for (long i = 0; i < width; i += LANES) {
            const __mmask16 lanes = first(width - i);
            const __m512 share = exponential(_mm512_sub_ps(load(line + i, lanes), all(top)));
            sum = _mm512_mask_add_ps(sum, lanes, sum, share);
        }
        const float total = _mm512_reduce_add_ps(sum);
        float asked;
        const uint32_t wide = (uint32_t)line[targets[row]] << 16;
        std::memcpy(&asked, &wide, sizeof asked);
        losses[row] = std::log(total) + top - asked;
        const __m512 inverse = all(1.0f / total);
        for (long i = 0; i < width; i += LANES) {
            const __mmask16 lanes = first(width - i);
            const __m512 share = exponential(_mm512_sub_ps(load(line + i, lanes), all(top)));
            store(line + i, _mm512_mul_ps(share, inverse), lanes);
        }
        const float chance = std::exp(asked - top) / total;
        const __m512 error = all(chance - 1.0f);
        store(line + targets[row], error, 1);
    }
}
}
