// Sum of a block of 48 threads. The second warp has 16 lanes; its shuffles read the 16 that are not there.

__global__ void planted(const int* x, int* sums) {
    __shared__ int warp_sums[2];
    int value = x[blockIdx.x * blockDim.x + threadIdx.x];
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_down_sync(0xffffffffu, value, offset);  // BUG
    if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0) sums[blockIdx.x] = warp_sums[0] + warp_sums[1];
}

__global__ void twin(const int* x, int* sums) {
    __shared__ int warp_sums[2];
    int value = x[blockIdx.x * blockDim.x + threadIdx.x];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int lanes = min(32, static_cast<int>(blockDim.x) - 32 * warp);
    const unsigned mask = 0xffffffffu >> (32 - lanes);
    for (int offset = 16; offset > 0; offset /= 2) {
        const int other = __shfl_down_sync(mask, value, offset);
        if (lane + offset < lanes) value += other;
    }
    if (lane == 0) warp_sums[warp] = value;
    __syncthreads();
    if (threadIdx.x == 0) sums[blockIdx.x] = warp_sums[0] + warp_sums[1];
}
