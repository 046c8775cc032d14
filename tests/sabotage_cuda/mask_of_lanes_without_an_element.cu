// Largest of 20 elements, one warp a row. Lanes with an element name each other, and lanes without one name all 32.

__global__ void planted(const int* x, int* y, int cols) {
    const int lane = threadIdx.x;
    const unsigned mask = lane < cols ? (1u << cols) - 1 : 0xffffffffu;
    const int value = lane < cols ? x[blockIdx.x * cols + lane] : -2147483647;
    const int largest = __reduce_max_sync(mask, value);  // BUG
    if (lane < cols) y[blockIdx.x * cols + lane] = largest - value;
}

__global__ void twin(const int* x, int* y, int cols) {
    const int lane = threadIdx.x;
    const int value = lane < cols ? x[blockIdx.x * cols + lane] : -2147483647;
    const int largest = __reduce_max_sync(0xffffffffu, value);
    if (lane < cols) y[blockIdx.x * cols + lane] = largest - value;
}
