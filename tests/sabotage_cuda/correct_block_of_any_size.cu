// Block sums for blocks that end in a part of a warp, with a mask of the lanes that are there.

__global__ void twin(const int* x, int* sums) {
    __shared__ int warp_sums[32];
    const int threads = blockDim.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int lanes = min(32, threads - 32 * warp);
    const unsigned mask = lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
    int value = x[blockIdx.x * threads + threadIdx.x];
    for (int offset = 16; offset > 0; offset /= 2) {
        const int other = __shfl_down_sync(mask, value, offset);
        if (lane + offset < lanes) value += other;
    }
    if (lane == 0) warp_sums[warp] = value;
    __syncthreads();
    if (threadIdx.x == 0) {
        int sum = 0;
        for (int k = 0; k < (threads + 31) / 32; ++k) sum += warp_sums[k];
        sums[blockIdx.x] = sum;
    }
}
