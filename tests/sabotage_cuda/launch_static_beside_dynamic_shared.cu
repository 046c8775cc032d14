// Rows in dynamic shared memory, beside a static table: each of them fits, both together do not.

__global__ void planted(const int* x, int* y, int cols) {  // BUG
    __shared__ int table[8192];
    extern __shared__ int row[];
    for (int k = threadIdx.x; k < 8192; k += blockDim.x) table[k] = 8191 - k;
    for (int col = threadIdx.x; col < cols; col += blockDim.x) row[col] = x[blockIdx.x * cols + col];
    __syncthreads();
    for (int col = threadIdx.x; col < cols; col += blockDim.x) y[blockIdx.x * cols + col] = row[table[col]];
}

__global__ void twin(const int* x, int* y, int cols) {
    extern __shared__ int row[];
    for (int col = threadIdx.x; col < cols; col += blockDim.x) row[col] = x[blockIdx.x * cols + col];
    __syncthreads();
    for (int col = threadIdx.x; col < cols; col += blockDim.x) y[blockIdx.x * cols + col] = row[8191 - col];
}
