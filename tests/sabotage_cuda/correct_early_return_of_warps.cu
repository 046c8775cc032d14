// Whole warps without work return, and the others still meet at barriers and in shuffles.

__global__ void twin(const int* x, int* sums, int n) {
    __shared__ int partial[4];
    const int t = threadIdx.x, i = blockIdx.x * 128 + t;
    if (t < 4) partial[t] = 0;
    __syncthreads();
    const int first_of_warp = blockIdx.x * 128 + t / 32 * 32;
    if (first_of_warp >= n && t >= 32) return;
    int value = i < n ? x[i] : 0;
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (t % 32 == 0) partial[t / 32] = value;
    __syncthreads();
    if (t == 0) sums[blockIdx.x] = partial[0] + partial[1] + partial[2] + partial[3];
}
