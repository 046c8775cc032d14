// Marks where runs of equal elements begin. The first element is compared with the one before the vector.

__global__ void planted(const int* x, bool* begins, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        begins[i] = x[i] != x[i - 1] || i == 0;  // BUG
}

__global__ void twin(const int* x, bool* begins, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        begins[i] = i == 0 || x[i] != x[i - 1];
}
