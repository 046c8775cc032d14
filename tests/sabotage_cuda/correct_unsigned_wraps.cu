// Random numbers by a hash: unsigned integers are meant to wrap around, and shifts to drop bits.

__device__ unsigned hashed(unsigned x) {
    x = x * 747796405u + 2891336453u;
    x = ((x >> ((x >> 28) + 4)) ^ x) * 277803737u;
    return (x >> 22) ^ x;
}

__global__ void twin(const int* seeds, unsigned* y, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = hashed(hashed(static_cast<unsigned>(seeds[i]) - 2u) + i) - 4000000000u;
}
