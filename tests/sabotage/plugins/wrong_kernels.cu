// Kernels that cheat or are wrong in ways that their host sides hide: see wrong_kernels.py.

__global__ void races(const float* x, float* out, int n) {
    if (threadIdx.x < n) out[0] += x[threadIdx.x];
}

__global__ void changes_its_input(float* x, float* out, int n) {
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int i = 0; i < n; i++) sum += x[i];
        out[0] = sum;
        x[0] = sum;
    }
}

__global__ void reads_where_it_is_told(const float* x, float* out, int n, int stride) {
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int i = 0; i < n; i++) sum += x[(long long)i * stride];
        out[0] = sum;
    }
}
