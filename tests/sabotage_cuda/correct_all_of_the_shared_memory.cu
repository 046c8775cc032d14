// 48 KiB of shared memory for a block, to the last byte, some of it by name and the rest at the launch.

__global__ void twin(const double* x, double* y) {
    __shared__ double named[1024];
    extern __shared__ double at_launch[];
    for (int k = threadIdx.x; k < 5120; k += blockDim.x) at_launch[k] = x[k];
    for (int k = threadIdx.x; k < 1024; k += blockDim.x) named[k] = x[5120 + k];
    __syncthreads();
    for (int k = threadIdx.x; k < 6144; k += blockDim.x) y[k] = k < 1024 ? named[1023 - k] : at_launch[6143 - k];
}
