// Sum of a block by a tree. The first barrier is for the threads that have an element, and not for the others.

constexpr int BLOCK = 128;

__global__ void planted(const int* x, int* sums, int n) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    s[t] = 0;
    if (i < n) {
        s[t] = x[i];
        __syncthreads();  // BUG
    }
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        if (t < width) s[t] += s[t + width];
        __syncthreads();  // BUG
    }
    if (t == 0) sums[blockIdx.x] = s[0];
}

__global__ void twin(const int* x, int* sums, int n) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    s[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        if (t < width) s[t] += s[t + width];
        __syncthreads();
    }
    if (t == 0) sums[blockIdx.x] = s[0];
}
