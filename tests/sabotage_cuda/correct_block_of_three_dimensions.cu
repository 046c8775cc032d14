// The warps of a block of 8 x 4 x 3 threads: x runs first, then y, then z, so that each z is a warp.

__global__ void twin(const int* x, int* sums, int* firsts) {
    const int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const int value = x[blockIdx.x * 96 + t];
    const int of_row = __reduce_add_sync(0xffu << threadIdx.y * 8, value);
    const int first_of_z = __shfl_sync(0xffffffffu, value, 0);
    if (threadIdx.x == 0) sums[blockIdx.x * 12 + t / 8] = of_row;
    if (threadIdx.y == 3 && threadIdx.x == 7) firsts[blockIdx.x * 3 + threadIdx.z] = first_of_z;
}
