// Even and odd lanes sum different things in two branches, each with the mask of its own lanes.

__global__ void twin(const int* a, const int* b, int* y) {
    const int lane = threadIdx.x % 32, i = blockIdx.x * blockDim.x + threadIdx.x;
    int value;
    if (lane % 2 == 0) {
        value = a[i];
        for (int offset = 16; offset > 1; offset /= 2) value += __shfl_xor_sync(0x55555555u, value, offset);
    } else {
        value = b[i];
        for (int offset = 2; offset < 32; offset *= 2) value = max(value, __shfl_xor_sync(0xaaaaaaaau, value, offset));
    }
    __syncwarp();
    y[i] = value;
}
