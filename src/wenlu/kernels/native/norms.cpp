// Layer and root mean square normalisation, forward and backward, in float32 throughout.
#include "vectors.h"

#include <cmath>
#include <vector>

#include <omp.h>

namespace {

// f(i, lanes) for each 16 numbers of a row.
template <class F>
inline void along(long width, F work) {
    for (long i = 0; i < width; i += LANES) work(i, first(width - i));
}

}  // namespace

extern "C" {

// Each of `rows` rows x becomes (x - mean) · inverse · weight + bias, where `inverse` is 1 / √(mean square + eps). With
// `centred` the mean is taken out first, else it counts as 0. `bias` may be null. `stats` (rows, 2): mean and inverse.
void norm_forward(const bf16* x, const bf16* weight, const bf16* bias, bf16* out, float* stats, long rows, long width,
                  long centred, float eps) {
#pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; ++row) {
        const bf16* line = x + row * width;
        float mean = 0.0f;
        if (centred) {
            __m512 sum = _mm512_setzero_ps();
            along(width, [&](long i, __mmask16 lanes) { sum = _mm512_add_ps(sum, load(line + i, lanes)); });
            mean = _mm512_reduce_add_ps(sum) / width;
        }
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
            const __m512 shift = bias ? load(bias + i, lanes) : _mm512_setzero_ps();
            store(out + row * width + i, _mm512_fmadd_ps(unit, load(weight + i, lanes), shift), lanes);
        });
    }
}

// `bias_grad` may be null.
void norm_backward(const bf16* x, const bf16* weight, const float* stats, const bf16* grad, bf16* x_grad,
                   float* weight_grad, float* bias_grad, long rows, long width, long centred) {
    const long padded = (width + LANES - 1) / LANES * LANES, threads = omp_get_max_threads();
    std::vector<float> sums(2 * padded * threads, 0.0f);  // of each thread: for the weight, then for the bias
#pragma omp parallel
    {
        float *of_weight = sums.data() + 2 * padded * omp_get_thread_num(), *of_bias = of_weight + padded;
#pragma omp for schedule(static)
        for (long row = 0; row < rows; ++row) {
            const bf16 *line = x + row * width, *slopes = grad + row * width;
            const __m512 mean = all(stats[2 * row]), inverse = all(stats[2 * row + 1]);
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
            const __m512 taken = all(centred ? _mm512_reduce_add_ps(level) / width : 0.0f);
            const __m512 part = all(_mm512_reduce_add_ps(along_x) / width);
            along(width, [&](long i, __mmask16 lanes) {
                const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(load(line + i, lanes), mean), inverse);
                const __m512 weighed = _mm512_mul_ps(load(slopes + i, lanes), load(weight + i, lanes));
                const __m512 across = _mm512_fnmadd_ps(unit, part, _mm512_sub_ps(weighed, taken));
                store(x_grad + row * width + i, _mm512_mul_ps(across, inverse), lanes);
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
        if (bias_grad) bias_grad[i] = b;
    }
}
}
