// Scan over blocks in one launch: the sums of the blocks before are read, though nothing says that they are there.

constexpr int BLOCK = 64;

__device__ int scan_of_block(int value) {
    __shared__ int s[2][BLOCK];
    int current = 0;
    s[current][threadIdx.x] = value;
    __syncthreads();
    for (int offset = 1; offset < BLOCK; offset *= 2) {
        const int left = threadIdx.x >= offset ? s[current][threadIdx.x - offset] : 0;
        s[1 - current][threadIdx.x] = s[current][threadIdx.x] + left;
        current = 1 - current;
        __syncthreads();
    }
    return s[current][threadIdx.x];
}

__global__ void planted(const int* x, int* sums, int* scanned) {
    const int i = blockIdx.x * BLOCK + threadIdx.x;
    int value = scan_of_block(x[i]);
    if (threadIdx.x == BLOCK - 1) sums[blockIdx.x] = value;  // BUG
    __syncthreads();
    for (int block = 0; block < blockIdx.x; ++block) value += sums[block];  // BUG
    scanned[i] = value;
}

__global__ void twin(const int* x, int* sums, int* scanned) {
    const int i = blockIdx.x * BLOCK + threadIdx.x;
    int value = scan_of_block(x[i]);
    if (threadIdx.x == BLOCK - 1) sums[blockIdx.x] = value;
    for (int before = 0; before < blockIdx.x * BLOCK; ++before) value += x[before];
    scanned[i] = value;
}
