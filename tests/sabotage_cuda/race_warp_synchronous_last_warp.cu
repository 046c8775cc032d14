// The last warp of a tree without barriers, "since a warp runs in step": not since Volta, volatile or not.

constexpr int BLOCK = 128;

__device__ void planted_last_warp(volatile int* s, int t) {
    s[t] += s[t + 32];  // BUG
    s[t] += s[t + 16];  // BUG
    s[t] += s[t + 8];   // BUG
    s[t] += s[t + 4];   // BUG
    s[t] += s[t + 2];   // BUG
    s[t] += s[t + 1];   // BUG
}

__device__ void twin_last_warp(volatile int* s, int t) {
    int sum = s[t];
    for (int offset = 32; offset > 0; offset /= 2) {
        sum += s[t + offset];
        __syncwarp();
        s[t] = sum;
        __syncwarp();
    }
}

__global__ void planted(const int* x, int* sums) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x;
    s[t] = x[blockIdx.x * BLOCK + t];
    __syncthreads();
    if (t < 64) s[t] += s[t + 64];
    __syncthreads();
    if (t < 32) planted_last_warp(s, t);
    if (t == 0) sums[blockIdx.x] = s[0];
}

__global__ void twin(const int* x, int* sums) {
    __shared__ int s[BLOCK];
    const int t = threadIdx.x;
    s[t] = x[blockIdx.x * BLOCK + t];
    __syncthreads();
    if (t < 64) s[t] += s[t + 64];
    __syncthreads();
    if (t < 32) twin_last_warp(s, t);
    if (t == 0) sums[blockIdx.x] = s[0];
}
