// Each lane walks its own list; a vote inside of the loop names all lanes, but those at the end of theirs have left it.

__global__ void planted(const int* starts, const int* values, int* sums, int* longest) {
    const int t = threadIdx.x;
    int sum = 0, steps = 0;
    for (int k = starts[t]; k < starts[t + 1]; ++k) {
        if (__any_sync(0xffffffffu, values[k] != 0)) ++steps;  // BUG
        sum += values[k];
    }
    __syncthreads();  // BUG
    sums[t] = sum;
    atomicMax(longest, steps);
}

__global__ void twin(const int* starts, const int* values, int* sums, int* longest) {
    const int t = threadIdx.x;
    int sum = 0, steps = 0, k = starts[t];
    while (__any_sync(0xffffffffu, k < starts[t + 1])) {
        if (k < starts[t + 1]) sum += values[k++];
        ++steps;
    }
    __syncthreads();
    sums[t] = sum;
    atomicMax(longest, steps);
}
