// The 16 warp sums of a block are added by the first 16 lanes, but the tree begins with the distance for 32.

__global__ void planted(const int* x, int* total) {
    __shared__ int sums[16];
    const int t = threadIdx.x;
    const int warp_sum = __reduce_add_sync(0xffffffffu, x[t]);
    if (t % 32 == 0) sums[t / 32] = warp_sum;
    __syncthreads();
    if (t < 16) {
        int sum = sums[t];
        for (int offset = 16; offset > 0; offset /= 2)
            sum += __shfl_down_sync(0x0000ffffu, sum, offset);  // BUG
        if (t == 0) *total = sum;
    }
}

__global__ void twin(const int* x, int* total) {
    __shared__ int sums[16];
    const int t = threadIdx.x;
    const int warp_sum = __reduce_add_sync(0xffffffffu, x[t]);
    if (t % 32 == 0) sums[t / 32] = warp_sum;
    __syncthreads();
    if (t < 16) {
        int sum = sums[t];
        for (int offset = 8; offset > 0; offset /= 2) sum += __shfl_down_sync(0x0000ffffu, sum, offset);
        if (t == 0) *total = sum;
    }
}
