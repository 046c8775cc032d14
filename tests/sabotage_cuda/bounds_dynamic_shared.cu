// Ranges of each block: minima and maxima side by side in dynamic shared memory. The host asks for the minima only.

__global__ void planted(const int* x, int* ranges) {
    extern __shared__ int lowest[];
    int* highest = lowest + blockDim.x;
    const int t = threadIdx.x;
    lowest[t] = x[blockIdx.x * blockDim.x + t];
    highest[t] = lowest[t];  // BUG
    for (int width = blockDim.x / 2; width > 0; width /= 2) {
        __syncthreads();
        if (t < width) {
            lowest[t] = min(lowest[t], lowest[t + width]);
            highest[t] = max(highest[t], highest[t + width]);
        }
    }
    if (t == 0) ranges[blockIdx.x] = highest[0] - lowest[0];
}

__global__ void twin(const int* x, int* ranges) {
    extern __shared__ int lowest[];
    const int t = threadIdx.x;
    const int value = x[blockIdx.x * blockDim.x + t];
    lowest[t] = value;
    for (int width = blockDim.x / 2; width > 0; width /= 2) {
        __syncthreads();
        if (t < width) lowest[t] = min(lowest[t], lowest[t + width]);
    }
    __syncthreads();
    const int least = lowest[0];
    __syncthreads();
    lowest[t] = value;
    for (int width = blockDim.x / 2; width > 0; width /= 2) {
        __syncthreads();
        if (t < width) lowest[t] = max(lowest[t], lowest[t + width]);
    }
    if (t == 0) ranges[blockIdx.x] = lowest[0] - least;
}
