// Largest float by an atomic on its bits: numbers that are not negative are ordered as their bits are.

__global__ void twin(const float* x, float* largest, int n) {
    __shared__ int block_max;
    if (threadIdx.x == 0) block_max = 0;
    __syncthreads();
    float mine = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) mine = fmaxf(mine, x[i]);
    atomicMax(&block_max, __float_as_int(mine));
    __syncthreads();
    if (threadIdx.x == 0) atomicMax(reinterpret_cast<int*>(largest), block_max);
}
