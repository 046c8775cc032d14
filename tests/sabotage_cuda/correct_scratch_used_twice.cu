// One piece of shared memory used as doubles, then as integers, then as bytes, with barriers between the uses.

union Scratch {
    double doubles[32];
    int integers[64];
};

__global__ void twin(const int* x, int* y) {
    __shared__ Scratch scratch;
    const int t = threadIdx.x;
    if (t < 32) scratch.doubles[t] = x[t] + x[t + 32];
    __syncthreads();
    const int pair = static_cast<int>(scratch.doubles[t % 32]);
    __syncthreads();
    scratch.integers[t] = pair * x[t];
    __syncthreads();
    const int mirrored = scratch.integers[63 - t];
    __syncthreads();
    signed char* bytes = reinterpret_cast<signed char*>(&scratch);
    bytes[t] = static_cast<signed char>(mirrored & 63);
    __syncthreads();
    y[t] = 100 * bytes[(t + 1) % 64] + bytes[t];
}
