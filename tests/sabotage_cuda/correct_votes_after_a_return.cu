// Lanes past the end return. The others vote, reduce and wait with a full mask: lanes that have gone do not count.

__global__ void twin(const int* x, int* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const unsigned positive = __ballot_sync(0xffffffffu, x[i] > 0);
    const bool all_small = __all_sync(0xffffffffu, x[i] < 8);
    __syncwarp();
    const int largest = __reduce_max_sync(0xffffffffu, x[i]);
    y[i] = 100 * largest + 2 * __popc(positive) + (all_small ? 1 : 0);
}
