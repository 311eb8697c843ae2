// softmax(Q Kᵀ / √d) V, head by head, and its gradients. Scores and weights are float32 and never leave the cache.
#include <vector>

#include "vector.h"

struct Strides { int64_t row, head, time; };  // of a tensor whose channels are adjacent
struct Heads {
  int64_t rows, heads, queries, keys, depth, causal, threads;
  Strides q, k, v, out, mask;  // out: of the output or of its gradient
  int64_t mask_key;            // the mask's stride from key to key; mask.time is from query to query
};

constexpr int64_t TILE = 16;  // columns of a product are padded to a multiple of it, however many lanes there are
INLINE int64_t padded(int64_t n) { return (n + TILE - 1) / TILE * TILE; }

// body(lane, j, slot) as in `each`, for n a multiple of TILE.
template <class Body> static INLINE void each_tile(int64_t n, Body body) {
  for (int64_t j = 0; j < n; j += TILE)
#pragma GCC unroll 2
    for (int v = 0; v < TILE / LANES; ++v) body(floats{}, j + v * LANES, v);
}

// R rows and TILE columns of c = a b. Every sum runs over k from 0 on, however many lanes there are.
template <int R>
static INLINE void tile(int64_t depth, const float *a, int64_t row, int64_t step, const float *b, int64_t width, float *c,
                        int64_t target) {
  floats sums[R][TILE / LANES] = {};
  for (int64_t k = 0; k < depth; ++k)
#pragma GCC unroll 2
    for (int v = 0; v < TILE / LANES; ++v) {
      const floats column = load<floats>(b + k * width + v * LANES);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[r][v] = fused(splat<floats>(a[r * row + k * step]), column, sums[r][v]);
    }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < TILE / LANES; ++v) store(c + r * target + v * LANES, sums[r][v]);
}

// c [m][n] = a b. Element (i, k) of a is a[i · row + k · step], element (k, j) of b is b[k · n + j]. TILE divides n.
static void product(int64_t m, int64_t n, int64_t depth, const float *a, int64_t row, int64_t step, const float *b, float *c) {
  for (int64_t j = 0; j < n; j += TILE) {
    int64_t i = 0;
    for (; i + 8 <= m; i += 8) tile<8>(depth, a + i * row, row, step, b + j, n, c + i * n + j, n);
    if (i + 4 <= m) tile<4>(depth, a + i * row, row, step, b + j, n, c + i * n + j, n), i += 4;
    if (i + 2 <= m) tile<2>(depth, a + i * row, row, step, b + j, n, c + i * n + j, n), i += 2;
    if (i < m) tile<1>(depth, a + i * row, row, step, b + j, n, c + i * n + j, n);
  }
}

// out [times][width] = scale · x; the columns beyond the depth stay 0.
template <class T>
static void read(const T *x, int64_t stride, int64_t times, int64_t depth, float scale, float *out) {
  for (int64_t t = 0; t < times; ++t)
    each(depth, [&](auto lane, int64_t j, int) ALWAYS {
      store(out + t * padded(depth) + j, scale * load<decltype(lane)>(x + t * stride + j));
    });
}
template <class T>
static void write(const float *x, int64_t times, int64_t depth, float scale, T *out, int64_t stride) {
  for (int64_t t = 0; t < times; ++t)
    each(depth, [&](auto lane, int64_t j, int) ALWAYS {
      store(out + t * stride + j, scale * load<decltype(lane)>(x + t * padded(depth) + j));
    });
}
static void transpose(const float *x, int64_t times, int64_t depth, float *out) {
  for (int64_t c = 0; c < depth; ++c)
    for (int64_t t = 0; t < times; ++t) out[c * padded(times) + t] = x[t * padded(depth) + c];
}

// Turns scores into weights [queries][padded keys], 0 where attention is not allowed. kept: 1 where it is, of one row.
static void softmax(const Heads &h, const uint8_t *mask, float *weights, float *kept) {
  const int64_t n = padded(h.keys);
  for (int64_t i = 0; i < h.queries; ++i) {
    float *w = weights + i * n;
    if (i == 0 || h.causal || h.mask.time)  // else all queries look where the first does
      for (int64_t j = 0; j < h.keys; ++j)
        kept[j] = (!mask || mask[i * h.mask.time + j * h.mask_key]) && !(h.causal && j > i) ? 1.0f : 0.0f;
    const auto seen = [&](int64_t j) ALWAYS {
      return load<floats>(kept + j) > 0.0f ? load<floats>(w + j) : splat<floats>(-INFINITY);
    };
    Largest largest;
    each_tile(n, [&](floats, int64_t j, int slot) ALWAYS { largest.add(seen(j), slot); });
    const float highest = largest.total();
    Sum sum;
    each_tile(n, [&](floats, int64_t j, int slot) ALWAYS {
      const floats value = exponential(seen(j) - highest) * load<floats>(kept + j);
      store(w + j, value);
      sum.add(value, slot);
    });
    const float inverse = 1 / sum.total();
    each_tile(n, [&](floats, int64_t j, int) ALWAYS { store(w + j, load<floats>(w + j) * inverse); });
  }
}

// If gq is null, `out` is written; otherwise `out` is the output's gradient, and gq, gk and gv are written.
template <class T>
static void attend(const Heads &h, const T *q, const T *k, const T *v, const uint8_t *mask, T *out, T *gq, T *gk, T *gv) {
  const int64_t keys = padded(h.keys), width = padded(h.depth);
  const float scale = 1 / std::sqrt(float(h.depth));
#pragma omp parallel num_threads(h.threads)
  {
    std::vector<float> q_(h.queries * width), k_(h.keys * width), v_(h.keys * width), out_(h.queries * width);
    std::vector<float> columns(width * keys), weights(h.queries * keys), changes(h.queries * keys), kept(keys);
    std::vector<float> result(std::max(h.queries, h.keys) * width);
    const auto at = [](const Strides &s, int64_t row, int64_t head) { return row * s.row + head * s.head; };
    const auto finish = [&](int64_t times, float by, T *to, const Strides &s) {
      write(result.data(), times, h.depth, by, to, s.time);
    };
#pragma omp for schedule(static)
    for (int64_t one = 0; one < h.rows * h.heads; ++one) {
      const int64_t row = one / h.heads, head = one % h.heads;
      read(q + at(h.q, row, head), h.q.time, h.queries, h.depth, scale, q_.data());
      read(k + at(h.k, row, head), h.k.time, h.keys, h.depth, 1, k_.data());
      read(v + at(h.v, row, head), h.v.time, h.keys, h.depth, 1, v_.data());
      transpose(k_.data(), h.keys, h.depth, columns.data());
      product(h.queries, keys, h.depth, q_.data(), width, 1, columns.data(), weights.data());
      softmax(h, mask ? mask + at(h.mask, row, head) : nullptr, weights.data(), kept.data());
      T *o = out + at(h.out, row, head);
      if (!gq) {
        product(h.queries, width, h.keys, weights.data(), keys, 1, v_.data(), result.data());
        finish(h.queries, 1, o, h.out);
        continue;
      }
      read(o, h.out.time, h.queries, h.depth, 1, out_.data());
      transpose(v_.data(), h.keys, h.depth, columns.data());
      product(h.queries, keys, h.depth, out_.data(), width, 1, columns.data(), changes.data());
      for (int64_t i = 0; i < h.queries; ++i) {  // the scores' gradient: w ⊙ (g − Σ w g)
        float *g = changes.data() + i * keys;
        const float *w = weights.data() + i * keys;
        Sum sum;
        each_tile(keys, [&](floats, int64_t j, int slot) ALWAYS {
          sum.add(floats(load<floats>(w + j) * load<floats>(g + j)), slot);
        });
        const float mean = sum.total();
        each_tile(keys, [&](floats, int64_t j, int) ALWAYS {
          store(g + j, load<floats>(w + j) * (load<floats>(g + j) - mean));
        });
      }
      const Strides of_q{h.queries * h.heads * h.depth, h.depth, h.heads * h.depth};
      const Strides of_k{h.keys * h.heads * h.depth, h.depth, h.heads * h.depth};
      product(h.queries, width, h.keys, changes.data(), keys, 1, k_.data(), result.data());
      finish(h.queries, scale, gq + at(of_q, row, head), of_q);
      product(h.keys, width, h.queries, changes.data(), 1, keys, q_.data(), result.data());
      finish(h.keys, 1, gk + at(of_k, row, head), of_k);
      product(h.keys, width, h.queries, weights.data(), 1, keys, out_.data(), result.data());
      finish(h.keys, 1, gv + at(of_k, row, head), of_k);
    }
  }
}

extern "C" {
void attention_float(const Heads *h, const float *q, const float *k, const float *v, const uint8_t *mask, float *out,
                     float *gq, float *gk, float *gv) {
  attend(*h, q, k, v, mask, out, gq, gk, gv);
}
void attention_bfloat16(const Heads *h, const bfloat16 *q, const bfloat16 *k, const bfloat16 *v, const uint8_t *mask,
                        bfloat16 *out, bfloat16 *gq, bfloat16 *gk, bfloat16 *gv) {
  attend(*h, q, k, v, mask, out, gq, gk, gv);
}
}
