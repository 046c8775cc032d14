// Reverses a vector in place: with one thread for each element instead of one for each pair.

__global__ void planted(int* x, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        const int value = x[i];  // BUG
        x[n - 1 - i] = value;    // BUG
    }
}

__global__ void twin(int* x, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n / 2) {
        const int value = x[i];
        x[i] = x[n - 1 - i];
        x[n - 1 - i] = value;
    }
}
