// The k largest values of a row's log-softmax and the value of one token: one pass finds the largest logits, one sums
// the normaliser.
#include <algorithm>

#include "vector.h"

struct Rows { int64_t rows, columns, k, token, threads; };

INLINE bool any_above(float x, float least) { return x > least; }
template <class V> INLINE bool any_above(V x, float least) {
  const typename beside<V>::ints above = x > least;
  int any = 0;
  for (int i = 0; i < int(sizeof(V) / sizeof(float)); ++i) any |= above[i];
  return any;
}

// logits: [rows][columns]; values and columns: [rows][k], largest first; of_token: [rows].
template <class T>
static void topk(const Rows &sizes, const T *logits, float *values, int64_t *columns, float *of_token) {
  const int64_t n = sizes.columns, k = sizes.k;
#pragma omp parallel for schedule(static) num_threads(sizes.threads)
  for (int64_t row = 0; row < sizes.rows; ++row) {
    const T *x = logits + row * n;
    float *best = values + row * k;
    int64_t *where = columns + row * k;
    std::fill(best, best + k, -INFINITY);
    std::fill(where, where + k, 0);
    float least = -INFINITY;  // the smallest of the k best so far: few later logits exceed it
    each(n, [&](auto lanes, int64_t j, int) ALWAYS {
      const auto some = load<decltype(lanes)>(x + j);
      if (!any_above(some, least)) return;
      for (int i = 0; i < int(sizeof(some) / sizeof(float)); ++i) {
        const float value = lane(some, i);
        if (!(value > least)) continue;
        int64_t place = k - 1;
        for (; place > 0 && value > best[place - 1]; --place) {
          best[place] = best[place - 1];
          where[place] = where[place - 1];
        }
        best[place] = value;
        where[place] = j + i;
        least = best[k - 1];
      }
    });
    const float highest = best[0];
    Sum sum;
    each(n, [&](auto lanes, int64_t j, int slot) ALWAYS {
      sum.add(exponential(load<decltype(lanes)>(x + j) - highest), slot);
    });
    const float log_sum = std::log(sum.total());  // not added to `highest`, which would cost digits far from 0
    for (int64_t i = 0; i < k; ++i) best[i] = (best[i] - highest) - log_sum;
    of_token[row] = (load<float>(x + sizes.token) - highest) - log_sum;
  }
}

extern "C" {
void topk_log_softmax_float(const Rows *sizes, const float *logits, float *values, int64_t *columns, float *of_token) {
  topk(*sizes, logits, values, columns, of_token);
}
void topk_log_softmax_bfloat16(const Rows *sizes, const bfloat16 *logits, float *values, int64_t *columns,
                               float *of_token) {
  topk(*sizes, logits, values, columns, of_token);
}
}
