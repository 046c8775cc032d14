// Exclusive scan of 2 elements a thread, up and down the tree of Blelloch, in memory padded against bank conflicts.

__device__ int padded(int i) { return i + i / 32; }

__global__ void twin(const int* x, int* scanned) {
    __shared__ int s[128 + 4];
    const int t = threadIdx.x, first = blockIdx.x * 128;
    s[padded(2 * t)] = x[first + 2 * t];
    s[padded(2 * t + 1)] = x[first + 2 * t + 1];
    int offset = 1;
    for (int pairs = 64; pairs > 0; pairs /= 2) {
        __syncthreads();
        if (t < pairs) s[padded(offset * (2 * t + 2) - 1)] += s[padded(offset * (2 * t + 1) - 1)];
        offset *= 2;
    }
    if (t == 0) s[padded(127)] = 0;
    for (int pairs = 1; pairs <= 64; pairs *= 2) {
        offset /= 2;
        __syncthreads();
        if (t < pairs) {
            int &left = s[padded(offset * (2 * t + 1) - 1)], &right = s[padded(offset * (2 * t + 2) - 1)];
            const int sum = left + right;
            left = right;
            right = sum;
        }
    }
    __syncthreads();
    scanned[first + 2 * t] = s[padded(2 * t)];
    scanned[first + 2 * t + 1] = s[padded(2 * t + 1)];
}
