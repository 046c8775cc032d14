// Reverses the elements of each block in shared memory. __syncwarp does not wait for the warp that stored them.

__global__ void planted(const double* x, double* y) {
    extern __shared__ double staged[];
    const int first = blockIdx.x * blockDim.x, t = threadIdx.x;
    staged[t] = x[first + t];  // BUG
    __syncwarp();
    y[first + t] = staged[blockDim.x - 1 - t];  // BUG
}

__global__ void twin(const double* x, double* y) {
    extern __shared__ double staged[];
    const int first = blockIdx.x * blockDim.x, t = threadIdx.x;
    staged[t] = x[first + t];
    __syncthreads();
    y[first + t] = staged[blockDim.x - 1 - t];
}
