// Product of two matrices by tiles of 8 x 8, two barriers a tile, with zeros beyond the edges.

constexpr int TILE = 8;

__global__ void twin(const float* a, const float* b, float* c, int rows, int inner, int cols) {
    __shared__ float left[TILE][TILE], right[TILE][TILE + 1];
    const int row = blockIdx.y * TILE + threadIdx.y, col = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int first = 0; first < inner; first += TILE) {
        const int k = first + threadIdx.x, l = first + threadIdx.y;
        left[threadIdx.y][threadIdx.x] = row < rows && k < inner ? a[row * inner + k] : 0.0f;
        right[threadIdx.y][threadIdx.x] = l < inner && col < cols ? b[l * cols + col] : 0.0f;
        __syncthreads();
        for (int m = 0; m < TILE; ++m) sum += left[threadIdx.y][m] * right[m][threadIdx.x];
        __syncthreads();
    }
    if (row < rows && col < cols) c[row * cols + col] = sum;
}
