// Clips the negative elements in shared memory, with a barrier that only the threads with something to clip reach.

__global__ void planted(const int* x, int* y) {
    __shared__ int s[96];
    const int t = threadIdx.x, i = blockIdx.x * 96 + t;
    s[t] = x[i];
    if (s[t] < 0) {
        s[t] = 0;
        __syncthreads();  // BUG
    }
    __syncthreads();  // BUG
    y[i] = s[t] + s[95 - t];
}

__global__ void twin(const int* x, int* y) {
    __shared__ int s[96];
    const int t = threadIdx.x, i = blockIdx.x * 96 + t;
    s[t] = x[i];
    if (s[t] < 0) s[t] = 0;
    __syncthreads();
    y[i] = s[t] + s[95 - t];
}
