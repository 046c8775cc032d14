// Barriers under conditions, and in loops, that come out alike for all threads of a block: but not for all blocks.

__global__ void twin(const int* starts, const int* x, int* y, int* sums) {
    __shared__ int s[64], total;
    const int t = threadIdx.x, first = starts[blockIdx.x], last = starts[blockIdx.x + 1];
    if (t == 0) total = 0;
    for (int tile = first; tile < last; tile += 64) {
        if (tile + t < last) s[t] = x[tile + t];
        __syncthreads();
        const int used = min(64, last - tile);
        if (t < used) {
            y[tile + t] = s[used - 1 - t];
            atomicAdd(&total, s[t]);
        }
        if (tile + 64 >= last) continue;
        __syncthreads();
    }
    if (blockIdx.x % 2 == 0) {
        __syncthreads();
        if (t == 0) sums[blockIdx.x] = total;
    } else {
        __syncthreads();
        if (t == 63) sums[blockIdx.x] = -total;
    }
}
