// y_0 = F, y_k = LN_k(scale · x + y_{k−1}) over the last axis, for rows whose channels each have a gain and a bias.
#pragma once
#include <algorithm>
#include <vector>

#include "vector.h"

struct Site {
  int64_t rows, channels, pixels;  // pixels: how many elements share a gain; 1 in rows.h
  int steps, channels_last;   // channels_last: whether a pixel's channels are adjacent in memory (maps.h)
  float scale, eps;
  const float *const *gains, *const *biases;  // [steps][channels]; null in maps.h if there are none
  Dropout dropout;
  int threads;
};

struct Moments { float mean, rstd; };  // of one row at one step

INLINE Moments moments(const float *h, int64_t n, float sum, float eps) {
  const float mean = sum / n;
  Sum squares;
  each(n, [&](auto lane, int64_t j, int slot) ALWAYS {
    auto d = load<decltype(lane)>(h + j) - mean;
    squares.add(d * d, slot);
  });
  return {mean, 1 / std::sqrt(squares.total() / n + eps)};
}

// With one step, `sum` = scale · x + F is kept for the backward; otherwise x and F are.
template <class X, class F, class Y>
void forward_rows(const Site &site, const X *x, const F *f, Y *y, Y *sum, Moments *kept) {
  const int64_t n = site.channels;
  const float scale = site.scale;
#pragma omp parallel num_threads(site.threads)
  {
    std::vector<float> scratch(n);
    float *h = scratch.data();
#pragma omp for schedule(static)
    for (int64_t i = 0; i < site.rows; ++i) {
      const X *xi = x + i * n;
      const F *fi = f + i * n;
      const auto dropout = site.dropout.row(i);
      Sum total;
      each(n, [&](auto lane, int64_t j, int slot) ALWAYS {
        using V = decltype(lane);
        V value = scale * load<V>(xi + j) + dropout.template apply<V>(fi, j);
        if (sum) {
          value = rounded<Y>(value);
          store(sum + i * n + j, value);
        }
        store(h + j, value);
        total.add(value, slot);
      });
      for (int k = 0;; ++k) {
        const Moments m = kept[i * site.steps + k] = moments(h, n, total.total(), site.eps);
        const float *gain = site.gains[k], *bias = site.biases[k];
        auto normalised = [&](auto lane, int64_t j) ALWAYS {
          using V = decltype(lane);
          return (load<V>(h + j) - m.mean) * m.rstd * load<V>(gain + j) + load<V>(bias + j);
        };
        if (k == site.steps - 1) {
          each(n, [&](auto lane, int64_t j, int) ALWAYS { store(y + i * n + j, normalised(lane, j)); });
          break;
        }
        total = Sum();
        each(n, [&](auto lane, int64_t j, int slot) ALWAYS {
          using V = decltype(lane);
          V value = scale * load<V>(xi + j) + normalised(lane, j);
          store(h + j, value);
          total.add(value, slot);
        });
      }
    }
  }
}

// Weight gradients are summed within chunks of rows, then over the chunks, so that the result does not
// depend on the number of threads.
INLINE int64_t chunks(int64_t rows) { return std::min<int64_t>(64, (rows + 31) / 32); }

// Rows of scratch start at different offsets in a page, so that no load waits for an unrelated store whose address has
// the same low bits.
INLINE int64_t padded(int64_t n) { return (n + 15) / 16 * 16 + 144; }

// Takes x and f, or the sum that was kept in their place. gx may be null. weights: [steps][gain, bias][channels].
template <class X, class F, class Y>
void backward_rows(const Site &site, const Y *gy, const X *x, const F *f, const Y *sum, const Moments *kept, X *gx,
                   F *gf, float *weights) {
  const int64_t n = site.channels, parts = chunks(site.rows), size = 2 * n * site.steps, pad = padded(n);
  const int steps = site.steps;
  const float scale = site.scale;
  const bool drops = site.dropout.dropped;
  std::vector<float> sums(parts * size);
#pragma omp parallel num_threads(site.threads)
  {
    std::vector<float> scratch((3 * steps + 3) * pad);
    float *const xhats = scratch.data(), *const g = xhats + steps * pad, *const gx_sum = g + pad;
    float *const keeps = gx_sum + pad, *const gweights = keeps + pad;
#pragma omp for schedule(static)
    for (int64_t part = 0; part < parts; ++part) {
      std::fill(gweights, gweights + 2 * steps * pad, 0.0f);
      for (int64_t i = part * site.rows / parts; i < (part + 1) * site.rows / parts; ++i) {
        const auto dropout = site.dropout.row(i);
        const Moments *const m = kept + i * steps;
        const Y *const gyi = gy + i * n, *const si = sum + i * n;
        const X *const xi = x + i * n;
        const F *const fi = f + i * n;
        if (dropout.dropped) each(n, [&](auto lane, int64_t j, int) ALWAYS { store(keeps + j, dropout.keep(lane, j)); });
        // Compute xhat of every step.
        const float mean0 = m[0].mean, rstd0 = m[0].rstd;
        if (sum) {
          each(n, [&](auto lane, int64_t j, int) ALWAYS {
            using V = decltype(lane);
            store(xhats + j, (load<V>(si + j) - mean0) * rstd0);
          });
        } else {
          each(n, [&](auto lane, int64_t j, int) ALWAYS {
            using V = decltype(lane);
            store(xhats + j, (scale * load<V>(xi + j) + (drops ? load<V>(fi + j) * load<V>(keeps + j) : load<V>(fi + j)) - mean0) * rstd0);
          });
        }
        for (int k = 1; k < steps; ++k) {
          const float *const gain = site.gains[k - 1], *const bias = site.biases[k - 1];
          const float *const from = xhats + (k - 1) * pad;
          float *const to = xhats + k * pad;
          const float mean = m[k].mean, rstd = m[k].rstd;
          each(n, [&](auto lane, int64_t j, int) ALWAYS {
            using V = decltype(lane);
            V h = scale * load<V>(xi + j) + load<V>(from + j) * load<V>(gain + j) + load<V>(bias + j);
            store(to + j, (h - mean) * rstd);
          });
        }
        // From the gradient of y_{k+1}, `weigh` adds to the weights' gradients and to the two means of gain · gradient.
        Sum mean, slope;
        const float *gain, *xhat;
        float *ggain, *gbias;
        const auto step = [&](int k) ALWAYS {
          gain = site.gains[k], xhat = xhats + k * pad, ggain = gweights + 2 * k * pad, gbias = ggain + pad;
        };
        const auto weigh = [&](auto lane, int64_t j, int slot, auto gradient) ALWAYS {
          using V = decltype(lane);
          const V xh = load<V>(xhat + j), t = gradient * load<V>(gain + j);
          const V gg = load<V>(ggain + j) + gradient * xh, gb = load<V>(gbias + j) + gradient;
          store(g + j, t);
          store(ggain + j, gg);
          store(gbias + j, gb);
          mean.add(t, slot);
          slope.add(t * xh, slot);
        };
        step(steps - 1);
        each(n, [&](auto lane, int64_t j, int slot) ALWAYS {
          weigh(lane, j, slot, load<decltype(lane)>(gyi + j));
        });
        // From these, `descend` computes the gradient of h_k, which is y_k's and a part of x's.
        const auto descend = [&](int k, auto finish) ALWAYS {
          const float c1 = mean.total() / n, c2 = slope.total() / n, rstd = m[k].rstd;
          const float *const from = xhats + k * pad;
          mean = slope = Sum();
          each(n, [&](auto lane, int64_t j, int slot) ALWAYS {
            using V = decltype(lane);
            finish(lane, j, slot, (load<V>(g + j) - c1 - load<V>(from + j) * c2) * rstd);
          });
        };
        for (int k = steps - 1; k > 0; --k) {
          step(k - 1);
          if (k == steps - 1)
            descend(k, [&](auto lane, int64_t j, int slot, auto gh) ALWAYS {
              store(gx_sum + j, gh);
              weigh(lane, j, slot, gh);
            });
          else
            descend(k, [&](auto lane, int64_t j, int slot, auto gh) ALWAYS {
              store(gx_sum + j, load<decltype(lane)>(gx_sum + j) + gh);
              weigh(lane, j, slot, gh);
            });
        }
        X *const gxi = gx + i * n;
        F *const gfi = gf + i * n;
        const bool once = steps == 1, whole = gx;
        descend(0, [&](auto lane, int64_t j, int, auto gh) ALWAYS {
          using V = decltype(lane);
          if (whole) store(gxi + j, scale * (once ? gh : load<V>(gx_sum + j) + gh));
          store(gfi + j, drops ? gh * load<V>(keeps + j) : gh);
        });
      }
      for (int r = 0; r < 2 * steps; ++r) std::copy_n(gweights + r * pad, n, sums.data() + part * size + r * n);
    }
#pragma omp for schedule(static)
    for (int64_t j = 0; j < size; ++j) {
      float total = 0;
      for (int64_t part = 0; part < parts; ++part) total += sums[part * size + j];
      weights[j] = total;
    }
  }
}
