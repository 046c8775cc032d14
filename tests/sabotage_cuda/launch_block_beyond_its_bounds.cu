// Compiled for blocks of at most 128 threads and launched with 256.

__global__ void __launch_bounds__(128) planted(const float* x, float* y, int n) {  // BUG
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] * x[i];
}

__global__ void __launch_bounds__(256) twin(const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] * x[i];
}
