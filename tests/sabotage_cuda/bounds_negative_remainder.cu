// Differences on a circle. The remainder of -1 is -1 in C++, and not the last element.

__global__ void planted(const int* x, int* differences, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) differences[i] = x[i] - x[(i - 1) % n];  // BUG
}

__global__ void twin(const int* x, int* differences, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) differences[i] = x[i] - x[(i - 1 + n) % n];
}
