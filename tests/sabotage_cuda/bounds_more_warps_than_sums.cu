// Block sum with room for the sums of 8 warps, launched with 16.

template <int WARPS>
__device__ void block_sums(const int* x, int* sums) {
    __shared__ int warp_sums[WARPS];
    const int sum = __reduce_add_sync(0xffffffffu, x[blockIdx.x * blockDim.x + threadIdx.x]);
    if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = sum;  // BUG
    __syncthreads();
    if (threadIdx.x == 0) {
        int total = 0;
        for (int warp = 0; warp < blockDim.x / 32; ++warp) total += warp_sums[warp];
        sums[blockIdx.x] = total;
    }
}

__global__ void planted(const int* x, int* sums) { block_sums<8>(x, sums); }

__global__ void twin(const int* x, int* sums) { block_sums<32>(x, sums); }
