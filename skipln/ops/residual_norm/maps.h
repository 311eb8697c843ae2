// The same site where many elements share a gain and a bias: feature maps [example, channel, pixel] normalised over
// channels and pixels, and rows without gains, which count as one channel.
//
// Within a channel every step is affine in x and F, h_k = A_k·(x − mean x) + B_k·(F − mean F) + M_k, so the channel's
// moments of x and F give the mean and variance of every h_k. Whatever λ is, one pass computes the moments, λ steps
// work on a few numbers per channel, and one pass writes the output. The gradient likewise is affine in x, F and the
// gradient of y. Only the two passes know how the channels lie in memory.
#pragma once
#include <vector>

#include "rows.h"

struct Channel {             // means, and sums of products of the deviations from them
  double x, f, xx, xf, ff;   // of x and F
  double g, gx, gf;          // of the gradient of y
};

// The same sums for differences from a channel's first element, so that a mean far from 0 costs no digits.
template <class S> struct Sums {
  S x, f, g, xx, xf, ff, gx, gf;
  template <class V> INLINE void add(V a, V b, V c, int slot) {
    x.add(a, slot), f.add(b, slot), g.add(c, slot);
    xx.add(a * a, slot), xf.add(a * b, slot), ff.add(b * b, slot);
    gx.add(c * a, slot), gf.add(c * b, slot);
  }
  // total(sum) returns a sum as a number; x0, f0 and g0 are the first elements.
  template <class Total> INLINE Channel channel(int64_t n, float x0, float f0, float g0, Total total) const {
    const double sx = total(x), sf = total(f), sg = total(g);
    return {x0 + sx / n, f0 + sf / n, total(xx) - sx * sx / n, total(xf) - sx * sf / n, total(ff) - sf * sf / n,
            g0 + sg / n, total(gx) - sg * sx / n, total(gf) - sg * sf / n};
  }
};

// How an example's channels lie in memory. x, f and g(lane, at) load elements from index `at` of the example on.
// `apply` calls body(lane, at, k) for all elements; k holds the K factors of their channel, from factors [K][channels].
struct ChannelsFirst {  // [channel][pixel]: the lanes are pixels
  template <class X, class F, class G>
  static INLINE void moments(int64_t n, int64_t channels, X x, F f, G g, Channel *to) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t start = c * n;
      const float x0 = x(float{}, start), f0 = f(float{}, start), g0 = g(float{}, start);
      Sums<Sum> sums;
      each(n, [&](auto lane, int64_t j, int slot) ALWAYS {
        sums.add(x(lane, start + j) - x0, f(lane, start + j) - f0, g(lane, start + j) - g0, slot);
      });
      to[c] = sums.channel(n, x0, f0, g0, [](const Sum &sum) { return sum.total(); });
    }
  }
  template <int K, class Body>
  static INLINE void apply(int64_t n, int64_t channels, const float *factors, Body body) {
    for (int64_t c = 0; c < channels; ++c) {
      float k[K];
      for (int i = 0; i < K; ++i) k[i] = factors[i * channels + c];
      each(n, [&](auto lane, int64_t j, int) ALWAYS { body(lane, c * n + j, k); });
    }
  }
};

struct ChannelsLast {  // [pixel][channel]: the lanes are channels
  template <class X, class F, class G>
  static INLINE void moments(int64_t n, int64_t channels, X x, F f, G g, Channel *to) {
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES) some<floats>(n, channels, c, x, f, g, to + c);
    for (; c + 8 <= channels; c += 8) some<float8>(n, channels, c, x, f, g, to + c);
    for (; c < channels; ++c) some<float>(n, channels, c, x, f, g, to + c);
  }
  template <int K, class Body>
  static INLINE void apply(int64_t n, int64_t channels, const float *factors, Body body) {
    for (int64_t j = 0; j < n; ++j)
      each(channels, [&](auto lane, int64_t c, int) ALWAYS {
        decltype(lane) k[K];
        for (int i = 0; i < K; ++i) k[i] = load<decltype(lane)>(factors + i * channels + c);
        body(lane, j * channels + c, k);
      });
  }

private:
  // One sum per lane, in two levels, so that its rounding error does not grow with every pixel.
  template <class V> struct Lanes {
    V part = {}, all = {};
    INLINE void add(V value, int) { part += value; }
    INLINE void fold() { all += part, part = V{}; }
  };
  // Computes the moments of the channels from c on, as many as V has lanes.
  template <class V, class X, class F, class G>
  static INLINE void some(int64_t n, int64_t channels, int64_t c, X x, F f, G g, Channel *to) {
    const V x0 = x(V{}, c), f0 = f(V{}, c), g0 = g(V{}, c);
    Sums<Lanes<V>> s;
    for (int64_t j = 0; j < n;) {
      for (const int64_t end = std::min<int64_t>(n, j + 64); j < end; ++j) {
        const int64_t at = j * channels + c;
        s.add(x(V{}, at) - x0, f(V{}, at) - f0, g(V{}, at) - g0, 0);
      }
      for (Lanes<V> *sum : {&s.x, &s.f, &s.g, &s.xx, &s.xf, &s.ff, &s.gx, &s.gf}) sum->fold();
    }
    for (int i = 0; i < int(sizeof(V) / sizeof(float)); ++i)
      to[i] = s.channel(n, lane(x0, i), lane(f0, i), lane(g0, i),
                        [=](const Lanes<V> &sum) { return lane(sum.all, i); });
  }
};

struct Affine {  // x_factor·(x − mean x) + f_factor·(F − mean F) + mean
  double x_factor, f_factor, mean;
};

// y_k = gain · (h_k − mean) · rstd + bias and h_{k+1} = scale · x + y_k.
INLINE Affine weigh(const Affine &h, double mean, double rstd, double gain, double bias) {
  const double slope = gain * rstd;
  return {slope * h.x_factor, slope * h.f_factor, slope * (h.mean - mean) + bias};
}
INLINE Affine add(double scale, const Channel &c, const Affine &y) {
  return {scale + y.x_factor, y.f_factor, scale * c.x + y.mean};
}

INLINE double weight(const float *const *weights, int k, int64_t c, double otherwise) {
  return weights ? weights[k][c] : otherwise;
}

template <class Layout, class X, class F, class Y>
void forward_maps(const Site &site, const X *x, const F *f, Y *y, Y *sum, Moments *kept) {
  const int64_t n = site.pixels, channels = site.channels;
  const float scale = site.scale;
#pragma omp parallel num_threads(site.threads)
  {
    std::vector<Channel> scratch(channels);
    std::vector<Affine> affine(channels);
    enum { MEAN_X, MEAN_F, X_FACTOR, F_FACTOR, MEAN, FACTORS };
    std::vector<float> factors(FACTORS * channels);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < site.rows; ++i) {
      const X *const xi = x + i * channels * n;
      const F *const fi = f + i * channels * n;
      Y *const yi = y + i * channels * n, *const si = sum + i * channels * n;
      Layout::moments(
          n, channels, [=](auto lane, int64_t at) ALWAYS { return load<decltype(lane)>(xi + at); },
          [=](auto lane, int64_t at) ALWAYS { return load<decltype(lane)>(fi + at); },
          [=](auto lane, int64_t) ALWAYS { return decltype(lane){}; }, scratch.data());
      for (int64_t c = 0; c < channels; ++c) affine[c] = add(scale, scratch[c], {0, 1, scratch[c].f});
      for (int k = 0; k < site.steps; ++k) {
        double mean = 0, variance = 0;
        for (const Affine &h : affine) mean += h.mean / channels;
        for (int64_t c = 0; c < channels; ++c) {
          const Affine &h = affine[c];
          const Channel &m = scratch[c];
          variance += h.x_factor * h.x_factor * m.xx + 2 * h.x_factor * h.f_factor * m.xf +
                      h.f_factor * h.f_factor * m.ff + n * (h.mean - mean) * (h.mean - mean);
        }
        variance = std::max(variance / (channels * n), 0.0);
        const float rstd = 1 / std::sqrt(variance + site.eps);
        kept[i * site.steps + k] = {float(mean), rstd};
        for (int64_t c = 0; c < channels; ++c) {
          const Affine yk = weigh(affine[c], mean, rstd, weight(site.gains, k, c, 1), weight(site.biases, k, c, 0));
          affine[c] = k + 1 < site.steps ? add(scale, scratch[c], yk) : yk;
        }
      }
      for (int64_t c = 0; c < channels; ++c) {
        const Affine &h = affine[c];
        const double values[FACTORS] = {scratch[c].x, scratch[c].f, h.x_factor, h.f_factor, h.mean};
        for (int k = 0; k < FACTORS; ++k) factors[k * channels + c] = values[k];
      }
      Layout::template apply<FACTORS>(n, channels, factors.data(), [&](auto lane, int64_t at, const auto &k) ALWAYS {
        using V = decltype(lane);
        const V xj = load<V>(xi + at), fj = load<V>(fi + at);
        if (sum) store(si + at, scale * xj + fj);
        store(yi + at, k[X_FACTOR] * (xj - k[MEAN_X]) + k[F_FACTOR] * (fj - k[MEAN_F]) + k[MEAN]);
      });
    }
  }
}

template <class Layout, class X, class F, class Y>
void backward_maps(const Site &site, const Y *gy, const X *x, const F *f, const Y *sum, const Moments *kept, X *gx,
                   F *gf, float *weights) {
  const int64_t n = site.pixels, channels = site.channels, size = 2 * channels * site.steps;
  const int steps = site.steps;
  struct Gradient { double g, x, f, mean; };  // g·(gy − mean gy) + x·(x − mean x) + f·(F − mean F) + mean
  std::vector<float> sums(weights ? site.rows * size : 0);
#pragma omp parallel num_threads(site.threads)
  {
    std::vector<Channel> scratch(channels);
    std::vector<Affine> affine(channels), xhat(steps * channels);
    std::vector<Gradient> gradient(channels), total(channels);
    enum { MEAN_G, MEAN_X, MEAN_F, DG, DX, DF, D, TG, TX, TF, T, FACTORS };
    std::vector<float> factors(FACTORS * channels);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < site.rows; ++i) {
      const Moments *const m = kept + i * steps;
      const Y *const gyi = gy + i * channels * n, *const si = sum + i * channels * n;
      const X *const xi = x + i * channels * n;
      const F *const fi = f + i * channels * n;
      const auto g_of = [=](auto lane, int64_t at) ALWAYS { return load<decltype(lane)>(gyi + at); };
      if (sum)
        Layout::moments(
            n, channels, [=](auto lane, int64_t at) ALWAYS { return load<decltype(lane)>(si + at); },
            [=](auto lane, int64_t) ALWAYS { return decltype(lane){}; }, g_of, scratch.data());
      else
        Layout::moments(
            n, channels, [=](auto lane, int64_t at) ALWAYS { return load<decltype(lane)>(xi + at); },
            [=](auto lane, int64_t at) ALWAYS { return load<decltype(lane)>(fi + at); }, g_of, scratch.data());
      for (int64_t c = 0; c < channels; ++c) {
        const Channel &s = scratch[c];
        affine[c] = sum ? Affine{1, 0, s.x} : add(site.scale, s, {0, 1, s.f});
        gradient[c] = {1, 0, 0, s.g};
        total[c] = {0, 0, 0, 0};
      }
      for (int k = 0; k < steps; ++k) {
        double mean = 0;  // not the rounded mean that was kept: rstd may magnify the difference
        for (const Affine &h : affine) mean += h.mean / channels;
        for (int64_t c = 0; c < channels; ++c) {
          const Affine h = xhat[k * channels + c] = weigh(affine[c], mean, m[k].rstd, 1, 0);
          const double gain = weight(site.gains, k, c, 1), bias = weight(site.biases, k, c, 0);
          affine[c] = add(site.scale, scratch[c], {gain * h.x_factor, gain * h.f_factor, gain * h.mean + bias});
        }
      }
      for (int k = steps - 1; k >= 0; --k) {
        double c1 = 0, c2 = 0;
        for (int64_t c = 0; c < channels; ++c) {
          const Channel &s = scratch[c];
          const Affine &h = xhat[k * channels + c];
          Gradient &d = gradient[c];
          const double gain = weight(site.gains, k, c, 1), gbias = n * d.mean;
          const double ggain = d.g * (h.x_factor * s.gx + h.f_factor * s.gf) +
                               d.x * (h.x_factor * s.xx + h.f_factor * s.xf) +
                               d.f * (h.x_factor * s.xf + h.f_factor * s.ff) + n * d.mean * h.mean;
          if (weights) {
            sums[i * size + 2 * k * channels + c] = ggain;
            sums[i * size + (2 * k + 1) * channels + c] = gbias;
          }
          c1 += gain * gbias / (channels * n);
          c2 += gain * ggain / (channels * n);
        }
        for (int64_t c = 0; c < channels; ++c) {
          const Affine &h = xhat[k * channels + c];
          Gradient &d = gradient[c], &t = total[c];
          const double gain = weight(site.gains, k, c, 1), rstd = m[k].rstd;
          d = {rstd * gain * d.g, rstd * (gain * d.x - c2 * h.x_factor), rstd * (gain * d.f - c2 * h.f_factor),
               rstd * (gain * d.mean - c1 - c2 * h.mean)};
          t = {t.g + site.scale * d.g, t.x + site.scale * d.x, t.f + site.scale * d.f, t.mean + site.scale * d.mean};
        }
      }
      for (int64_t c = 0; c < channels; ++c) {
        const Channel &s = scratch[c];
        const Gradient &d = gradient[c], &t = total[c];
        const double values[FACTORS] = {s.g, s.x, s.f, d.g, d.x, d.f, d.mean, t.g, t.x, t.f, t.mean};
        for (int k = 0; k < FACTORS; ++k) factors[k * channels + c] = values[k];
      }
      X *const gxi = gx + i * channels * n;
      F *const gfi = gf + i * channels * n;
      Layout::template apply<FACTORS>(n, channels, factors.data(), [&](auto lane, int64_t at, const auto &k) ALWAYS {
        using V = decltype(lane);
        const V g = load<V>(gyi + at) - k[MEAN_G];
        const V xj = (sum ? load<V>(si + at) : load<V>(xi + at)) - k[MEAN_X];
        const V fj = sum ? V{} : load<V>(fi + at) - k[MEAN_F];
        if (gx) store(gxi + at, k[TG] * g + k[TX] * xj + k[TF] * fj + k[T]);
        store(gfi + at, k[DG] * g + k[DX] * xj + k[DF] * fj + k[D]);
      });
    }
    if (weights) {
#pragma omp for schedule(static)
      for (int64_t j = 0; j < size; ++j) {
        double all = 0;
        for (int64_t i = 0; i < site.rows; ++i) all += sums[i * size + j];
        weights[j] = all;
      }
    }
  }
}
