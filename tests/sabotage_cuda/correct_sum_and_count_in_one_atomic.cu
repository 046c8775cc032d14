// The last warp to finish without a fence: sum and count are one number in memory, so that nothing else is read.

__global__ void twin(const int* x, unsigned long long* sum_and_count, long long* total, int n) {
    long long sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i];
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
    if (threadIdx.x % 32 != 0) return;
    const unsigned long long warps = gridDim.x * (blockDim.x / 32);
    const unsigned long long one = 1ull << 48;  // the count stands above the sum, so that one atomic adds to both
    const unsigned long long before = atomicAdd(sum_and_count, one + static_cast<unsigned long long>(sum));
    if (before >> 48 == warps - 1) *total = static_cast<long long>((before & (one - 1)) + sum);
}
