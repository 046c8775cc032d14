// Transpose with a padded tile of 32 by 33, launched with a thread for each of its slots, the padding included.

__global__ void planted(const int* x, int* y, int n) {  // BUG
    __shared__ int tile[32][33];
    const int row = threadIdx.y, col = threadIdx.x;
    if (row < n && col < n) tile[row][col] = x[row * n + col];
    __syncthreads();
    if (row < n && col < n) y[row * n + col] = tile[col][row];
}

__global__ void twin(const int* x, int* y, int n) {
    __shared__ int tile[32][33];
    const int row = threadIdx.y, col = threadIdx.x;
    if (row < n && col < n) tile[row][col] = x[row * n + col];
    __syncthreads();
    if (row < n && col < n) y[row * n + col] = tile[col][row];
}
