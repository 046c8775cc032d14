// Reverses rows through shared memory. A whole row of 16384 floats takes 64 KiB; a tile of it fits.

__global__ void planted(const float* x, float* y, int cols) {  // BUG
    extern __shared__ float row[];
    for (int col = threadIdx.x; col < cols; col += blockDim.x) row[col] = x[blockIdx.x * cols + col];
    __syncthreads();
    for (int col = threadIdx.x; col < cols; col += blockDim.x) y[blockIdx.x * cols + col] = row[cols - 1 - col];
}

__global__ void twin(const float* x, float* y, int cols) {
    extern __shared__ float tile[];
    for (int first = 0; first < cols; first += blockDim.x) {
        tile[threadIdx.x] = x[blockIdx.x * cols + first + threadIdx.x];
        __syncthreads();
        y[blockIdx.x * cols + cols - blockDim.x - first + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
        __syncthreads();
    }
}
