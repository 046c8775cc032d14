// One chunk of a matrix with more than 2**31 elements. The place in the whole matrix is worked out in 32 bits.

__device__ long long hashed(long long place) { return place * 2654435761ll % 1000003ll; }

__global__ void planted(const float* x, float* y, int first_row, int cols) {
    const int row = first_row + blockIdx.x;
    for (int col = threadIdx.x; col < cols; col += blockDim.x) {
        const long long place = row * cols + col;  // BUG
        y[blockIdx.x * cols + col] = hashed(place) < 500000 ? x[blockIdx.x * cols + col] : 0.0f;
    }
}

__global__ void twin(const float* x, float* y, int first_row, int cols) {
    const int row = first_row + blockIdx.x;
    for (int col = threadIdx.x; col < cols; col += blockDim.x) {
        const long long place = static_cast<long long>(row) * cols + col;
        y[blockIdx.x * cols + col] = hashed(place) < 500000 ? x[blockIdx.x * cols + col] : 0.0f;
    }
}
