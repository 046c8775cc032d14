// Sums of groups of eight lanes. The mask of the first group is used in all of them.

__global__ void planted(const int* x, int* sums) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int value = x[i];
    for (int offset = 4; offset > 0; offset /= 2)
        value += __shfl_down_sync(0xffu, value, offset, 8);  // BUG
    if (i % 8 == 0) sums[i / 8] = value;
}

__global__ void twin(const int* x, int* sums) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned group = 0xffu << (threadIdx.x % 32 / 8 * 8);
    int value = x[i];
    for (int offset = 4; offset > 0; offset /= 2) value += __shfl_down_sync(group, value, offset, 8);
    if (i % 8 == 0) sums[i / 8] = value;
}
