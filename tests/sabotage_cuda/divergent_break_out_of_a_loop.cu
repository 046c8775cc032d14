// Each thread looks for its key in a table that comes by tiles, and leaves the loop, barriers and all, when it has it.

constexpr int TILE = 64;

__global__ void planted(const int* table, const int* keys, int* found, int* misses, int n) {
    __shared__ int tile[TILE];
    const int key = keys[blockIdx.x * TILE + threadIdx.x];
    int where = -1;
    for (int first = 0; first < n; first += TILE) {
        tile[threadIdx.x] = table[first + threadIdx.x];
        __syncthreads();
        for (int k = 0; k < TILE; ++k)
            if (tile[k] == key) where = first + k;
        if (where >= 0) break;
        __syncthreads();  // BUG
    }
    found[blockIdx.x * TILE + threadIdx.x] = where;
    const int missing = __syncthreads_count(where < 0);  // BUG
    if (threadIdx.x == 0) misses[blockIdx.x] = missing;
}

__global__ void twin(const int* table, const int* keys, int* found, int* misses, int n) {
    __shared__ int tile[TILE];
    const int key = keys[blockIdx.x * TILE + threadIdx.x];
    int where = -1;
    for (int first = 0; first < n; first += TILE) {
        tile[threadIdx.x] = table[first + threadIdx.x];
        __syncthreads();
        for (int k = 0; k < TILE; ++k)
            if (tile[k] == key) where = first + k;
        if (__syncthreads_and(where >= 0)) break;
    }
    found[blockIdx.x * TILE + threadIdx.x] = where;
    const int missing = __syncthreads_count(where < 0);
    if (threadIdx.x == 0) misses[blockIdx.x] = missing;
}
