// Cooperative groups: a tile of 32 is synchronised by the lanes that have work; its others wait for the block.

#include <cooperative_groups.h>

namespace cg = cooperative_groups;

__global__ void planted(const int* x, int* y, int n) {
    __shared__ int staged[64];
    const cg::thread_block block = cg::this_thread_block();
    const auto tile = cg::tiled_partition<32>(block);
    const int t = block.thread_rank(), i = blockIdx.x * 64 + t;
    staged[t] = 0;
    if (i < n) {
        staged[t] = x[i];
        tile.sync();  // BUG
    }
    block.sync();  // BUG
    if (i < n) y[i] = staged[t] + staged[63 - t];
}

__global__ void twin(const int* x, int* y, int n) {
    __shared__ int staged[64];
    const cg::thread_block block = cg::this_thread_block();
    const int t = block.thread_rank(), i = blockIdx.x * 64 + t;
    staged[t] = i < n ? x[i] : 0;
    block.sync();
    if (i < n) y[i] = staged[t] + staged[63 - t];
}
