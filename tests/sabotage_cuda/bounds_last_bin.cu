// Histogram of numbers from 0 to 1 inclusive. A value of 1 falls into a bin behind the last.

__global__ void planted(const float* x, int* histogram, int n, int bins) {
    extern __shared__ int counts[];
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) counts[bin] = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&counts[static_cast<int>(x[i] * bins)], 1);  // BUG
    __syncthreads();
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) atomicAdd(&histogram[bin], counts[bin]);
}

__global__ void twin(const float* x, int* histogram, int n, int bins) {
    extern __shared__ int counts[];
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) counts[bin] = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&counts[min(static_cast<int>(x[i] * bins), bins - 1)], 1);
    __syncthreads();
    for (int bin = threadIdx.x; bin < bins; bin += blockDim.x) atomicAdd(&histogram[bin], counts[bin]);
}
