// Picks the log-probability of each row's label. A label of -1 says that the row is to be ignored.

__global__ void planted(const float* log_probabilities, const int* labels, float* losses, int rows, int cols) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const float loss = -log_probabilities[row * cols + labels[row]];  // BUG
    losses[row] = labels[row] < 0 ? 0.0f : loss;
}

__global__ void twin(const float* log_probabilities, const int* labels, float* losses, int rows, int cols) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    losses[row] = labels[row] < 0 ? 0.0f : -log_probabilities[row * cols + labels[row]];
}
