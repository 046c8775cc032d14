// Dot product of half-precision vectors by pairs, multiplied and added in float.

#include <cuda_fp16.h>

__global__ void twin(const __half* a, const __half* b, float* total, int n) {
    const __half2* pairs_of_a = reinterpret_cast<const __half2*>(a);
    const __half2* pairs_of_b = reinterpret_cast<const __half2*>(b);
    float sum = 0;
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n / 2) {
        const float2 product = __half22float2(__hmul2(pairs_of_a[i], pairs_of_b[i]));
        sum = product.x + product.y;
    } else if (i == n / 2 && n % 2 == 1) {
        sum = __half2float(__hmul(a[n - 1], b[n - 1]));
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_down_sync(0xffffffffu, sum, offset);
    if (threadIdx.x % 32 == 0) atomicAdd(total, sum);
}
