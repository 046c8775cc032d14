// The blocks add their parts to one element, each with a plain read and a plain write.

__global__ void adds_without_atomics(const float* x, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int j = i; j < n && j < i + blockDim.x; j++) sum += x[j];
        out[0] += sum;
    }
}
