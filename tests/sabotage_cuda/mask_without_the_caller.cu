// Lanes above the median of a warp are told the first lane below it: with the mask of those below, where they are not.

__global__ void planted(const int* x, const int* median, int* y) {
    const int i = blockIdx.x * 32 + threadIdx.x;
    const unsigned below = __ballot_sync(0xffffffffu, x[i] < median[blockIdx.x]);
    const int first = __shfl_sync(below, x[i], __ffs(below) - 1);  // BUG
    y[i] = x[i] < median[blockIdx.x] ? x[i] : first;
}

__global__ void twin(const int* x, const int* median, int* y) {
    const int i = blockIdx.x * 32 + threadIdx.x;
    const unsigned below = __ballot_sync(0xffffffffu, x[i] < median[blockIdx.x]);
    const int first = __shfl_sync(0xffffffffu, x[i], __ffs(below) - 1);
    y[i] = x[i] < median[blockIdx.x] ? x[i] : first;
}
