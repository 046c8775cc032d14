// How many elements of each block exceed its first: the last warp stores to the number that others still compare with.

template <bool barrier_before_reuse>
__device__ void above_the_first(const int* x, int* above) {
    __shared__ int shared;
    const int t = threadIdx.x, value = x[blockIdx.x * 128 + t];
    if (t == 0) shared = value;
    __syncthreads();
    const bool larger = value > shared;  // BUG
    const int of_warp = __popc(__ballot_sync(0xffffffffu, larger));
    if (barrier_before_reuse) __syncthreads();
    else __syncwarp();
    if (t == 96) shared = of_warp;  // BUG
    __syncthreads();
    if (t % 32 == 0 && t < 96) atomicAdd(&shared, of_warp);
    __syncthreads();
    if (t == 0) above[blockIdx.x] = shared;
}

__global__ void planted(const int* x, int* above) { above_the_first<false>(x, above); }

__global__ void twin(const int* x, int* above) { above_the_first<true>(x, above); }
