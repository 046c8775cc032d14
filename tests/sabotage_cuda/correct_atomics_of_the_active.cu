// Compaction with one atomic for the lanes that happen to be together: right for any answer of __activemask().

__device__ int place(int* count) {
    const unsigned together = __activemask();
    const int lane = threadIdx.x % 32, leader = __ffs(together) - 1;
    int first = 0;
    if (lane == leader) first = atomicAdd(count, __popc(together));
    first = __shfl_sync(together, first, leader);
    return first + __popc(together & ((1u << lane) - 1));
}

__global__ void twin(const int* x, int* kept, int* count, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        if (x[i] > 0) kept[place(count)] = x[i];
}
