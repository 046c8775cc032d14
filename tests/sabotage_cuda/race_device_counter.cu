// Numbers the elements that are kept, in no particular order, with a counter in a variable of the module.

__device__ int numbered, numbered_by_twin;

__global__ void planted(const int* x, int* numbers, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) numbers[i] = x[i] > 0 ? numbered++ : -1;  // BUG
}

__global__ void twin(const int* x, int* numbers, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) numbers[i] = x[i] > 0 ? atomicAdd(&numbered_by_twin, 1) : -1;
}
