// Whether any element is negative: whoever finds one stores the same 1. In shared memory first, in global memory then.

__global__ void twin(const int* x, int* any, int n) {
    __shared__ int found;
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && x[i] < 0) found = 1;
    __syncthreads();
    if (found) *any = 1;
}
