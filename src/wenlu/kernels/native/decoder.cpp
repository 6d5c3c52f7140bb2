// A forward pass of a Llama-like decoder over tokens of many sequences, in one call: all threads stay inside, and wait
// for each other by spinning. Every number of a row is computed from that row and from the pages of its own sequence, by
// the same operations in the same order whatever other rows there are, so an answer does not depend on its neighbours,
// nor on the chunks in which its prompt was read.
#include "lanes.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include <omp.h>
#include <sys/mman.h>

namespace {

constexpr long GROUP = 32;   // neighbours that share a scale
constexpr long PAGE = 32;    // tokens of a page of keys and values
constexpr long BLOCK = 8;    // rows that share what is read of the weights
constexpr long FEW = 4;      // up to so many rows, every thread normalises all of them rather than wait for the others
constexpr long MOST = 256;   // the largest head
constexpr float LOG2_E = 1.44269504088896341f;
constexpr float NEVER = -1e30f;

enum Kind : long { FLOAT32, BFLOAT16, INT8 };  // of keys and values

// Rows of 16 outputs each: for float32 a column after the other, for bfloat16 two at a time; for codes groups of 32
// columns, four neighbours a lane (of four bits: the first 16 columns in the low halves), then the 16 scales, then
// the 16 floors where there are some: a weight is scale (code - zero), or scale code + floor.
struct Matrix {
    const uint8_t* tiles;
    const float* bias;
    long outputs, columns, bits, has_floors, wide_scales, tile_bytes;
};

struct Layer {
    Matrix qkv, out, gate, up, down;
    const float *attention_norm, *mlp_norm, *q_norm, *k_norm, *turns;  // turns: cosines, then sines of each position
    uint8_t *keys, *values;                                            // (page, head, H, 32) and (page, head, 32, H)
    float *key_scales, *value_scales;                                  // (page, head, 32), of INT8
    long window;
};

struct Plan {
    const Layer* layers;
    const float* last_norm;
    Matrix head;
    long num_layers, width, inner, heads, kv_heads, head_dim, turned, cache;
    double eps, scale;
};

inline long rounded_up(long count, long step) { return (count + step - 1) / step * step; }

// Inputs of a product: (rows, stride) numbers, and for codes the same as bytes. A group has a scale, and what its bytes'
// sum stands for: `starts`, so many times the code of zero less, or `shifts`, what floors are multiplied by.
struct Inputs {
    float* x;
    int8_t* bytes;
    float *scales, *shifts;
    int32_t* starts;
    long stride;

    void quantise(const Matrix& by, long row, long from, long to) const {
        if (by.bits > 8) return;
        for (long column = from; column < to; column += GROUP) {
            const float* at = x + row * stride + column;
            const F low = load(at), high = load(at + LANES);
            const float most = largest_of(largest(magnitude(low), magnitude(high)));
            const float inverse = most > 0 ? 127.0f / most : 0.0f;
            const F first = nearest(multiply(low, all(inverse))), second = nearest(multiply(high, all(inverse)));
            store_bytes(bytes + row * stride + column, first);
            store_bytes(bytes + row * stride + column + LANES, second);
            const long group = row * (stride / GROUP) + column / GROUP;
            const float sum = sum_of(add(first, second));
            scales[group] = most / 127.0f;
            shifts[group] = scales[group] * sum;
            starts[group] = by.has_floors ? 0 : -(int32_t)sum * (1 << (by.bits - 1));
        }
    }
};

// A piece of the caller's memory after the other.
struct Room {
    char* base;
    size_t used = 0;

    template <class T>
    T* take(long count) {
        used = (used + 63) / 64 * 64;
        T* at = base ? (T*)(base + used) : nullptr;
        used += count * sizeof(T);
        return at;
    }

    Inputs inputs(long rows, long columns) {
        const long stride = rounded_up(columns, GROUP);
        return {take<float>(rows * stride), take<int8_t>(rows * stride), take<float>(rows * stride / GROUP),
                take<float>(rows * stride / GROUP), take<int32_t>(rows * stride / GROUP), stride};
    }
};

struct alignas(64) Counter { std::atomic<long> value; };
struct alignas(64) Round { std::atomic<int> value; };

// The threads of a call. `each` deals out the numbers below `count`, `meet` waits until all are there: by spinning, which
// is soonest; where one does not come it has lost its core to another program, and gets a core back when others sleep.
struct Team {
    static constexpr int SPINS = 1000;  // some tens of microseconds
    Counter arrived;
    Round round;
    Counter* dealt;

    void meet(int threads, int& phase) {
        if (threads == 1) return;
        const int now = ++phase;
        if (arrived.value.fetch_add(1, std::memory_order_acq_rel) == (long)threads * now - 1) {
            round.value.store(now, std::memory_order_release);
            round.value.notify_all();
            return;
        }
        for (int spins = 0; spins < SPINS; ++spins) {
            if (round.value.load(std::memory_order_acquire) >= now) return;
            _mm_pause();
        }
        for (int seen; (seen = round.value.load(std::memory_order_acquire)) < now;) round.value.wait(seen);
    }
};

struct Thread {
    Team& team;
    int number, threads;
    int phase = 0;
    long deal = 0;

    void meet() { team.meet(threads, phase); }

    template <class Work>
    void each(long count, Work work) {
        std::atomic<long>& next = team.dealt[deal++].value;  // counts what is beyond the half that is dealt beforehand
        const long own = count / (2 * threads), rest = own * threads, step = std::max(1L, count / (threads * 8));
        for (long i = number * own; i < (number + 1) * own; ++i) work(i);
        for (long begin = next.fetch_add(step); begin + rest < count; begin = next.fetch_add(step))
            for (long i = begin + rest; i < std::min(count, begin + rest + step); ++i) work(i);
    }
};

template <class W, int R>
void plain_tile(const uint8_t* tile, const Inputs& in, long row, F* out) {
    F total[R], other[R];
    for (int r = 0; r < R; ++r) total[r] = other[r] = all(0);
    const float* x = in.x + row * in.stride;
    for (long c = 0; c < in.stride; c += 2, tile += 2 * LANES * sizeof(W)) {
        F first, second;
        if constexpr (sizeof(W) == 4) {
            first = load((const float*)tile), second = load((const float*)tile + LANES);
        } else {
            const Codes pairs = load_codes(tile);
            first = first_bf16(pairs), second = second_bf16(pairs);
        }
        for (int r = 0; r < R; ++r) {
            total[r] = fma(first, all(x[r * in.stride + c]), total[r]);
            other[r] = fma(second, all(x[r * in.stride + c + 1]), other[r]);
        }
    }
    for (int r = 0; r < R; ++r) out[r] = add(total[r], other[r]);
}

template <int BITS, bool FLOORS, int R>
void coded_tile(const uint8_t* tile, bool wide, const Inputs& in, long row, F* out) {
    constexpr long AHEAD = 4096;  // bytes that are on their way from memory
    const long groups = in.stride / GROUP;
    const int8_t* x = in.bytes + row * in.stride;
    const float *scales = in.scales + row * groups, *shifts = in.shifts + row * groups;
    const int32_t* starts = in.starts + row * groups;
    const auto four = [&](int r, long g, int k) {
        int32_t bytes;
        std::memcpy(&bytes, x + r * in.stride + g * GROUP + 4 * k, 4);
        return bytes;
    };
    const auto take_scales = [&] {
        const F scales = wide ? load((const float*)tile) : load_half((const half*)tile);
        tile += LANES * (wide ? sizeof(float) : sizeof(half));
        return scales;
    };
    F total[R];
    for (int r = 0; r < R; ++r) total[r] = all(0);
    for (long g = 0; g < groups; ++g) {
        I sum[R];
        for (int r = 0; r < R; ++r) sum[r] = all_ints(FLOORS ? 0 : starts[r * groups + g]);
        for (int k = 0; k < BITS; ++k, tile += 64) {
            _mm_prefetch((const char*)tile + AHEAD, _MM_HINT_T1);
            const Codes codes = load_codes(tile);
            if constexpr (BITS == 8) {
                for (int r = 0; r < R; ++r) sum[r] = dot(sum[r], codes, four(r, g, k));
            } else {
                const Codes low = low_nibbles(codes), high = high_nibbles(codes);
                for (int r = 0; r < R; ++r) sum[r] = dot(dot(sum[r], low, four(r, g, k)), high, four(r, g, k + 4));
            }
        }
        _mm_prefetch((const char*)tile + AHEAD, _MM_HINT_T1);
        const F scale = take_scales();
        for (int r = 0; r < R; ++r)
            total[r] = fma(to_floats(sum[r]), multiply(scale, all(scales[r * groups + g])), total[r]);
        if constexpr (FLOORS) {
            const F floor = take_scales();
            for (int r = 0; r < R; ++r)
                total[r] = fma(floor, all(shifts[r * groups + g]), total[r]);
        }
    }
    for (int r = 0; r < R; ++r) out[r] = total[r];
}

template <int R>
void one_tile(const Matrix& w, const uint8_t* tile, const Inputs& in, long row, F* out) {
    switch (w.bits) {
        case 32: return plain_tile<float, R>(tile, in, row, out);
        case 16: return plain_tile<bf16, R>(tile, in, row, out);
        case 8:
            return w.has_floors ? coded_tile<8, true, R>(tile, w.wide_scales, in, row, out)
                                : coded_tile<8, false, R>(tile, w.wide_scales, in, row, out);
        default:
            return w.has_floors ? coded_tile<4, true, R>(tile, w.wide_scales, in, row, out)
                                : coded_tile<4, false, R>(tile, w.wide_scales, in, row, out);
    }
}

// The 16 outputs of a tile for `count` rows, at most `BLOCK`, from `row` on; with the bias.
void tile_of(const Matrix& w, long tile, const Inputs& in, long row, long count, F* out) {
    const uint8_t* at = w.tiles + tile * w.tile_bytes;
    long done = 0;
    if (count == BLOCK) one_tile<BLOCK>(w, at, in, row, out), done = BLOCK;
    for (; count - done >= 4; done += 4) one_tile<4>(w, at, in, row + done, out + done);
    for (; done < count; ++done) one_tile<1>(w, at, in, row + done, out + done);
    if (w.bias)
        for (long r = 0; r < count; ++r) out[r] = add(out[r], load(w.bias + tile * LANES));
}

// emit(row, first output, 16 numbers) for all rows and outputs.
template <class Emit>
void product(Thread& thread, const Matrix& w, const Inputs& in, long rows, Emit emit) {
    thread.each(rounded_up(w.outputs, LANES) / LANES, [&](long tile) {
        F out[BLOCK];
        for (long row = 0; row < rows; row += BLOCK) {
            const long count = std::min(BLOCK, rows - row);
            tile_of(w, tile, in, row, count, out);
            for (long r = 0; r < count; ++r) emit(row + r, tile * LANES, out[r]);
        }
    });
}

// Root mean square normalisation of the first `width` numbers; `to` may be `from`.
void normalise(const float* from, const float* weight, float* to, long width, double eps) {
    float squares = 0;
    F sum = all(0);
    long i = 0;
    for (; i + LANES <= width; i += LANES) sum = fma(load(from + i), load(from + i), sum);
    for (; i < width; ++i) squares += from[i] * from[i];
    const float inverse = 1.0f / std::sqrt((sum_of(sum) + squares) / width + (float)eps);
    for (i = 0; i + LANES <= width; i += LANES)
        store(to + i, multiply(multiply(load(from + i), all(inverse)), load(weight + i)));
    for (; i < width; ++i) to[i] = from[i] * inverse * weight[i];
}

inline bf16 to_bf16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
}

inline F load_cached(const float* from) { return load(from); }
inline F load_cached(const bf16* from) { return load_bf16(from); }
inline F load_cached(const int8_t* from) { return load_bytes(from); }

template <class KV>
void keep(const float* x, KV* to, long size, long step, float* scale) {
    if constexpr (sizeof(KV) == 4) {
        for (long i = 0; i < size; ++i) to[i * step] = x[i];
    } else if constexpr (sizeof(KV) == 2) {
        for (long i = 0; i < size; ++i) to[i * step] = to_bf16(x[i]);
    } else {
        float most = 0;
        for (long i = 0; i < size; ++i) most = std::max(most, std::abs(x[i]));
        const float inverse = most > 0 ? 127.0f / most : 0.0f;
        for (long i = 0; i < size; ++i) to[i * step] = (int8_t)std::nearbyint(x[i] * inverse);
        *scale = most / 127.0f;
    }
}

struct Call {
    const Plan& plan;
    const int32_t *positions, *sequences, *tables;
    long rows, table_width;
    bool alone;              // every row is the only one of its sequence
    float *x, *qkv;          // (rows, width) the residual stream; (rows, qkv_stride)
    long x_stride, qkv_stride;
    Inputs normal, mixed, inner;
    Inputs* own;             // a thread's, of `FEW` rows

    template <class KV>
    void place(const Layer& layer, long row, long head) const {
        const long H = plan.head_dim, group = plan.heads / plan.kv_heads, position = positions[row];
        float* q = qkv + row * qkv_stride + head * group * H;
        float* k = qkv + row * qkv_stride + (plan.heads + head) * H;
        const float* v = qkv + row * qkv_stride + (plan.heads + plan.kv_heads + head) * H;
        for (long i = 0; i <= group; ++i) {
            float* each = i < group ? q + i * H : k;
            const float* norm = i < group ? layer.q_norm : layer.k_norm;
            if (norm) normalise(each, norm, each, H, plan.eps);
            if (layer.turns) turn(each, layer.turns + position * plan.turned);
        }
        for (long i = 0; i < group * H; ++i) q[i] *= (float)plan.scale * LOG2_E;
        const long page = tables[sequences[row] * table_width + position / PAGE], slot = position % PAGE;
        const long at = page * plan.kv_heads + head;
        float* scales[2] = {layer.key_scales + at * PAGE + slot, layer.value_scales + at * PAGE + slot};
        keep(k, (KV*)layer.keys + at * H * PAGE + slot, H, PAGE, scales[0]);
        keep(v, (KV*)layer.values + (at * PAGE + slot) * H, H, 1, scales[1]);
    }

    void turn(float* x, const float* cosines) const {
        const long pairs = plan.turned / 2;
        for (long i = 0; i < pairs; ++i) {
            const float cosine = cosines[i], sine = cosines[pairs + i], a = x[i], b = x[pairs + i];
            x[i] = a * cosine - b * sine;
            x[pairs + i] = b * cosine + a * sine;
        }
    }

    // The queries of a head of keys in `count` rows of one sequence, from `row` on.
    template <class KV>
    void attend(const Layer& layer, long row, long count, long head) const {
        const long group = plan.heads / plan.kv_heads, queries = count * group;
        long done = 0;
        for (; queries - done >= 8; done += 8) attend_some<KV, 8>(layer, row, head, done);
        if (queries - done >= 4) attend_some<KV, 4>(layer, row, head, done), done += 4;
        switch (queries - done) {
            case 3: return attend_some<KV, 3>(layer, row, head, done);
            case 2: return attend_some<KV, 2>(layer, row, head, done);
            case 1: return attend_some<KV, 1>(layer, row, head, done);
        }
    }

    template <class KV, int N>
    void attend_some(const Layer& layer, long row, long head, long begin) const {
        const long H = plan.head_dim, group = plan.heads / plan.kv_heads;
        const int32_t* table = tables + sequences[row] * table_width;
        const float* q[N];
        float* to[N];
        long last[N], first[N], earliest = 1L << 40, latest = 0;
        for (int n = 0; n < N; ++n) {
            const long at = row + (begin + n) / group, column = (head * group + (begin + n) % group) * H;
            q[n] = qkv + at * qkv_stride + column;
            to[n] = mixed.x + at * mixed.stride + column;
            last[n] = positions[at];
            first[n] = layer.window ? std::max(0L, last[n] - layer.window + 1) : 0;
            earliest = std::min(earliest, first[n]), latest = std::max(latest, last[n]);
        }
        float top[N], total[N];
        alignas(64) float shares[N][PAGE], sums[N][MOST];
        for (int n = 0; n < N; ++n) {
            top[n] = NEVER, total[n] = 0;
            for (long i = 0; i < H; i += LANES) store(sums[n] + i, all(0));
        }
        for (long number = earliest / PAGE; number <= latest / PAGE; ++number) {
            const long at = (long)table[number] * plan.kv_heads + head, start = number * PAGE;
            const KV* keys = (const KV*)layer.keys + at * H * PAGE;
            const KV* values = (const KV*)layer.values + at * PAGE * H;
            const long ahead = (long)table[std::min(number + 1, latest / PAGE)] * plan.kv_heads + head;
            for (long line = 0; line < (long)sizeof(KV) * H * PAGE; line += 64) {
                _mm_prefetch((const char*)values + line, _MM_HINT_T1);
                _mm_prefetch((const char*)((const KV*)layer.keys + ahead * H * PAGE) + line, _MM_HINT_T1);
            }
            F scores[N][2];
            for (int n = 0; n < N; ++n) scores[n][0] = scores[n][1] = all(0);
            for (long h = 0; h < H; ++h) {
                const F left = load_cached(keys + h * PAGE), right = load_cached(keys + h * PAGE + LANES);
                for (int n = 0; n < N; ++n) {
                    scores[n][0] = fma(all(q[n][h]), left, scores[n][0]);
                    scores[n][1] = fma(all(q[n][h]), right, scores[n][1]);
                }
            }
            float fade[N];
            for (int n = 0; n < N; ++n) {
                for (int i = 0; i < 2; ++i) {
                    if constexpr (sizeof(KV) == 1)
                        scores[n][i] = multiply(scores[n][i], load(layer.key_scales + at * PAGE + i * LANES));
                    const long from = start + i * LANES;
                    const int low = std::max(-1L, first[n] - from), high = std::min(LANES, last[n] - from);
                    scores[n][i] = between(scores[n][i], low, high, all(NEVER));
                }
                const float highest = std::max(top[n], largest_of(largest(scores[n][0], scores[n][1])));
                alignas(64) float faded[LANES];
                store(faded, power_of_two(all(top[n] - highest)));
                fade[n] = faded[0], top[n] = highest;
                F share[2];
                for (int i = 0; i < 2; ++i) share[i] = power_of_two(subtract(scores[n][i], all(highest)));
                total[n] = total[n] * fade[n] + sum_of(add(share[0], share[1]));
                for (int i = 0; i < 2; ++i) {
                    if constexpr (sizeof(KV) == 1)
                        share[i] = multiply(share[i], load(layer.value_scales + at * PAGE + i * LANES));
                    store(shares[n] + i * LANES, share[i]);
                }
            }
            const long seen = std::min(PAGE, latest - start + 1);
            for (long i = 0; i < H; i += 2 * LANES) {
                const bool both = i + LANES < H;
                F sum[N][2];
                for (int n = 0; n < N; ++n) {
                    sum[n][0] = multiply(load(sums[n] + i), all(fade[n]));
                    sum[n][1] = both ? multiply(load(sums[n] + i + LANES), all(fade[n])) : all(0);
                }
                for (long s = 0; s < seen; ++s) {
                    const F left = load_cached(values + s * H + i);
                    const F right = both ? load_cached(values + s * H + i + LANES) : left;
                    for (int n = 0; n < N; ++n) {
                        sum[n][0] = fma(all(shares[n][s]), left, sum[n][0]);
                        sum[n][1] = fma(all(shares[n][s]), right, sum[n][1]);
                    }
                }
                for (int n = 0; n < N; ++n) {
                    store(sums[n] + i, sum[n][0]);
                    if (both) store(sums[n] + i + LANES, sum[n][1]);
                }
            }
        }
        for (int n = 0; n < N; ++n)
            for (long i = 0; i < H; i += LANES) store(to[n] + i, divide(load(sums[n] + i), all(total[n])));
    }

    // The inputs of a product from the residual stream; `rows` of it that `chosen` names, or all.
    const Inputs& normalised(Thread& thread, const float* weight, const Matrix& by, const int32_t* chosen,
                             long count) const {
        const bool few = count <= FEW;
        const Inputs& to = few ? own[thread.number] : normal;
        const auto one = [&](long row) {
            const float* from = x + (chosen ? chosen[row] : row) * x_stride;
            normalise(from, weight, to.x + row * to.stride, plan.width, plan.eps);
            for (long i = plan.width; i < to.stride; ++i) to.x[row * to.stride + i] = 0;
            to.quantise(by, row, 0, to.stride);
        };
        if (few)
            for (long row = 0; row < count; ++row) one(row);
        else
            thread.each(count, one), thread.meet();
        return to;
    }

    void add_to_stream(Thread& thread, const Matrix& w, const Inputs& in) const {
        product(thread, w, in, rows, [&](long row, long column, F out) {
            float* at = x + row * x_stride + column;
            store(at, add(load(at), out));
        });
        thread.meet();
    }

    template <class KV>
    void layer_of(Thread& thread, const Layer& layer, const int32_t* blocks, long num_blocks) const {
        const long H = plan.head_dim, group = plan.heads / plan.kv_heads;
        const Inputs& before = normalised(thread, layer.attention_norm, layer.qkv, nullptr, rows);
        product(thread, layer.qkv, before, rows, [&](long row, long column, F out) {
            store(qkv + row * qkv_stride + column, out);
        });
        thread.meet();
        if (!alone) {
            thread.each(rows * plan.kv_heads, [&](long i) { place<KV>(layer, i / plan.kv_heads, i % plan.kv_heads); });
            thread.meet();
        }
        thread.each(num_blocks * plan.kv_heads, [&](long i) {
            const long block = i / plan.kv_heads, head = i % plan.kv_heads;
            const long row = blocks[block], count = blocks[block + 1] - row;
            if (alone) place<KV>(layer, row, head);
            attend<KV>(layer, row, count, head);
            if ((group * H) % GROUP == 0)
                for (long r = row; r < row + count; ++r) mixed.quantise(layer.out, r, head * group * H, (head + 1) * group * H);
        });
        thread.meet();
        if ((group * H) % GROUP != 0) {
            thread.each(rows, [&](long row) { mixed.quantise(layer.out, row, 0, mixed.stride); });
            thread.meet();
        }
        add_to_stream(thread, layer.out, mixed);

        const Inputs& after = normalised(thread, layer.mlp_norm, layer.gate, nullptr, rows);
        thread.each(inner.stride / GROUP, [&](long pair) {  // two tiles, for they are one group of the next product
            F gates[BLOCK], ups[BLOCK];
            for (long row = 0; row < rows; row += BLOCK) {
                const long count = std::min(BLOCK, rows - row);
                for (long tile = 2 * pair; tile < 2 * pair + 2; ++tile) {
                    const bool there = tile * LANES < layer.gate.outputs;
                    if (there) {
                        tile_of(layer.gate, tile, after, row, count, gates);
                        tile_of(layer.up, tile, after, row, count, ups);
                    }
                    for (long r = 0; r < count; ++r) {
                        const F opened = there ? multiply(silu(gates[r]), ups[r]) : all(0);
                        store(inner.x + (row + r) * inner.stride + tile * LANES, opened);
                    }
                }
                for (long r = row; r < row + count; ++r) inner.quantise(layer.down, r, pair * GROUP, (pair + 1) * GROUP);
            }
        });
        thread.meet();
        add_to_stream(thread, layer.down, inner);
    }

    static F silu(F x) { return divide(x, add(all(1), power_of_two(multiply(x, all(-LOG2_E))))); }
};

}  // namespace

extern "C" {

// Ask the system for huge pages at these addresses; it may decline.
void prefer_huge_pages(uint8_t* at, long bytes) {
    constexpr uintptr_t HUGE = 1 << 21;
    const uintptr_t begin = ((uintptr_t)at + HUGE - 1) / HUGE * HUGE, end = ((uintptr_t)at + bytes) / HUGE * HUGE;
    if (begin < end) madvise((void*)begin, end - begin, MADV_HUGEPAGE);
}

// Logits (wanted, logits_stride) of some of the rows, after the keys and values of all have been put into their pages.
// `embedded` (rows, width) are the tokens' embeddings. Without `room` nothing is done; returns the bytes it must have.
long decoder_forward(const Plan* plan_at, const float* embedded, const int32_t* positions, const int32_t* sequences,
                     const int32_t* tables, long table_width, long rows, const int32_t* wanted, long num_wanted,
                     float* logits, long logits_stride, char* room_at, long threads) {
    const Plan& plan = *plan_at;
    Room room{room_at};
    Call call{plan, positions, sequences, tables, rows, table_width, true};
    const long H = plan.head_dim;
    call.x_stride = rounded_up(plan.width, GROUP);
    call.qkv_stride = rounded_up((plan.heads + 2 * plan.kv_heads) * H, LANES);
    call.x = room.take<float>(rows * call.x_stride);
    call.qkv = room.take<float>(rows * call.qkv_stride);
    call.normal = room.inputs(std::max(rows, num_wanted), plan.width);
    call.mixed = room.inputs(rows, plan.heads * H);
    call.inner = room.inputs(rows, plan.inner);
    call.own = room.take<Inputs>(threads);
    for (long i = 0; i < threads; ++i) {
        const Inputs own = room.inputs(FEW, plan.width);
        if (room_at) call.own[i] = own;
    }
    int32_t* blocks = room.take<int32_t>(rows + 1);
    const long deals = 9 * plan.num_layers + 2;  // what a layer and the head deal out
    Counter* dealt = room.take<Counter>(deals);
    if (!room_at) return (long)room.used;

    for (long i = 0; i < deals; ++i) dealt[i].value = 0;
    Team team{{0}, {0}, dealt};
    long num_blocks = 0;
    for (long row = 0; row < rows; ++row) {
        const bool goes_on = row && sequences[row] == sequences[row - 1];
        if (goes_on) call.alone = false;
        if (!goes_on || row - blocks[num_blocks - 1] == BLOCK) blocks[num_blocks++] = (int32_t)row;
    }
    blocks[num_blocks] = (int32_t)rows;
    for (long row = 0; row < rows; ++row) {
        std::memcpy(call.x + row * call.x_stride, embedded + row * plan.width, plan.width * sizeof(float));
        for (long i = plan.width; i < call.x_stride; ++i) call.x[row * call.x_stride + i] = 0;
        for (long i = plan.heads * H; i < call.mixed.stride; ++i) call.mixed.x[row * call.mixed.stride + i] = 0;
    }

#pragma omp parallel num_threads(threads)
    {
        Thread thread{team, omp_get_thread_num(), omp_get_num_threads()};
        for (long i = 0; i < plan.num_layers; ++i) {
            const Layer& layer = plan.layers[i];
            if (plan.cache == FLOAT32) call.layer_of<float>(thread, layer, blocks, num_blocks);
            else if (plan.cache == BFLOAT16) call.layer_of<bf16>(thread, layer, blocks, num_blocks);
            else call.layer_of<int8_t>(thread, layer, blocks, num_blocks);
        }
        if (num_wanted) {
            const Inputs& last = call.normalised(thread, plan.last_norm, plan.head, wanted, num_wanted);
            product(thread, plan.head, last, num_wanted, [&](long row, long column, F out) {
                store(logits + row * logits_stride + column, out);
            });
        }
    }
    return 0;
}
}
