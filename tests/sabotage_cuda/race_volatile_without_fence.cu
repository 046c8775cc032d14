// The last block to finish, as the programming guide has it, without its fence: volatile orders no two stores.

__device__ unsigned counted = 0;

template <bool fence>
__device__ void sum(const int* x, volatile int* partials, int* total) {
    const int partial = __reduce_add_sync(0xffffffffu, x[blockIdx.x * 32 + threadIdx.x]);
    if (threadIdx.x != 0) return;
    partials[blockIdx.x] = partial;  // BUG
    if (fence) __threadfence();
    if (atomicInc(&counted, gridDim.x - 1) != gridDim.x - 1) return;
    int all = 0;
    for (int block = 0; block < gridDim.x; ++block) all += partials[block];  // BUG
    *total = all;
}

__global__ void planted(const int* x, volatile int* partials, int* total) { sum<false>(x, partials, total); }

__global__ void twin(const int* x, volatile int* partials, int* total) { sum<true>(x, partials, total); }
