// Row sums of bfloat16, by pairs where a row begins at one, summed in float.

#include <cuda_bf16.h>

__global__ void twin(const __nv_bfloat16* x, __nv_bfloat16* sums, int cols) {
    const __nv_bfloat16* row = x + blockIdx.x * cols;
    const int head = reinterpret_cast<unsigned long long>(row) % 4 / 2;  // an element before the first whole pair
    const int pairs = (cols - head) / 2;
    float sum = 0;
    for (int pair = threadIdx.x; pair < pairs; pair += 32) {
        const __nv_bfloat162 two = reinterpret_cast<const __nv_bfloat162*>(row + head)[pair];
        sum += __low2float(two) + __high2float(two);
    }
    if (threadIdx.x == 0 && head == 1) sum += __bfloat162float(row[0]);
    if (threadIdx.x == 1 && head + 2 * pairs < cols) sum += __bfloat162float(row[cols - 1]);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
    if (threadIdx.x == 0) sums[blockIdx.x] = __float2bfloat16(sum);
}
