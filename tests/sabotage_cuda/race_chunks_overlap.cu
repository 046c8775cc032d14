// Each block turns its chunk of a vector into running sums. A chunk ends one element too late, in the next block's.

__global__ void planted(const int* x, int* scanned, int n) {
    if (threadIdx.x != 0) return;
    const int chunk = n / gridDim.x;
    const int first = blockIdx.x * chunk;
    int sum = 0;
    for (int i = first; i <= first + chunk && i < n; ++i) {
        sum += x[i];
        scanned[i] = sum;  // BUG
    }
}

__global__ void twin(const int* x, int* scanned, int n) {
    if (threadIdx.x != 0) return;
    const int chunk = n / gridDim.x;
    const int first = blockIdx.x * chunk;
    int sum = 0;
    for (int i = first; i < first + chunk && i < n; ++i) {
        sum += x[i];
        scanned[i] = sum;
    }
}
