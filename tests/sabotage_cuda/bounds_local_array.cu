// The k largest of each row, in an array of each thread: with room for one less than the insertion moves.

template <int SLOTS>
__device__ void largest(const int* row, int* y, int cols, int k) {
    int best[SLOTS];
    for (int slot = 0; slot < k; ++slot) best[slot] = -2147483647 - 1;
    for (int col = 0; col < cols; ++col) {
        int slot = k;
        best[k] = row[col];  // BUG
        for (; slot > 0 && best[slot] > best[slot - 1]; --slot) {  // BUG
            const int swapped = best[slot];  // BUG
            best[slot] = best[slot - 1];     // BUG
            best[slot - 1] = swapped;
        }
    }
    for (int slot = 0; slot < k; ++slot) y[slot] = best[slot];
}

__global__ void planted(const int* x, int* y, int cols, int k) {
    largest<4>(x + threadIdx.x * cols, y + threadIdx.x * k, cols, k);
}

__global__ void twin(const int* x, int* y, int cols, int k) {
    largest<5>(x + threadIdx.x * cols, y + threadIdx.x * k, cols, k);
}
