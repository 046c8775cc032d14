// Blocks draw their work from a counter until there is none left: no block knows beforehand which rows are its own.

__global__ void twin(const int* x, int* sums, int* next, int rows, int cols) {
    __shared__ int row, sum;
    while (true) {
        if (threadIdx.x == 0) {
            row = atomicAdd(next, 1);
            sum = 0;
        }
        __syncthreads();
        const int mine = row;
        if (mine >= rows) break;
        for (int col = threadIdx.x; col < cols; col += blockDim.x) atomicAdd(&sum, x[mine * cols + col]);
        __syncthreads();
        if (threadIdx.x == 0) sums[mine] = sum;
    }
}
