// Softmax of one row a block. The tree for the sum starts in the memory from which others still read the maximum.

constexpr int BLOCK = 128;

template <bool barrier_before_reuse>
__device__ void softmax(const float* x, float* y) {
    __shared__ float s[BLOCK];
    const int t = threadIdx.x;
    const float value = x[blockIdx.x * BLOCK + t];
    s[t] = value;
    __syncthreads();
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        if (t < width) s[t] = fmaxf(s[t], s[t + width]);
        __syncthreads();
    }
    const float power = expf(value - s[0]);  // BUG
    if (barrier_before_reuse) __syncthreads();
    s[t] = power;  // BUG
    __syncthreads();
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        if (t < width) s[t] += s[t + width];
        __syncthreads();
    }
    y[blockIdx.x * BLOCK + t] = power / s[0];
}

__global__ void planted(const float* x, float* y) { softmax<false>(x, y); }

__global__ void twin(const float* x, float* y) { softmax<true>(x, y); }
