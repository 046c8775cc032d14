// Keeps the positive elements of each block. The first thread sets the counter to zero while others count already.

__global__ void planted(const int* x, int* kept) {
    __shared__ int count;
    if (threadIdx.x == 0) count = 0;  // BUG
    if (x[blockIdx.x * blockDim.x + threadIdx.x] > 0) atomicAdd(&count, 1);  // BUG
    __syncthreads();
    if (threadIdx.x == 0) kept[blockIdx.x] = count;
}

__global__ void twin(const int* x, int* kept) {
    __shared__ int count;
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    if (x[blockIdx.x * blockDim.x + threadIdx.x] > 0) atomicAdd(&count, 1);
    __syncthreads();
    if (threadIdx.x == 0) kept[blockIdx.x] = count;
}
