// Maximum of each block. The tree starts before every thread has stored its own element.

template <bool barrier_after_store>
__device__ void block_max(const float* x, float* largest, int n) {
    extern __shared__ float partial[];
    const int t = threadIdx.x;
    float mine = __int_as_float(0xff800000);  // minus infinity
    for (int i = blockIdx.x * blockDim.x + t; i < n; i += gridDim.x * blockDim.x) mine = fmaxf(mine, x[i]);
    partial[t] = mine;  // BUG
    if (barrier_after_store) __syncthreads();
    for (int width = blockDim.x / 2; width > 0; width /= 2) {
        if (t < width) {
            const float other = partial[t + width];  // BUG
            partial[t] = fmaxf(partial[t], other);
        }
        __syncthreads();
    }
    if (t == 0) largest[blockIdx.x] = partial[0];
}

__global__ void planted(const float* x, float* largest, int n) { block_max<false>(x, largest, n); }

__global__ void twin(const float* x, float* largest, int n) { block_max<true>(x, largest, n); }
