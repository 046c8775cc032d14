// Complex products, stored as pairs behind a header of one float.

__global__ void planted(const float* factors, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0) y[0] = n;
    if (i >= n) return;
    const float4 f = reinterpret_cast<const float4*>(factors)[i];
    const float2 product = make_float2(f.x * f.z - f.y * f.w, f.x * f.w + f.y * f.z);
    reinterpret_cast<float2*>(y + 1)[i] = product;  // BUG
}

__global__ void twin(const float* factors, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0) y[0] = n;
    if (i >= n) return;
    const float4 f = reinterpret_cast<const float4*>(factors)[i];
    y[1 + 2 * i] = f.x * f.z - f.y * f.w;
    y[2 + 2 * i] = f.x * f.w + f.y * f.z;
}
