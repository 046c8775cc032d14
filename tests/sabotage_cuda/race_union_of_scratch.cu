// One piece of scratch memory for two steps: warp sums, then elements in reverse. The steps overlap.

union Scratch {
    int sums[4];
    int elements[128];
};

template <bool barrier_between_steps>
__device__ void centred_in_reverse(const int* x, int* y) {
    __shared__ Scratch scratch;
    const int t = threadIdx.x, value = x[blockIdx.x * 128 + t];
    const int warp_sum = __reduce_add_sync(0xffffffffu, value);
    if (t % 32 == 0) scratch.sums[t / 32] = warp_sum;
    __syncthreads();
    int total = 0;
    for (int warp = 0; warp < 4; ++warp) total += scratch.sums[warp];  // BUG
    if (barrier_between_steps) __syncthreads();
    scratch.elements[t] = 128 * value - total;  // BUG
    __syncthreads();
    y[blockIdx.x * 128 + t] = scratch.elements[127 - t];
}

__global__ void planted(const int* x, int* y) { centred_in_reverse<false>(x, y); }

__global__ void twin(const int* x, int* y) { centred_in_reverse<true>(x, y); }
