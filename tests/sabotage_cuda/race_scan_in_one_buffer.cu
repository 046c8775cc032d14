// Inclusive scan of each block (Hillis and Steele). In one buffer a step needs a barrier before its stores too.

constexpr int BLOCK = 128;

__global__ void planted(const int* x, int* scanned) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x;
    s[t] = x[blockIdx.x * BLOCK + t];
    __syncthreads();
    for (int offset = 1; offset < BLOCK; offset *= 2) {
        if (t >= offset) s[t] += s[t - offset];  // BUG
        __syncthreads();
    }
    scanned[blockIdx.x * BLOCK + t] = s[t];
}

__global__ void twin(const int* x, int* scanned) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x;
    s[t] = x[blockIdx.x * BLOCK + t];
    __syncthreads();
    for (int offset = 1; offset < BLOCK; offset *= 2) {
        const int left = t >= offset ? s[t - offset] : 0;
        __syncthreads();
        s[t] += left;
        __syncthreads();
    }
    scanned[blockIdx.x * BLOCK + t] = s[t];
}
