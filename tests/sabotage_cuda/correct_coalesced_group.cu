// Counts and sums by one atomic for the threads that happen to be together, a group of cooperative groups.

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

__global__ void twin(const int* x, int* count, int* sum, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && x[i] > 0) {
        const cg::coalesced_group together = cg::coalesced_threads();
        const int all = cg::reduce(together, x[i], cg::plus<int>());
        if (together.thread_rank() == 0) {
            atomicAdd(count, static_cast<int>(together.size()));
            atomicAdd(sum, all);
        }
    }
}
