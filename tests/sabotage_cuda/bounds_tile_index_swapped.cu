// Column sums of tiles of 8 rows and 32 columns. The tile is declared by rows and indexed by columns.

__global__ void planted(const int* x, int* sums, int cols) {
    __shared__ int tile[8][32];
    const int col = threadIdx.x, row = threadIdx.y;
    tile[col][row] = x[row * cols + blockIdx.x * 32 + col];  // BUG
    __syncthreads();
    if (row == 0) {
        int sum = 0;
        for (int k = 0; k < 8; ++k) sum += tile[col][k];
        sums[blockIdx.x * 32 + col] = sum;
    }
}

__global__ void twin(const int* x, int* sums, int cols) {
    __shared__ int tile[8][32];
    const int col = threadIdx.x, row = threadIdx.y;
    tile[row][col] = x[row * cols + blockIdx.x * 32 + col];
    __syncthreads();
    if (row == 0) {
        int sum = 0;
        for (int k = 0; k < 8; ++k) sum += tile[k][col];
        sums[blockIdx.x * 32 + col] = sum;
    }
}
