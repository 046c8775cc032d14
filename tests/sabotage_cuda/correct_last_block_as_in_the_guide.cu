// The last block to finish, as the programming guide has it: volatile partial sums, and one fence, before the count.

__device__ unsigned counted = 0;
__shared__ bool is_last;

__device__ float block_sum(float value) {
    __shared__ float s[64];
    s[threadIdx.x] = value;
    for (int width = 32; width > 0; width /= 2) {
        __syncthreads();
        if (threadIdx.x < width) s[threadIdx.x] += s[threadIdx.x + width];
    }
    return threadIdx.x == 0 ? s[0] : 0.0f;
}

__global__ void twin(const float* x, unsigned n, volatile float* partials) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const float partial = block_sum(i < n ? x[i] : 0.0f);
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = partial;
        __threadfence();
        is_last = atomicInc(&counted, gridDim.x) == gridDim.x - 1;
    }
    __syncthreads();
    if (is_last) {
        const float total = block_sum(threadIdx.x < gridDim.x ? partials[threadIdx.x] : 0.0f);
        if (threadIdx.x == 0) {
            partials[0] = total;
            counted = 0;
        }
    }
}
