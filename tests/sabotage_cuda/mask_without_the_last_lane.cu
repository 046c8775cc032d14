// The first n lanes are (1 << n) - 1, which is no mask for n = 32. Shifted by 31 instead, it leaves the last lane out.

__global__ void planted(const int* x, int* sums, int n) {
    const int left = n - blockIdx.x * 32;
    const int lanes = left < 32 ? left : 31;
    const unsigned mask = (1u << lanes) - 1;
    if (threadIdx.x < left) {
        const int sum = __reduce_add_sync(mask, x[blockIdx.x * 32 + threadIdx.x]);  // BUG
        if (threadIdx.x == 0) sums[blockIdx.x] = sum;
    }
}

__global__ void twin(const int* x, int* sums, int n) {
    const int left = n - blockIdx.x * 32;
    const unsigned mask = left < 32 ? (1u << left) - 1 : 0xffffffffu;
    if (threadIdx.x < left) {
        const int sum = __reduce_add_sync(mask, x[blockIdx.x * 32 + threadIdx.x]);
        if (threadIdx.x == 0) sums[blockIdx.x] = sum;
    }
}
