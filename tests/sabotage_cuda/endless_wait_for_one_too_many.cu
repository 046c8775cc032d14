// The first thread waits until all warps have counted down, but counts itself among those it waits for.

__global__ void planted(const int* x, int* total) {
    __shared__ int left, sum;
    if (threadIdx.x == 0) {
        left = blockDim.x / 32;
        sum = 0;
    }
    __syncthreads();
    const int warp_sum = __reduce_add_sync(0xffffffffu, x[threadIdx.x]);
    if (threadIdx.x % 32 == 0) {
        atomicAdd(&sum, warp_sum);
        __threadfence_block();
        if (threadIdx.x != 0) atomicSub(&left, 1);
    }
    if (threadIdx.x == 0) {
        while (atomicAdd(&left, 0) > 0) {  // BUG
        }
        __threadfence_block();
        *total = atomicAdd(&sum, 0);
    }
}

__global__ void twin(const int* x, int* total) {
    __shared__ int left, sum;
    if (threadIdx.x == 0) {
        left = blockDim.x / 32;
        sum = 0;
    }
    __syncthreads();
    const int warp_sum = __reduce_add_sync(0xffffffffu, x[threadIdx.x]);
    if (threadIdx.x % 32 == 0) {
        atomicAdd(&sum, warp_sum);
        __threadfence_block();
        atomicSub(&left, 1);
    }
    if (threadIdx.x == 0) {
        while (atomicAdd(&left, 0) > 0) {
        }
        __threadfence_block();
        *total = atomicAdd(&sum, 0);
    }
}
