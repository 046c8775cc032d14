// Rotates the elements of each warp through shared memory. A shuffle meets all lanes but orders no memory.

__global__ void planted(const int* x, int* rotated, int* warp_first) {
    __shared__ int staged[128];
    const int t = threadIdx.x;
    const int i = blockIdx.x * blockDim.x + t;
    const int warp = t & ~31;
    staged[t] = x[i];  // BUG
    const int first = __shfl_sync(0xffffffffu, x[i], 0);
    rotated[i] = staged[warp + (t + 1) % 32];  // BUG
    if (t % 32 == 0) warp_first[i / 32] = first;
}

__global__ void twin(const int* x, int* rotated, int* warp_first) {
    __shared__ int staged[128];
    const int t = threadIdx.x;
    const int i = blockIdx.x * blockDim.x + t;
    const int warp = t & ~31;
    staged[t] = x[i];
    const int first = __shfl_sync(0xffffffffu, x[i], 0);
    __syncwarp();
    rotated[i] = staged[warp + (t + 1) % 32];
    if (t % 32 == 0) warp_first[i / 32] = first;
}
