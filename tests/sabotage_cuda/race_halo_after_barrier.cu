// Sums over three neighbours from a tile with a halo. The halo is loaded after the barrier that ends the loading.

constexpr int BLOCK = 64;

__device__ int at(const int* x, int i, int n) { return i >= 0 && i < n ? x[i] : 0; }

__global__ void planted(const int* x, int* y, int n) {
    __shared__ int tile[BLOCK + 2];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    tile[t + 1] = at(x, i, n);
    __syncthreads();
    if (t == 0) {
        tile[0] = at(x, i - 1, n);
        tile[BLOCK + 1] = at(x, i + BLOCK, n);  // BUG
    }
    if (i < n) y[i] = tile[t] + tile[t + 1] + tile[t + 2];  // BUG
}

__global__ void twin(const int* x, int* y, int n) {
    __shared__ int tile[BLOCK + 2];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    tile[t + 1] = at(x, i, n);
    if (t == 0) {
        tile[0] = at(x, i - 1, n);
        tile[BLOCK + 1] = at(x, i + BLOCK, n);
    }
    __syncthreads();
    if (i < n) y[i] = tile[t] + tile[t + 1] + tile[t + 2];
}
