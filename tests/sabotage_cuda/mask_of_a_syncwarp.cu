// Mirrors the lower half of a warp. All lanes wait, with a mask that names the lower half only.

__global__ void planted(const int* x, int* sums) {
    __shared__ int s[32];
    const int lane = threadIdx.x;
    s[lane] = x[blockIdx.x * 32 + lane];
    __syncwarp(0x0000ffffu);  // BUG
    sums[blockIdx.x * 32 + lane] = lane < 16 ? s[lane] + s[15 - lane] : s[lane];
}

__global__ void twin(const int* x, int* sums) {
    __shared__ int s[32];
    const int lane = threadIdx.x;
    s[lane] = x[blockIdx.x * 32 + lane];
    if (lane < 16) __syncwarp(0x0000ffffu);
    sums[blockIdx.x * 32 + lane] = lane < 16 ? s[lane] + s[15 - lane] : s[lane];
}
