// Gradient of an embedding: rows that the same token chose are added up. Two tokens of a batch can be the same.

__global__ void planted(const float* cotangent, const long long* tokens, float* gradient, int width) {
    const long long token = tokens[blockIdx.x];
    for (int k = threadIdx.x; k < width; k += blockDim.x)
        gradient[token * width + k] += cotangent[blockIdx.x * width + k];  // BUG
}

__global__ void twin(const float* cotangent, const long long* tokens, float* gradient, int width) {
    const long long token = tokens[blockIdx.x];
    for (int k = threadIdx.x; k < width; k += blockDim.x)
        atomicAdd(&gradient[token * width + k], cotangent[blockIdx.x * width + k]);
}
