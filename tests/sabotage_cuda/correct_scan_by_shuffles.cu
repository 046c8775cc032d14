// Inclusive scan of a block: of each warp by shuffles from below, then of the warps' sums by the first warp.

__device__ double warp_scan(double value, int width) {
    const int lane = threadIdx.x % width;
    for (int offset = 1; offset < width; offset *= 2) {
        const double left = __shfl_up_sync(0xffffffffu, value, offset, width);
        if (lane >= offset) value += left;
    }
    return value;
}

__global__ void twin(const double* x, double* scanned, int n) {
    __shared__ double sums[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, i = blockIdx.x * blockDim.x + threadIdx.x;
    double value = warp_scan(i < n ? x[i] : 0.0, 32);
    if (lane == 31) sums[warp] = value;
    __syncthreads();
    if (warp == 0) {
        const int warps = blockDim.x / 32;
        double sum = lane < warps ? sums[lane] : 0.0;
        sum = warp_scan(sum, 8);
        if (lane < warps) sums[lane] = sum;
    }
    __syncthreads();
    if (warp > 0) value += sums[warp - 1];
    if (i < n) scanned[i] = value;
}
