// The first lane waits for its warp with __syncwarp, and its warp waits for it in a vote.

__global__ void planted(const int* x, int* y) {
    __shared__ int limit;
    const int i = blockIdx.x * 32 + threadIdx.x;
    unsigned above = 0;
    if (threadIdx.x == 0) {
        limit = x[i];
        __syncwarp();  // BUG
    } else {
        above = __ballot_sync(0xffffffffu, x[i] > 3);  // BUG
    }
    y[i] = __popc(above) + limit;
}

__global__ void twin(const int* x, int* y) {
    __shared__ int limit;
    const int i = blockIdx.x * 32 + threadIdx.x;
    if (threadIdx.x == 0) limit = x[i];
    __syncwarp();
    const unsigned above = __ballot_sync(0xffffffffu, threadIdx.x != 0 && x[i] > 3);
    y[i] = (threadIdx.x == 0 ? 0 : __popc(above)) + limit;
}
