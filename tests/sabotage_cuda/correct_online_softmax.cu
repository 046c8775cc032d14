// Softmax in two passes, one warp a row: maxima and sums of powers, merged by shuffles. Masked rows included.

__device__ float2 merged(float2 a, float2 b) {
    const float largest = fmaxf(a.x, b.x);
    if (largest == __int_as_float(0xff800000)) return make_float2(largest, 0.0f);
    return make_float2(largest, a.y * expf(a.x - largest) + b.y * expf(b.x - largest));
}

__global__ void twin(const float* x, float* y, int rows, int cols) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;  // whole warps
    const float* mine = x + row * cols;
    float2 state = make_float2(__int_as_float(0xff800000), 0.0f);
    for (int col = threadIdx.x; col < cols; col += 32) state = merged(state, make_float2(mine[col], 1.0f));
    for (int offset = 16; offset > 0; offset /= 2) {
        const float2 other = make_float2(__shfl_xor_sync(0xffffffffu, state.x, offset),
                                         __shfl_xor_sync(0xffffffffu, state.y, offset));
        state = merged(state, other);
    }
    for (int col = threadIdx.x; col < cols; col += 32)
        y[row * cols + col] = state.y == 0 ? 0.0f : expf(mine[col] - state.x) / state.y;
}
