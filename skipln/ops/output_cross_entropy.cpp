// Label-smoothed cross-entropy of a chunk of logits in one visit to each row; the gradient overwrites the logits.
#include <algorithm>
#include <vector>

#include "vector.h"

struct Chunk { int64_t rows, columns, gradient, threads; };

// logits: [rows][columns]; if `gradient` is set they become p − ε / columns − (1 − ε)·[column = target].
// sums: [rows][2]: −log p of the row's target, and the mean of −log p over all columns.
template <class T>
static void cross_entropy(const Chunk &chunk, T *logits, const int64_t *targets, const float *smoothing, double *sums) {
  const int64_t n = chunk.columns;
#pragma omp parallel num_threads(chunk.threads)
  {
    std::vector<float> exponentials(n);
    float *const e = exponentials.data();
#pragma omp for schedule(static)
    for (int64_t row = 0; row < chunk.rows; ++row) {
      T *x = logits + row * n;
      const int64_t target = targets[row];
      const float highest = largest(x, n);
      Sum all, shifted;
      each(n, [&](auto lanes, int64_t j, int slot) ALWAYS {
        using V = decltype(lanes);
        const V away = load<V>(x + j) - highest, value = exponential(away);
        shifted.add(away, slot);
        store(e + j, value);
        all.add(value, slot);
      });
      const float sum = all.total(), log_sum = std::log(sum);
      sums[2 * row] = log_sum - (load<float>(x + target) - highest);
      sums[2 * row + 1] = log_sum - shifted.total() / n;
      if (!chunk.gradient) continue;
      const float inverse = 1 / sum, everywhere = *smoothing / n;
      each(n, [&](auto lanes, int64_t j, int) ALWAYS {
        store(x + j, load<decltype(lanes)>(e + j) * inverse - everywhere);
      });
      store(x + target, e[target] * inverse - everywhere - (1 - *smoothing));
    }
  }
}

extern "C" {
void output_cross_entropy_float(const Chunk *chunk, float *logits, const int64_t *targets, const float *smoothing,
                                double *sums) {
  cross_entropy(*chunk, logits, targets, smoothing, sums);
}
void output_cross_entropy_bfloat16(const Chunk *chunk, bfloat16 *logits, const int64_t *targets, const float *smoothing,
                                   double *sums) {
  cross_entropy(*chunk, logits, targets, smoothing, sums);
}
}
