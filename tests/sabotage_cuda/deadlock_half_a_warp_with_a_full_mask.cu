// The sums of 16 warps are added by 16 lanes of the first warp, with a mask that names all 32. The others wait below.

__global__ void planted(const int* x, int* centred) {
    __shared__ int sums[16];
    const int t = threadIdx.x, value = x[t];
    const int warp_sum = __reduce_add_sync(0xffffffffu, value);
    if (t % 32 == 0) sums[t / 32] = warp_sum;
    __syncthreads();
    if (t < 16) {
        int sum = sums[t];
        for (int offset = 8; offset > 0; offset /= 2)
            sum += __shfl_down_sync(0xffffffffu, sum, offset);  // BUG
        if (t == 0) sums[0] = sum;
    }
    __syncthreads();  // BUG
    centred[t] = 512 * value - sums[0];
}

__global__ void twin(const int* x, int* centred) {
    __shared__ int sums[16];
    const int t = threadIdx.x, value = x[t];
    const int warp_sum = __reduce_add_sync(0xffffffffu, value);
    if (t % 32 == 0) sums[t / 32] = warp_sum;
    __syncthreads();
    if (t < 16) {
        int sum = sums[t];
        for (int offset = 8; offset > 0; offset /= 2) sum += __shfl_down_sync(0x0000ffffu, sum, offset);
        if (t == 0) sums[0] = sum;
    }
    __syncthreads();
    centred[t] = 512 * value - sums[0];
}
