// Block sum: lanes without an element skip the shuffles of their warp and wait at the block's barrier already.

__global__ void planted(const int* x, int* sums, int n) {
    __shared__ int partial[4];
    const int t = threadIdx.x, i = blockIdx.x * 128 + t;
    int value = 0;
    if (i < n) {
        value = x[i];
        for (int offset = 16; offset > 0; offset /= 2)
            value += __shfl_xor_sync(0xffffffffu, value, offset);  // BUG
    }
    if (t % 32 == 0) partial[t / 32] = value;
    __syncthreads();  // BUG
    if (t == 0) sums[blockIdx.x] = partial[0] + partial[1] + partial[2] + partial[3];
}

__global__ void twin(const int* x, int* sums, int n) {
    __shared__ int partial[4];
    const int t = threadIdx.x, i = blockIdx.x * 128 + t;
    int value = i < n ? x[i] : 0;
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (t % 32 == 0) partial[t / 32] = value;
    __syncthreads();
    if (t == 0) sums[blockIdx.x] = partial[0] + partial[1] + partial[2] + partial[3];
}
