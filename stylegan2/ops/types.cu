// Storage types of the kernels: computation is always in float32.
// STORAGE is defined before this text: 32 float32, 16 float16, 8 bfloat16 (its exponent has 8 bits).
// Planes are channels last. A thread handles a Pack of V neighboring channels: 16 bytes where the layer's width allows it, else one.

#if STORAGE == 32
typedef float Stored;
#else
typedef unsigned short Stored;
#endif

#define WIDE (16 / sizeof(Stored))

template <int V>
struct alignas(V * sizeof(Stored)) Pack {
    Stored v[V];
};

#if STORAGE == 32
__device__ inline float widen(Stored s) { return s; }
__device__ inline Stored narrow(float f) { return f; }
#elif STORAGE == 16 && defined(__CUDACC__)
__device__ inline float widen(Stored s) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(s));
    return f;
}
__device__ inline Stored narrow(float f) {
    Stored s;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(s) : "f"(f));
    return s;
}
#elif STORAGE == 16  // an ordinary C++ compiler, in the tests
inline float widen(Stored s) { return half_to_float(s); }
inline Stored narrow(float f) { return float_to_half(f); }
#else
union Bits {
    float f;
    unsigned u;
};
__device__ inline float widen(Stored s) {
    Bits b;
    b.u = unsigned(s) << 16;
    return b.f;
}
__device__ inline Stored narrow(float f) {  // round to nearest, ties to even; a NaN stays one
    Bits b;
    b.f = f;
    if (f != f) return 0x7fff;
    return Stored((b.u + 0x7fff + (b.u >> 16 & 1)) >> 16);
}
#endif
