// Keys and values side by side in shared memory, filled by a function that stores one more key than there is room for.

__device__ void fill(int* slots, const int* x, int count) {
    for (int k = threadIdx.x; k < count; k += blockDim.x) slots[k] = x[k];  // BUG
    __syncthreads();
}

__global__ void planted(const int* keys, const int* values, int* y) {
    __shared__ int some_keys[64], some_values[64];
    fill(some_values, values, 64);
    fill(some_keys, keys, 65);
    y[threadIdx.x] = some_values[63 - threadIdx.x] * some_keys[threadIdx.x];
}

__global__ void twin(const int* keys, const int* values, int* y) {
    __shared__ int some_keys[64], some_values[64];
    fill(some_values, values, 64);
    fill(some_keys, keys, 64);
    y[threadIdx.x] = some_values[63 - threadIdx.x] * some_keys[threadIdx.x];
}
