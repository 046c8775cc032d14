// Counts valid and invalid elements of a block: the two branches meet at barriers of different kinds.

__global__ void planted(const int* x, int* counts, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    int valid = 0;
    if (i < n)
        valid = __syncthreads_count(x[i] >= 0);  // BUG
    else
        __syncthreads();  // BUG
    if (threadIdx.x == 0) counts[blockIdx.x] = valid;
}

__global__ void twin(const int* x, int* counts, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const int valid = __syncthreads_count(i < n && x[i] >= 0);
    if (threadIdx.x == 0) counts[blockIdx.x] = valid;
}
