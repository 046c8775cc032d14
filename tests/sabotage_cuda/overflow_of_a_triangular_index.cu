// Row of an element of a packed triangular matrix, by bisection. The middle row squared is too large for an int.

__global__ void planted(const int* elements, int* rows, int n, int order) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int low = 0, high = order;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (middle * (middle + 1) / 2 <= elements[i]) low = middle;  // BUG
        else high = middle;
    }
    rows[i] = low;
}

__global__ void twin(const int* elements, int* rows, int n, int order) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int low = 0, high = order;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (static_cast<long long>(middle) * (middle + 1) / 2 <= elements[i]) low = middle;
        else high = middle;
    }
    rows[i] = low;
}
