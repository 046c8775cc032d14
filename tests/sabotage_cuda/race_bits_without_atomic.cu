// Marks the elements above a threshold in a bit mask, of which 32 threads share a word.

__global__ void planted(const float* x, unsigned* bits, float threshold, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && x[i] > threshold) bits[i / 32] |= 1u << (i % 32);  // BUG
}

__global__ void twin(const float* x, unsigned* bits, float threshold, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && x[i] > threshold) atomicOr(&bits[i / 32], 1u << (i % 32));
}
