// Every lane of a partial warp with a full mask: lanes that never existed are not waited for, and none of them is read.

__global__ void twin(const int* x, int* first_of_warp, bool* any_negative) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    first_of_warp[i] = __shfl_sync(0xffffffffu, x[i], 0);
    any_negative[i] = __any_sync(0xffffffffu, x[i] < 0);
}
