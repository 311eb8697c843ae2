// softmax(q · k / √d) v for one query per row, head by head, over the keys and values that the row's list names.
#include <algorithm>
#include <vector>

#include "vector.h"

struct Beams { int64_t rows, lists, longest, heads, depth, threads; };

// cache: [any number][2][heads][depth], keys then values. entries: [lists][longest], of which the first lengths[list]
// count; rows / lists adjacent rows share a list. Depth: the channels of a head if known at compile time, else 0.
template <int Depth, class T>
static void attend(const Beams &b, const T *queries, const T *cache, const int64_t *entries, const int64_t *lengths,
                   T *out) {
  const int64_t depth = Depth ? Depth : b.depth, dim = b.heads * depth, together = b.lists ? b.rows / b.lists : 0;
  const float scale = 1 / std::sqrt(float(depth));
#pragma omp parallel num_threads(b.threads)
  {
    // All heads take each stage together, because the processor works on several while it would wait for one.
    const int64_t room = (b.longest + 31) / 32 * 32;
    std::vector<float> weights(b.heads * room), shares(b.heads);
#pragma omp for schedule(static)
    for (int64_t row = 0; row < b.rows; ++row) {
      const int64_t list = row / together, *entry = entries + list * b.longest, n = lengths[list];
      const int64_t whole = (n + 31) / 32 * 32;  // so that all lanes are taken: e^−∞ adds nothing
      // The entries of a list lie anywhere: without this the processor waits for most of them.
      if (row % together == 0 && list + 1 < b.lists)
        for (int64_t t = 0; t < lengths[list + 1]; ++t)
          for (int64_t j = 0; j < 2 * dim; j += 64 / sizeof(T))
            __builtin_prefetch(cache + entry[b.longest + t] * 2 * dim + j, 0, 2);
      for (int64_t h = 0; h < b.heads; ++h) {
        const T *q = queries + row * dim + h * depth, *keys = cache + h * depth;
        float *w = weights.data() + h * room;
        for (int64_t t = 0; t < n; ++t) {
          const T *k = keys + entry[t] * 2 * dim;
          Sum dot;
          each(depth, [&](auto lane, int64_t j, int slot) ALWAYS {
            dot.add(load<decltype(lane)>(q + j) * load<decltype(lane)>(k + j), slot);
          });
          w[t] = dot.total() * scale;
        }
        std::fill(w + n, w + whole, -INFINITY);
      }
      for (int64_t h = 0; h < b.heads; ++h) {
        float *w = weights.data() + h * room;
        const float highest = largest(w, whole);
        Sum total;
        each(whole, [&](auto lane, int64_t t, int slot) ALWAYS {
          const auto e = exponential(load<decltype(lane)>(w + t) - highest);
          store(w + t, e);
          total.add(e, slot);
        });
        shares[h] = 1 / total.total();
      }
      for (int64_t h = 0; h < b.heads; ++h) {
        const T *values = cache + dim + h * depth;
        const float *w = weights.data() + h * room;
        T *o = out + row * dim + h * depth;
        if constexpr (Depth > 0) {  // every value is visited once
          floats sums[Depth / LANES] = {};
          for (int64_t t = 0; t < n; ++t)
#pragma GCC unroll 8
            for (int v = 0; v < Depth / LANES; ++v)
              sums[v] += w[t] * load<floats>(values + entry[t] * 2 * dim + v * LANES);
          for (int v = 0; v < Depth / LANES; ++v) store(o + v * LANES, sums[v] * shares[h]);
        } else {
          each(depth, [&](auto lane, int64_t j, int) ALWAYS {
            decltype(lane) sum = {};
            for (int64_t t = 0; t < n; ++t) sum += w[t] * load<decltype(lane)>(values + entry[t] * 2 * dim + j);
            store(o + j, sum * shares[h]);
          });
        }
      }
    }
  }
}

template <class T>
static void attend(const Beams &b, const T *queries, const T *cache, const int64_t *entries, const int64_t *lengths,
                   T *out) {
  (b.depth == 32 ? attend<32, T> : b.depth == 64 ? attend<64, T> : attend<0, T>)(b, queries, cache, entries, lengths, out);
}

extern "C" {
void beam_attention_float(const Beams *b, const float *queries, const float *cache, const int64_t *entries,
                          const int64_t *lengths, float *out) {
  attend(*b, queries, cache, entries, lengths, out);
}
void beam_attention_bfloat16(const Beams *b, const bfloat16 *queries, const bfloat16 *cache, const int64_t *entries,
                             const int64_t *lengths, bfloat16 *out) {
  attend(*b, queries, cache, entries, lengths, out);
}
}
