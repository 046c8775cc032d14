// The last block adds up the partial sums: the fence stands before the store that it should order, not behind it.

__device__ int block_sum(const int* x) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    atomicAdd(&sum, x[blockIdx.x * blockDim.x + threadIdx.x]);
    __syncthreads();
    return sum;
}

__global__ void planted(const int* x, int* partials, unsigned* done, int* total) {
    const int sum = block_sum(x);
    if (threadIdx.x != 0) return;
    __threadfence();
    partials[blockIdx.x] = sum;  // BUG
    if (atomicInc(done, gridDim.x - 1) != gridDim.x - 1) return;
    __threadfence();
    int all = 0;
    for (int block = 0; block < gridDim.x; ++block) all += partials[block];  // BUG
    *total = all;
}

__global__ void twin(const int* x, int* partials, unsigned* done, int* total) {
    const int sum = block_sum(x);
    if (threadIdx.x != 0) return;
    partials[blockIdx.x] = sum;
    __threadfence();
    if (atomicInc(done, gridDim.x - 1) != gridDim.x - 1) return;
    __threadfence();
    int all = 0;
    for (int block = 0; block < gridDim.x; ++block) all += partials[block];
    *total = all;
}
