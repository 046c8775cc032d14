// Deals the elements of a row out to the lanes of a warp. Rows shorter than a warp have no element per lane.

__global__ void planted(const int* x, int* owner, int cols) {
    const int each = cols / 32;
    for (int col = threadIdx.x; col < cols; col += 32)
        owner[blockIdx.x * cols + col] = min(col / each, 31) + x[blockIdx.x * cols + col];  // BUG
}

__global__ void twin(const int* x, int* owner, int cols) {
    const int each = (cols + 31) / 32;
    for (int col = threadIdx.x; col < cols; col += 32)
        owner[blockIdx.x * cols + col] = min(col / each, 31) + x[blockIdx.x * cols + col];
}
