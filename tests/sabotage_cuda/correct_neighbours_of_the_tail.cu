// Differences of neighbours by a shuffle. The last element's partner takes no part, and what it gives is not used.

__global__ void twin(const int* x, int* y, int n) {
    const int lane = threadIdx.x % 32, i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned valid = __ballot_sync(0xffffffffu, i < n);
    if (i >= n) return;
    int right = __shfl_down_sync(valid, x[i], 1);
    if (lane == 31 && i + 1 < n) right = x[i + 1];
    y[i] = i + 1 < n ? right - x[i] : 0;
}
