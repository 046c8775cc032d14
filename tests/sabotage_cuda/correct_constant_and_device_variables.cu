// Coefficients in constant memory, and a table in device memory that a block fills before it reads it.

__constant__ float coefficients[4] = {1.0f, -2.0f, 0.5f, 4.0f};
__device__ float table[2][64];
__device__ int calls[2];

__global__ void twin(const float* x, float* y) {
    const int t = threadIdx.x;
    float power = 1, sum = 0;
    for (const float coefficient : coefficients) {
        sum += coefficient * power;
        power *= x[blockIdx.x * 64 + t];
    }
    table[blockIdx.x][t] = sum;
    if (t == 0) calls[blockIdx.x] += 1;
    __syncthreads();
    y[blockIdx.x * 64 + t] = table[blockIdx.x][63 - t];
}
