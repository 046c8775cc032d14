// Sum of a group of threads through shared memory, with cooperative groups. The slots are stored to again too early.

#include <cooperative_groups.h>

namespace cg = cooperative_groups;

template <bool sync_after_load, class Group>
__device__ int group_sum(const Group& group, int* slots, int value) {
    const int rank = group.thread_rank();
    for (int width = group.size() / 2; width > 0; width /= 2) {
        slots[rank] = value;  // BUG
        group.sync();
        value += slots[rank ^ width];  // BUG
        if (sync_after_load) group.sync();
    }
    return value;
}

__global__ void planted(const int* x, int* sums) {
    __shared__ int slots[64];
    const auto group = cg::tiled_partition<32>(cg::this_thread_block());
    const int i = blockIdx.x * 64 + threadIdx.x;
    const int sum = group_sum<false>(group, slots + threadIdx.x / 32 * 32, x[i]);
    if (group.thread_rank() == 0) sums[i / 32] = sum;
}

__global__ void twin(const int* x, int* sums) {
    __shared__ int slots[64];
    const auto group = cg::tiled_partition<32>(cg::this_thread_block());
    const int i = blockIdx.x * 64 + threadIdx.x;
    const int sum = group_sum<true>(group, slots + threadIdx.x / 32 * 32, x[i]);
    if (group.thread_rank() == 0) sums[i / 32] = sum;
}
