// Sum over tiles with two buffers: one is read while the other is filled. Here the one in use is filled again.

constexpr int TILE = 64;

__global__ void planted(const int* x, int* sums, int tiles) {
    __shared__ int buffers[2][TILE];
    const int t = threadIdx.x;
    const int* mine = x + blockIdx.x * tiles * TILE;
    int sum = 0, current = 0;
    buffers[current][t] = mine[t];
    __syncthreads();
    for (int tile = 0; tile < tiles; ++tile) {
        const int next = tile % 2;
        if (tile + 1 < tiles) buffers[next][t] = mine[(tile + 1) * TILE + t];  // BUG
        sum += buffers[current][TILE - 1 - t];                                // BUG
        __syncthreads();
        current = next;
    }
    sums[blockIdx.x * TILE + t] = sum;
}

__global__ void twin(const int* x, int* sums, int tiles) {
    __shared__ int buffers[2][TILE];
    const int t = threadIdx.x;
    const int* mine = x + blockIdx.x * tiles * TILE;
    int sum = 0, current = 0;
    buffers[current][t] = mine[t];
    __syncthreads();
    for (int tile = 0; tile < tiles; ++tile) {
        const int next = 1 - current;
        if (tile + 1 < tiles) buffers[next][t] = mine[(tile + 1) * TILE + t];
        sum += buffers[current][TILE - 1 - t];
        __syncthreads();
        current = next;
    }
    sums[blockIdx.x * TILE + t] = sum;
}
