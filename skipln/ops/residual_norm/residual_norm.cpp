// The C interface of the kernels: raw pointers, called by cpu.py through ctypes.
#include "maps.h"
#include "rows.h"

// Calls `call` with the types of x and F, which cpu.py numbers.
template <class Call> static void dispatch(int types, Call call) {
  switch (types) {
    case 0: return call(float{}, float{});
    case 1: return call(float{}, bfloat16{});
    default: return call(bfloat16{}, bfloat16{});
  }
}

// If each element of a row has a gain of its own, every step must visit the row; otherwise the moments suffice.
static bool by_rows(const Site &site) { return site.gains && site.pixels == 1; }

extern "C" {
void forward(const Site *site, int types, const void *x, const void *f, void *y, void *sum, void *kept) {
  dispatch(types, [&](auto x_type, auto f_type) {
    using X = decltype(x_type);
    using F = decltype(f_type);
    using Y = typename promoted<X, F>::type;
    const auto run = by_rows(*site)         ? forward_rows<X, F, Y>
                     : site->channels_last ? forward_maps<ChannelsLast, X, F, Y>
                                           : forward_maps<ChannelsFirst, X, F, Y>;
    run(*site, (const X *)x, (const F *)f, (Y *)y, (Y *)sum, (Moments *)kept);
  });
}

void backward(const Site *site, int types, const void *gy, const void *x, const void *f, const void *sum,
              const void *kept, void *gx, void *gf, float *weights) {
  dispatch(types, [&](auto x_type, auto f_type) {
    using X = decltype(x_type);
    using F = decltype(f_type);
    using Y = typename promoted<X, F>::type;
    const auto run = by_rows(*site)         ? backward_rows<X, F, Y>
                     : site->channels_last ? backward_maps<ChannelsLast, X, F, Y>
                                           : backward_maps<ChannelsFirst, X, F, Y>;
    run(*site, (const Y *)gy, (const X *)x, (const F *)f, (const Y *)sum, (const Moments *)kept, (X *)gx, (F *)gf,
        weights);
  });
}
}
