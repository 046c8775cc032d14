// dot: one product a thread; each block leaves one partial sum of them. Pictures of the orders: blocks.cuh.
//
// a, b   n elements each, a_step and b_step apart
// out    one number for each block: partial sums, or the answer where there is one block
#include "blocks.cuh"

template <typename T>
__device__ Wide<T> product(const T* a, long long a_step, const T* b, long long b_step, long long n)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    return i < n ? Wide<T>(a[i * a_step]) * Wide<T>(b[i * b_step]) : Wide<T>(0);
}

// with p = a * b: ((p0+p1)+(p2+p3))+...
template <typename T, typename Out>
__global__ void dot_interleaved(const T* a, long long a_step, const T* b, long long b_step, long long n, Out* out)
{
    const Wide<T> total = interleaved<Sum>(product(a, a_step, b, b_step, n));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(total);
}

// (p0+p128), (p1+p129), ..., then a quarter of a block away, ...
template <typename T, typename Out>
__global__ void dot_sequential(const T* a, long long a_step, const T* b, long long b_step, long long n, Out* out)
{
    const Wide<T> total = sequential<Sum>(product(a, a_step, b, b_step, n));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(total);
}

// (p0+p16), (p1+p17), ... inside each warp, then the same over the warps
template <typename T, typename Out>
__global__ void dot_warp_shuffle(const T* a, long long a_step, const T* b, long long b_step, long long n, Out* out)
{
    const Wide<T> total = warp_shuffle<Sum>(product(a, a_step, b, b_step, n));
    if (threadIdx.x == 0) out[blockIdx.x] = Out(total);
}

// the gradient with respect to one vector: the cotangent of the answer times the other vector
template <typename T>
__global__ void dot_gradient(const T* cotangent, const T* other, long long step, long long n, T* out)
{
    const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < n) out[i] = T(Wide<T>(cotangent[0]) * Wide<T>(other[i * step]));
}
