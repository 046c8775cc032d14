// Histogram in dynamic shared memory, which nobody has set to zero.

__global__ void planted(const unsigned char* x, int* histogram, int n, int bins) {
    extern __shared__ int counts[];
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&counts[x[i]], 1);  // BUG
    __syncthreads();
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) atomicAdd(&histogram[bin], counts[bin]);  // BUG
}

__global__ void twin(const unsigned char* x, int* histogram, int n, int bins) {
    extern __shared__ int counts[];
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) counts[bin] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&counts[x[i]], 1);
    __syncthreads();
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) atomicAdd(&histogram[bin], counts[bin]);
}
