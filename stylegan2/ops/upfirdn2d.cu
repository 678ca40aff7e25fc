// K2, filter_act: the separable 4-tap filter after an up-convolution, then K1's act. x [n, in_h, in_w, c] -> y [n, out_h, out_w, c],
// y[Y, X] = act(sum over i, j of taps[i] taps[j] x[Y - pad + i, X - pad + j]), x being zero outside.
// The transposed filter, which the backward pass needs, is the same kernel with other taps, pad and sizes, and slope 1.

#define ROWS 8  // outputs per thread down a column: 11 filtered rows of 4 reads serve 8 outputs, instead of 16 reads each

struct Plane {
    unsigned in_h, in_w, out_h, out_w;
    int pad;
};

// Row `row` of x filtered along the row at output column X, zero where the row is outside.
template <int V>
__device__ void filter_row(const Pack<V>* x, const Plane& p, const float* taps, int row, int X, unsigned packs, float* sum) {
    for (int k = 0; k < V; k++) sum[k] = 0;
    if (row < 0 || row >= (int)p.in_h) return;
    for (int j = 0; j < 4; j++) {
        int column = X - p.pad + j;
        if (column < 0 || column >= (int)p.in_w) continue;
        Pack<V> in = x[((unsigned long long)row * p.in_w + column) * packs];
        for (int k = 0; k < V; k++) sum[k] += taps[j] * widen(in.v[k]);
    }
}

// One thread: one pack of channels, one column, ROWS rows. Grid: x over columns times packs, y over groups of rows, z over samples.
template <int V>
__device__ void filter_act(const Stored* x, Stored* y, Act a, Plane p, const float* taps) {
    unsigned packs = a.channels / V, i = blockIdx.x * blockDim.x + threadIdx.x, n = blockIdx.z;
    if (i >= p.out_w * packs) return;
    unsigned X = i / packs, pack = i % packs;
    const Pack<V>* in = reinterpret_cast<const Pack<V>*>(x) + (unsigned long long)n * p.in_h * p.in_w * packs + pack;
    Pack<V>* out = reinterpret_cast<Pack<V>*>(y) + (unsigned long long)n * p.out_h * p.out_w * packs + pack;
    unsigned top = blockIdx.y * ROWS, bottom = top + ROWS < p.out_h ? top + ROWS : p.out_h;
    float a0[V], a1[V], a2[V], a3[V];  // the filtered rows Y - pad ... Y - pad + 3
    filter_row<V>(in, p, taps, (int)top - p.pad, X, packs, a0);
    filter_row<V>(in, p, taps, (int)top - p.pad + 1, X, packs, a1);
    filter_row<V>(in, p, taps, (int)top - p.pad + 2, X, packs, a2);
    for (unsigned Y = top; Y < bottom; Y++) {
        filter_row<V>(in, p, taps, (int)Y - p.pad + 3, X, packs, a3);
        Pack<V> result;
        for (int k = 0; k < V; k++) {
            float sum = taps[0] * a0[k] + taps[1] * a1[k] + taps[2] * a2[k] + taps[3] * a3[k];
            result.v[k] = narrow(act(a, sum, n, Y * p.out_w + X, pack * V + k));
            a0[k] = a1[k], a1[k] = a2[k], a2[k] = a3[k];
        }
        out[((unsigned long long)Y * p.out_w + X) * packs] = result;
    }
}

#define FILTER_ACT(NAME, V)                                                                                                 \
    extern "C" __global__ void NAME(const Stored* x, Stored* y, const float* scale, const float* bias, const float* noise,  \
                                    unsigned noise_step, unsigned channels, float gain, float slope, float clamp, unsigned in_h,        \
                                    unsigned in_w, unsigned out_h, unsigned out_w, int pad, const float* taps) {            \
        filter_act<V>(x, y, Act{scale, bias, noise, noise_step, channels, gain, slope, clamp}, Plane{in_h, in_w, out_h, out_w, pad}, taps); \
    }
FILTER_ACT(filter_act_one, 1)
FILTER_ACT(filter_act_wide, WIDE)

// K3, upsample_add: y = rgb + the 2x upsampled image, both [n, h, w, channels]; image and y are float32, image is half as large.
// Zero insertion and the 4-tap filter meet two samples per axis: Y = 2q reads q - 1 and q with taps 0 and 2, Y = 2q + 1 reads q and
// q + 1 with taps 1 and 3. With `picture` the result is moved from -1..1 to 0..1 and clamped: what an image viewer expects.
// One thread: one pixel. Grid: x over pixels, y over samples (image_step is 0 when all samples share one image).
extern "C" __global__ void upsample_add(const float* image, const Stored* rgb, float* y, const float* taps, unsigned image_step,
                                        unsigned height, unsigned width, unsigned channels, int picture) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, n = blockIdx.y;
    if (i >= height * width) return;
    int Y = i / width, X = i % width, h = height / 2, w = width / 2;
    int row = (Y + 1) / 2 - 1, column = (X + 1) / 2 - 1;
    unsigned long long at = ((unsigned long long)n * height * width + i) * channels;
    image += (unsigned long long)n * image_step;
    for (unsigned c = 0; c < channels; c++) {
        float sum = widen(rgb[at + c]);
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++) {
                int q = row + j, r = column + k;
                if (q < 0 || q >= h || r < 0 || r >= w) continue;
                sum += taps[Y % 2 + 2 * j] * taps[X % 2 + 2 * k] * image[((unsigned long long)q * w + r) * channels + c];
            }
        if (picture) {
            sum = sum * 0.5f + 0.5f;
            sum = sum > 1 ? 1 : sum < 0 ? 0 : sum;
        }
        y[at + c] = sum;
    }
}
