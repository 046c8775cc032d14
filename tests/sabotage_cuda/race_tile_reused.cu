// Product of a matrix and a vector, the vector in tiles of shared memory. The next tile overwrites one still in use.

constexpr int TILE = 64;

__global__ void planted(const float* matrix, const float* vector, float* product, int rows, int cols) {
    __shared__ float tile[TILE];
    const int row = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int first = 0; first < cols; first += TILE) {
        const int col = first + threadIdx.x;
        tile[threadIdx.x] = col < cols ? vector[col] : 0.0f;  // BUG
        __syncthreads();
        for (int k = 0; k < TILE && first + k < cols; ++k)
            if (row < rows) sum += matrix[row * cols + first + k] * tile[k];  // BUG
    }
    if (row < rows) product[row] = sum;
}

__global__ void twin(const float* matrix, const float* vector, float* product, int rows, int cols) {
    __shared__ float tile[TILE];
    const int row = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int first = 0; first < cols; first += TILE) {
        const int col = first + threadIdx.x;
        tile[threadIdx.x] = col < cols ? vector[col] : 0.0f;
        __syncthreads();
        for (int k = 0; k < TILE && first + k < cols; ++k)
            if (row < rows) sum += matrix[row * cols + first + k] * tile[k];
        __syncthreads();
    }
    if (row < rows) product[row] = sum;
}
