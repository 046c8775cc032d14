// The last block to finish adds up the partial sums. Whether it is the last is read from the counter without an atomic.

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
    atomicExch(&partials[blockIdx.x], sum);
    __threadfence();
    atomicAdd(done, 1u);        // BUG
    if (*done == gridDim.x) {   // BUG
        __threadfence();
        int all = 0;
        for (int block = 0; block < gridDim.x; ++block) all += atomicAdd(&partials[block], 0);
        *total = all;
    }
}

__global__ void twin(const int* x, int* partials, unsigned* done, int* total) {
    const int sum = block_sum(x);
    if (threadIdx.x != 0) return;
    atomicExch(&partials[blockIdx.x], sum);
    __threadfence();
    if (atomicAdd(done, 1u) == gridDim.x - 1) {
        __threadfence();
        int all = 0;
        for (int block = 0; block < gridDim.x; ++block) all += atomicAdd(&partials[block], 0);
        *total = all;
    }
}
