// Scan of one value a lane, and the total from lane 31: of a warp that has 20 lanes with an element.

__device__ int scan(unsigned mask, int value) {
    for (int offset = 1; offset < 32; offset *= 2) {
        const int left = __shfl_up_sync(mask, value, offset);
        if (threadIdx.x % 32 >= offset) value += left;
    }
    return value;
}

__global__ void planted(const int* x, int* scanned, int* totals, int n) {
    const int i = blockIdx.x * 32 + threadIdx.x;
    const unsigned mask = __ballot_sync(0xffffffffu, i < n);
    if (i >= n) return;
    scanned[i] = scan(mask, x[i]);
    const int total = __shfl_sync(mask, scanned[i], 31);  // BUG
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
}

__global__ void twin(const int* x, int* scanned, int* totals, int n) {
    const int i = blockIdx.x * 32 + threadIdx.x;
    const unsigned mask = __ballot_sync(0xffffffffu, i < n);
    if (i >= n) return;
    scanned[i] = scan(mask, x[i]);
    const int total = __shfl_sync(mask, scanned[i], 31 - __clz(mask));
    if (threadIdx.x == 0) totals[blockIdx.x] = total;
}
