// The tree's last warp in shared memory: each step a load, __syncwarp, a store, __syncwarp.

__global__ void twin(const float* x, float* largest) {
    __shared__ float s[128];
    const int t = threadIdx.x;
    s[t] = x[blockIdx.x * 128 + t];
    __syncthreads();
    if (t < 64) s[t] = fmaxf(s[t], s[t + 64]);
    __syncthreads();
    if (t < 32) {
        volatile float* v = s;
        float value = fmaxf(v[t], v[t + 32]);
        __syncwarp();
        v[t] = value;
        __syncwarp();
        for (int offset = 16; offset > 0; offset /= 2) {
            if (t < offset) value = fmaxf(v[t], v[t + offset]);
            __syncwarp();
            if (t < offset) v[t] = value;
            __syncwarp();
        }
        if (t == 0) largest[blockIdx.x] = v[0];
    }
}
