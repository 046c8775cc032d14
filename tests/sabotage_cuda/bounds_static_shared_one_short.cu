// Sums over five neighbours from a tile with a halo of two on each side. The array has room for three in all.

constexpr int BLOCK = 64;

template <int SIZE>
__device__ void five_neighbours(const int* x, int* y, int n) {
    __shared__ int tile[SIZE];
    const int first = blockIdx.x * BLOCK - 2;
    for (int k = threadIdx.x; k < BLOCK + 4; k += BLOCK)
        tile[k] = first + k >= 0 && first + k < n ? x[first + k] : 0;  // BUG
    __syncthreads();
    const int i = blockIdx.x * BLOCK + threadIdx.x;
    int sum = 0;
    for (int k = 0; k < 5; ++k) sum += tile[threadIdx.x + k];  // BUG
    if (i < n) y[i] = sum;
}

__global__ void planted(const int* x, int* y, int n) { five_neighbours<BLOCK + 3>(x, y, n); }

__global__ void twin(const int* x, int* y, int n) { five_neighbours<BLOCK + 4>(x, y, n); }
