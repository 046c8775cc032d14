// Rank of each selected element among its warp's. The lanes below are counted by a vote among them, not after a vote.

__global__ void planted(const int* x, int* ranks) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned up_to_mine = 0xffffffffu >> (31 - threadIdx.x % 32);
    const unsigned votes = __ballot_sync(up_to_mine, x[i] > 0);  // BUG
    ranks[i] = x[i] > 0 ? __popc(votes) - 1 : -1;
}

__global__ void twin(const int* x, int* ranks) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const unsigned up_to_mine = 0xffffffffu >> (31 - threadIdx.x % 32);
    const unsigned votes = __ballot_sync(0xffffffffu, x[i] > 0);
    ranks[i] = x[i] > 0 ? __popc(votes & up_to_mine) - 1 : -1;
}
