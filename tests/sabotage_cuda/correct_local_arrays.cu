// Arrays of each thread, reached by pointers and by computed indices, and handed to functions.

__device__ void sort_four(int* four) {
    for (int last = 3; last > 0; --last)
        for (int k = 0; k < last; ++k)
            if (four[k] > four[k + 1]) {
                const int swapped = four[k];
                four[k] = four[k + 1];
                four[k + 1] = swapped;
            }
}

__global__ void twin(const int* x, int* y, int* counts) {
    int mine[4], bins[3] = {};
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int k = 0; k < 4; ++k) mine[k] = x[4 * i + k];
    sort_four(mine);
    for (const int value : mine) ++bins[(value % 3 + 3) % 3];
    for (int k = 0; k < 4; ++k) y[4 * i + k] = mine[3 - k];
    for (int bin = 0; bin < 3; ++bin) counts[3 * i + bin] = bins[bin];
}
