// Sorts each block in shared memory: each pair belongs to one thread, and a barrier stands between the steps.

__global__ void twin(const int* x, int* y) {
    __shared__ int s[128];
    const int t = threadIdx.x;
    s[t] = x[blockIdx.x * 128 + t];
    for (int size = 2; size <= 128; size *= 2)
        for (int distance = size / 2; distance > 0; distance /= 2) {
            __syncthreads();
            const int partner = t ^ distance;
            if (partner > t && (s[t] > s[partner]) == ((t & size) == 0)) {
                const int swapped = s[t];
                s[t] = s[partner];
                s[partner] = swapped;
            }
        }
    __syncthreads();
    y[blockIdx.x * 128 + t] = s[t];
}
