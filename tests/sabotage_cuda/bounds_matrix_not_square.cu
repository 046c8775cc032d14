// Transpose without a tile. The stride of the input is its number of columns, not of rows.

__global__ void planted(const float* x, float* transposed, int rows, int cols) {
    const int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row < rows && col < cols) transposed[col * cols + row] = x[row * cols + col];  // BUG
}

__global__ void twin(const float* x, float* transposed, int rows, int cols) {
    const int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row < rows && col < cols) transposed[col * rows + row] = x[row * cols + col];
}
