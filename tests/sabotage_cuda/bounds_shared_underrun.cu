// Running maximum of pairs: the first thread compares with the slot before the first.

__device__ int larger_of_pair(const int* s, int t) {
    return max(s[t - 1], s[t]);  // BUG
}

__global__ void planted(const int* x, int* y) {
    __shared__ int s[64];
    const int t = threadIdx.x, i = blockIdx.x * 64 + t;
    s[t] = x[i];
    __syncthreads();
    y[i] = larger_of_pair(s, t);
}

__global__ void twin(const int* x, int* y) {
    __shared__ int s[64];
    const int t = threadIdx.x, i = blockIdx.x * 64 + t;
    s[t] = x[i];
    __syncthreads();
    y[i] = t == 0 ? s[0] : larger_of_pair(s, t);
}
