// Batch norm over the rows of [pixels][channels], relu behind it if asked for, and the gradients. Sums are made block by
// block of rows, then over the blocks, and the lanes are channels: the same bits for every number of threads and lanes.
#include <algorithm>
#include <array>
#include <vector>

#include "vector.h"

struct Maps { int64_t pixels, channels, relu, threads; };
struct Settings { float eps, momentum; };

constexpr int64_t BLOCK = 8192;  // elements: a block stays in the first-level cache from pass to pass

struct Blocks {
  int64_t pixels, channels, size, count;
  explicit Blocks(const Maps &maps)
      : pixels(maps.pixels), channels(maps.channels), size(std::max<int64_t>(1, BLOCK / maps.channels)),
        count((maps.pixels + size - 1) / size) {}
  int64_t rows(int64_t block) const { return std::min(size, pixels - block * size); }
  int64_t start(int64_t block) const { return block * size * channels; }
};

// N sums over the rows of a block, each in four parts that do not wait for each other; term(element) gives N numbers.
template <class V, size_t N, class Term>
static INLINE std::array<V, N> totals(int64_t rows, int64_t channels, Term term) {
  V parts[4][N] = {};
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4)
#pragma GCC unroll 4
    for (int part = 0; part < 4; ++part) {
      const std::array<V, N> terms = term((i + part) * channels);
      for (size_t k = 0; k < N; ++k) parts[part][k] += terms[k];
    }
  for (; i < rows; ++i) {
    const std::array<V, N> terms = term(i * channels);
    for (size_t k = 0; k < N; ++k) parts[0][k] += terms[k];
  }
  std::array<V, N> sums;
  for (size_t k = 0; k < N; ++k) sums[k] = (parts[0][k] + parts[1][k]) + (parts[2][k] + parts[3][k]);
  return sums;
}

// body(lanes, c) for all channels, c the first of as many as the lanes are.
template <class Body> static INLINE void each_channel(int64_t channels, Body body) {
  int64_t c = 0;
  for (; c + LANES <= channels; c += LANES) body(floats{}, c);
  for (; c + 8 <= channels; c += 8) body(float8{}, c);
  for (; c < channels; ++c) body(float{}, c);
}

// What is below `least` (0, or −∞ without relu) is replaced; NaN stays NaN.
template <class V> INLINE V at_least(V value, V least) { return value < least ? least : value; }
template <class V> INLINE V where_above(V value, V least, V gradient) { return value <= least ? V{} : gradient; }

// statistics: [2][channels], the mean and 1 / √(variance + eps) of this batch; the running ones move towards them.
template <class T>
static void forward(const Maps &maps, const T *x, const float *gain, const float *bias, const Settings &settings,
                    float *running_mean, float *running_variance, float *statistics, T *y) {
  const Blocks blocks(maps);
  const int64_t n = maps.pixels, channels = maps.channels;
  std::vector<float> moments(2 * blocks.count * channels);  // of each block: means and sums of squared deviations
  std::vector<float> factors(channels);
  const float least = maps.relu ? 0.0f : -INFINITY;
#pragma omp parallel num_threads(maps.threads)
  {
#pragma omp for schedule(static)
    for (int64_t b = 0; b < blocks.count; ++b) {
      const int64_t rows = blocks.rows(b);
      const T *const xb = x + blocks.start(b);
      float *const means = moments.data() + 2 * b * channels, *const squares = means + channels;
      each_channel(channels, [&](auto lanes, int64_t c) ALWAYS {
        using V = decltype(lanes);
        const V mean = totals<V, 1>(rows, channels, [&](int64_t at) ALWAYS {
          return std::array<V, 1>{load<V>(xb + at + c)};
        })[0] * (1.0f / rows);
        store(means + c, mean);
        store(squares + c, totals<V, 1>(rows, channels, [&](int64_t at) ALWAYS {
          const V away = load<V>(xb + at + c) - mean;
          return std::array<V, 1>{away * away};
        })[0]);
      });
    }
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; ++c) {
      double mean = 0, squares = 0;
      for (int64_t b = 0; b < blocks.count; ++b) mean += blocks.rows(b) * double(moments[2 * b * channels + c]);
      mean /= n;
      for (int64_t b = 0; b < blocks.count; ++b) {
        const double away = moments[2 * b * channels + c] - mean;
        squares += moments[(2 * b + 1) * channels + c] + blocks.rows(b) * away * away;
      }
      const float rstd = 1 / std::sqrt(squares / n + settings.eps);
      statistics[c] = mean;
      statistics[channels + c] = rstd;
      factors[c] = gain[c] * rstd;
      const double momentum = settings.momentum;  // 1 forgets what was there, however large it is
      running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean;
      running_variance[c] = (1 - momentum) * running_variance[c] + momentum * squares / (n - 1);
    }
#pragma omp for schedule(static)
    for (int64_t b = 0; b < blocks.count; ++b) {
      const T *const xb = x + blocks.start(b);
      T *const yb = y + blocks.start(b);
      each_channel(channels, [&](auto lanes, int64_t c) ALWAYS {
        using V = decltype(lanes);
        const V mean = load<V>(statistics + c), factor = load<V>(&factors[c]), shift = load<V>(bias + c);
        for (int64_t at = c, end = c + blocks.rows(b) * channels; at < end; at += channels)
          store(yb + at, at_least((load<V>(xb + at) - mean) * factor + shift, splat<V>(least)));
      });
    }
  }
}

// gradients: [2][channels], of gain and bias.
template <class T>
static void backward(const Maps &maps, const T *x, const float *gain, const float *bias, const float *statistics,
                     const T *gy, T *gx, float *gradients) {
  const Blocks blocks(maps);
  const int64_t n = maps.pixels, channels = maps.channels;
  const float *const means = statistics, *const rstds = statistics + channels;
  std::vector<float> sums(2 * blocks.count * channels);  // of each block: Σ g and Σ g·(x − mean), g behind the relu
  std::vector<float> factors(channels), constants(channels), slopes(channels);
  const float least = maps.relu ? 0.0f : -INFINITY;
  for (int64_t c = 0; c < channels; ++c) factors[c] = gain[c] * rstds[c];
#pragma omp parallel num_threads(maps.threads)
  {
#pragma omp for schedule(static)
    for (int64_t b = 0; b < blocks.count; ++b) {
      const T *const xb = x + blocks.start(b), *const gb = gy + blocks.start(b);
      float *const of_bias = sums.data() + 2 * b * channels, *const of_gain = of_bias + channels;
      each_channel(channels, [&](auto lanes, int64_t c) ALWAYS {
        using V = decltype(lanes);
        const V mean = load<V>(means + c), factor = load<V>(&factors[c]), shift = load<V>(bias + c);
        const auto both = totals<V, 2>(blocks.rows(b), channels, [&](int64_t at) ALWAYS {
          const V away = load<V>(xb + at + c) - mean;
          const V g = where_above(V(away * factor + shift), splat<V>(least), load<V>(gb + at + c));
          return std::array<V, 2>{g, g * away};
        });
        store(of_bias + c, both[0]);
        store(of_gain + c, both[1]);
      });
    }
#pragma omp for schedule(static)
    for (int64_t c = 0; c < channels; ++c) {
      double of_bias = 0, of_gain = 0;
      for (int64_t b = 0; b < blocks.count; ++b) {
        of_bias += sums[2 * b * channels + c];
        of_gain += sums[(2 * b + 1) * channels + c];
      }
      gradients[c] = of_gain * rstds[c];
      gradients[channels + c] = of_bias;
      constants[c] = of_bias / n;
      slopes[c] = of_gain / n * rstds[c] * rstds[c];
    }
#pragma omp for schedule(static)
    for (int64_t b = 0; b < blocks.count; ++b) {  // gain · rstd · (g − mean g − x̂ · mean g·x̂)
      const T *const xb = x + blocks.start(b), *const gb = gy + blocks.start(b);
      T *const to = gx + blocks.start(b);
      each_channel(channels, [&](auto lanes, int64_t c) ALWAYS {
        using V = decltype(lanes);
        const V mean = load<V>(means + c), factor = load<V>(&factors[c]), shift = load<V>(bias + c);
        const V constant = load<V>(&constants[c]), slope = load<V>(&slopes[c]);
        for (int64_t at = c, end = c + blocks.rows(b) * channels; at < end; at += channels) {
          const V away = load<V>(xb + at) - mean;
          const V g = where_above(V(away * factor + shift), splat<V>(least), load<V>(gb + at));
          store(to + at, factor * (g - constant - away * slope));
        }
      });
    }
  }
}

extern "C" {
void batch_norm_float(const Maps *maps, const float *x, const float *gain, const float *bias, const Settings *settings,
                      float *running_mean, float *running_variance, float *statistics, float *y) {
  forward(*maps, x, gain, bias, *settings, running_mean, running_variance, statistics, y);
}
void batch_norm_bfloat16(const Maps *maps, const bfloat16 *x, const float *gain, const float *bias,
                         const Settings *settings, float *running_mean, float *running_variance, float *statistics,
                         bfloat16 *y) {
  forward(*maps, x, gain, bias, *settings, running_mean, running_variance, statistics, y);
}
void batch_norm_backward_float(const Maps *maps, const float *x, const float *gain, const float *bias,
                               const float *statistics, const float *gy, float *gx, float *gradients) {
  backward(*maps, x, gain, bias, statistics, gy, gx, gradients);
}
void batch_norm_backward_bfloat16(const Maps *maps, const bfloat16 *x, const float *gain, const float *bias,
                                  const float *statistics, const bfloat16 *gy, bfloat16 *gx, float *gradients) {
  backward(*maps, x, gain, bias, statistics, gy, gx, gradients);
}
}
