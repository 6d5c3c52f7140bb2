// What a half of a layer made, dropped in part and added to what it read, and the sum normalised; in float32 throughout.
#include "chance.h"
#include "vectors.h"

#include <cmath>
#include <vector>

#include <omp.h>

namespace {

template <class F>
inline void along(long width, F work) {
    for (long i = 0; i < width; i += LANES) work(i, first(width - i));
}

inline __mmask16 kept(const RowChance& drawn, const Chance& chance, long i) {
    return chance.least ? drawn.kept(i) : (__mmask16)0xFFFF;
}

template <class T>
void forward(const T* x, const T* y, const T* weight, const T* bias, T* sum, T* out, float* stats, long rows,
             long width, float eps, const Chance& chance) {
#pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; ++row) {
        const T *read = x + row * width, *made = y + row * width;
        T* line = sum + row * width;
        const RowChance drawn(chance, (uint64_t)row);
        __m512 total = _mm512_setzero_ps();
        along(width, [&](long i, __mmask16 lanes) {
            const __m512 part = _mm512_maskz_mul_ps(kept(drawn, chance, i), load(made + i, lanes), all(chance.scale));
            const __m512 both = _mm512_add_ps(load(read + i, lanes), part);
            store(line + i, both, lanes);
            total = _mm512_add_ps(total, both);
        });
        const float mean = _mm512_reduce_add_ps(total) / width;
        __m512 squares = _mm512_setzero_ps();
        along(width, [&](long i, __mmask16 lanes) {
            const __m512 away = _mm512_maskz_sub_ps(lanes, load(line + i, lanes), all(mean));
            squares = _mm512_fmadd_ps(away, away, squares);
        });
        const float inverse = 1.0f / std::sqrt(_mm512_reduce_add_ps(squares) / width + eps);
        stats[2 * row] = mean;
        stats[2 * row + 1] = inverse;
        along(width, [&](long i, __mmask16 lanes) {
            const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(load(line + i, lanes), all(mean)), all(inverse));
            store(out + row * width + i, _mm512_fmadd_ps(unit, load(weight + i, lanes), load(bias + i, lanes)), lanes);
        });
    }
}

template <class T>
void backward(const T* sum, const T* weight, const float* stats, const T* grad, T* x_grad, T* y_grad,
              float* weight_grad, float* bias_grad, long rows, long width, const Chance& chance) {
    const long padded = (width + LANES - 1) / LANES * LANES, threads = omp_get_max_threads();
    std::vector<float> sums(2 * padded * threads, 0.0f);  // of each thread: for the weight, then for the bias
#pragma omp parallel
    {
        float *of_weight = sums.data() + 2 * padded * omp_get_thread_num(), *of_bias = of_weight + padded;
#pragma omp for schedule(static)
        for (long row = 0; row < rows; ++row) {
            const T *line = sum + row * width, *slopes = grad + row * width;
            const __m512 mean = all(stats[2 * row]), inverse = all(stats[2 * row + 1]);
            const RowChance drawn(chance, (uint64_t)row);
            __m512 level = _mm512_setzero_ps(), along_x = _mm512_setzero_ps();
            along(width, [&](long i, __mmask16 lanes) {
                const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(load(line + i, lanes), mean), inverse);
                const __m512 slope = load(slopes + i, lanes), weighed = _mm512_mul_ps(slope, load(weight + i, lanes));
                level = _mm512_add_ps(level, weighed);
                along_x = _mm512_fmadd_ps(weighed, unit, along_x);
                float *w = of_weight + i, *b = of_bias + i;
                _mm512_storeu_ps(w, _mm512_fmadd_ps(slope, unit, _mm512_loadu_ps(w)));
                _mm512_storeu_ps(b, _mm512_add_ps(slope, _mm512_loadu_ps(b)));
            });
            const __m512 taken = all(_mm512_reduce_add_ps(level) / width);
            const __m512 part = all(_mm512_reduce_add_ps(along_x) / width);
            along(width, [&](long i, __mmask16 lanes) {
                const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(load(line + i, lanes), mean), inverse);
                const __m512 weighed = _mm512_mul_ps(load(slopes + i, lanes), load(weight + i, lanes));
                const __m512 across = _mm512_fnmadd_ps(unit, part, _mm512_sub_ps(weighed, taken));
                const __m512 moved = _mm512_mul_ps(across, inverse);
                store(x_grad + row * width + i, moved, lanes);
                const __m512 behind = _mm512_maskz_mul_ps(kept(drawn, chance, i), moved, all(chance.scale));
                store(y_grad + row * width + i, behind, lanes);
            });
        }
    }
    for (long i = 0; i < width; ++i) {
        float w = 0.0f, b = 0.0f;
        for (long t = 0; t < threads; ++t) {
            w += sums[2 * padded * t + i];
            b += sums[2 * padded * t + padded + i];
        }
        weight_grad[i] = w;
        bias_grad[i] = b;
    }
}

}  // namespace

// Each of `rows` rows: sum = x + y, of which `dropped` of 2^32 numbers are 0 and the others made larger for it; out is
// sum normalised as in norms.cpp. `stats` (rows, 2): mean and inverse.
#define RESIDUAL(T, NAME)                                                                                           \
    void residual_norm_forward_##NAME(const T* x, const T* y, const T* weight, const T* bias, T* sum, T* out,       \
                                      float* stats, long rows, long width, float eps, long seed, long dropped) {    \
        forward(x, y, weight, bias, sum, out, stats, rows, width, eps, Chance(seed, dropped));                      \
    }                                                                                                               \
    void residual_norm_backward_##NAME(const T* sum, const T* weight, const float* stats, const T* grad, T* x_grad, \
                                       T* y_grad, float* weight_grad, float* bias_grad, long rows, long width,      \
                                       long seed, long dropped) {                                                   \
        backward(sum, weight, stats, grad, x_grad, y_grad, weight_grad, bias_grad, rows, width,                     \
                 Chance(seed, dropped));                                                                            \
    }

extern "C" {
RESIDUAL(float, float32)
RESIDUAL(bf16, bfloat16)
}
