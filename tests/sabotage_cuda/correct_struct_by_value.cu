// The shape and strides of an array, of up to four dimensions, in a struct that is passed by value.

struct Layout {
    int dims;
    bool reversed;
    long long sizes[4];
    long long strides[4];  // in elements, of any sign
};

__global__ void twin(const float* x, float* y, Layout layout, long long n) {
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        long long rest = i, offset = 0;
        for (int dim = layout.dims - 1; dim >= 0; --dim) {
            offset += rest % layout.sizes[dim] * layout.strides[dim];
            rest /= layout.sizes[dim];
        }
        y[layout.reversed ? n - 1 - i : i] = x[offset];
    }
}
