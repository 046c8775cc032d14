// Histogram of bytes that are declared as signed: from 128 upwards they are bins before the first.

__global__ void planted(const signed char* x, int* histogram, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&histogram[x[i]], 1);  // BUG
}

__global__ void twin(const signed char* x, int* histogram, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&histogram[static_cast<unsigned char>(x[i])], 1);
}
