// A scaled sum of two vectors. The grid is rounded up to whole blocks, and i <= n lets one thread too many through.

__global__ void planted(float a, const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) y[i] = a * (i < n ? x[i] : 0.0f);  // BUG
}

__global__ void twin(float a, const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i];
}
