// Column sums: the last block adds up all partial sums. __threadfence_block orders nothing between blocks.

template <bool whole_device>
__device__ void fence() {
    if (whole_device) __threadfence();
    else __threadfence_block();
}

template <bool whole_device>
__device__ void column_sums(const int* x, int* partials, int* done, int* sums, int rows_each) {
    __shared__ bool is_last;
    const int cols = blockDim.x, col = threadIdx.x;
    int sum = 0;
    for (int k = 0; k < rows_each; ++k) sum += x[(blockIdx.x * rows_each + k) * cols + col];
    partials[blockIdx.x * cols + col] = sum;  // BUG
    fence<whole_device>();
    __syncthreads();
    if (col == 0) is_last = atomicAdd(done, 1) == gridDim.x - 1;
    __syncthreads();
    if (!is_last) return;
    fence<whole_device>();
    sum = 0;
    for (int block = 0; block < gridDim.x; ++block) sum += partials[block * cols + col];  // BUG
    sums[col] = sum;
}

__global__ void planted(const int* x, int* partials, int* done, int* sums, int rows_each) {
    column_sums<false>(x, partials, done, sums, rows_each);
}

__global__ void twin(const int* x, int* partials, int* done, int* sums, int rows_each) {
    column_sums<true>(x, partials, done, sums, rows_each);
}
