// Centred rows, two a block. A function with a barrier inside is called only by the threads whose row is there.

constexpr int COLS = 64;

__device__ int row_sum(int value) {
    __shared__ int sums[4];
    const int warp_sum = __reduce_add_sync(0xffffffffu, value);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = warp_sum;
    __syncthreads();  // BUG
    const int first = threadIdx.x / COLS * 2;
    return sums[first] + sums[first + 1];
}

__global__ void planted(const int* x, int* centred, int* written, int rows) {
    const int row = blockIdx.x * 2 + threadIdx.x / COLS, i = row * COLS + threadIdx.x % COLS;
    int sum = 0;
    if (row < rows) {
        sum = row_sum(x[i]);
        centred[i] = COLS * x[i] - sum;
    }
    const int count = __syncthreads_count(row < rows);  // BUG
    if (threadIdx.x == 0) written[blockIdx.x] = count;
}

__global__ void twin(const int* x, int* centred, int* written, int rows) {
    const int row = blockIdx.x * 2 + threadIdx.x / COLS, i = row * COLS + threadIdx.x % COLS;
    const int sum = row_sum(row < rows ? x[i] : 0);
    if (row < rows) centred[i] = COLS * x[i] - sum;
    const int count = __syncthreads_count(row < rows);
    if (threadIdx.x == 0) written[blockIdx.x] = count;
}
