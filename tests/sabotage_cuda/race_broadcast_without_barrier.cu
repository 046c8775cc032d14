// Softmax of short rows, one warp a row: the first lane leaves maximum and sum in shared memory for the others.

constexpr unsigned FULL = 0xffffffffu;
constexpr int ROWS = 4;  // per block

__device__ float warp_max(float value) {
    for (int offset = 16; offset > 0; offset /= 2) value = fmaxf(value, __shfl_down_sync(FULL, value, offset));
    return value;
}

__device__ float warp_sum(float value) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(FULL, value, offset);
    return value;
}

__global__ void planted(const float* x, float* y) {
    __shared__ float largest[ROWS], total[ROWS];
    const int lane = threadIdx.x, row = threadIdx.y, i = (blockIdx.x * ROWS + row) * 32 + lane;
    const float row_max = warp_max(x[i]);
    if (lane == 0) largest[row] = row_max;      // BUG
    const float power = expf(x[i] - largest[row]);  // BUG
    const float row_sum = warp_sum(power);
    if (lane == 0) total[row] = row_sum;  // BUG
    y[i] = power / total[row];            // BUG
}

__global__ void twin(const float* x, float* y) {
    __shared__ float largest[ROWS], total[ROWS];
    const int lane = threadIdx.x, row = threadIdx.y, i = (blockIdx.x * ROWS + row) * 32 + lane;
    const float row_max = warp_max(x[i]);
    if (lane == 0) largest[row] = row_max;
    __syncwarp();
    const float power = expf(x[i] - largest[row]);
    const float row_sum = warp_sum(power);
    if (lane == 0) total[row] = row_sum;
    __syncwarp();
    y[i] = power / total[row];
}
