// The last chunk of a vector of nearly 2**31 elements. The step that leaves the loop goes beyond what an int can hold.

__global__ void planted(const int* x, int* total, int first, int n) {
    int sum = 0;
    const int stride = gridDim.x * blockDim.x;
    for (int i = first + blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) sum += x[i - first];  // BUG
    atomicAdd(total, sum);
}

__global__ void twin(const int* x, int* total, int first, int n) {
    int sum = 0;
    const long long stride = gridDim.x * blockDim.x;
    for (long long i = first + blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) sum += x[i - first];
    atomicAdd(total, sum);
}
