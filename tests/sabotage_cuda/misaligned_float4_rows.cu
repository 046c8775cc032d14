// Row sums with loads of four floats. The rows of a matrix with 6 columns do not begin at multiples of 16 bytes.

__global__ void planted(const float* x, float* sums, int rows, int cols) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const float* mine = x + row * cols;
    float sum = 0;
    int col = 0;
    for (; col + 3 < cols; col += 4) {
        const float4 four = *reinterpret_cast<const float4*>(mine + col);  // BUG
        sum += four.x + four.y + four.z + four.w;
    }
    for (; col < cols; ++col) sum += mine[col];
    sums[row] = sum;
}

__global__ void twin(const float* x, float* sums, int rows, int cols) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const float* mine = x + row * cols;
    float sum = 0;
    int col = 0;
    for (; reinterpret_cast<unsigned long long>(mine + col) % 16 != 0; ++col) sum += mine[col];
    for (; col + 3 < cols; col += 4) {
        const float4 four = *reinterpret_cast<const float4*>(mine + col);
        sum += four.x + four.y + four.z + four.w;
    }
    for (; col < cols; ++col) sum += mine[col];
    sums[row] = sum;
}
