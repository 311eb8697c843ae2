// Eight lanes at a time, with the remainder one by one: `each` runs one body for both.
// The lanes and the order of every sum are the same on all processors and for all thread counts.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define ALWAYS __attribute__((always_inline))  // lambdas too: their vectors stay in registers
#define INLINE inline ALWAYS

typedef float float8 __attribute__((vector_size(32)));
typedef int32_t int8 __attribute__((vector_size(32)));
typedef uint32_t uint8 __attribute__((vector_size(32)));
typedef uint16_t half8 __attribute__((vector_size(16)));
constexpr int LANES = 8, SLOTS = 4;

struct bfloat16 { uint16_t bits; };
template <class A, class B> struct promoted { typedef float type; };
template <> struct promoted<bfloat16, bfloat16> { typedef bfloat16 type; };

template <class To, class From> INLINE To cast(From value) {
  static_assert(sizeof(To) == sizeof(From), "a cast keeps the bits");
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}

template <class V> INLINE V splat(float value) { return V{} + value; }
INLINE float lane(float value, int) { return value; }
INLINE float lane(float8 value, int i) { return value[i]; }

template <class V> INLINE V load(const float *p) {
  V value;
  std::memcpy(&value, p, sizeof(V));
  return value;
}
template <class V> INLINE V load(const bfloat16 *p);
template <> INLINE float load<float>(const bfloat16 *p) { return cast<float>(uint32_t(p->bits) << 16); }
template <> INLINE float8 load<float8>(const bfloat16 *p) {
  half8 bits;
  std::memcpy(&bits, p, sizeof bits);
  return cast<float8>(__builtin_convertvector(bits, uint8) << 16);
}

// A value as memory of type T will hold it: for bfloat16 rounded to nearest, ties to even; NaN stays NaN.
template <class T, class V> INLINE V rounded(V value) { return value; }
template <> INLINE float rounded<bfloat16>(float value) {
  const uint32_t bits = cast<uint32_t>(value);
  return value != value ? value : cast<float>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u);
}
template <> INLINE float8 rounded<bfloat16>(float8 value) {
  const uint8 bits = cast<uint8>(value);
  const uint8 nearest = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
  const uint8 nan = cast<uint8>(value != value);
  return cast<float8>((nearest & ~nan) | (nan & 0x7fc00000u));
}

template <class V> INLINE void store(float *p, V value) { std::memcpy(p, &value, sizeof(V)); }
INLINE void store(bfloat16 *p, float value) { p->bits = uint16_t(cast<uint32_t>(rounded<bfloat16>(value)) >> 16); }
INLINE void store(bfloat16 *p, float8 value) {
  const half8 bits = __builtin_convertvector(cast<uint8>(rounded<bfloat16>(value)) >> 16, half8);
  std::memcpy(p, &bits, sizeof bits);
}

// body(lane, j, slot): V = decltype(lane) is float8 or float, j the first element, slot < SLOTS a compile-time constant.
template <class Body> INLINE void each(int64_t n, Body body) {
  int64_t j = 0;
  for (; j + LANES * SLOTS <= n; j += LANES * SLOTS) {
    body(float8{}, j, 0);
    body(float8{}, j + LANES, 1);
    body(float8{}, j + 2 * LANES, 2);
    body(float8{}, j + 3 * LANES, 3);
  }
  for (; j + LANES <= n; j += LANES) body(float8{}, j, 0);
  for (; j < n; ++j) body(float{}, j, 0);
}

// A sum in SLOTS · LANES independent parts: neither its latency nor its rounding error grows with every element.
struct Sum {
  float8 parts[SLOTS] = {};
  float rest = 0;
  INLINE void add(float8 value, int slot) { parts[slot] += value; }
  INLINE void add(float value, int) { rest += value; }
  INLINE float total() const {
    float8 all = (parts[0] + parts[1]) + (parts[2] + parts[3]);
    return ((all[0] + all[4]) + (all[1] + all[5])) + ((all[2] + all[6]) + (all[3] + all[7])) + rest;
  }
};

// e^x for x <= 0 with a relative error of 2⁻²³, about 0 below −87; NaN stays NaN. 2ⁿ eʳ, |r| <= ln 2 / 2, eʳ by its series.
INLINE float8 exponential(float8 x) {
  const int8 low = x < -87.0f;
  x = cast<float8>((cast<int8>(x) & ~low) | (cast<int8>(splat<float8>(-87.0f)) & low));
  const float8 n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // adding 1.5 · 2²³ rounds to an integer
  const float8 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;    // ln 2 in two parts, the first times n exact
  float8 series = splat<float8>(1.0f);
  for (int k = 7; k > 0; --k) series = 1.0f + r * (1.0f / k) * series;
  return series * cast<float8>((__builtin_convertvector(n, int8) + 127) << 23);
}
INLINE float exponential(float x) { return std::exp(x); }

// Dropout without a stored mask: element (row, column) is kept when a hash of it and the seed is large enough.
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
  uint32_t dropped;  // of 2³²
  float kept_scale;

  struct Row {
    uint32_t key0, key1, dropped;
    float kept_scale;
    INLINE float keep(float, int64_t j) const {
      return mix(uint32_t(j), key0, key1) >= dropped ? kept_scale : 0.0f;
    }
    INLINE float8 keep(float8, int64_t j) const {
      const uint8 counter = uint8{0, 1, 2, 3, 4, 5, 6, 7} + uint32_t(j);
      const int8 kept = cast<int8>(mix(counter, key0, key1) ^ 0x80000000u) >= int32_t(dropped ^ 0x80000000u);
      return cast<float8>(kept & cast<int8>(splat<float8>(kept_scale)));
    }
    // F after dropout.
    template <class V, class T> INLINE V apply(const T *f, int64_t j) const {
      return dropped ? load<V>(f + j) * keep(V{}, j) : load<V>(f + j);
    }
  };
  INLINE Row row(int64_t i) const {
    const uint32_t low = uint32_t(seed), high = uint32_t(seed >> 32);
    return {mix(uint32_t(i), low, high), mix(uint32_t(i), high, low), dropped, kept_scale};
  }
};
