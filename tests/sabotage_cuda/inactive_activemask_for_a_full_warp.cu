// Warp sums with __activemask() for a mask. It names lanes that happen to run together, not all that have an element.

__global__ void planted(const int* x, int* sums, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int value = 0;
    if (i < n) value = x[i];
    for (int offset = 16; offset > 0; offset /= 2)
        value += __shfl_down_sync(__activemask(), value, offset);  // BUG
    if (threadIdx.x % 32 == 0) sums[i / 32] = value;
}

__global__ void twin(const int* x, int* sums, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int value = 0;
    if (i < n) value = x[i];
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    if (threadIdx.x % 32 == 0) sums[i / 32] = value;
}
