// Running sums of a row, a tile at a time. The loop, with its barriers, ends earlier for threads beyond the row's end.

__device__ void scan(int* s, int tile_of) {
    for (int offset = 1; offset < tile_of; offset *= 2) {
        const int left = threadIdx.x >= offset ? s[threadIdx.x - offset] : 0;
        __syncthreads();
        s[threadIdx.x] += left;
        __syncthreads();
    }
}

__global__ void planted(const int* x, int* y, int* total, int cols) {
    extern __shared__ int s[];
    int before = 0;
    for (int col = threadIdx.x; col < cols; col += blockDim.x) {
        s[threadIdx.x] = x[col];
        __syncthreads();  // BUG
        scan(s, blockDim.x);
        y[col] = before + s[threadIdx.x];
        before += s[blockDim.x - 1];
        __syncthreads();
    }
    if (__syncthreads_or(before < 0)) before = -1;  // BUG
    if (threadIdx.x == 0) *total = before;
}

__global__ void twin(const int* x, int* y, int* total, int cols) {
    extern __shared__ int s[];
    int before = 0;
    for (int first = 0; first < cols; first += blockDim.x) {
        const int col = first + threadIdx.x;
        s[threadIdx.x] = col < cols ? x[col] : 0;
        __syncthreads();
        scan(s, blockDim.x);
        if (col < cols) y[col] = before + s[threadIdx.x];
        before += s[blockDim.x - 1];
        __syncthreads();
    }
    if (__syncthreads_or(before < 0)) before = -1;
    if (threadIdx.x == 0) *total = before;
}
