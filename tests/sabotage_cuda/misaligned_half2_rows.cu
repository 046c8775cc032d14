// Doubles half-precision rows, two elements at a time. Every other row of an odd length begins between two pairs.

#include <cuda_fp16.h>

__global__ void planted(const __half* x, __half* y, int cols) {
    const __half* from = x + blockIdx.x * cols;
    __half* to = y + blockIdx.x * cols;
    const int pair = 2 * threadIdx.x;
    if (pair + 1 < cols) {
        const __half2 two = *reinterpret_cast<const __half2*>(from + pair);  // BUG
        to[pair] = __hadd(two.x, two.x);
        to[pair + 1] = __hadd(two.y, two.y);
    } else if (pair < cols) {
        to[pair] = __hadd(from[pair], from[pair]);
    }
}

__global__ void twin(const __half* x, __half* y, int cols) {
    const __half* from = x + blockIdx.x * cols;
    __half* to = y + blockIdx.x * cols;
    const int pair = 2 * threadIdx.x;
    if (pair < cols) to[pair] = __hadd(from[pair], from[pair]);
    if (pair + 1 < cols) to[pair + 1] = __hadd(from[pair + 1], from[pair + 1]);
}
