// Sum of a block with a tree on twice the threads' elements, in a function that is handed an array of half that.

constexpr int BLOCK = 64;

__device__ int tree(int* s, const int* x) {
    const int t = threadIdx.x;
    s[t] = x[t];
    s[t + BLOCK] = x[t + BLOCK];  // BUG
    for (int width = BLOCK; width > 0; width /= 2) {
        __syncthreads();
        if (t < width) s[t] += s[t + width];
    }
    __syncthreads();
    return s[0];
}

__global__ void planted(const int* x, int* sums) {
    __shared__ int s[BLOCK + BLOCK / 2];
    const int sum = tree(s, x + blockIdx.x * 2 * BLOCK);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void twin(const int* x, int* sums) {
    __shared__ int s[2 * BLOCK];
    const int sum = tree(s, x + blockIdx.x * 2 * BLOCK);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
