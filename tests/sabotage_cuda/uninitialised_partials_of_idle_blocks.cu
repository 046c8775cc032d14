// The last block adds up the partial sums of all blocks. Those without elements count themselves done and store none.

template <bool store_of_idle_blocks>
__device__ void sum(const int* x, int* partials, unsigned* done, int* total, int n) {
    __shared__ int block_sum;
    if (threadIdx.x == 0) block_sum = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&block_sum, x[i]);
    __syncthreads();
    if (threadIdx.x != 0) return;
    if (store_of_idle_blocks || i < n) partials[blockIdx.x] = block_sum;
    __threadfence();
    if (atomicAdd(done, 1u) != gridDim.x - 1) return;
    __threadfence();
    int all = 0;
    for (int block = 0; block < gridDim.x; ++block) all += partials[block];  // BUG
    *total = all;
}

__global__ void planted(const int* x, int* partials, unsigned* done, int* total, int n) {
    sum<false>(x, partials, done, total, n);
}

__global__ void twin(const int* x, int* partials, unsigned* done, int* total, int n) {
    sum<true>(x, partials, done, total, n);
}
