// Doubles a vector in place, by fours and then one by one. The tail begins at a fourth of where it should.

__global__ void planted(float* x, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int k = i; k < n / 4; k += threads) {
        float4& four = reinterpret_cast<float4*>(x)[k];
        four = make_float4(2 * four.x, 2 * four.y, 2 * four.z, 2 * four.w);  // BUG
    }
    for (int k = n / 4 + i; k < n; k += threads) x[k] *= 2;  // BUG
}

__global__ void twin(float* x, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    for (int k = i; k < n / 4; k += threads) {
        float4& four = reinterpret_cast<float4*>(x)[k];
        four = make_float4(2 * four.x, 2 * four.y, 2 * four.z, 2 * four.w);
    }
    for (int k = n / 4 * 4 + i; k < n; k += threads) x[k] *= 2;
}
