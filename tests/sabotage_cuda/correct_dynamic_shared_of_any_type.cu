// Dynamic shared memory of a template: declared as bytes, since one name cannot have two types, and cast to what it is.

template <typename T>
__device__ void rotated(const T* x, T* y, int by) {
    extern __shared__ __align__(sizeof(T)) unsigned char bytes[];
    T* staged = reinterpret_cast<T*>(bytes);
    const int t = threadIdx.x, threads = blockDim.x;
    staged[t] = x[blockIdx.x * threads + t];
    __syncthreads();
    y[blockIdx.x * threads + t] = staged[(t + by) % threads];
    __syncthreads();
}

__global__ void twin(const double* x, double* y, const short* a, short* b) {
    rotated(x, y, 1);
    rotated(a, b, 5);
}
