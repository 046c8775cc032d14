// Softmax of rows of up to 16 elements, one tile of 16 threads a row, two rows a warp that may end up apart.

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>

namespace cg = cooperative_groups;

__global__ void twin(const float* x, float* y, int rows, int cols) {
    const auto tile = cg::tiled_partition<16>(cg::this_thread_block());
    const int row = blockIdx.x * (blockDim.x / 16) + threadIdx.x / 16;
    if (row >= rows) return;
    const int col = tile.thread_rank();
    const float value = col < cols ? x[row * cols + col] : __int_as_float(0xff800000);
    const float largest = cg::reduce(tile, value, cg::greater<float>());
    const float power = expf(value - largest);
    float sum = power;
    for (int offset = tile.size() / 2; offset > 0; offset /= 2) sum += tile.shfl_xor(sum, offset);
    if (col < cols) y[row * cols + col] = power / sum;
}
