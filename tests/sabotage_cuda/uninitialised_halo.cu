// Running maximum over three neighbours. The halo of the first block lies outside of the vector and stays unwritten.

constexpr int BLOCK = 64;

__global__ void planted(const float* x, float* y, int n) {
    __shared__ float tile[BLOCK + 2];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    tile[t + 1] = i < n ? x[i] : __int_as_float(0xff800000);
    if (t == 0 && i > 0) tile[0] = x[i - 1];
    if (t == BLOCK - 1) tile[BLOCK + 1] = i + 1 < n ? x[i + 1] : __int_as_float(0xff800000);
    __syncthreads();
    if (i < n) y[i] = fmaxf(fmaxf(tile[t], tile[t + 1]), tile[t + 2]);  // BUG
}

__global__ void twin(const float* x, float* y, int n) {
    __shared__ float tile[BLOCK + 2];
    const int t = threadIdx.x, i = blockIdx.x * BLOCK + t;
    tile[t + 1] = i < n ? x[i] : __int_as_float(0xff800000);
    if (t == 0) tile[0] = i > 0 ? x[i - 1] : __int_as_float(0xff800000);
    if (t == BLOCK - 1) tile[BLOCK + 1] = i + 1 < n ? x[i + 1] : __int_as_float(0xff800000);
    __syncthreads();
    if (i < n) y[i] = fmaxf(fmaxf(tile[t], tile[t + 1]), tile[t + 2]);
}
