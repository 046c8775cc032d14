// Keeps the best of each pair of steps in a scratch array, whose first step nobody stores, and copies it out.

__global__ void planted(const float* x, float* scratch, float* y, int steps) {
    const int col = blockIdx.x * blockDim.x + threadIdx.x, cols = gridDim.x * blockDim.x;
    for (int step = 1; step < steps; ++step)
        scratch[step * cols + col] = fmaxf(x[(step - 1) * cols + col], x[step * cols + col]);
    for (int step = 0; step < steps; ++step) y[step * cols + col] = scratch[step * cols + col];  // BUG
}

__global__ void twin(const float* x, float* scratch, float* y, int steps) {
    const int col = blockIdx.x * blockDim.x + threadIdx.x, cols = gridDim.x * blockDim.x;
    scratch[col] = x[col];
    for (int step = 1; step < steps; ++step)
        scratch[step * cols + col] = fmaxf(x[(step - 1) * cols + col], x[step * cols + col]);
    for (int step = 0; step < steps; ++step) y[step * cols + col] = scratch[step * cols + col];
}
