// x Wᵀ + b with W in panels of WIDTH outputs, whose weights lie in the order in which the inner loop reads them.
#include <algorithm>
#include <vector>

#include "vector.h"

struct Sizes { int64_t rows, in, out, threads; };

// A tile is ROWS rows by one panel; its sums stay in registers, of which AVX-512 has twice as many as AVX2.
enum { ROWS = 6, VECTORS = LANES == 16 ? 4 : 2, WIDTH = VECTORS * LANES };

// One panel's outputs for R rows. step(sum, x, panel, k, v) adds what step k of a row and of the panel's vector v give.
template <int R, class X, class W, class Step>
static INLINE void tile(int64_t steps, const X *x, int64_t stride, const W *panel, const float *bias, float *out,
                        int64_t columns, int64_t out_stride, Step step) {
  floats sums[R][VECTORS];
  for (int v = 0; v < VECTORS; ++v)
    for (int r = 0; r < R; ++r) sums[r][v] = load<floats>(bias + v * LANES);
  for (int64_t k = 0; k < steps; ++k) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) sums[r][v] = step(sums[r][v], x + r * stride, panel, k, v);
  }
  for (int r = 0; r < R; ++r)
    if (columns == WIDTH)
      for (int v = 0; v < VECTORS; ++v) store(out + r * out_stride + v * LANES, sums[r][v]);
    else
      std::memcpy(out + r * out_stride, sums[r], columns * sizeof(float));
}

template <class X, class W, class Step>
static void multiply(const Sizes &sizes, int64_t steps, const X *x, int64_t stride, const W *panels, int64_t panel_size,
                     const float *bias, float *out, Step step) {
  const int64_t number = (sizes.out + WIDTH - 1) / WIDTH;
#pragma omp parallel for schedule(static) num_threads(sizes.threads)
  for (int64_t p = 0; p < number; ++p) {
    const int64_t columns = std::min<int64_t>(WIDTH, sizes.out - p * WIDTH);
    const auto rows = [&](auto count, int64_t row) ALWAYS {
      tile<decltype(count)::value>(steps, x + row * stride, stride, panels + p * panel_size, bias + p * WIDTH,
                                   out + row * sizes.out + p * WIDTH, columns, sizes.out, step);
    };
    int64_t row = 0;
    for (; row + ROWS <= sizes.rows; row += ROWS) rows(std::integral_constant<int, ROWS>{}, row);
    for (; row + 2 <= sizes.rows; row += 2) rows(std::integral_constant<int, 2>{}, row);
    if (row < sizes.rows) rows(std::integral_constant<int, 1>{}, row);
  }
}

extern "C" {
int64_t packed_width() { return WIDTH; }

// x: [rows][in]; panels: [number][in][WIDTH]; bias: [number][WIDTH]; out: [rows][out].
void packed_float(const Sizes *sizes, const float *x, const float *panels, const float *bias, float *out) {
  multiply(*sizes, sizes->in, x, sizes->in, panels, sizes->in * WIDTH, bias, out,
           [](floats sum, const float *x, const float *panel, int64_t k, int v) ALWAYS {
             return fused(splat<floats>(x[k]), load<floats>(panel + k * WIDTH + v * LANES), sum);
           });
}

#if defined(__AVX512BF16__) && LANES == 16
// panels: [number][pairs of inputs][WIDTH][2]. x is rounded to bfloat16; products and sums are float32.
void packed_bfloat16(const Sizes *sizes, const float *x, const bfloat16 *panels, const float *bias, float *out) {
  const int64_t steps = (sizes->in + 1) / 2;
  std::vector<bfloat16> rounded(sizes->rows * steps * 2);
  for (int64_t row = 0; row < sizes->rows; ++row)
    each(sizes->in, [&](auto lane, int64_t j, int) ALWAYS {
      store(&rounded[row * steps * 2 + j], load<decltype(lane)>(x + row * sizes->in + j));
    });
  multiply(*sizes, steps, rounded.data(), steps * 2, panels, steps * 2 * WIDTH, bias, out,
           [](floats sum, const bfloat16 *x, const bfloat16 *panel, int64_t k, int v) ALWAYS {
             int32_t pair;
             std::memcpy(&pair, x + 2 * k, sizeof pair);
             __m512bh w;
             std::memcpy(&w, panel + (k * WIDTH + v * LANES) * 2, sizeof w);
             return floats(_mm512_dpbf16_ps(__m512(sum), cast<__m512bh>(_mm512_set1_epi32(pair)), w));
           });
}
#endif
}
