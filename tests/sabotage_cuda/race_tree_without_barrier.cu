// Sum of each block by a tree in shared memory. The levels of the tree follow each other without a barrier.

constexpr int BLOCK = 128;

__global__ void planted(const int* x, int* sums, int n) {
    __shared__ int partial[BLOCK];
    const int t = threadIdx.x;
    const int i = blockIdx.x * BLOCK + t;
    partial[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        if (t < width) partial[t] += partial[t + width];  // BUG
    }
    if (t == 0) sums[blockIdx.x] = partial[0];
}

__global__ void twin(const int* x, int* sums, int n) {
    __shared__ int partial[BLOCK];
    const int t = threadIdx.x;
    const int i = blockIdx.x * BLOCK + t;
    partial[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        if (t < width) partial[t] += partial[t + width];
        __syncthreads();
    }
    if (t == 0) sums[blockIdx.x] = partial[0];
}
