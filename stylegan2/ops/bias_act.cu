// K1, conv_act: y = clamp(lrelu(x * scale[n, c] + (noise[n, pixel] + bias[c]) * gain)), what follows a convolution, in one trip to
// memory. scale, noise and bias may be null. noise_step is the number of noise values per sample, 0 when all samples share one noise picture.

struct Act {
    const float* scale;
    const float* bias;
    const float* noise;
    unsigned noise_step;
    unsigned channels;
    float gain;
    float slope;
    float clamp;
};

__device__ inline float act(const Act& a, float x, unsigned n, unsigned pixel, unsigned c) {
    if (a.scale) x *= a.scale[n * a.channels + c];
    if (a.noise) x += a.noise[(unsigned long long)n * a.noise_step + pixel] * a.gain;
    if (a.bias) x += a.bias[c] * a.gain;
    x = x > 0 ? x : x * a.slope;
    return x > a.clamp ? a.clamp : x < -a.clamp ? -a.clamp : x;
}

// One thread: one pack of channels of one pixel. Grid: x over packs of a sample, y over samples.
template <int V>
__device__ void conv_act(const Stored* x, Stored* y, Act a, unsigned pixels) {
    unsigned packs = a.channels / V, i = blockIdx.x * blockDim.x + threadIdx.x, n = blockIdx.y;
    if (i >= pixels * packs) return;
    unsigned pixel = i / packs, c = i % packs * V;
    unsigned long long at = (unsigned long long)n * pixels * packs + i;
    Pack<V> in = reinterpret_cast<const Pack<V>*>(x)[at], out;
    for (int k = 0; k < V; k++) out.v[k] = narrow(act(a, widen(in.v[k]), n, pixel, c + k));
    reinterpret_cast<Pack<V>*>(y)[at] = out;
}

#define CONV_ACT(NAME, V)                                                                                        \
    extern "C" __global__ void NAME(const Stored* x, Stored* y, const float* scale, const float* bias, const float* noise, \
                                    unsigned noise_step, unsigned channels, float gain, float slope, float clamp, unsigned pixels) {   \
        conv_act<V>(x, y, Act{scale, bias, noise, noise_step, channels, gain, slope, clamp}, pixels);                     \
    }
CONV_ACT(conv_act_one, 1)
CONV_ACT(conv_act_wide, WIDE)
