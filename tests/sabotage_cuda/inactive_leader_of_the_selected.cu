// Compaction, one atomic a warp: the leader of the selected lanes gets the place. Lane 0 need not be one of them.

__device__ int place_for(int* count, int leader, unsigned selected) {
    const int lane = threadIdx.x % 32;
    int first = 0;
    if (lane == __ffs(selected) - 1) first = atomicAdd(count, __popc(selected));
    first = __shfl_sync(selected, first, leader);  // BUG
    return first + __popc(selected & ((1u << lane) - 1));
}

__global__ void planted(const int* x, int* kept, int* count, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const bool keep = i < n && x[i] > 0;
    const unsigned selected = __ballot_sync(0xffffffffu, keep);
    if (keep) kept[place_for(count, 0, selected)] = x[i];
}

__global__ void twin(const int* x, int* kept, int* count, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const bool keep = i < n && x[i] > 0;
    const unsigned selected = __ballot_sync(0xffffffffu, keep);
    if (keep) kept[place_for(count, __ffs(selected) - 1, selected)] = x[i];
}
