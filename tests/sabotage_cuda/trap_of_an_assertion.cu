// Scatters rows to places that are asserted to lie inside: -1, for a row to be left out, does not.

__global__ void planted(const int* x, const int* places, int* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    assert(places[i] >= 0 && places[i] < n);  // BUG
    y[places[i]] = x[i];
}

__global__ void twin(const int* x, const int* places, int* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || places[i] < 0) return;
    assert(places[i] < n);
    y[places[i]] = x[i];
}
