// The last block to finish adds up the partial sums. Nothing orders the store of a partial sum before the count.

template <bool fence>
__device__ void sum(const int* x, int* partials, unsigned* done, int* total) {
    __shared__ int block_sum;
    __shared__ bool is_last;
    if (threadIdx.x == 0) block_sum = 0;
    __syncthreads();
    atomicAdd(&block_sum, x[blockIdx.x * blockDim.x + threadIdx.x]);
    __syncthreads();
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = block_sum;  // BUG
        if (fence) __threadfence();
        is_last = atomicAdd(done, 1u) == gridDim.x - 1;
        if (fence) __threadfence();
    }
    __syncthreads();
    if (!is_last) return;
    if (threadIdx.x == 0) block_sum = 0;
    __syncthreads();
    for (int block = threadIdx.x; block < gridDim.x; block += blockDim.x)
        atomicAdd(&block_sum, partials[block]);  // BUG
    __syncthreads();
    if (threadIdx.x == 0) *total = block_sum;
}

__global__ void planted(const int* x, int* partials, unsigned* done, int* total) {
    sum<false>(x, partials, done, total);
}

__global__ void twin(const int* x, int* partials, unsigned* done, int* total) {
    sum<true>(x, partials, done, total);
}
