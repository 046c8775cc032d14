// Packs the elements of even position, with their neighbours' threads storing to the same slots.

__global__ void planted(const int* x, int* packed) {
    __shared__ int even[64];
    const int t = threadIdx.x;
    even[t / 2] = x[blockIdx.x * 128 + t];  // BUG
    __syncthreads();
    if (t < 64) packed[blockIdx.x * 64 + t] = even[t];
}

__global__ void twin(const int* x, int* packed) {
    __shared__ int even[64];
    const int t = threadIdx.x;
    if (t % 2 == 0) even[t / 2] = x[blockIdx.x * 128 + t];
    __syncthreads();
    if (t < 64) packed[blockIdx.x * 64 + t] = even[t];
}
