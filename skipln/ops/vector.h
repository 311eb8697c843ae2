// Vectors of sixteen lanes where the processor has them, else of eight. `each` runs one body for these vectors, then
// for the remainder by eight and one by one. The order of every sum is the same on all processors and for any number of
// threads.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#ifdef __AVX__
#include <immintrin.h>
#endif

#define ALWAYS __attribute__((always_inline))  // lambdas too: their vectors stay in registers
#define INLINE inline ALWAYS

#ifndef LANES
#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#endif

typedef float float4 __attribute__((vector_size(16)));
typedef float float8 __attribute__((vector_size(32)));
typedef int32_t int8 __attribute__((vector_size(32)));
typedef uint32_t uint8 __attribute__((vector_size(32)));
typedef uint16_t half8 __attribute__((vector_size(16)));
typedef float float16 __attribute__((vector_size(64)));  // sixteen floats, not half precision
typedef int32_t int16 __attribute__((vector_size(64)));
typedef uint32_t uint16 __attribute__((vector_size(64)));
typedef uint16_t half16 __attribute__((vector_size(32)));
typedef std::conditional<LANES == 16, float16, float8>::type floats;

// The integer vectors with as many lanes as a vector of floats, and one with the numbers 0, 1, … in its lanes.
template <class V> struct beside;
template <> struct beside<float8> {
  typedef int8 ints;
  typedef uint8 uints;
  typedef half8 halves;
  static INLINE uint8 places() { return uint8{0, 1, 2, 3, 4, 5, 6, 7}; }
};
template <> struct beside<float16> {
  typedef int16 ints;
  typedef uint16 uints;
  typedef half16 halves;
  static INLINE uint16 places() { return uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
};

struct bfloat16 { uint16_t bits; };
template <class A, class B> struct promoted { typedef float type; };
template <> struct promoted<bfloat16, bfloat16> { typedef bfloat16 type; };

template <class To, class From> INLINE To cast(From value) {
  static_assert(sizeof(To) == sizeof(From), "a cast keeps the bits");
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}

// Which lanes of a comparison hold, one bit each.
INLINE uint32_t held(int8 lanes) {
#ifdef __AVX__
  return uint32_t(_mm256_movemask_ps(cast<__m256>(lanes)));
#else
  uint32_t bits = 0;
  for (int i = 0; i < 8; ++i) bits |= uint32_t(lanes[i] & 1) << i;
  return bits;
#endif
}
INLINE uint32_t held(int16 lanes) {
#ifdef __AVX512DQ__
  return uint32_t(_mm512_movepi32_mask(cast<__m512i>(lanes)));
#else
  int8 halves[2];
  std::memcpy(halves, &lanes, sizeof lanes);
  return held(halves[0]) | held(halves[1]) << 8;
#endif
}

template <class V> INLINE V splat(float value) { return V{} + value; }

// a · b + c, rounded once.
INLINE float8 fused(float8 a, float8 b, float8 c) {
#ifdef __FMA__
  return float8(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
#else
  for (int i = 0; i < 8; ++i) c[i] = std::fma(a[i], b[i], c[i]);
  return c;
#endif
}
INLINE float16 fused(float16 a, float16 b, float16 c) {
#ifdef __AVX512F__
  return float16(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
#else
  for (int i = 0; i < 16; ++i) c[i] = std::fma(a[i], b[i], c[i]);
  return c;
#endif
}

INLINE float lane(float value, int) { return value; }
template <class V> INLINE float lane(V value, int i) { return value[i]; }

template <class V> INLINE V load(const float *p) {
  V value;
  std::memcpy(&value, p, sizeof(V));
  return value;
}
template <class V> INLINE V load(const bfloat16 *p) {
  typename beside<V>::halves bits;
  std::memcpy(&bits, p, sizeof bits);
  return cast<V>(__builtin_convertvector(bits, typename beside<V>::uints) << 16);
}
template <> INLINE float load<float>(const bfloat16 *p) { return cast<float>(uint32_t(p->bits) << 16); }

// Returns the bits of the nearest bfloat16 in the upper half, ties to even; NaN stays NaN.
INLINE uint32_t nearest(float value) {
  const uint32_t bits = cast<uint32_t>(value);
  return value != value ? 0x7fc00000u : (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
}
template <class V> INLINE typename beside<V>::uints nearest(V value) {
  typedef typename beside<V>::uints U;
  const U bits = cast<U>(value), nan = cast<U>(value != value);
  return (((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u) & ~nan) | (nan & 0x7fc00000u);
}

// Returns a value as memory of type T will hold it.
template <class T, class V> INLINE V rounded(V value) {
  if constexpr (std::is_same<T, bfloat16>::value) return cast<V>(nearest(value));
  return value;
}

template <class V> INLINE void store(float *p, V value) { std::memcpy(p, &value, sizeof(V)); }
INLINE void store(bfloat16 *p, float value) { p->bits = uint16_t(nearest(value) >> 16); }
template <class V> INLINE void store(bfloat16 *p, V value) {
  const auto bits = __builtin_convertvector(nearest(value) >> 16, typename beside<V>::halves);
  std::memcpy(p, &bits, sizeof bits);
}

// Calls body(lane, j, slot). V = decltype(lane) is float16, float8 or float; j is the first element; slot, a
// compile-time constant, says which parts of a Sum the element goes to.
template <class Body> INLINE void each(int64_t n, Body body) {
  int64_t j = 0;
  for (; j + 32 <= n; j += 32) {
    body(floats{}, j, 0);
    body(floats{}, j + LANES, 1);
    if constexpr (LANES == 8) {
      body(floats{}, j + 16, 2);
      body(floats{}, j + 24, 3);
    }
  }
  for (; j + 8 <= n; j += 8) body(float8{}, j, 0);
  for (; j < n; ++j) body(float{}, j, 0);
}

// A sum in 32 independent parts, four times eight or twice sixteen, so that neither its latency nor its rounding error
// grows with every element.
struct Sum {
  floats parts[32 / LANES] = {};
  float rest = 0;
  INLINE void add(floats value, int slot) { parts[slot] += value; }
  template <class V> INLINE typename std::enable_if<std::is_same<V, float8>::value && LANES == 16>::type add(V value, int) {
    float8 first;
    std::memcpy(&first, parts, sizeof first);
    first += value;
    std::memcpy(parts, &first, sizeof first);
  }
  INLINE void add(float value, int) { rest += value; }
  INLINE float total() const {
    float8 p[4];
    std::memcpy(p, parts, sizeof p);
    const float8 all = (p[0] + p[1]) + (p[2] + p[3]);
    float4 halves[2];
    std::memcpy(halves, &all, sizeof all);
    const float4 four = halves[0] + halves[1];
    return (four[0] + four[1]) + (four[2] + four[3]) + rest;
  }
};

template <class V> INLINE V larger(V a, V b) { return a > b ? a : b; }

// The largest of any number of elements, in parts like those of a Sum; undefined if one is NaN.
struct Largest {
  floats parts[32 / LANES];
  float rest = -INFINITY;
  INLINE Largest() { for (auto &part : parts) part = splat<floats>(-INFINITY); }
  INLINE void add(floats value, int slot) { parts[slot] = larger<floats>(value, parts[slot]); }
  INLINE void add(float value, int) { rest = larger(value, rest); }
  template <class V> INLINE typename std::enable_if<std::is_same<V, float8>::value && LANES == 16>::type add(V value, int) {
    for (int i = 0; i < 8; ++i) rest = larger(value[i], rest);
  }
  INLINE float total() const {
    float8 p[4];
    std::memcpy(p, parts, sizeof p);
    const float8 all = larger(larger(p[0], p[1]), larger(p[2], p[3]));
    float4 halves[2];
    std::memcpy(halves, &all, sizeof all);
    const float4 four = larger(halves[0], halves[1]);
    return larger(larger(larger(four[0], four[1]), larger(four[2], four[3])), rest);
  }
};
template <class T> INLINE float largest(const T *x, int64_t n) {
  Largest found;
  each(n, [&](auto lanes, int64_t j, int slot) ALWAYS { found.add(load<decltype(lanes)>(x + j), slot); });
  return found.total();
}

// e^x for x <= 0 with a relative error of 2⁻²³, about 0 below −87; NaN stays NaN. It is 2ⁿ eʳ with |r| <= ln 2 / 2, and
// eʳ is a series.
template <class V> INLINE V exponential(V x) {
  typedef typename beside<V>::ints I;
  const I low = x < -87.0f;
  x = cast<V>((cast<I>(x) & ~low) | (cast<I>(splat<V>(-87.0f)) & low));
  const V n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // adding 1.5 · 2²³ rounds to an integer
  const V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;    // ln 2 in two parts; n times the first is exact
  V series = splat<V>(1.0f);
#pragma GCC unroll 7  // else 1 / k is divided anew each time
  for (int k = 7; k > 0; --k) series = 1.0f + r * (1.0f / k) * series;
  return series * cast<V>((__builtin_convertvector(n, I) + 127) << 23);
}
INLINE float exponential(float x) { return std::exp(x); }

// Dropout without a stored mask: element (row, column) is kept if the hash of seed, row and column is large enough.
template <class U> INLINE U mix(U counter, uint32_t key0, uint32_t key1) {
  U z = counter ^ key0;
  z ^= z >> 16;
  z *= 0x7feb352du;
  z ^= key1;
  z ^= z >> 15;
  z *= 0x846ca68bu;
  return z ^ (z >> 16);
}

struct Dropout {
  uint64_t seed;
  uint32_t dropped;  // how many of the 2³² hashes drop an element
  float kept_scale;

  struct Row {
    uint32_t key0, key1, dropped;
    float kept_scale;
    INLINE float keep(float, int64_t j) const {
      return mix(uint32_t(j), key0, key1) >= dropped ? kept_scale : 0.0f;
    }
    template <class V> INLINE V keep(V, int64_t j) const {
      typedef typename beside<V>::ints I;
      const auto counter = beside<V>::places() + uint32_t(j);
      const I kept = cast<I>(mix(counter, key0, key1) ^ 0x80000000u) >= int32_t(dropped ^ 0x80000000u);
      return cast<V>(kept & cast<I>(splat<V>(kept_scale)));
    }
    // Returns F after dropout.
    template <class V, class T> INLINE V apply(const T *f, int64_t j) const {
      return dropped ? load<V>(f + j) * keep(V{}, j) : load<V>(f + j);
    }
  };
  INLINE Row row(int64_t i) const {
    const uint32_t low = uint32_t(seed), high = uint32_t(seed >> 32);
    return {mix(uint32_t(i), low, high), mix(uint32_t(i), high, low), dropped, kept_scale};
  }
};
