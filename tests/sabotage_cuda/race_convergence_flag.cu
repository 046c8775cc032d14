// Halves values until all of a block are odd. The flag is set back while others still read the last round's.

__global__ void planted(const int* x, int* odd, int* rounds) {
    __shared__ bool again;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int value = x[i], count = 0;
    while (true) {
        if (threadIdx.x == 0) again = false;  // BUG
        __syncthreads();
        if (value % 2 == 0) {
            value /= 2;
            again = true;
        }
        __syncthreads();
        ++count;
        if (!again) break;  // BUG
    }
    odd[i] = value;
    if (threadIdx.x == 0) rounds[blockIdx.x] = count;
}

__global__ void twin(const int* x, int* odd, int* rounds) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int value = x[i], count = 0;
    while (true) {
        const bool even = value % 2 == 0;
        if (even) value /= 2;
        ++count;
        if (!__syncthreads_or(even)) break;
    }
    odd[i] = value;
    if (threadIdx.x == 0) rounds[blockIdx.x] = count;
}
