// Differences of neighbours. The last element has no right neighbour, and only threads past the end are held back.

__global__ void planted(const float* x, float* differences, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) differences[i] = x[i + 1] - x[i];  // BUG
}

__global__ void twin(const float* x, float* differences, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) differences[i] = i + 1 < n ? x[i + 1] - x[i] : 0.0f;
}
