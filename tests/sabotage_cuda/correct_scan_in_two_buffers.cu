// Inclusive scan of a block with two buffers in turn, so that one barrier a step is enough.

__global__ void twin(const int* x, int* scanned, int n) {
    extern __shared__ int s[];
    const int threads = blockDim.x, t = threadIdx.x, i = blockIdx.x * threads + t;
    int from = 0;
    s[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int offset = 1; offset < threads; offset *= 2) {
        const int to = threads - from;
        s[to + t] = s[from + t] + (t >= offset ? s[from + t - offset] : 0);
        from = to;
        __syncthreads();
    }
    if (i < n) scanned[i] = s[from + t];
}
