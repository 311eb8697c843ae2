// The k largest values of a row's log-softmax and the value of one token: one pass finds the largest logit and a bound
// that the k largest reach, one sums the normaliser and collects them.
#include <algorithm>
#include <functional>

#include "vector.h"

struct Rows { int64_t rows, columns, k, token, threads; };

// Which of some neighbours are no smaller than `least`, one bit each.
INLINE uint32_t reaching(float x, float least) { return x >= least; }
template <class V> INLINE uint32_t reaching(V x, float least) { return held(x >= least); }

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
    // The largest logit of every lane: these are 32 of the row's, so at least k of the row's reach the k-th of them.
    floats largest[32 / LANES];
    for (auto &lanes : largest) lanes = splat<floats>(-INFINITY);
    float rest = -INFINITY;
    each(n, [&](auto lanes, int64_t j, int slot) ALWAYS {
      const auto some = load<decltype(lanes)>(x + j);
      if constexpr (std::is_same<decltype(lanes), floats>::value) largest[slot] = larger<floats>(some, largest[slot]);
      else for (int i = 0; i < int(sizeof(some) / sizeof(float)); ++i) rest = larger(lane(some, i), rest);
    });
    float sorted[32];
    std::memcpy(sorted, largest, sizeof sorted);
    std::sort(sorted, sorted + 32, std::greater<float>());
    const float highest = larger(sorted[0], rest), least = k <= 32 ? sorted[k - 1] : -INFINITY;
    Sum sum;
    each(n, [&](auto lanes, int64_t j, int slot) ALWAYS {
      const auto some = load<decltype(lanes)>(x + j);
      sum.add(exponential(some - highest), slot);
      for (uint32_t left = reaching(some, least); left; left &= left - 1) {
        const int i = __builtin_ctz(left);
        const float value = load<float>(x + j + i);
        if (!(value > best[k - 1])) continue;
        int64_t place = k - 1;
        for (; place > 0 && value > best[place - 1]; --place) {
          best[place] = best[place - 1];
          where[place] = where[place - 1];
        }
        best[place] = value;
        where[place] = j + i;
      }
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
