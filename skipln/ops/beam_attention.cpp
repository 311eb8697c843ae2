// softmax(q · k / √d) v for one query per row, head by head, over the keys and values of the row's ancestors.
#include <algorithm>
#include <vector>

#include "vector.h"

struct Beams { int64_t rows, steps, slots, heads, depth, threads; };

// cache: [steps][slots][2][heads][depth], keys then values; ancestors: [steps][rows], the slot of each step's ancestor.
template <class T>
static void attend(const Beams &b, const T *queries, const T *cache, const int64_t *ancestors, T *out) {
  const int64_t dim = b.heads * b.depth;
  const float scale = 1 / std::sqrt(float(b.depth));
#pragma omp parallel num_threads(b.threads)
  {
    std::vector<float> weights(b.heads * b.steps), sums(dim);
#pragma omp for schedule(static)
    for (int64_t row = 0; row < b.rows; ++row) {
      const auto keys = [&](int64_t t) { return cache + (t * b.slots + ancestors[t * b.rows + row]) * 2 * dim; };
      for (int64_t t = 0; t < b.steps; ++t)
        for (int64_t h = 0; h < b.heads; ++h) {
          const T *q = queries + row * dim + h * b.depth, *k = keys(t) + h * b.depth;
          Sum dot;
          each(b.depth, [&](auto lane, int64_t j, int slot) ALWAYS {
            dot.add(load<decltype(lane)>(q + j) * load<decltype(lane)>(k + j), slot);
          });
          weights[h * b.steps + t] = dot.total() * scale;
        }
      for (int64_t h = 0; h < b.heads; ++h) {
        float *w = weights.data() + h * b.steps, sum = 0;
        const float highest = *std::max_element(w, w + b.steps);
        for (int64_t t = 0; t < b.steps; ++t) sum += w[t] = std::exp(w[t] - highest);
        for (int64_t t = 0; t < b.steps; ++t) w[t] /= sum;
      }
      std::fill(sums.begin(), sums.end(), 0.0f);
      for (int64_t t = 0; t < b.steps; ++t)
        for (int64_t h = 0; h < b.heads; ++h) {
          const float weight = weights[h * b.steps + t];
          const T *v = keys(t) + dim + h * b.depth;
          float *sum = sums.data() + h * b.depth;
          each(b.depth, [&](auto lane, int64_t j, int) ALWAYS {
            using V = decltype(lane);
            store(sum + j, load<V>(sum + j) + weight * load<V>(v + j));
          });
        }
      each(dim, [&](auto lane, int64_t j, int) ALWAYS { store(out + row * dim + j, load<decltype(lane)>(&sums[j])); });
    }
  }
}

extern "C" {
void beam_attention_float(const Beams *b, const float *queries, const float *cache, const int64_t *ancestors, float *out) {
  attend(*b, queries, cache, ancestors, out);
}
void beam_attention_bfloat16(const Beams *b, const bfloat16 *queries, const bfloat16 *cache, const int64_t *ancestors,
                     bfloat16 *out) {
  attend(*b, queries, cache, ancestors, out);
}
}
