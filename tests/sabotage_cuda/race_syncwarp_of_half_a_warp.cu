// Pairs lane l with lane 31 - l, in the other half of the warp. Each half waits for itself only.

__global__ void planted(const int* x, int* y) {
    __shared__ int staged[64];
    const int t = threadIdx.x, lane = t % 32;
    staged[t] = x[blockIdx.x * 64 + t];  // BUG
    __syncwarp(lane < 16 ? 0x0000ffffu : 0xffff0000u);
    y[blockIdx.x * 64 + t] = staged[t] + staged[t - lane + 31 - lane];  // BUG
}

__global__ void twin(const int* x, int* y) {
    __shared__ int staged[64];
    const int t = threadIdx.x, lane = t % 32;
    staged[t] = x[blockIdx.x * 64 + t];
    __syncwarp();
    y[blockIdx.x * 64 + t] = staged[t] + staged[t - lane + 31 - lane];
}
