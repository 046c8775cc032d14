// Gradient of the scale of a layer norm: added up in an output that was allocated and never set to zero.

__global__ void planted(const float* cotangent, const float* normalised, float* gradient, int rows, int cols) {
    const int col = blockIdx.x * blockDim.x + threadIdx.x;
    if (col >= cols) return;
    for (int row = 0; row < rows; ++row)
        gradient[col] += cotangent[row * cols + col] * normalised[row * cols + col];  // BUG
}

__global__ void twin(const float* cotangent, const float* normalised, float* gradient, int rows, int cols) {
    const int col = blockIdx.x * blockDim.x + threadIdx.x;
    if (col >= cols) return;
    float sum = 0;
    for (int row = 0; row < rows; ++row) sum += cotangent[row * cols + col] * normalised[row * cols + col];
    gradient[col] = sum;
}
