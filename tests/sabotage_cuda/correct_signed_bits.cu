// Ranks of selected elements, with the lanes below as (1 << lane) - 1 in int: in lane 31 that passes through -2**31.

__global__ void twin(const int* x, int* ranks) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
    const unsigned selected = __ballot_sync(0xffffffffu, x[i] > 0);
    ranks[i] = x[i] > 0 ? __popc(selected & ((1 << lane) - 1)) : -1;
}
