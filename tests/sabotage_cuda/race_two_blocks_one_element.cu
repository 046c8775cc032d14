// Row sums, several blocks a row, one partial sum a block. The blocks of a row store to one element instead.

__global__ void planted(const int* x, int* partials, int cols) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    const int row = blockIdx.y;
    for (int col = blockIdx.x * blockDim.x + threadIdx.x; col < cols; col += gridDim.x * blockDim.x)
        atomicAdd(&sum, x[row * cols + col]);
    __syncthreads();
    if (threadIdx.x == 0) partials[row * gridDim.x] = sum;  // BUG
}

__global__ void twin(const int* x, int* partials, int cols) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    const int row = blockIdx.y;
    for (int col = blockIdx.x * blockDim.x + threadIdx.x; col < cols; col += gridDim.x * blockDim.x)
        atomicAdd(&sum, x[row * cols + col]);
    __syncthreads();
    if (threadIdx.x == 0) partials[row * gridDim.x + blockIdx.x] = sum;
}
