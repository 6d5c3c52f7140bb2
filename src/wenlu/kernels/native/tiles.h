// Products of bfloat16 matrices by AMX tiles, summed in float32, and the layouts that they read.
#pragma once

#include "vectors.h"

#if !defined(__AMX_BF16__)
#error "this processor has no AMX"
#endif

#include <cstdlib>
#include <memory>

// Eight tiles of 16 rows of 64 bytes while it lives; what the thread had before comes back, for oneDNN uses them too.
class Tiles {
    struct alignas(64) Palette {
        uint8_t number, start, reserved[14];
        uint16_t columns[16];
        uint8_t rows[16];
    };
    static constexpr Palette ALL = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    Palette before;

public:
    Tiles() {
        _tile_storeconfig(&before);
        asm volatile("" ::: "memory");
        _tile_loadconfig(&ALL);
    }
    ~Tiles() {
        asm volatile("" ::: "memory");
        if (before.number == 0)
            _tile_release();
        else
            _tile_loadconfig(&before);
    }
};

// A thread's own memory, kept between calls.
class Scratch {
    struct Free {
        void operator()(void* at) const { std::free(at); }
    };
    std::unique_ptr<void, Free> memory;
    size_t size = 0, used = 0;

public:
    void open(size_t bytes) {
        if (bytes > size) {
            memory.reset(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
            size = bytes;
        }
        used = 0;
    }
    template <class T>
    T* take(long count) {
        T* at = (T*)((char*)memory.get() + used);
        used += (count * sizeof(T) + 127) / 64 * 64;
        return at;
    }
};

inline long up_to(long count, long multiple) { return (count + multiple - 1) / multiple * multiple; }

// Columns go in panels of 16, whose rows 2r and 2r + 1 are interleaved: [columns / 16][rows / 2][16][2].
constexpr long PANEL = 16, TILE = 512;  // numbers of a tile

// 32 × 32 of `c` (`+)= a b`, over 32 · `steps` inner numbers; `a` in rows, `b` in panels; strides in numbers.
template <bool ADDS>
inline void multiply(const bf16* a, long a_row, const bf16* b, long b_panel, long steps, float* c, long c_row) {
    asm volatile("" ::: "memory");  // the compiler does not know what a tile reads
    if (ADDS) {
        _tile_loadd(0, c, c_row * 4);
        _tile_loadd(1, c + 16, c_row * 4);
        _tile_loadd(2, c + 16 * c_row, c_row * 4);
        _tile_loadd(3, c + 16 * c_row + 16, c_row * 4);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (long step = 0; step < steps; ++step, a += 32, b += TILE) {
        _tile_loadd(4, a, a_row * 2);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + b_panel, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + 16 * a_row, a_row * 2);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, c_row * 4);
    _tile_stored(1, c + 16, c_row * 4);
    _tile_stored(2, c + 16 * c_row, c_row * 4);
    _tile_stored(3, c + 16 * c_row + 16, c_row * 4);
    asm volatile("" ::: "memory");
}

// Rows of 16 numbers of 32 bits become columns.
inline void transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 8; ++i) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[8 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[4 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[4 + i], 0xdd);
        r[4 + i] = _mm512_shuffle_i32x4(t[8 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_i32x4(t[8 + i], t[12 + i], 0xdd);
    }
}

// 16 numbers of two rows, in turn.
inline __m512i interleave(__m256i upper, __m256i lower) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(upper), _mm512_slli_epi32(_mm512_cvtepu16_epi32(lower), 16));
}

inline __m512i pair(const bf16* x, long row) {
    return interleave(_mm256_loadu_si256((const __m256i*)x), _mm256_loadu_si256((const __m256i*)(x + row)));
}

// `x` (rows, columns) into panels of its columns; `height` rows a panel, of which these begin at `out`.
inline void pack(const bf16* x, long row, long rows, long columns, bf16* out, long height) {
    for (long c = 0; c < columns; c += PANEL)
        for (long r = 0; r < rows; r += 2)
            _mm512_storeu_si512(out + c * height + r * PANEL, pair(x + r * row + c, row));
}

// The transpose of `x` (rows, columns) into panels: a panel holds 16 rows of `x`.
inline void pack_transposed(const bf16* x, long row, long rows, long columns, bf16* out) {
    __m512i block[16];
    for (long r = 0; r < rows; r += 16)
        for (long c = 0; c < columns; c += 32) {
            for (long i = 0; i < 16; ++i) block[i] = _mm512_loadu_si512(x + (r + i) * row + c);
            transpose(block);
            for (long i = 0; i < 16; ++i) _mm512_storeu_si512(out + r * columns + c * PANEL + i * 32, block[i]);
        }
}

// The transpose of `x` (rows, columns) in rows.
inline void turn(const bf16* x, long row, long rows, long columns, bf16* out, long out_row) {
    __m512i block[16];
    for (long r = 0; r < rows; r += 32)
        for (long c = 0; c < columns; c += 16) {
            for (long i = 0; i < 16; ++i) block[i] = pair(x + (r + 2 * i) * row + c, row);
            transpose(block);
            for (long i = 0; i < 16; ++i) _mm512_storeu_si512(out + (c + i) * out_row + r, block[i]);
        }
}
