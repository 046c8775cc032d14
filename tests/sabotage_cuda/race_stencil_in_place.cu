// Smooths a vector: a quarter of three neighbours' sum, stored back where the neighbours still read.

__global__ void planted(float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i > 0 && i < n - 1) {
        x[i] = (x[i - 1] + x[i] + x[i + 1]) / 4;  // BUG
        y[i] = x[i];
    } else if (i < n) {
        y[i] = x[i];
    }
}

__global__ void twin(float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i > 0 && i < n - 1) {
        y[i] = (x[i - 1] + x[i] + x[i + 1]) / 4;
    } else if (i < n) {
        y[i] = x[i];
    }
}
