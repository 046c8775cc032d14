// Sum of the positive elements of each warp. The mask is that of the valid elements; the others of them never come.

__device__ int masked_sum(unsigned mask, int value) {
    return __reduce_add_sync(mask, value);  // BUG
}

__global__ void planted(const int* x, int* sums, int n) {
    __shared__ int partial[4];
    const int t = threadIdx.x, i = blockIdx.x * 128 + t;
    if (t < 4) partial[t] = 0;
    __syncthreads();
    const unsigned valid = __ballot_sync(0xffffffffu, i < n);
    if (i < n && x[i] > 0) {
        const int sum = masked_sum(valid, x[i]);
        partial[t / 32] = sum;
    }
    __syncthreads();  // BUG
    if (t < 4) atomicAdd(&sums[blockIdx.x], partial[t]);
}

__global__ void twin(const int* x, int* sums, int n) {
    __shared__ int partial[4];
    const int t = threadIdx.x, i = blockIdx.x * 128 + t;
    if (t < 4) partial[t] = 0;
    __syncthreads();
    const unsigned positive = __ballot_sync(0xffffffffu, i < n && x[i] > 0);
    if (i < n && x[i] > 0) {
        const int sum = masked_sum(positive, x[i]);
        partial[t / 32] = sum;
    }
    __syncthreads();
    if (t < 4) atomicAdd(&sums[blockIdx.x], partial[t]);
}
