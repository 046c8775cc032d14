// Means, rounded down, of segments of a vector of integers. A segment can be empty.

__global__ void planted(const int* x, const int* starts, int* means, int segments) {
    const int segment = blockIdx.x * blockDim.x + threadIdx.x;
    if (segment >= segments) return;
    int sum = 0;
    for (int i = starts[segment]; i < starts[segment + 1]; ++i) sum += x[i];
    means[segment] = sum / (starts[segment + 1] - starts[segment]);  // BUG
}

__global__ void twin(const int* x, const int* starts, int* means, int segments) {
    const int segment = blockIdx.x * blockDim.x + threadIdx.x;
    if (segment >= segments) return;
    int sum = 0;
    for (int i = starts[segment]; i < starts[segment + 1]; ++i) sum += x[i];
    means[segment] = sum / max(starts[segment + 1] - starts[segment], 1);
}
