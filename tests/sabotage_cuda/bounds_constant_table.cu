// A filter of five weights in constant memory, and a loop over six.

__constant__ int weights[5] = {1, 4, 6, 4, 1};

__global__ void planted(const int* x, int* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int sum = 0;
    for (int k = -2; k <= 3; ++k)
        if (i + k >= 0 && i + k < n) sum += weights[k + 2] * x[i + k];  // BUG
    y[i] = sum;
}

__global__ void twin(const int* x, int* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int sum = 0;
    for (int k = -2; k <= 2; ++k)
        if (i + k >= 0 && i + k < n) sum += weights[k + 2] * x[i + k];
    y[i] = sum;
}
