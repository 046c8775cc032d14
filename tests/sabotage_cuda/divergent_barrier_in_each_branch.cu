// The first half of a block loads one vector, the second half another one, and each branch has a barrier of its own.

__global__ void planted(const int* a, const int* b, int* sums) {
    __shared__ int staged[128];
    const int t = threadIdx.x;
    if (t < 64) {
        staged[t] = a[t];
        __syncthreads();  // BUG
    } else {
        staged[t] = b[t - 64];
        __syncthreads();  // BUG
    }
    sums[t] = staged[t] + staged[127 - t];
}

__global__ void twin(const int* a, const int* b, int* sums) {
    __shared__ int staged[128];
    const int t = threadIdx.x;
    staged[t] = t < 64 ? a[t] : b[t - 64];
    __syncthreads();
    sums[t] = staged[t] + staged[127 - t];
}
