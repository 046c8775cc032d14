// Means of segments, of which one is empty: 0 / 0 is NaN for floats, and no error.

__global__ void twin(const float* x, const int* starts, float* means, float* inverses, int segments) {
    const int segment = threadIdx.x;
    if (segment >= segments) return;
    float sum = 0;
    for (int i = starts[segment]; i < starts[segment + 1]; ++i) sum += x[i];
    const float count = starts[segment + 1] - starts[segment];
    means[segment] = sum / count;
    inverses[segment] = 1.0f / count;
}
