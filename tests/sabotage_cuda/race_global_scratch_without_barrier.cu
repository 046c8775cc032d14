// Sorts pairs of neighbours by odd and even steps, in global memory. One step begins before the one before has ended.

__device__ void order(int* row, int left) {
    const int a = row[left], b = row[left + 1];  // BUG
    row[left] = min(a, b);                       // BUG
    row[left + 1] = max(a, b);                   // BUG
}

__global__ void planted(int* x, int cols) {
    int* row = x + blockIdx.x * cols;
    for (int step = 0; step < cols; ++step) {
        const int left = 2 * threadIdx.x + step % 2;
        if (left + 1 < cols) order(row, left);
    }
}

__global__ void twin(int* x, int cols) {
    int* row = x + blockIdx.x * cols;
    for (int step = 0; step < cols; ++step) {
        const int left = 2 * threadIdx.x + step % 2;
        if (left + 1 < cols) order(row, left);
        __syncthreads();
    }
}
