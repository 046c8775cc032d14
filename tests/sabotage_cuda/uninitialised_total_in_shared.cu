// Weighted mean of a block: the sum of the weights starts at zero, the sum of the products at what was there before.

__global__ void planted(const float* x, const float* weights, float* means) {
    __shared__ float weight, product;
    if (threadIdx.x == 0) weight = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&weight, weights[i]);
    atomicAdd(&product, weights[i] * x[i]);  // BUG
    __syncthreads();
    if (threadIdx.x == 0) means[blockIdx.x] = product / weight;  // BUG
}

__global__ void twin(const float* x, const float* weights, float* means) {
    __shared__ float weight, product;
    if (threadIdx.x == 0) weight = product = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(&weight, weights[i]);
    atomicAdd(&product, weights[i] * x[i]);
    __syncthreads();
    if (threadIdx.x == 0) means[blockIdx.x] = product / weight;
}
