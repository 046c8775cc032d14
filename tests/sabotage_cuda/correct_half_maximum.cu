// Largest absolute value of each row of halves, by shuffles of halves, and rows scaled by it.

#include <cuda_fp16.h>

__global__ void twin(const __half* x, __half* largest, __half* scaled, int cols) {
    const __half* row = x + blockIdx.x * cols;
    __half mine = __float2half(0.0f);
    for (int col = threadIdx.x; col < cols; col += 32) mine = __hmax(mine, __habs(row[col]));
    for (int offset = 16; offset > 0; offset /= 2) mine = __hmax(mine, __shfl_xor_sync(0xffffffffu, mine, offset));
    if (threadIdx.x == 0) largest[blockIdx.x] = mine;
    for (int col = threadIdx.x; col < cols; col += 32)
        scaled[blockIdx.x * cols + col] = __float2half(4.0f * __half2float(row[col]) / __half2float(mine));
}
