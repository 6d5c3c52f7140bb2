// Gradients of weights: the sum of outer products of rows, a (n, rows)ᵀ · b (n, columns), in float32.
#include "tiles.h"

#include <algorithm>

namespace {

constexpr long INNER = 512;  // rows of `a` and `b` at a time: 32 columns of both stay in the first cache

thread_local Scratch scratch;

// 16 numbers of row `r` and of the one below it, in turn; zeros from row `end` on.
inline __m512i pair_before(const bf16* x, long row, long r, long end) {
    const __m256i none = _mm256_setzero_si256();
    const __m256i upper = r < end ? _mm256_loadu_si256((const __m256i*)(x + r * row)) : none;
    const __m256i lower = r + 1 < end ? _mm256_loadu_si256((const __m256i*)(x + (r + 1) * row)) : none;
    return interleave(upper, lower);
}

// `columns` columns of `a`, turned: (columns, height).
void turned(const bf16* a, long row, long count, long columns, bf16* out, long height) {
    __m512i block[16];
    for (long r = 0; r < height; r += 32)
        for (long c = 0; c < columns; c += 16) {
            for (long i = 0; i < 16; ++i) block[i] = pair_before(a + c, row, r + 2 * i, count);
            transpose(block);
            for (long i = 0; i < 16; ++i) _mm512_storeu_si512(out + (c + i) * (height + 32) + r, block[i]);
        }
}

void add(float* to, const float* from, long count) {
    for (long i = 0; i < count; i += LANES)
        _mm512_storeu_ps(to + i, _mm512_add_ps(_mm512_loadu_ps(to + i), _mm512_loadu_ps(from + i)));
}

void round(const float* from, bf16* to, long count) {
    for (long i = 0; i < count; i += LANES) store(to + i, _mm512_loadu_ps(from + i));
}

// `from` (rows, columns) to `to` (columns, rows of `stride` numbers).
void round_turned(const float* from, long rows, long columns, bf16* to, long stride) {
    __m512i block[16];
    for (long r = 0; r < rows; r += 16)
        for (long c = 0; c < columns; c += 16) {
            for (long i = 0; i < 16; ++i) block[i] = _mm512_loadu_si512(from + (r + i) * columns + c);
            transpose(block);
            for (long i = 0; i < 16; ++i) store(to + (c + i) * stride + r, _mm512_castsi512_ps(block[i]));
        }
}

}  // namespace

extern "C" {

// `to` (columns, rows) becomes the transpose of `from` (rows, columns); both are multiples of 32.
void transpose_matrix(const bf16* from, bf16* to, long rows, long columns) {
#pragma omp parallel for schedule(static)
    for (long r = 0; r < rows; r += 32) turn(from + r * columns, columns, 32, columns, to + r, rows);
}

// `b` (count, columns) into `panels`, which has room for it with its rows rounded up to 32; columns are multiples of 16.
void pack_panels(const bf16* b, bf16* panels, long count, long columns) {
#pragma omp parallel for schedule(static) collapse(2)
    for (long begin = 0; begin < count; begin += INNER)
        for (long c = 0; c < columns; c += PANEL) {
            const long here = std::min(INNER, count - begin), height = up_to(here, 32);
            bf16* to = panels + begin * columns + c * height;
            for (long r = 0; r < height; r += 2)
                _mm512_storeu_si512(to + r * PANEL, pair_before(b + begin * columns + c, columns, r, here));
        }
}

// aᵀ b (rows, columns), of the panels of b, is added to `sums`; or, where that is null, written to `rounded`, turned if
// `turns`. Rows and columns are multiples of 32.
void outer_products(const bf16* a, const bf16* panels, float* sums, bf16* rounded, long count, long rows, long columns,
                    long turns) {
    const long outer = rows >= 1536 ? 256 : rows >= 768 ? 128 : 64;  // rows of the result at a time
#pragma omp parallel
    {
        scratch.open(outer * (INNER + 32) * sizeof(bf16) + outer * columns * sizeof(float) + 512);
        bf16* left = scratch.take<bf16>(outer * (INNER + 32));
        float* result = scratch.take<float>(outer * columns);
        const Tiles tiles;
#pragma omp for schedule(dynamic, 1)
        for (long top = 0; top < rows; top += outer) {
            const long tall = std::min(outer, rows - top);
            std::memset(result, 0, tall * columns * sizeof(float));
            for (long begin = 0; begin < count; begin += INNER) {
                const long here = std::min(INNER, count - begin), height = up_to(here, 32);
                turned(a + begin * rows + top, rows, here, tall, left, height);
                for (long c = 0; c < columns; c += 32)
                    for (long r = 0; r < tall; r += 32) {
                        const bf16* panel = panels + begin * columns + c * height;
                        multiply<true>(left + r * (height + 32), height + 32, panel, height * PANEL, height / 32,
                                       result + r * columns + c, columns);
                    }
            }
            if (sums)
                add(sums + top * columns, result, tall * columns);
            else if (turns)
                round_turned(result, tall, columns, rounded + top, rows);
            else
                round(result, rounded + top * columns, tall * columns);
        }
    }
}
}
