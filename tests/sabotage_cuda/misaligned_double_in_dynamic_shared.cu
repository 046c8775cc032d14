// Dynamic shared memory in two parts, indices, then doubles. An odd number of indices leaves the doubles misaligned.

__global__ void planted(const double* x, const int* order, double* y, int n) {
    extern __shared__ __align__(8) unsigned char raw[];
    int* indices = reinterpret_cast<int*>(raw);
    double* staged = reinterpret_cast<double*>(raw + n * sizeof(int));
    if (threadIdx.x < n) {
        indices[threadIdx.x] = order[threadIdx.x];
        staged[threadIdx.x] = x[threadIdx.x];  // BUG
    }
    __syncthreads();
    if (threadIdx.x < n) y[threadIdx.x] = staged[indices[threadIdx.x]];
}

__global__ void twin(const double* x, const int* order, double* y, int n) {
    extern __shared__ __align__(8) unsigned char raw[];
    double* staged = reinterpret_cast<double*>(raw);
    int* indices = reinterpret_cast<int*>(raw + n * sizeof(double));
    if (threadIdx.x < n) {
        indices[threadIdx.x] = order[threadIdx.x];
        staged[threadIdx.x] = x[threadIdx.x];
    }
    __syncthreads();
    if (threadIdx.x < n) y[threadIdx.x] = staged[indices[threadIdx.x]];
}
