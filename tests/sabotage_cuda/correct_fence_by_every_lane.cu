// Row sums of warps: each lane stores and fences its own part, and after __syncwarp the first lane counts for all.

__global__ void twin(const int* x, int* partials, int* done, int* sums, int warps) {
    const int lane = threadIdx.x % 32, warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    partials[warp * 32 + lane] = 3 * x[warp * 32 + lane];
    __threadfence();
    __syncwarp();
    int before = 0;
    if (lane == 0) before = atomicAdd(done, 1);
    before = __shfl_sync(0xffffffffu, before, 0);
    if (before != warps - 1) return;
    __syncwarp();
    __threadfence();
    int sum = 0;
    for (int k = 0; k < warps; ++k) sum += partials[k * 32 + lane];
    sums[lane] = sum;
}
