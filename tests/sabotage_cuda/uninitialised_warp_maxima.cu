// Block maximum: the first warp reads 32 slots, whatever number of warps have filled theirs.

constexpr unsigned FULL = 0xffffffffu;

__device__ float warp_max(float value) {
    for (int offset = 16; offset > 0; offset /= 2) value = fmaxf(value, __shfl_xor_sync(FULL, value, offset));
    return value;
}

__global__ void planted(const float* x, float* largest) {
    __shared__ float maxima[32];
    const int t = threadIdx.x;
    const float mine = warp_max(x[blockIdx.x * blockDim.x + t]);
    if (t % 32 == 0) maxima[t / 32] = mine;
    __syncthreads();
    if (t < 32) {
        const float block_max = warp_max(maxima[t]);  // BUG
        if (t == 0) largest[blockIdx.x] = block_max;
    }
}

__global__ void twin(const float* x, float* largest) {
    __shared__ float maxima[32];
    const int t = threadIdx.x;
    const float mine = warp_max(x[blockIdx.x * blockDim.x + t]);
    if (t % 32 == 0) maxima[t / 32] = mine;
    __syncthreads();
    if (t < 32) {
        const float block_max = warp_max(t < blockDim.x / 32 ? maxima[t] : __int_as_float(0xff800000));
        if (t == 0) largest[blockIdx.x] = block_max;
    }
}
