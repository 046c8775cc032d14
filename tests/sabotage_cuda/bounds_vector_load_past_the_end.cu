// Doubles a vector, four elements at a time. The last four need not all be there.

__global__ void planted(const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * i < n) {
        const float4 four = reinterpret_cast<const float4*>(x)[i];  // BUG
        y[4 * i] = 2 * four.x;
        if (4 * i + 1 < n) y[4 * i + 1] = 2 * four.y;
        if (4 * i + 2 < n) y[4 * i + 2] = 2 * four.z;
        if (4 * i + 3 < n) y[4 * i + 3] = 2 * four.w;
    }
}

__global__ void twin(const float* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * i + 3 < n) {
        const float4 four = reinterpret_cast<const float4*>(x)[i];
        reinterpret_cast<float4*>(y)[i] = make_float4(2 * four.x, 2 * four.y, 2 * four.z, 2 * four.w);
    } else {
        for (int k = 4 * i; k < n; ++k) y[k] = 2 * x[k];
    }
}
