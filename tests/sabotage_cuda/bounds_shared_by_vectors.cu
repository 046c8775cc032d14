// Turns each row of 36 floats round in shared memory by fours, of which one more is read than the row has.

__global__ void planted(const float* x, float* y) {
    __shared__ __align__(16) float row[36];
    if (threadIdx.x < 36) row[threadIdx.x] = x[blockIdx.x * 36 + threadIdx.x];
    __syncthreads();
    if (threadIdx.x >= 9) return;
    const float4 four = reinterpret_cast<const float4*>(row)[9 - threadIdx.x];  // BUG
    reinterpret_cast<float4*>(y)[blockIdx.x * 9 + threadIdx.x] = make_float4(four.w, four.z, four.y, four.x);
}

__global__ void twin(const float* x, float* y) {
    __shared__ __align__(16) float row[36];
    if (threadIdx.x < 36) row[threadIdx.x] = x[blockIdx.x * 36 + threadIdx.x];
    __syncthreads();
    if (threadIdx.x >= 9) return;
    const float4 four = reinterpret_cast<const float4*>(row)[8 - threadIdx.x];
    reinterpret_cast<float4*>(y)[blockIdx.x * 9 + threadIdx.x] = make_float4(four.w, four.z, four.y, four.x);
}
