// Runs the CUDA kernels on a CPU: every thread of every block, one after the other. KERNELS is the path of their source.
#include <cstddef>
#include <cstring>
#include <utility>

#define __device__
#define __global__

struct Index {
    unsigned x, y, z;
};
static Index blockIdx, blockDim, threadIdx;

#if defined(__x86_64__)
#include <immintrin.h>
static float half_to_float(unsigned short s) { return _cvtsh_ss(s); }
static unsigned short float_to_half(float f) { return _cvtss_sh(f, 0); }
#else
static float half_to_float(unsigned short s) {
    __fp16 h;
    std::memcpy(&h, &s, 2);
    return h;
}
static unsigned short float_to_half(float f) {
    __fp16 h = f;
    unsigned short s;
    std::memcpy(&s, &h, 2);
    return s;
}
#endif

#include KERNELS

template <class... A, std::size_t... I>
void call(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(args[I])...);
}

template <class... A>
void run(void (*kernel)(A...), const unsigned* grid, unsigned threads, void** args) {
    blockDim = {threads, 1, 1};
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
                for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) call(kernel, args, std::index_sequence_for<A...>{});
}

#define RUN(NAME) \
    extern "C" void run_##NAME(const unsigned* grid, unsigned threads, void** args) { run(NAME, grid, threads, args); }
RUN(conv_act_one)
RUN(conv_act_wide)
RUN(filter_act_one)
RUN(filter_act_wide)
RUN(upsample_add)
