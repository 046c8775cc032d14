// A sum and a count under a lock: taken with a compare-and-swap and a fence, given back with a fence and a swap.

__global__ void twin(const int* x, int* lock, long long* sum, int* count, int n) {
    int mine = 0, elements = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) mine += x[i], ++elements;
    mine = __reduce_add_sync(0xffffffffu, mine);
    elements = __reduce_add_sync(0xffffffffu, elements);
    if (threadIdx.x % 32 != 0) return;
    while (atomicCAS(lock, 0, 1) != 0) {
    }
    __threadfence();
    *sum += mine;
    *count += elements;
    __threadfence();
    atomicExch(lock, 0);
}
