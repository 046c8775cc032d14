// Block sum with cooperative groups. The tile of 32 is synchronised where the block should be.

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

__global__ void planted(const int* x, int* sums) {
    __shared__ int partial[4];
    const cg::thread_block block = cg::this_thread_block();
    const auto warp = cg::tiled_partition<32>(block);
    const int sum = cg::reduce(warp, x[blockIdx.x * blockDim.x + block.thread_rank()], cg::plus<int>());
    if (warp.thread_rank() == 0) partial[threadIdx.x / 32] = sum;  // BUG
    warp.sync();
    if (block.thread_rank() == 0)
        sums[blockIdx.x] = partial[0] + partial[1] + partial[2] + partial[3];  // BUG
}

__global__ void twin(const int* x, int* sums) {
    __shared__ int partial[4];
    const cg::thread_block block = cg::this_thread_block();
    const auto warp = cg::tiled_partition<32>(block);
    const int sum = cg::reduce(warp, x[blockIdx.x * blockDim.x + block.thread_rank()], cg::plus<int>());
    if (warp.thread_rank() == 0) partial[threadIdx.x / 32] = sum;
    block.sync();
    if (block.thread_rank() == 0)
        sums[blockIdx.x] = partial[0] + partial[1] + partial[2] + partial[3];
}
