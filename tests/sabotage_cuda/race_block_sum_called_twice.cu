// Mean and variance of a row. block_sum returns while other warps still read its result; the next call overwrites it.

constexpr unsigned FULL = 0xffffffffu;

__device__ float warp_sum(float value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(FULL, value, offset);
    return value;
}

__device__ float planted_block_sum(float value) {
    __shared__ float sums[32];
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;  // BUG
    __syncthreads();
    float total = 0;
    for (int warp = 0; warp < blockDim.x / 32; ++warp) total += sums[warp];  // BUG
    return total;
}

__device__ float twin_block_sum(float value) {
    __shared__ float sums[32];
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    float total = 0;
    for (int warp = 0; warp < blockDim.x / 32; ++warp) total += sums[warp];
    __syncthreads();
    return total;
}

__global__ void planted(const float* x, float* variance, int cols) {
    const float value = x[blockIdx.x * cols + threadIdx.x];
    const float mean = planted_block_sum(value) / cols;
    const float total = planted_block_sum((value - mean) * (value - mean));
    if (threadIdx.x == 0) variance[blockIdx.x] = total / cols;
}

__global__ void twin(const float* x, float* variance, int cols) {
    const float value = x[blockIdx.x * cols + threadIdx.x];
    const float mean = twin_block_sum(value) / cols;
    const float total = twin_block_sum((value - mean) * (value - mean));
    if (threadIdx.x == 0) variance[blockIdx.x] = total / cols;
}
