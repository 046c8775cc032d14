// Histogram with atomic counts in shared memory, handed to global memory before all threads have counted.

constexpr int BINS = 32;

__global__ void planted(const int* x, int* histogram, int n) {
    __shared__ int counts[BINS];
    if (threadIdx.x < BINS) counts[threadIdx.x] = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&counts[x[i]], 1);  // BUG
    if (threadIdx.x < BINS) atomicAdd(&histogram[threadIdx.x], counts[threadIdx.x]);  // BUG
}

__global__ void twin(const int* x, int* histogram, int n) {
    __shared__ int counts[BINS];
    if (threadIdx.x < BINS) counts[threadIdx.x] = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&counts[x[i]], 1);
    __syncthreads();
    if (threadIdx.x < BINS) atomicAdd(&histogram[threadIdx.x], counts[threadIdx.x]);
}
