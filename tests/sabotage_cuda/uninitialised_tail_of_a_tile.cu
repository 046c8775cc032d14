// Sum of each block by a tree. Threads past the end of the vector store nothing, and the tree reads all slots.

constexpr int BLOCK = 64;

__global__ void planted(const int* x, int* sums, int n) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    if (i < n) s[t] = x[i];
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        __syncthreads();
        if (t < width) s[t] += s[t + width];  // BUG
    }
    if (t == 0) sums[blockIdx.x] = s[0];
}

__global__ void twin(const int* x, int* sums, int n) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    s[t] = i < n ? x[i] : 0;
    for (int width = BLOCK / 2; width > 0; width /= 2) {
        __syncthreads();
        if (t < width) s[t] += s[t + width];
    }
    if (t == 0) sums[blockIdx.x] = s[0];
}
