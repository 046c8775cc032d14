// Largest of all elements, kept in global memory by a comparison and a store.

__global__ void planted(const int* x, int* largest, int n) {
    int mine = -2147483647 - 1;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) mine = max(mine, x[i]);
    mine = __reduce_max_sync(0xffffffffu, mine);
    if (threadIdx.x % 32 == 0 && mine > *largest) *largest = mine;  // BUG
}

__global__ void twin(const int* x, int* largest, int n) {
    int mine = -2147483647 - 1;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) mine = max(mine, x[i]);
    mine = __reduce_max_sync(0xffffffffu, mine);
    if (threadIdx.x % 32 == 0) atomicMax(largest, mine);
}
