// A tile whose tail nobody fills is read by all threads, and what they read there is not used.

__global__ void twin(const float* x, float* y, int n) {
    __shared__ float tile[64];
    const int t = threadIdx.x, i = blockIdx.x * 64 + t;
    if (i < n) tile[t] = x[i];
    __syncthreads();
    const float mine = tile[t], next = tile[(t + 1) % 64];
    const bool has_next = t < 63 && i + 1 < n;
    const float sum = mine + next;
    if (i < n) y[i] = has_next ? sum : mine;
}
