// Exclusive scan of one block in global memory, one position to the right: nobody writes the first.

__global__ void planted(const int* x, int* offsets, int* items, int n) {
    const int t = threadIdx.x;
    int sum = 0;
    for (int i = 0; i <= t && t < n; ++i) sum += x[i];
    if (t + 1 < n) offsets[t + 1] = sum;
    __syncthreads();
    if (t < n) items[t] = offsets[t] * 10 + x[t];  // BUG
}

__global__ void twin(const int* x, int* offsets, int* items, int n) {
    const int t = threadIdx.x;
    int sum = 0;
    for (int i = 0; i < t && t < n; ++i) sum += x[i];
    if (t < n) offsets[t] = sum;
    __syncthreads();
    if (t < n) items[t] = offsets[t] * 10 + x[t];
}
