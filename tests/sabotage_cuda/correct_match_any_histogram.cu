// Histogram with one atomic for all lanes of a warp that hold the same value.

__global__ void twin(const int* x, int* histogram, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned valid = __ballot_sync(0xffffffffu, i < n);
    if (i < n) {
        const unsigned same = __match_any_sync(valid, x[i]);
        if (threadIdx.x % 32 == __ffs(same) - 1) atomicAdd(&histogram[x[i]], __popc(same));
    }
}
