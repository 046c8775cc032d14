// Transpose through a padded tile. Columns are read before the other warps have stored their rows.

constexpr int TILE = 32;
constexpr int LINES = 8;

__global__ void planted(const float* x, float* transposed, int rows, int cols) {
    __shared__ float tile[TILE][TILE + 1];
    const int col = blockIdx.x * TILE + threadIdx.x;
    for (int line = threadIdx.y; line < TILE; line += LINES) {
        const int row = blockIdx.y * TILE + line;
        if (row < rows && col < cols) tile[line][threadIdx.x] = x[row * cols + col];  // BUG
    }
    const int row = blockIdx.y * TILE + threadIdx.x;
    for (int line = threadIdx.y; line < TILE; line += LINES) {
        const int new_row = blockIdx.x * TILE + line;
        if (new_row < cols && row < rows) transposed[new_row * rows + row] = tile[threadIdx.x][line];  // BUG
    }
}

__global__ void twin(const float* x, float* transposed, int rows, int cols) {
    __shared__ float tile[TILE][TILE + 1];
    const int col = blockIdx.x * TILE + threadIdx.x;
    for (int line = threadIdx.y; line < TILE; line += LINES) {
        const int row = blockIdx.y * TILE + line;
        if (row < rows && col < cols) tile[line][threadIdx.x] = x[row * cols + col];
    }
    __syncthreads();
    const int row = blockIdx.y * TILE + threadIdx.x;
    for (int line = threadIdx.y; line < TILE; line += LINES) {
        const int new_row = blockIdx.x * TILE + line;
        if (new_row < cols && row < rows) transposed[new_row * rows + row] = tile[threadIdx.x][line];
    }
}
