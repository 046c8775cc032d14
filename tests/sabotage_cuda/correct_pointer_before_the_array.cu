// Rows counted from 1: a pointer to where row 0 would be lies before the array, and is never read there.

__global__ void twin(const int* x, int* sums, int rows, int cols) {
    const int* row_before = x - cols;
    const int row = blockIdx.x * blockDim.x + threadIdx.x + 1;
    if (row > rows) return;
    int sum = 0;
    for (int col = 0; col < cols; ++col) sum += row_before[row * cols + col];
    sums[row - 1] = sum;
}
